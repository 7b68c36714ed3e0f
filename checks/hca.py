"""The HCAs that NCCL is told to use, against those that are there."""

from __future__ import annotations

import re

from sparkdoctor.api import Certainty, Fact, Finding, Fix, Found, Hca, Node, Port, Seen, Severity, check, skip
from sparkdoctor.nccl import NameList, parse_names
from sparkdoctor.nccl.devices import MAX_IB_DEVS, pci_order, usable
from sparkdoctor.nccl.names import Token
from sparkdoctor.nearest import nearest
from sparkdoctor.predict import nccl_version

from ._fix import drop_env, set_env
from ._rdma import hcas, over_rdma

SYSFS = "/sys/class/infiniband"


@check("hca-unknown", after=("rdma-hardware-missing",))
def hca_unknown(node: Node) -> Found:
    """NCCL_IB_HCA names none of the HCAs of this machine.

    ## Why it matters
    NCCL then has no RDMA device. With `NCCL_NET=IB` the launch fails (`Failed to initialize any
    NET plugin`); without it NCCL goes on over TCP at about 2 GB/s and says so in an INFO line
    only (`NET/IB : No device found.`).

    The names are those of /sys/class/infiniband (`rocep1s0f0`), not those of network interfaces
    (`enp1s0f0np0`). They are compared with upper and lower case, and blanks after a comma count.
    A name is a prefix unless the list begins with `=`; `name:1` takes port 1 only; a list that
    begins with `^` excludes.

    ## How to fix it
    Name the HCAs that are cabled on this machine, or unset the variable: NCCL takes every ACTIVE
    one.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-ib-hca
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/transport/net_ib/init.cc (ncclIbInitDevices)
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/misc/utils.cc (parseStringList, matchIfList)
    """
    why = over_rdma(node)
    fact, names = _list(node)
    if names.negated:
        skip(f"NCCL_IB_HCA={fact.value} excludes")
    devices = hcas(node)
    unknown = [token for token in names.tokens if not _hits(token, names, devices)]
    if len(unknown) < len(names.tokens):
        yield from _known(names, devices)
        return
    yield Finding(
        f"NCCL_IB_HCA={fact.value} names none of the HCAs of this machine",
        (
            Seen("NCCL_IB_HCA", fact.value, fact.where, wanted=_meant(unknown[0], devices)),
            Seen("HCAs", _words(devices), SYSFS),
            why,
        ),
        set_env(node, "NCCL_IB_HCA", _best(devices)),
    )


@check("hca-partly-unknown", severity=Severity.WARNING)
def hca_partly_unknown(node: Node) -> Found:
    """NCCL_IB_HCA names an HCA that this machine does not have, beside others that it has.

    ## Why it matters
    NCCL passes over the name without a word and uses the others. When the missing one was to be
    the second path of the cable, half of the bandwidth is gone; when the other node has both, a
    recent NCCL refuses the launch (`Detected mixed local Net device counts across ranks`).

    ## How to fix it
    Name the HCAs that are cabled on this machine. The names differ between machines when one
    has the cable in the other cage.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-ib-hca
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/transport/net_ib/init.cc (ncclIbInitDevices)
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/init.cc (Detected mixed local Net device counts)
    """
    over_rdma(node)
    fact, names = _list(node)
    devices = hcas(node)
    unknown = [token for token in names.tokens if not _hits(token, names, devices)]
    if names.negated or len(unknown) == len(names.tokens):
        skip(f"NCCL_IB_HCA={fact.value} names no HCA of this machine")
    yield from _known(names, devices)
    for token in unknown:
        yield Finding(
            f"NCCL_IB_HCA names {_text(token)}, which this machine does not have",
            (
                Seen("NCCL_IB_HCA", fact.value, fact.where, wanted=_meant(token, devices)),
                Seen("HCAs", _words(devices), SYSFS),
            ),
            set_env(node, "NCCL_IB_HCA", _best(devices)),
        )


