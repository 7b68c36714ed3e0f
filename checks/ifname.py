"""The network interfaces that NCCL and Gloo are told to use."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from sparkdoctor.api import Fact, Finding, Fix, Found, Interface, Node, Seen, Severity, check, skip
from sparkdoctor.nccl import find_interfaces, parse_names
from sparkdoctor.nccl.interfaces import MAX_IFS
from sparkdoctor.nccl.since import RUNNING_INTERFACE
from sparkdoctor.nearest import nearest
from sparkdoctor.predict import nccl_env, nccl_seen, nccl_version

from ._fix import drop_env, set_env
from ._interfaces import name_interface
from ._rdma import own_network, several_ranks

NCCL, GLOO, TENSORPIPE = "NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME"


class Fault(Enum):
    UNKNOWN = "unknown"
    DOWN = "down"
    UNADDRESSED = "unaddressed"
    EXCLUDED = "excluded"


@dataclass(frozen=True)
class Verdict:
    """What a variable leads to: the interfaces it gives, or the fault and the interfaces that have it."""

    variable: str
    value: Fact[str]
    gives: tuple[str, ...] = ()
    fault: Fault | None = None
    concerns: tuple[Interface, ...] = ()
    names: tuple[str, ...] = ()
    """The names that match no interface."""


@check("ifname-unknown")
def ifname_unknown(node: Node) -> Found:
    """NCCL_SOCKET_IFNAME or GLOO_SOCKET_IFNAME names no interface of this machine.

    ## Why it matters
    NCCL finds or fails: `Bootstrap : no socket interface found`. Its list takes prefixes unless
    it begins with `=`; case counts and blanks are kept; one name that fits is enough, and among
    several NCCL takes the interface with the lowest number, not the first of the list.
    Gloo, which PyTorch and vLLM use beside NCCL, wants whole names and every one of them:
    `Unable to find address for: eth0`.

    ## How to fix it
    Name the interface through which the machines reach each other. The names of network
    interfaces (`enp1s0f0np0`) are not those of HCAs (`rocep1s0f0`).

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-socket-ifname
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/misc/socket.cc (ncclFindInterfaces)
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/os/linux.cc (ncclOsFindInterfaces)
    - https://github.com/pytorch/gloo/blob/main/gloo/transport/tcp/device.cc (lookupAddrForIface)
    """
    for verdict in _of(node, Fault.UNKNOWN):
        if isinstance(verdict, Seen):
            yield verdict
            continue
        value = verdict.value
        interfaces = node.machine().network.interfaces
        yield Finding(
            f"{verdict.variable}={value.value} names no interface of this machine"
            if verdict.names == _all_names(verdict)
            else f"{verdict.variable} names {', '.join(verdict.names)}, which is no interface of this machine",
            (
                Seen(verdict.variable, value.value, value.where, wanted=_meant(node, verdict.names)),
                Seen("interfaces", " ".join(one.name for one in interfaces.value), interfaces.where),
            ),
            name_interface(node, verdict.variable),
        )


@check("ifname-down", after=("hca-not-active",))
def ifname_down(node: Node) -> Found:
    """The interfaces that NCCL_SOCKET_IFNAME or GLOO_SOCKET_IFNAME names are down.

    ## Why it matters
    NCCL 2.28.3 and later pass over an interface without carrier, and with nothing left fail with
    `Bootstrap : no socket interface found`. Earlier ones and Gloo bind to its address, which no
    peer reaches: the launch hangs until a timeout.

    ## How to fix it
    Bring the interface up, or name one that is.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-socket-ifname
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/os/linux.cc (ncclOsFindInterfaces: IFF_RUNNING)
    - https://man7.org/linux/man-pages/man7/netdevice.7.html
    """
    for verdict in _of(node, Fault.DOWN):
        if isinstance(verdict, Seen):
            yield verdict
            continue
        off = [one.name for one in verdict.concerns if not one.up]
        yield Finding(
            f"{' and '.join(one.name for one in verdict.concerns)} of {verdict.variable} {_are(verdict)} down",
            (
                Seen(verdict.variable, verdict.value.value, verdict.value.where),
                *_states(node, verdict),
                nccl_seen(node),
            ),
            Fix(
                "bring the interface up (netplan keeps it so after a boot)",
                run=tuple(f"sudo ip link set dev {name} up" for name in off),
                cost="needs root",
            )
            if off
            else name_interface(node, verdict.variable),
        )


@check("ifname-unaddressed", after=("gid-not-roce-v2", "gid-index-differs"))
def ifname_unaddressed(node: Node) -> Found:
    """The interfaces that NCCL_SOCKET_IFNAME or GLOO_SOCKET_IFNAME names have no address.

    ## Why it matters
    An interface without an IP address (or without one of the family in NCCL_SOCKET_FAMILY) is
    none to NCCL: `Bootstrap : no socket interface found`. Gloo says `Unable to find address for:`
    and its name. With nothing but a link-local IPv6 address (fe80::) both go on, and tell the peer
    an address that means something on this machine only.

    ## How to fix it
    Name the interface that holds the address of this machine, or give this one an address.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-socket-ifname
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-socket-family
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/os/linux.cc (ncclOsFindInterfaces)
    - https://github.com/pytorch/gloo/blob/main/gloo/transport/tcp/device.cc (lookupAddrForIface)
    """
    for verdict in _of(node, Fault.UNADDRESSED):
        if isinstance(verdict, Seen):
            yield verdict
            continue
        yield Finding(
            f"{' and '.join(one.name for one in verdict.concerns)} of {verdict.variable}"
            f" {'have' if len(verdict.concerns) > 1 else 'has'} no address{_of_family(node, verdict)} that the peer can use",
            (Seen(verdict.variable, verdict.value.value, verdict.value.where), *_states(node, verdict)),
            name_interface(node, verdict.variable),
        )


@check("ifname-excluded")
def ifname_excluded(node: Node) -> Found:
    """NCCL_SOCKET_IFNAME excludes every interface of this machine.

    ## Why it matters
    A list that begins with `^` takes the interfaces that none of its prefixes fits; `^en,lo,docker`
    leaves a Spark none. NCCL then fails with `Bootstrap : no socket interface found`.

    ## How to fix it
    Name the interface to use.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-socket-ifname
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/misc/utils.cc (parseStringList, matchIfList)
    """
    for verdict in _of(node, Fault.EXCLUDED):
        if isinstance(verdict, Seen):
            yield verdict
            continue
        interfaces = node.machine().network.interfaces
        yield Finding(
            f"{verdict.variable}={verdict.value.value} excludes all interfaces of this machine",
            (
                Seen(verdict.variable, verdict.value.value, verdict.value.where),
                Seen("interfaces", " ".join(one.name for one in interfaces.value), interfaces.where),
            ),
            name_interface(node, verdict.variable),
        )


@check("ifname-ignored", severity=Severity.NOTE)
def ifname_ignored(node: Node) -> Found:
    """A name in NCCL_SOCKET_IFNAME or TP_SOCKET_IFNAME is no interface of this machine, and nothing comes of it.

    ## Why it matters
    NCCL passes over names that fit nothing as long as another fits, so the launch works; but a
    list that was to name the fabric may end on another network. TP_SOCKET_IFNAME is read by
    PyTorch's RPC (TensorPipe), which warns and goes by the host name; vLLM does not use it.

    ## How to fix it
    Take the name away, or spell it as this machine does.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-socket-ifname
    - https://github.com/pytorch/pytorch/blob/v2.11.0/torch/csrc/distributed/rpc/tensorpipe_agent.cpp (guessAddress)
    """
    several_ranks(node)
    own_network(node)
    interfaces = node.machine().network.interfaces
    looked = False
    for variable in (NCCL, TENSORPIPE):
        fact = node.env(variable)
        if fact is None or len(fact.value) < 2 or (variable == NCCL and _nccl(node, fact).fault is not None):
            continue
        looked = True
        names = (
            parse_names(fact.value, MAX_IFS, nccl_version(node))
            if variable == NCCL
            else parse_names(f"={fact.value}", 1)
        )
        lost = [
            token.name
            for token in names.tokens
            if not any(token.matches(one.name, -1, names.exact) for one in interfaces.value)
        ]
        if names.negated or not lost:
            yield Seen(variable, fact.value, fact.where)
            continue
        used = f", so NCCL uses {_nccl(node, fact).gives[0]}" if variable == NCCL else ""
        yield Finding(
            f"{variable} names {', '.join(lost)}, which is no interface of this machine{used}",
            (
                Seen(variable, fact.value, fact.where, wanted=_meant(node, tuple(lost))),
                Seen("interfaces", " ".join(one.name for one in interfaces.value), interfaces.where),
            ),
            _without(node, variable, fact, lost),
        )
    if not looked:
        skip(f"neither {NCCL} nor {TENSORPIPE} gives names to look at")


def _of(node: Node, fault: Fault) -> Iterator[Verdict | Seen]:
    """The verdicts with this fault, and what is right. Raises Skip when there is neither."""
    several_ranks(node)
    own_network(node)
    set_ones = [(name, fact) for name in (NCCL, GLOO) if (fact := node.env(name)) is not None and len(fact.value) > 1]
    if not set_ones:
        skip(f"neither {NCCL} nor {GLOO} names an interface")
    verdicts = [_nccl(node, fact) if name == NCCL else _gloo(node, fact) for name, fact in set_ones]
    mine = [verdict for verdict in verdicts if verdict.fault in (fault, None)]
    if not mine:
        skip(f"{verdicts[0].variable}={verdicts[0].value.value} has another fault")
    for verdict in mine:
        if verdict.fault is None:
            yield Seen(verdict.variable, f"{verdict.value.value} gives {' '.join(verdict.gives)}", verdict.value.where)
        else:
            yield verdict


def _nccl(node: Node, fact: Fact[str]) -> Verdict:
    """NCCL's rules: the first that fits, has an address and (since 2.28.3) runs."""
    interfaces = node.machine().network.interfaces.value
    version = nccl_version(node)
    names = parse_names(fact.value, MAX_IFS, version)
    by_name = {one.name: one for one in interfaces}
    hits = find_interfaces(interfaces, nccl_env(node, (NCCL, "NCCL_SOCKET_FAMILY")), version)
    first = by_name[hits[0].name] if hits else None
    if first is not None and not first.running and version < RUNNING_INTERFACE:
        return Verdict(NCCL, fact, fault=Fault.DOWN, concerns=(first,))
    if first is not None and _only_here(hits[0].address):
        return Verdict(NCCL, fact, fault=Fault.UNADDRESSED, concerns=(first,))
    if first is not None:
        return Verdict(NCCL, fact, tuple(hit.name for hit in hits))
    fitting = tuple(one for one in interfaces if names.takes(one.name))
    if not fitting:
        lost = tuple(token.name for token in names.tokens)
        return Verdict(NCCL, fact, fault=Fault.EXCLUDED if names.negated else Fault.UNKNOWN, names=lost)
    bare = tuple(one for one in fitting if one.running)
    if bare:
        return Verdict(NCCL, fact, fault=Fault.UNADDRESSED, concerns=bare)
    return Verdict(NCCL, fact, fault=Fault.DOWN, concerns=fitting)


