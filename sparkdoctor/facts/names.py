"""Who listens on this machine, and which addresses its /etc/hosts gives to names."""

from __future__ import annotations

import ipaddress
import struct

from sparkdoctor.fact import Fact
from sparkdoctor.host import Listener
from sparkdoctor.system import System

TCP_LISTEN = 0x0A
"""include/net/tcp_states.h."""


def listening(system: System) -> Fact[tuple[Listener, ...]]:
    """TCP sockets that wait for connections, in this process's network namespace, in port order."""
    four = system.read("/proc/net/tcp").map(parse_tcp)
    six = system.read("/proc/net/tcp6")
    if six.absent:  # a kernel without IPv6
        return four
    both = six.map(parse_tcp)
    return four.map(lambda listeners: _sorted(listeners + both.value))


def hosts(system: System) -> Fact[dict[str, tuple[str, ...]]]:
    """/etc/hosts: names and aliases to addresses (hosts(5))."""
    return system.read("/etc/hosts").map(parse_hosts)


def parse_tcp(text: str) -> tuple[Listener, ...]:
    """The sockets in state LISTEN of a /proc/net/tcp or tcp6 (proc_net_tcp.rst).

    An address is its 32-bit words in the byte order of the machine, which is little-endian on
    both architectures that sparkdoctor runs on. Raises ValueError.
    """
    found = []
    for line in text.splitlines()[1:]:
        fields = line.split()
        if len(fields) < 4:
            raise ValueError(f"a line of {len(fields)} fields")
        if int(fields[3], 16) == TCP_LISTEN:
            address, _, port = fields[1].partition(":")
            found.append(Listener(int(port, 16), _address(address)))
    return _sorted(tuple(found))


def _address(digits: str) -> str:
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    return str(ipaddress.ip_address(struct.pack(f">{len(words)}I", *(_swapped(word) for word in words))))


def _swapped(word: int) -> int:
    return int.from_bytes(word.to_bytes(4, "little"), "big")


def _sorted(listeners: tuple[Listener, ...]) -> tuple[Listener, ...]:
    return tuple(sorted(listeners, key=lambda listener: (listener.port, listener.address)))


def parse_hosts(text: str) -> dict[str, tuple[str, ...]]:
    """Names to addresses, in the file's order; lines without a name are passed over."""
    found: dict[str, tuple[str, ...]] = {}
    for line in text.splitlines():
        address, *names = line.partition("#")[0].split() or [""]
        for name in names:
            found[name] = (*found.get(name, ()), address)
    return found
