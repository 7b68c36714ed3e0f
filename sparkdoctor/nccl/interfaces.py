"""Which network interface NCCL takes for its bootstrap, its IB side channel and its Socket transport."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable, Iterator, Mapping
from typing import Literal

from packaging.version import Version

from sparkdoctor.fact import CannotTell
from sparkdoctor.host import Data, Interface
from sparkdoctor.nccl import since
from sparkdoctor.nccl.names import parse_names

MAX_IFS = 16
"""Tokens of NCCL_SOCKET_IFNAME that count, and interfaces that the Socket transport uses."""

Family = Literal["AF_INET", "AF_INET6"]
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Assigned = ipaddress.IPv4Interface | ipaddress.IPv6Interface


class Chosen(Data, frozen=True):
    """An interface with the address NCCL binds to."""

    name: str
    address: str
    """Without prefix length."""


def find_interfaces(
    interfaces: Iterable[Interface], env: Mapping[str, str], version: Version = since.NEWEST, limit: int = MAX_IFS
) -> tuple[Chosen, ...]:
    """The interfaces NCCL finds, in its order: ncclFindInterfaces, src/misc/socket.cc.

    With NCCL_SOCKET_IFNAME of two characters or more: those it names or nothing. Otherwise the
    first of these that finds any: `ib*`, the subnet of NCCL_COMM_ID, all but docker, lo and
    virbr, docker, lo, virbr. Raises CannotTell when NCCL_COMM_ID is a host name.
    """
    found = tuple(interfaces)
    family = _family(env)
    named = env.get("NCCL_SOCKET_IFNAME", "")
    if len(named) > 1:
        return scan(named, found, version, family, limit)
    hits = scan("ib", found, version, family, limit)
    hint = env.get("NCCL_COMM_ID", "")
    if not hits and len(hint) > 1:
        remote = comm_id_address(hint, found)
        beside = same_subnet(remote, found) if remote is not None else None
        hits = (beside,) if beside is not None else ()
    rest = ("^docker,lo,virbr", "docker", "lo", "virbr") if version >= since.RUNNING_INTERFACE else (
        "^docker,lo", "docker", "lo")  # fmt: skip
    for spec in rest:
        hits = hits or scan(spec, found, version, family, limit)
    return hits


def scan(
    spec: str,
    interfaces: Iterable[Interface],
    version: Version = since.NEWEST,
    family: Family | None = None,
    limit: int = MAX_IFS,
) -> tuple[Chosen, ...]:
    """The interfaces that a list takes: ncclOsFindInterfaces, src/os/linux.cc (findInterfaces before 2.29).

    In the order of getifaddrs(3), each with its first address. Since 2.28.3 only those that run.
    """
    names = parse_names(spec, MAX_IFS, version)
    hits: dict[str, Chosen] = {}
    for interface, address in _getifaddrs(interfaces):
        wrong_family = family is not None and family != _family_of(address)
        idle = version >= since.RUNNING_INTERFACE and not interface.running
        own_loopback = address.version == 6 and address.ip.is_loopback
        if wrong_family or idle or own_loopback or not names.takes(interface.name):
            continue
        hits.setdefault(interface.name, Chosen(interface.name, str(address.ip)))
        if len(hits) == limit:
            break
    return tuple(hits.values())


def bootstrap_interface(
    interfaces: Iterable[Interface], env: Mapping[str, str], version: Version = since.NEWEST
) -> tuple[Chosen | None, tuple[str, ...]]:
    """The interface of the bootstrap, or None with the lines NCCL warns with: bootstrapNetInit, src/bootstrap.cc.

    NCCL_COMM_ID, even when it is set to nothing, puts NCCL_SOCKET_IFNAME out of use. Raises
    CannotTell when it is a host name.
    """
    found = tuple(interfaces)
    if "NCCL_COMM_ID" not in env:
        hits = find_interfaces(found, env, version, limit=1)
        return (hits[0], ()) if hits else (None, ("Bootstrap : no socket interface found",))
    text = env["NCCL_COMM_ID"]
    remote = comm_id_address(text, found)
    if remote is None:
        form = "[IPv6]:port" if text.startswith("[") else "<IPv4_or_hostname>:<port>"
        why = "Net : string is null" if len(text) < 2 else f"Net : No valid {form} pair found"
        wanted = "please use format: <ipv4>:<port> or [<ipv6>]:<port> or <hostname>:<port>"
        return None, (why, f"Invalid NCCL_COMM_ID, {wanted}")
    beside = same_subnet(remote, found)
    return (beside, ()) if beside else (None, ("NET/Socket : No usable listening interface found",))


def same_subnet(remote: Address, interfaces: Iterable[Interface]) -> Chosen | None:
    """ncclFindInterfaceMatchSubnet and matchSubnet, src/os/linux.cc: running or not; link scopes must be the same."""
    for interface, address in _getifaddrs(interfaces):
        if address.version != remote.version or remote not in address.network:
            continue
        scope = str(interface.index) if address.ip.is_link_local else None
        if address.version == 4 or getattr(remote, "scope_id", None) == scope:
            return Chosen(interface.name, str(address.ip))
    return None


def comm_id_address(text: str, interfaces: Iterable[Interface]) -> Address | None:
    """The address in NCCL_COMM_ID, None for text NCCL refuses: ncclSocketGetAddrFromString, src/misc/socket.cc.

    A link-local IPv6 address has the number of its interface for scope. Raises CannotTell for a
    host name, whose address the text does not tell.
    """
    if len(text) < 2:
        return None
    if text.startswith("["):
        inside, closed, _ = text[1:].partition("]")
        ip, _, name = inside.partition("%")
        index = next((interface.index for interface in interfaces if interface.name == name), 0)
        try:
            return ipaddress.IPv6Address(f"{ip}%{index}" if index else ip) if closed else None
        except ValueError:
            # inet_pton fails unnoticed and leaves an address that nobody has set.
            raise CannotTell("NCCL_COMM_ID", f"`{ip}` is no IPv6 address, so what NCCL does is undefined") from None
    host = next((entry.split(":")[0] for entry in text.split(",") if entry and entry[0] != ":"), "")
    if not host:
        return None
    try:
        return ipaddress.IPv4Address(socket.inet_ntoa(socket.inet_aton(host)))
    except OSError:
        raise CannotTell("NCCL_COMM_ID", f"`{host}` is a name, and what it resolves to was not looked up") from None


def _getifaddrs(interfaces: Iterable[Interface]) -> Iterator[tuple[Interface, Assigned]]:
    """In glibc's order: all IPv4 addresses by interface number, then all IPv6 addresses."""
    pairs = [
        (interface, ipaddress.ip_interface(address))
        for interface in sorted(interfaces, key=lambda interface: interface.index)
        for address in interface.addresses
    ]
    yield from (pair for pair in pairs if pair[1].version == 4)
    yield from (pair for pair in pairs if pair[1].version == 6)


def _family(env: Mapping[str, str]) -> Family | None:
    """ncclEnvSocketFamily, src/misc/socket.cc: any other text is no filter."""
    families: dict[str, Family] = {"AF_INET": "AF_INET", "AF_INET6": "AF_INET6"}
    return families.get(env.get("NCCL_SOCKET_FAMILY", ""))


def _family_of(address: Assigned) -> Family:
    return "AF_INET" if address.version == 4 else "AF_INET6"