def _gloo(node: Node, fact: Fact[str]) -> Verdict:
    """Gloo's rules: whole names between commas, and every one of them must be there with an address."""
    interfaces = {one.name: one for one in node.machine().network.interfaces.value}
    named = tuple(name for name in fact.value.split(",") if name)
    lost = tuple(name for name in named if name not in interfaces)
    there = tuple(interfaces[name] for name in named if name in interfaces)
    down = tuple(one for one in there if not one.running)
    bare = tuple(one for one in there if all(_only_here(address.split("/")[0]) for address in one.addresses))
    if lost:
        return Verdict(GLOO, fact, fault=Fault.UNKNOWN, names=lost)
    if down:
        return Verdict(GLOO, fact, fault=Fault.DOWN, concerns=down)
    if bare:
        return Verdict(GLOO, fact, fault=Fault.UNADDRESSED, concerns=bare)
    return Verdict(GLOO, fact, named)


def _only_here(address: str) -> bool:
    """Whether an address is link-local IPv6: without this machine's interface number it leads nowhere (RFC 4007)."""
    ip = ipaddress.ip_address(address)
    return ip.version == 6 and ip.is_link_local


def _all_names(verdict: Verdict) -> tuple[str, ...]:
    return tuple(name for name in verdict.value.value.lstrip("=").split(",") if name)


