"""Which entry of a port's GID table NCCL uses."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from packaging.version import Version

from sparkdoctor.fact import CannotTell
from sparkdoctor.host import Data, Gid, Port
from sparkdoctor.nccl import since
from sparkdoctor.nccl.numbers import atoi, int32, integer

EMPTY = ipaddress.IPv6Address(0)

_LINK_LOCAL = ipaddress.IPv6Network("fe80::/64")
_MAPPED = ipaddress.IPv6Network("::ffff:0:0/96")
_MAPPED_MULTICAST = ipaddress.IPv6Network("ff0e::ffff:0:0/96")

EINVAL = "Invalid argument"
"""strerror(EINVAL), what reading the type of an unused slot answers."""


class Range(Data, frozen=True):
    """NCCL_IB_ADDR_RANGE: the first `length` bits of `address` (4 or 16 bytes) must be those of the GID."""

    address: bytes = b""
    length: int = 0

    def holds(self, gid: ipaddress.IPv6Address, family: int) -> bool:
        """matchGidAddrPrefix, src/transport/net_ib/connect.cc. A negative length matches nothing."""
        if self.length <= 0:
            return self.length == 0
        bits = 32 if family == 4 else 128
        own = int(gid) & 0xFFFFFFFF if family == 4 else int(gid)
        return (own ^ int.from_bytes(self.address, "big")) >> (bits - self.length) == 0


def choose_gid(port: Port, env: Mapping[str, str], version: Version = since.NEWEST) -> int:
    """The index NCCL uses on a port: ncclIbGetGidIndex, src/transport/net_ib/connect.cc.

    A pinned index is used as it is, whatever lies there. Raises CannotTell when a part of the
    table that decides could not be read.
    """
    if port.link_layer.value == "InfiniBand" and version >= since.ROUTABLE_FLID:
        return _routable(port, env, version)
    if version < since.AUTOMATIC_GID:
        return int32(integer(env.get("NCCL_IB_GID_INDEX"), 0))
    pinned = int32(integer(env.get("NCCL_IB_GID_INDEX"), -1, version))
    if pinned >= 0:
        return pinned
    family = 6 if env.get("NCCL_IB_ADDR_FAMILY") == "AF_INET6" else 4
    prefix = parse_range(env.get("NCCL_IB_ADDR_RANGE", ""), family, version)
    wanted = int32(integer(env.get("NCCL_IB_ROCE_VERSION_NUM"), 2, version))
    current = 0
    for index in _candidates(port, family):
        if _better(port, current, index, family, prefix, wanted, version):
            current = index
    return current


def gid_at(port: Port, index: int) -> Gid | None:
    """The entry at an index; None when the slot is empty or past the end of the table."""
    return next((gid for gid in port.gids.value if gid.index == index), None)


def describe(gid: Gid | None) -> str:
    """For people: `RoCE v2, IPv4 192.168.0.8`, `RoCE v1, link-local`, `empty`."""
    if gid is None:
        return "empty"
    kind = gid.type.value.removeprefix("IB/") if gid.type.is_known else "unknown type"
    address = ipaddress.IPv6Address(gid.gid)
    if address in _MAPPED:
        return f"{kind}, IPv4 {ipv4(gid)}"
    return f"{kind}, link-local" if address in _LINK_LOCAL else f"{kind}, IPv6 {address}"


def ipv4(gid: Gid) -> ipaddress.IPv4Address | None:
    """The IPv4 address that a GID carries, None for another kind (RFC 4291, section 2.5.5.2)."""
    return ipaddress.IPv6Address(gid.gid).ipv4_mapped


def _routable(port: Port, env: Mapping[str, str], version: Version) -> int:
    """An InfiniBand port: the index of NCCL_IB_ROUTABLE_FLID_GID_INDEX if its FLID is not 0, else 0."""
    index = int32(integer(env.get("NCCL_IB_ROUTABLE_FLID_GID_INDEX"), 1, version))
    return index if index < port.gid_slots.value and _address(port, index).packed[4:6] != b"\0\0" else 0


def _candidates(port: Port, family: int) -> range | tuple[int, ...]:
    """Indexes that may replace index 0. An empty slot counts as IPv6, so for IPv4 it is never one."""
    if family == 6:
        return range(1, port.gid_slots.value)
    return tuple(gid.index for gid in port.gids.value if gid.index > 0)


def _better(port: Port, current: int, index: int, family: int, prefix: Range, wanted: int, version: Version) -> bool:
    """ncclUpdateGidIndex, src/transport/net_ib/connect.cc: whether `index` replaces `current`.

    A GID of the wanted family replaces one of the other family whatever its RoCE version.
    """
    now, candidate = _address(port, current), _address(port, index)
    if _family(candidate) != family or not prefix.holds(candidate, family):
        return False
    if _family(now) != family:
        return True
    if not _usable(candidate):
        return False
    now_version = _roce_version(port, current, version)
    candidate_version = _roce_version(port, index, version)
    if (candidate_version or -1) != wanted:
        return False
    if _usable(now) and now_version is None:
        # NCCL compares with a variable it never set.
        raise CannotTell(
            f"GID {current} of port {port.number}", "it has no RoCE version, so NCCL's choice is undefined"
        )
    return now_version != candidate_version or not _usable(now)


def _address(port: Port, index: int) -> ipaddress.IPv6Address:
    gid = gid_at(port, index)
    return ipaddress.IPv6Address(gid.gid) if gid is not None else EMPTY


def _family(address: ipaddress.IPv6Address) -> int:
    """getGidAddrFamily: IPv4 when mapped, IPv6 otherwise (an empty slot too)."""
    return 4 if address in _MAPPED or address in _MAPPED_MULTICAST else 6


def _usable(address: ipaddress.IPv6Address) -> bool:
    """validGid: neither empty nor link-local."""
    return address != EMPTY and address not in _LINK_LOCAL


def _roce_version(port: Port, index: int, version: Version) -> int | None:
    """ncclIbRoceGetVersionNum: 1, 2, or None when gid_attrs/types names neither."""
    gid = gid_at(port, index)
    if gid is None or (not gid.type.is_known and gid.type.problem == EINVAL):
        if version >= since.UNMAPPED_GID:
            return None
        raise CannotTell(f"GID {index} of port {port.number}", f"NCCL {version} ends here: its type answers `{EINVAL}`")
    text = gid.type.value
    if text.startswith(("IB/RoCE v1", "RoCE v1")):
        return 1
    return 2 if text.startswith("RoCE v2") else None


def parse_range(text: str, family: int, version: Version = since.NEWEST) -> Range:
    """NCCL_IB_ADDR_RANGE, `address/length`: envIbAddrRange, src/transport/net_ib/connect.cc.

    Without a slash, with an address of the other family or with a length that is too large there
    is no filter. Raises CannotTell for the text without a slash on which 2.21 and 2.22 crash.
    """
    address, slash, length = text[:127].partition("/")
    if not text:
        return Range()
    if not slash:
        if version < since.CONF_FILE:
            raise CannotTell("NCCL_IB_ADDR_RANGE", f"NCCL {version} crashes on `{text}`, which has no slash")
        return Range()
    try:
        packed = (ipaddress.IPv4Address(address) if family == 4 else ipaddress.IPv6Address(address)).packed
    except ValueError:
        return Range()
    bits = atoi(length)
    return Range() if bits > (32 if family == 4 else 128) else Range(packed, bits)
