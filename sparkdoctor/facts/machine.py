"""What kind of box this is: names, kernel, DMI and DGX OS release."""

from __future__ import annotations

import re

from sparkdoctor.fact import CannotTell, Fact, unread
from sparkdoctor.facts.nccl_conf import conf_files
from sparkdoctor.host import Machine
from sparkdoctor.system import System

DMI = "/sys/class/dmi/id"
DMI_FIELDS = ("sys_vendor", "product_name", "product_family", "product_version", "board_name", "bios_version")
"""World-readable; the serial numbers beside them are not asked for."""


def machine(system: System) -> Machine:
    """Kernel names (proc_sys_kernel(5)), DMI, /etc/dgx-release, page size, CPUs."""

    def line(path: str) -> Fact[str]:
        return system.read(path).map(str.strip)

    return Machine(
        hostname=line("/proc/sys/kernel/hostname"),
        arch=line("/proc/sys/kernel/arch"),
        kernel=line("/proc/sys/kernel/osrelease"),
        cmdline=line("/proc/cmdline"),
        dmi=_dmi(system),
        dgx_release=system.read("/etc/dgx-release").map(parse_release),
        page_size=system.sysconf("SC_PAGESIZE"),
        boot_id=line("/proc/sys/kernel/random/boot_id"),
        nccl_conf=conf_files(system, "", system.environ("self")),
        cpus=system.read("/sys/devices/system/cpu/online").map(count_cpus),
    )


def _dmi(system: System) -> Fact[dict[str, str]]:
    names = system.folder(DMI)
    if not names.is_known:
        return unread(names.where, names.problem, absent=names.absent)
    found = {}
    for name in DMI_FIELDS:
        if name in names.value:
            text = system.read(f"{DMI}/{name}")
            if not text.is_known:
                return unread(text.where, text.problem)
            found[name] = text.value.strip()
    return Fact(DMI, found)


def parse_release(text: str) -> dict[str, str]:
    """NAME="VALUE" lines; the last value of a name wins, for every update appends its own block."""
    found = {}
    for line in text.splitlines():
        name, equals, value = line.strip().partition("=")
        if equals and "SERIAL" not in name:
            found[name] = value.strip().strip('"')
    return found


def count_cpus(text: str) -> int:
    """How many CPUs a kernel list names: `0-9,12` is 11 (Documentation/admin-guide/cputopology.rst)."""
    count = 0
    for part in text.strip().split(","):
        match = re.fullmatch(r"(\d+)(?:-(\d+))?", part)
        if not match:
            raise CannotTell("", f"not a list of CPUs: {text.strip()[:40]!r}")
        count += int(match[2] or match[1]) - int(match[1]) + 1
    return count
