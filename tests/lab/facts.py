"""Reads a guest's facts with sparkdoctor's own code, in the guest."""

from __future__ import annotations

import tempfile
from pathlib import Path

import msgspec

from sparkdoctor.host import Data, Network, Rdma
from tests.lab import disks
from tests.lab.pair import Pair

NETWORK_AND_RDMA = """\
import msgspec
from sparkdoctor.facts import network, rdma
from sparkdoctor.system import Live
live = Live()
print(msgspec.json.encode({"network": network.network(live), "rdma": rdma.rdma(live)}).decode())
"""


class Fabric(Data, frozen=True):
    """What NCCL's choice depends on, beside the environment."""

    network: Network
    rdma: Rdma


def install(pair: Pair) -> None:
    """Put sparkdoctor's wheel, built from this checkout, on both nodes; its dependencies are on a disk."""
    with tempfile.TemporaryDirectory() as folder:
        wheel = Path(folder) / "sparkdoctor"  # a folder that anyone may enter, which `folder` is not
        wheel.mkdir()
        disks.sparkdoctor(wheel)
        for guest in pair:
            guest.send(wheel, "/opt/sparkdoctor")
            guest.run("mkdir -p /usr/local/bin && ln -sf /opt/sparkdoctor/bin/sparkdoctor /usr/local/bin/")


def fabric(text: str) -> Fabric:
    """The facts that NETWORK_AND_RDMA printed."""
    return msgspec.json.decode(text, type=Fabric)