@check("hca-excluded", after=("rdma-hardware-missing",))
def hca_excluded(node: Node) -> Found:
    """NCCL_IB_HCA excludes every HCA of this machine.

    ## Why it matters
    A list that begins with `^` takes all HCAs but the named ones, each name being a prefix; a
    lone `^` takes none. Without an HCA, NCCL fails with `NCCL_NET=IB` and uses TCP without it.

    ## How to fix it
    Unset the variable: NCCL takes every ACTIVE HCA.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-ib-hca
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/misc/utils.cc (parseStringList, matchIfList)
    """
    why = over_rdma(node)
    fact = node.env("NCCL_IB_HCA")
    names = parse_names(fact.value, MAX_IB_DEVS, nccl_version(node)) if fact is not None else NameList(())
    if fact is None or not names.negated:
        skip("NCCL_IB_HCA excludes nothing")
    devices = hcas(node)
    left = [hca.name for hca, port in _taken(names, devices)]
    if left:
        yield Seen("HCAs that are left", " ".join(left), f"{SYSFS}; NCCL_IB_HCA={fact.value} ({fact.where})")
        return
    yield Finding(
        f"NCCL_IB_HCA={fact.value} excludes all HCAs of this machine",
        (Seen("NCCL_IB_HCA", fact.value, fact.where), Seen("HCAs", _words(devices), SYSFS), why),
        drop_env(node, "NCCL_IB_HCA"),
    )


@check("hca-not-active", after=("rdma-hardware-missing", "hca-unknown", "hca-excluded"))
def hca_not_active(node: Node) -> Found:
    """None of the HCAs that NCCL may use has an ACTIVE port.

    ## Why it matters
    NCCL passes over every port that is not ACTIVE before it compares names, so it has no RDMA
    device: it fails with `NCCL_NET=IB`, and uses TCP without it.

    A port is ACTIVE when its cable is in, the other end is on, and its network interface is up.
    One cable between two Sparks makes two HCAs ACTIVE on each, both of the same cage; the two
    of the empty cage stay DOWN, and naming those beside is harmless.

    ## How to fix it
    Name the HCAs of the cabled cage. When none is ACTIVE, bring the interface up and look at
    the cable on both machines.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-ib-hca
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/transport/net_ib/init.cc (ncclIbInitDevices)
    - https://github.com/torvalds/linux/blob/v6.17/Documentation/ABI/stable/sysfs-class-infiniband
    - https://docs.nvidia.com/dgx/dgx-spark/spark-clustering.html
    """
    why = over_rdma(node)
    fact = node.env("NCCL_IB_HCA")
    names = parse_names(fact.value if fact else None, MAX_IB_DEVS, nccl_version(node))
    devices = hcas(node)
    taken = _taken(names, devices)
    if not taken:
        skip("NCCL_IB_HCA takes no HCA of this machine")
    active = [(hca, port) for hca, port in taken if usable(port)]
    if active:
        for hca, port in active:
            yield _state(hca, port)
        return
    told = f"NCCL_IB_HCA={fact.value} takes" if fact and names.tokens else "this machine has"
    listed = Seen("NCCL_IB_HCA", fact.value, fact.where) if fact else why
    yield Finding(
        f"{told} no HCA with an ACTIVE port",
        (*(_state(hca, port) for hca, port in taken), listed),
        _activate(node, devices, taken),
    )


@check("hca-twin-down", severity=Severity.WARNING)
def hca_twin_down(node: Node) -> Found:
    """One of the two HCAs behind a cable is not ACTIVE.

    ## Why it matters
    The two cages of a Spark are one ConnectX-7 behind two PCIe x4 links, and each cage shows as
    two HCAs, one a link: `rocep1s0f0` and `roceP2p1s0f0` are twins. A 200 Gb/s cable needs both;
    over one of them a pair gets 12 to 14 GB/s instead of 22 to 24. NCCL says nothing about it.

    ## How to fix it
    Bring the twin's network interface up on both machines. One twin of a cabled cage that stays
    DOWN is a cable that does not sit well.

    ## References
    - https://docs.nvidia.com/dgx/dgx-spark/spark-clustering.html
    - https://github.com/NVIDIA/dgx-spark-playbooks/blob/main/nvidia/connect-two-sparks/README.md
    """
    over_rdma(node)
    fact = node.env("NCCL_IB_HCA")
    names = parse_names(fact.value if fact else None, MAX_IB_DEVS, nccl_version(node))
    taken = _taken(names, hcas(node))
    pairs = [
        ((hca, port), (other, its))
        for hca, port in taken
        for other, its in taken
        if _are_twins(hca, other) and usable(its)
    ]
    if not pairs:
        skip("NCCL uses no two HCAs of one cage here")
    for (hca, port), (other, its) in pairs:
        if usable(port):
            yield _state(hca, port)
        else:
            yield Finding(
                f"{hca.name} is {port.state.value} while its twin {other.name} is ACTIVE",
                (_state(hca, port), _state(other, its)),
                _bring_up(node, [hca]),
            )