def _are(verdict: Verdict) -> str:
    return "are" if len(verdict.concerns) > 1 else "is"


def _of_family(node: Node, verdict: Verdict) -> str:
    family = node.env("NCCL_SOCKET_FAMILY")
    return f" of {family.value}" if verdict.variable == NCCL and family is not None and family.value else ""


def _states(node: Node, verdict: Verdict) -> list[Seen]:
    where = node.machine().network.interfaces.where
    return [
        Seen(
            one.name,
            f"{'up' if one.up else 'set down'}, {'carrier' if one.running else 'no carrier'},"
            f" {' '.join(one.addresses) or 'no address'}",
            where,
            wanted="carrier and an address",
        )
        for one in verdict.concerns
    ]


def _meant(node: Node, names: tuple[str, ...]) -> str:
    """Real interfaces spelt like the first name, or the interface of the HCA that it names."""
    name = (names or ("",))[0].strip()
    devices = node.machine().rdma.hcas
    for hca in devices.value if devices.is_known else ():
        if hca.name == name and hca.netdev.is_known:
            return f"{hca.netdev.value}, the interface of HCA {name}"
    near = nearest(name, [one.name for one in node.machine().network.interfaces.value], 2)
    return " or ".join(near) or "an interface of this machine"


def _without(node: Node, variable: str, fact: Fact[str], lost: list[str]) -> Fix:
    kept = [name for name in fact.value.split(",") if name.lstrip("=").split(":")[0] not in lost]
    return set_env(node, variable, ",".join(kept)) if kept else drop_env(node, variable)
