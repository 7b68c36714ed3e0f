"""Two guests joined like two Sparks: a 10 GbE network and one QSFP cable that carries two rails."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.lab import disks
from tests.lab.guest import NICS, Guest, boot, wait_until_ready
from tests.lab.image import Arch, image
from tests.lab.poll import wait_for

HERE = Path(__file__).parent

NODES: tuple[Literal[1, 2], ...] = (1, 2)

RAILS = {"rocep1s0f0": "enp1s0f0np0", "roceP2p1s0f0": "enP2p1s0f0np0"}
"""The HCAs with a cable, and the interface of each."""


@dataclass(frozen=True)
class Pair:
    """spark-01 (192.168.0.8, 192.168.1.8, 10.42.0.8) and spark-02 (.9 in each network)."""

    first: Guest
    second: Guest

    def __iter__(self) -> Iterator[Guest]:
        return iter((self.first, self.second))

    def cable(self, nic: str, *, plugged: bool) -> None:
        """Pull a cable, or put it back: both ends notice."""
        for guest in self:
            guest.cable(nic, plugged=plugged)

    def reset(self) -> None:
        """Undo whatever a test did to the network, the limits and the files that NCCL reads."""
        with ThreadPoolExecutor() as both:
            list(both.map(_heal, self))
        self.wait_for_ports()

    def wait_for_ports(self) -> None:
        """Until each node has a port ACTIVE for each cabled rail."""
        for guest in self:
            wait_for(f"the ports of {guest.name}", lambda guest=guest: _active(guest) == len(RAILS), 30)  # type: ignore[misc]


def _heal(guest: Guest) -> None:
    for nic in NICS:
        if nic.cable:
            guest.cable(nic.name, plugged=True)
    guest.run("guest-network")


def _active(guest: Guest) -> int:
    return guest.text("rdma link").count("state ACTIVE")


@contextmanager
def virtual_pair(arch: Arch) -> Iterator[Pair]:
    """Boot both guests, wait for them, and end them whatever happens."""
    built = image(arch)
    extra = {"nccl": disks.nccl(arch) / "nccl.squashfs", "deps": disks.dependencies(arch) / "deps.squashfs"}
    # Short, since a unix socket's path has at most 107 characters (unix(7)).
    run_folder = Path(tempfile.mkdtemp(prefix="lab-", dir="/tmp"))
    guests: list[Guest] = []
    try:
        guests += [boot(built, extra, node, run_folder) for node in NODES]
        for guest in guests:
            wait_until_ready(guest)
            guest.write("/opt/nccl_driver.py", (HERE / "nccl_driver.py").read_text())
            guest.run("mkdir -p /opt/bin")
            guest.write("/opt/bin/vllm", (HERE / "vllm").read_text())
            guest.run("chmod +x /opt/bin/vllm")
        yield Pair(*guests)
    finally:
        for guest in guests:
            guest.stop()
        shutil.rmtree(run_folder)