def _list(node: Node) -> tuple[Fact[str], NameList]:
    """NCCL_IB_HCA and its names. Raises Skip when it names nothing."""
    fact = node.env("NCCL_IB_HCA")
    if fact is None:
        skip("NCCL_IB_HCA is not set, so NCCL takes every ACTIVE HCA")
    names = parse_names(fact.value, MAX_IB_DEVS, nccl_version(node))
    if not names.tokens:
        skip(f"NCCL_IB_HCA={fact.value} names nothing ({fact.where})")
    return fact, names


def _hits(token: Token, names: NameList, devices: tuple[Hca, ...]) -> list[Hca]:
    return [
        hca for hca in devices if any(token.matches(hca.name, port.number, names.exact) for port in hca.ports.value)
    ]


def _known(names: NameList, devices: tuple[Hca, ...]) -> list[Seen]:
    return [
        Seen(_text(token), " ".join(hca.name for hca in hits), SYSFS)
        for token in names.tokens
        if (hits := _hits(token, names, devices))
    ]


def _taken(names: NameList, devices: tuple[Hca, ...]) -> list[tuple[Hca, Port]]:
    """The ports that the list allows, whatever their state."""
    return [(hca, port) for hca in devices for port in hca.ports.value if names.takes(hca.name, port.number)]


def _text(token: Token) -> str:
    return token.name if token.port < 0 else f"{token.name}:{token.port}"


def _words(devices: tuple[Hca, ...]) -> str:
    return " ".join(hca.name for hca in devices)


def _meant(token: Token, devices: tuple[Hca, ...]) -> str:
    """What the name may have meant: an HCA without its blanks, of that interface, on another port, or spelt alike."""
    name = token.name.strip()
    for hca in devices:
        if hca.netdev.is_known and hca.netdev.value == name:
            return f"{hca.name}, the HCA of interface {name}"
        if hca.name == name and name != token.name:
            return f"{name} without the blank"
        if hca.name != name and hca.name.lower() == name.lower():
            return f"{hca.name}: upper and lower case count"
        if hca.name == name and token.port >= 0:
            return f"{name}:{' or :'.join(str(port.number) for port in hca.ports.value)}"
    near = nearest(name, [hca.name for hca in devices], 2)
    return " or ".join(near) or "an HCA of this machine"


def _best(devices: tuple[Hca, ...]) -> str:
    """A value for NCCL_IB_HCA: the HCAs with an ACTIVE port, all when there is none, in bus order."""
    active = [hca for hca in devices if any(usable(port) for port in hca.ports.value)]
    return ",".join(hca.name for hca in sorted(active or devices, key=pci_order))


def _state(hca: Hca, port: Port) -> Seen:
    physical = f", {port.phys_state.value}" if port.phys_state.is_known else ""
    return Seen(f"{hca.name} port {port.number}", f"{port.state.value}{physical}", port.state.where, wanted="ACTIVE")


def _activate(node: Node, devices: tuple[Hca, ...], taken: list[tuple[Hca, Port]]) -> Fix:
    """Name the HCAs that are ACTIVE; when there are none, bring up what the list takes."""
    if any(usable(port) for hca in devices for port in hca.ports.value):
        return set_env(node, "NCCL_IB_HCA", _best(devices))
    return _bring_up(node, [hca for hca, _ in taken])


def _bring_up(node: Node, devices: list[Hca]) -> Fix:
    """Interfaces that are administratively down are set up; otherwise the cable is what is left."""
    interfaces = {interface.name: interface for interface in node.machine().network.interfaces.value}
    netdevs = [hca.netdev.value for hca in devices if hca.netdev.is_known and hca.netdev.value in interfaces]
    down = [name for name in netdevs if not interfaces[name].up]
    if down:
        commands = tuple(f"sudo ip link set dev {name} up" for name in down)
        return Fix("bring the interface up (netplan keeps it so after a boot)", run=commands, cost="needs root")
    return Fix(
        f"push the cable of {' and '.join(netdevs) or devices[0].name} in again on both machines until it clicks",
        run=tuple(f"cat /sys/class/infiniband/{hca.name}/ports/1/state" for hca in devices),
        certainty=Certainty.TRY,
        cost="interrupts RDMA; a cable plugged in after boot may run slow until the next boot",
    )


def _are_twins(one: Hca, other: Hca) -> bool:
    """Whether two HCAs are the two PCI functions behind one cage: same bus, device and function, other domain."""
    if one.name == other.name:
        return False
    if one.pci.is_known and other.pci.is_known:
        return one.pci.value.partition(":")[2] == other.pci.value.partition(":")[2]
    # A device without PCI (rdma_rxe) that was given a Spark's names: systemd puts the domain between P and p.
    return re.sub(r"P\d+", "", one.name) == re.sub(r"P\d+", "", other.name)
