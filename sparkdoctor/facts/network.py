"""Network interfaces, their addresses and the routes, as rtnetlink tells them."""

from __future__ import annotations

from sparkdoctor.fact import CannotTell, Fact, unread
from sparkdoctor.facts import names
from sparkdoctor.facts.firewall import firewall
from sparkdoctor.host import Data, Interface, Network, Route
from sparkdoctor.system import System
from sparkdoctor.typed import convert


class Link(Data, frozen=True):
    """A link as the door `netlink links` lists it."""

    index: int
    name: str
    flags: int
    """IFF_* of <linux/if.h>."""
    mtu: int


class Address(Data, frozen=True):
    """An address as the door `netlink addresses` lists it."""

    index: int
    address: str
    """CIDR form."""


IFF_UP, IFF_LOOPBACK, IFF_RUNNING = 0x1, 0x8, 0x40


def network(system: System) -> Network:
    """Interfaces in ifindex order with their addresses and speeds, the IPv4 routes of the main table, listeners, the
    packet filter."""
    return Network(
        interfaces=_interfaces(system),
        routes=system.netlink("routes").map(lambda answer: convert(answer, tuple[Route, ...])),
        listening=names.listening(system),
        hosts=names.hosts(system),
        firewall=firewall(system),
        ephemeral=system.read("/proc/sys/net/ipv4/ip_local_port_range").map(parse_range),
    )


def _interfaces(system: System) -> Fact[tuple[Interface, ...]]:
    links = system.netlink("links").map(lambda answer: convert(answer, tuple[Link, ...]))
    addresses = system.netlink("addresses").map(lambda answer: convert(answer, tuple[Address, ...]))
    if not addresses.is_known:
        return unread(addresses.where, addresses.problem)
    return links.map(
        lambda links: tuple(
            Interface(
                name=link.name,
                index=link.index,
                up=bool(link.flags & IFF_UP),
                running=bool(link.flags & IFF_RUNNING),
                mtu=link.mtu,
                addresses=tuple(entry.address for entry in addresses.value if entry.index == link.index),
                speed=system.read(f"/sys/class/net/{link.name}/speed").map(parse_speed),
                loopback=bool(link.flags & IFF_LOOPBACK),
            )
            for link in sorted(links, key=lambda link: link.index)
        )
    ).at("ip address")


def parse_range(text: str) -> tuple[int, int]:
    """First and last port, both included (ip-sysctl.rst, ip_local_port_range)."""
    first, last = text.split()
    return int(first), int(last)


def parse_speed(text: str) -> int:
    """Mb/s. The kernel prints -1 for a speed it does not know (SPEED_UNKNOWN, linux/ethtool.h)."""
    speed = int(text)
    if speed < 0:
        raise CannotTell("", f"the driver does not know it ({speed})")
    return speed
