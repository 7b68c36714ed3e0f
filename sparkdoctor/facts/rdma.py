"""RDMA devices out of sysfs, which is there without any library; pyverbs only adds its own list.

File formats: Documentation/ABI/stable/sysfs-class-infiniband.
"""

from __future__ import annotations

import re

from sparkdoctor.fact import Fact, unread
from sparkdoctor.facts.processes import seen_devices
from sparkdoctor.host import Gid, Hca, Port, Rdma
from sparkdoctor.system import NO_GID, System
from sparkdoctor.typed import convert

CLASS = "/sys/class/infiniband"


def rdma(system: System) -> Rdma:
    """HCAs with their ports and GID tables, the device files, and what libibverbs lists."""
    return Rdma(
        hcas=_hcas(system),
        device_files=seen_devices(system, ""),
        verbs=system.verbs().map(lambda answer: convert(answer, tuple[str, ...])),
    )


def _hcas(system: System) -> Fact[tuple[Hca, ...]]:
    names = system.folder(CLASS)
    if not names.is_known and names.absent:
        classes = system.folder("/sys/class")
        if classes.is_known:  # no ib_core in this kernel: there is no device, and that is certain
            return Fact(CLASS, ())
        return unread(classes.where, classes.problem)
    return names.map(lambda names: tuple(_hca(system, name) for name in names))


def _hca(system: System, name: str) -> Hca:
    folder = f"{CLASS}/{name}"
    ports = system.folder(f"{folder}/ports").map(
        lambda numbers: tuple(
            _port(system, f"{folder}/ports/{number}", int(number)) for number in sorted(numbers, key=int)
        )
    )
    return Hca(
        name=name,
        ports=ports,
        pci=_pci(system.link(f"{folder}/device")),
        firmware=system.read(f"{folder}/fw_ver").map(str.strip),
        netdev=_netdev(system, folder, ports),
        soft=_soft(system.read(f"{folder}/parent")),
    )


def _soft(parent: Fact[str]) -> Fact[bool]:
    """Of all drivers only rdma_rxe has the attribute `parent` (drivers/infiniband/sw/rxe/rxe_verbs.c, parent_show)."""
    return Fact(parent.where, False) if parent.absent else parent.map(lambda _: True)


def _pci(link: Fact[str]) -> Fact[str]:
    """The last part of the `device` link; a software device (rdma_rxe) has no such link."""
    if link.absent:
        return unread(link.where, "no PCI device, a software device", absent=True)
    return link.map(lambda target: target.rstrip("/").rsplit("/", 1)[-1])


def _netdev(system: System, folder: str, ports: Fact[tuple[Port, ...]]) -> Fact[str]:
    """The interface of port 1: that of its GIDs, else the parent of a software device, else the PCI function's only one."""
    if ports.is_known and ports.value and ports.value[0].gids.is_known:
        for gid in ports.value[0].gids.value:
            if gid.netdev.is_known:
                return gid.netdev
    parent = system.read(f"{folder}/parent")
    if parent.is_known:
        return parent.map(str.strip)
    beside = system.folder(f"{folder}/device/net")
    if beside.is_known and len(beside.value) == 1:
        return Fact(beside.where, beside.value[0])
    return unread(f"{folder}/ports/1/gid_attrs/ndevs", "its GID table names no interface")


def _port(system: System, folder: str, number: int) -> Port:
    slots = system.folder(f"{folder}/gids")
    return Port(
        number=number,
        state=system.read(f"{folder}/state").map(_after_colon),
        phys_state=system.read(f"{folder}/phys_state").map(_after_colon),
        link_layer=system.read(f"{folder}/link_layer").map(str.strip),
        rate=system.read(f"{folder}/rate").map(parse_rate),
        gids=_gids(system, folder, slots),
        gid_slots=slots.map(len),
    )


def _gids(system: System, folder: str, slots: Fact[tuple[str, ...]]) -> Fact[tuple[Gid, ...]]:
    """The used slots. `types` and `ndevs` of an unused one answer EINVAL, so they are not asked."""
    if not slots.is_known:
        return unread(slots.where, slots.problem)
    found = []
    for slot in sorted(slots.value, key=int):
        gid = system.read(f"{folder}/gids/{slot}")
        if not gid.is_known:
            return unread(gid.where, gid.problem)
        if gid.value != NO_GID:
            found.append(
                Gid(
                    index=int(slot),
                    gid=gid.value.strip(),
                    type=system.read(f"{folder}/gid_attrs/types/{slot}").map(str.strip),
                    netdev=system.read(f"{folder}/gid_attrs/ndevs/{slot}").map(str.strip),
                )
            )
    return Fact(slots.where, tuple(found))


def _after_colon(text: str) -> str:
    """`4: ACTIVE` is ACTIVE."""
    number, colon, word = text.partition(": ")
    if not colon or not number.isdigit():
        raise ValueError(repr(text.strip()[:40]))
    return word.strip()


def parse_rate(text: str) -> int:
    """Mb/s from `200 Gb/sec (2X NDR)` or `2.5 Gb/sec (1X SDR)`."""
    match = re.match(r"(\d+(?:\.\d+)?) Gb/sec", text)
    if not match:
        raise ValueError(repr(text.strip()[:40]))
    return round(float(match[1]) * 1000)
