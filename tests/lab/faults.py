"""The fault matrix: what is broken for real, what NCCL does then, and what sparkdoctor must say.

A new fault is one more `Fault(...)` in FAULTS; see README.md beside this file.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from tests.lab.guest import User
from tests.lab.nccl import IMPATIENT

Nodes = tuple[Literal[0, 1], ...]

BOTH: Nodes = (0, 1)
FIRST: Nodes = (0,)
SECOND: Nodes = (1,)

REG_MR = r"Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory"
QP_EMPTY = r"ibv_modify_qp failed with 61 No data available"
QP_FAMILY = r"ibv_modify_qp failed with 22 Invalid argument"
NO_DEVICE = r"NET/IB : No device found\."
NO_INTERFACE = r"Bootstrap : no socket interface found"
NO_NETWORK = r"Failed to initialize any NET plugin"
OVER_TCP = r"NET/Socket : Using"
RETRIES = r"status=IBV_WC_RETRY_EXC_ERR\(12\)"

FIXED_BY_HAND = "by hand"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, on a pair and a launch that are sound otherwise."""

    name: str
    check: str
    """The check that must find it, alone; empty for what no fact of a machine shows."""
    nccl: str
    """A regular expression that one rank's NCCL log must have, or `step: result` of the driver."""
    on: Nodes = BOTH
    """The ranks whose nodes the check must name."""
    env: Mapping[str, str | None] = field(default_factory=dict)
    """Variables of the launch on the ranks in `on`; None takes one away."""
    service: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the compose service on the ranks in `on`; None takes one away."""
    inject: str = ""
    """A shell command on the nodes in `on`, as root."""
    unplug: tuple[str, ...] = ()
    """Cables to pull, by interface."""
    contained: bool = False
    """Whether the launch runs in containers."""
    user: User | None = None
    """Run as this user's own processes, started from a shell; no compose file."""
    falls_back: bool = False
    """NCCL does not fail: it goes on over TCP, or over fewer rails."""
    signature: str = ""
    """What `explain` must call the line; empty when NCCL says nothing that tells."""
    undo: str = ""
    """What a person does who is told to by no printed command (plugs a cable in, installs the same release)."""


