"""A packet, and what an expression of a rule reads from it."""

from __future__ import annotations

import ipaddress
from typing import Any, Literal, TypeAlias

from sparkdoctor.host import Chain, Data

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address


class Packet(Data, frozen=True):
    """The first packet of a TCP connection, or a UDP packet without an answer yet (conntrack state `new`)."""

    way: Literal["input", "output"]
    interface: str
    """Where it comes in or goes out."""
    saddr: str
    """Empty when it is not known; of the two addresses at most one may be."""
    daddr: str
    protocol: Literal["tcp", "udp"]
    dport: int
    length: int
    """Bytes, from the IP header on."""

    @property
    def version(self) -> int:
        return ipaddress.ip_address(self.daddr or self.saddr).version

    @property
    def family(self) -> str:
        """As nftables names it."""
        return "ip" if self.version == 4 else "ip6"


class Special:
    """What an expression has instead of a value."""


ABSENT = Special()
"""The packet has no such field: nft ends the rule there, whatever is compared."""
UNSEEN = Special()
"""It has a value, which the packet as described does not tell."""


class Flags(frozenset[str]):
    """The bits that are set in a bit mask."""


class Names(frozenset[str | int]):
    """All spellings of one value."""


class Joined(tuple[Any, ...]):
    """The values of a concatenation."""


Value: TypeAlias = Special | Flags | Names | Joined | Address | int

ETHERNET = 14
"""Bytes of the header that a packet has only at the egress hook."""
CONNTRACK = -200
"""NF_IP_PRI_CONNTRACK of linux/netfilter_ipv4.h: before it there is no state."""
TRANSPORTS = {"tcp", "udp", "udplite", "sctp", "dccp", "icmp", "icmpv6", "igmp", "esp", "ah", "comp", "th"}


def read(expression: Any, packet: Packet, chain: Chain, tracked: bool) -> Value:
    """What `expression` has for a packet in a chain of that hook; `tracked`: whether no rule may have said `notrack`."""
    match expression:
        case {"meta": {"key": str(key)}}:
            return _meta(key, packet, chain)
        case {"payload": {"protocol": str(protocol), "field": str(field)}}:
            return _payload(protocol, field, packet)
        case {"ct": {"key": "state", **rest}} if not rest:
            late = chain.hook in ("input", "postrouting") or chain.priority > CONNTRACK
            late = late and chain.hook not in ("ingress", "egress")
            return Flags({"new"}) if tracked and late else UNSEEN
        case {"ct": {"key": "status"}}:
            return Flags()  # neither answered nor translated yet
        case {"ct": {"key": "direction"}}:
            return Names({"original", 0})
        case {"fib": {"result": "type", "flags": [str(field)]}} if field in ("saddr", "daddr"):
            own = "daddr" if packet.way == "input" else "saddr"
            return Names({"local"} if field == own else {"unicast"})
        case {"concat": [*parts]}:
            return Joined(read(part, packet, chain, tracked) for part in parts)
        case {"&": [inner, mask]}:
            value = read(inner, packet, chain, tracked)
            if isinstance(value, Flags):
                return Flags(value & set(mask if isinstance(mask, list) else [mask]))
            return ABSENT if value is ABSENT else UNSEEN
    return UNSEEN


def _meta(key: str, packet: Packet, chain: Chain) -> Value:
    incoming = chain.hook in ("ingress", "prerouting", "input")
    match key:
        case "iifname" | "iif":
            return Names({packet.interface if incoming else ""})
        case "oifname" | "oif":
            return Names({"" if incoming else packet.interface})
        case "l4proto":
            return Names({"tcp", 6} if packet.protocol == "tcp" else {"udp", 17})
        case "nfproto" if chain.family != "netdev":
            return Names({"ipv4", 2} if packet.version == 4 else {"ipv6", 10})
        case "protocol":
            return Names({"ip", 0x0800} if packet.version == 4 else {"ip6", 0x86DD})
        case "length":
            return packet.length + (ETHERNET if chain.hook == "egress" else 0)
    return UNSEEN


def _payload(protocol: str, field: str, packet: Packet) -> Value:
    if protocol in ("ip", "ip6"):
        if protocol != packet.family:
            return ABSENT
        match field:
            case "saddr" | "daddr":
                text = packet.saddr if field == "saddr" else packet.daddr
                return ipaddress.ip_address(text) if text else UNSEEN
            case "protocol" | "nexthdr":
                return Names({"tcp", 6} if packet.protocol == "tcp" else {"udp", 17})
            case "length" if protocol == "ip":
                return packet.length
            case "version":
                return packet.version
        return UNSEEN
    if protocol in TRANSPORTS and protocol not in (packet.protocol, "th"):
        return ABSENT
    match protocol, field:
        case (("tcp" | "udp" | "th"), "dport"):
            return packet.dport
        case "udp", "length":
            return packet.length - (20 if packet.version == 4 else 40)
        case "tcp", "flags":
            return Flags({"syn"})
    return UNSEEN
