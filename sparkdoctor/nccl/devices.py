"""Which ports of which HCAs NCCL uses, and in which order."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from packaging.version import Version

from sparkdoctor.host import Data, Hca, Port
from sparkdoctor.nccl import since
from sparkdoctor.nccl.names import Token, parse_names

MAX_IB_DEVS = 32
"""Tokens of NCCL_IB_HCA that count, and ports that are used (src/transport/net_ib/common.h)."""


class HcaPort(Data, frozen=True):
    """One port NCCL uses; what it calls a device."""

    hca: str
    port: Port
    token: Token | None = None
    """The entry of NCCL_IB_HCA that named it; None when the list is unset or excludes."""


def list_ports(hcas: Iterable[Hca], env: Mapping[str, str], version: Version = since.NEWEST) -> tuple[HcaPort, ...]:
    """The ports NCCL takes, in its order: ncclIbInitDevices, src/transport/net_ib/init.cc.

    ACTIVE ports with an InfiniBand or Ethernet link that NCCL_IB_HCA takes, at most 32, sorted by
    PCI address. Before 2.29.7, or with NCCL_IB_DEVICE_PCI_ORDER=0, NCCL keeps the order of
    ibv_get_device_list(3), which sysfs does not tell; the kernel numbers devices as it finds them
    on the bus, so the same order is given. Raises CannotTell for a port that could not be read.
    """
    names = parse_names(env.get("NCCL_IB_HCA"), MAX_IB_DEVS, version)
    taken = [
        (hca, HcaPort(hca.name, port, None if names.negated else names.hit(hca.name, port.number)))
        for hca in hcas
        if names.negated or names.takes(hca.name)
        for port in hca.ports.value
        if names.takes(hca.name, port.number) and usable(port)
    ][:MAX_IB_DEVS]
    if len(taken) > 1:
        taken.sort(key=lambda pair: pci_order(pair[0]))
    return tuple(port for _, port in taken)


def usable(port: Port) -> bool:
    """Whether NCCL takes a port that the list allows: ACTIVE, and a link layer it knows."""
    return port.state.value == "ACTIVE" and port.link_layer.value in ("InfiniBand", "Ethernet")


def pci_order(hca: Hca) -> tuple[bool, int]:
    """Sort key: ncclIbCompareDevs and busIdToInt64, src/misc/utils.cc. Devices without a PCI path come last.

    Raises CannotTell when the path exists and could not be read.
    """
    if not hca.pci.is_known and hca.pci.absent:
        return (True, 0)
    digits = re.match(r"[0-9A-Fa-f.:]*", hca.pci.value.rsplit("/", 1)[-1])
    text = re.sub("[.:]", "", digits[0] if digits else "")[:16]
    return (False, int(text, 16) if text else 0)