FAULTS = (
    Fault(
        "memlock of a user's process",
        check="memlock-limited",
        nccl=REG_MR,
        user="spark",
        signature="nccl-reg-mr-enomem",
    ),
    Fault(
        "memlock of a container",
        check="memlock-limited",
        nccl=REG_MR,
        service={"ulimits": None},
        contained=True,
        signature="nccl-reg-mr-enomem",
    ),
    Fault(
        "private shared memory of 64 MB",
        check="shm-too-small",
        nccl=r"Error: failed to extend /dev/shm/nccl-\w+ to \d+ bytes, error: No space left on device",
        service={"ipc": None},
        env={"LAB_OPTIONS": "--pools 7"},
        contained=True,
        signature="nccl-shm-full",
    ),
    Fault(
        "/dev/infiniband not passed",
        check="infiniband-device-missing",
        nccl=NO_DEVICE,
        service={"devices": None},
        contained=True,
        falls_back=True,
        signature="nccl-no-device",
    ),
    Fault(
        "HCA of another machine",
        check="hca-unknown",
        nccl=NO_DEVICE,
        env={"NCCL_IB_HCA": "mlx5_0,mlx5_1"},
        falls_back=True,
        signature="nccl-no-device",
    ),
    Fault(
        "HCA by a prefix where the whole name is asked for",
        check="hca-unknown",
        nccl=NO_DEVICE,
        env={"NCCL_IB_HCA": "=rocep1s0f,roceP2p1s0f"},
        falls_back=True,
        signature="nccl-no-device",
    ),
    Fault(
        "all HCAs excluded",
        check="hca-excluded",
        nccl=NO_DEVICE,
        env={"NCCL_IB_HCA": "^roce"},
        falls_back=True,
        signature="nccl-no-device",
    ),
    Fault(
        "port that the HCA does not have",
        check="hca-unknown",
        nccl=NO_DEVICE,
        env={"NCCL_IB_HCA": "rocep1s0f0:2,roceP2p1s0f0:2"},
        falls_back=True,
        signature="nccl-no-device",
    ),
    Fault(
        "only the port without a cable is named",
        check="hca-not-active",
        nccl=NO_DEVICE,
        env={"NCCL_IB_HCA": "rocep1s0f1,roceP2p1s0f1"},
        falls_back=True,
        signature="nccl-no-device",
    ),
    Fault(
        "one rail down",
        check="hca-twin-down",
        nccl=r"NET/IB : Using \[0\]rocep1s0f0:1/RoCE \[RO\]",
        unplug=("enP2p1s0f0np0",),
        falls_back=True,
        undo="plug",
    ),
    Fault(
        "IB asked for, no device",
        check="hca-unknown",
        nccl=NO_NETWORK,
        env={"NCCL_IB_HCA": "mlx5_0", "NCCL_NET": "IB"},
        signature="nccl-no-network",
    ),
    Fault(
        "RDMA switched off",
        check="rdma-disabled",
        nccl=OVER_TCP,
        env={"NCCL_IB_DISABLE": "1"},
        falls_back=True,
    ),
    Fault(
        "network of a name that NCCL does not have",
        check="rdma-transport-unknown",
        nccl=NO_NETWORK,
        env={"NCCL_NET": "RoCE"},
        signature="nccl-no-network",
    ),
    Fault(
        "GID index of an empty slot",
        check="gid-not-roce-v2",
        nccl=QP_EMPTY,
        env={"NCCL_IB_GID_INDEX": "3"},
        signature="nccl-gid-empty",
    ),
    Fault(
        "GID index past the end of the table",
        check="gid-not-roce-v2",
        nccl=r"Call to ibv_query_gid failed",
        env={"NCCL_IB_GID_INDEX": "5000"},
        falls_back=True,
    ),
    Fault(
        "GID index of a link-local entry on one node",
        check="gid-not-roce-v2",
        nccl=QP_FAMILY,
        on=SECOND,
        env={"NCCL_IB_GID_INDEX": "0"},
        signature="nccl-gid-mismatch",
    ),
    Fault(
        "GID index that means another entry on the other node",
        check="gid-index-differs",
        nccl=QP_FAMILY,
        on=SECOND,
        env={"NCCL_IB_GID_INDEX": "1"},
        inject="ip -4 address flush dev enp1s0f0np0; ip address add fd00::9/64 dev enp1s0f0np0;"
        " ip address add 192.168.0.9/24 dev enp1s0f0np0",
        signature="nccl-gid-mismatch",
    ),
    Fault(
        "IPv4 address of one rail gone",
        check="gid-link-local",
        nccl=QP_FAMILY,
        on=SECOND,
        inject="ip address del 192.168.1.9/24 dev enP2p1s0f0np0",
        signature="nccl-gid-mismatch",
        undo="ip address add 192.168.1.9/24 dev enP2p1s0f0np0",
    ),
    Fault(
        "interface of another machine",
        check="ifname-unknown",
        nccl=NO_INTERFACE,
        env={"NCCL_SOCKET_IFNAME": "eth0"},
        signature="nccl-no-interface",
    ),
    Fault(
        "all interfaces excluded",
        check="ifname-excluded",
        nccl=NO_INTERFACE,
        env={"NCCL_SOCKET_IFNAME": "^lo,en,wl,docker"},
        signature="nccl-no-interface",
    ),
    Fault(
        "interface without an address",
        check="ifname-unaddressed",
        nccl=NO_INTERFACE,
        on=SECOND,
        env={"NCCL_SOCKET_IFNAME": "enP7s7"},
        inject="ip address flush dev enP7s7",
        signature="nccl-no-interface",
        undo="ip address add 10.42.0.9/24 dev enP7s7",
    ),
    Fault(
        "interface that is down",
        check="ifname-down",
        nccl=NO_INTERFACE,
        on=SECOND,
        env={"NCCL_SOCKET_IFNAME": "enP7s7"},
        inject="ip link set enP7s7 down",
        signature="nccl-no-interface",
    ),
    Fault(
        "RDMA packets dropped on the way",
        check="",
        nccl=RETRIES,
        on=SECOND,
        env=IMPATIENT,
        inject="nft add table inet fw; nft 'add chain inet fw in { type filter hook input priority 0; }';"
        " nft add rule inet fw in udp dport 4791 drop",
        signature="nccl-retry-exceeded",
        undo="nft flush ruleset",
    ),
    Fault(
        "frames over 1500 bytes dropped on the way",
        check="",
        nccl=RETRIES,
        on=SECOND,
        env=IMPATIENT,
        inject="nft add table netdev f; nft 'add chain netdev f in { type filter hook ingress device enp1s0f0np0"
        " priority 0; }'; nft add rule netdev f in meta length gt 1500 drop",
        signature="nccl-retry-exceeded",
        undo="nft flush ruleset",
    ),
    Fault(
        "the master address of the wrong node",
        check="master-addr-wrong",
        nccl=r"rendezvous: ",
        service={"command": ["--master-addr", "192.168.0.9"]},
        env={"LAB_OPTIONS": "--limit 5"},
    ),
    Fault(
        "different releases of NCCL",
        check="",
        nccl=r".",
        on=SECOND,
        env={"LAB_NCCL": "2.28.9"},
        undo="env LAB_NCCL",
    ),
    Fault(
        "both rails in one subnet",
        check="fabric-twins-one-subnet",
        nccl=r".",
        inject="ip address flush dev enP2p1s0f0np0; ip address add 192.168.0.$((10 + $(hostname | tr -dc 0-9)))/24 dev enP2p1s0f0np0",
        env=IMPATIENT,
    ),
)
