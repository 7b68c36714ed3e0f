"""Memory: what is there, what is free, and in which pieces."""

from __future__ import annotations

import re

from sparkdoctor.host import Memory, Pressure
from sparkdoctor.system import System


def memory(system: System) -> Memory:
    """/proc/meminfo, /proc/pressure/memory, /proc/buddyinfo and the host's /dev/shm."""
    return Memory(
        meminfo=system.read("/proc/meminfo").map(parse_meminfo),
        pressure=system.read("/proc/pressure/memory").map(parse_pressure),
        free_blocks=system.read("/proc/buddyinfo").map(parse_buddyinfo),
        shm=system.space("/dev/shm"),
    )


def parse_meminfo(text: str) -> dict[str, int]:
    """Bytes; the lines without a unit (HugePages_*) stay counts (proc_meminfo(5))."""
    found = {}
    for line in text.splitlines():
        name, _, rest = line.partition(":")
        number, _, unit = rest.strip().partition(" ")
        found[name] = int(number) * (1024 if unit == "kB" else 1)
    if "MemTotal" not in found:
        raise ValueError("no MemTotal line")
    return found


def parse_pressure(text: str) -> Pressure:
    """The avg10 of the lines `some` and `full` (Documentation/accounting/psi.rst)."""
    shares = dict(re.findall(r"^(some|full) avg10=([0-9.]+)", text, re.MULTILINE))
    if shares.keys() != {"some", "full"}:
        raise ValueError("no avg10 of some and full")
    return Pressure(float(shares["some"]), float(shares["full"]))


def parse_buddyinfo(text: str) -> tuple[int, ...]:
    """Free blocks of each order, summed over nodes and zones (proc_buddyinfo(5))."""
    zones = [[int(word) for word in line.split("zone")[1].split()[1:]] for line in text.splitlines() if "zone" in line]
    if not zones:
        raise ValueError("no zone")
    return tuple(sum(orders) for orders in zip(*zones, strict=True))
