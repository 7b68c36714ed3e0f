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
NUMBER = "$(hostname | sed 's/spark-0//')"
"""The number of the node, in a shell command."""
OVER_TCP = r"NET/Socket : Using"
RETRIES = r"status=IBV_WC_RETRY_EXC_ERR\(12\)"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong, on a pair and a launch that are sound otherwise."""

    name: str
    check: str
    """The check that must find it, alone; empty for what no fact of a machine shows."""
    nccl: str
    """A regular expression for NCCL's log of one of the ranks, or for the driver's `step: result`."""
    on: Nodes = BOTH
    """The ranks that have it; the check must name just their nodes."""
    env: Mapping[str, str | None] = field(default_factory=dict)
    """Variables of the launch on those ranks; None takes one away."""
    service: Mapping[str, Any] = field(default_factory=dict)
    """Keys of the compose service on those ranks; None takes one away."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Options of the server's command line on those ranks."""
    inject: str = ""
    """A shell command on those ranks' nodes, as root."""
    unplug: tuple[str, ...] = ()
    """Cables to pull, by interface."""
    common: Mapping[str, str | None] = field(default_factory=dict)
    """Variables of both ranks that are no part of the fault."""
    release: str = ""
    """The release of NCCL in the image that those ranks' nodes have."""
    contained: bool = False
    """Whether the launch runs in containers."""
    user: User | None = None
    """Run as this user's own processes, started from a shell; there is no compose file."""
    falls_back: str = ""
    """The network that NCCL goes on over instead of failing: `Socket`, or `IB` over fewer rails."""
    works: bool = False
    """Whether NCCL works over both rails all the same; the comment says what it costs elsewhere."""
    absent: Nodes = ()
    """The ranks that nobody starts."""
    signature: str = ""
    """What `explain` must call it; empty when NCCL prints nothing that tells."""
    answers: Mapping[str, str] = field(default_factory=dict)
    """What a person puts into the <places> of the printed fix."""
    undo: str = ""
    """What a person does whom no printed command tells: a command on the nodes that have it, `plug` for the cables,
    `start` for the ranks that nobody started."""


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
        falls_back="Socket",
        signature="nccl-ib-no-device",
    ),
    Fault(
        "HCA of another machine",
        check="hca-unknown",
        nccl=NO_DEVICE,
        env={"NCCL_IB_HCA": "mlx5_0,mlx5_1"},
        falls_back="Socket",
        signature="nccl-ib-no-device",
    ),
    Fault(
        "HCA by a prefix where the whole name is asked for",
        check="hca-unknown",
        nccl=NO_DEVICE,
        env={"NCCL_IB_HCA": "=rocep1s0f,roceP2p1s0f"},
        falls_back="Socket",
        signature="nccl-ib-no-device",
    ),
    Fault(
        "all HCAs excluded",
        check="hca-excluded",
        nccl=NO_DEVICE,
        env={"NCCL_IB_HCA": "^roce"},
        falls_back="Socket",
        signature="nccl-ib-no-device",
    ),
    Fault(
        "port that the HCA does not have",
        check="hca-unknown",
        nccl=NO_DEVICE,
        env={"NCCL_IB_HCA": "rocep1s0f0:2,roceP2p1s0f0:2"},
        falls_back="Socket",
        signature="nccl-ib-no-device",
    ),
    Fault(
        "only the port without a cable is named",
        check="hca-not-active",
        nccl=NO_DEVICE,
        env={"NCCL_IB_HCA": "rocep1s0f1,roceP2p1s0f1"},
        falls_back="Socket",
        signature="nccl-ib-no-device",
    ),
    Fault(
        "one rail down",
        check="hca-twin-down",
        nccl=r"NET/IB : Using \[0\]rocep1s0f0:1/RoCE \[RO\]",
        unplug=("enP2p1s0f0np0",),
        falls_back="IB",
        undo="plug",
    ),
    Fault(
        "IB asked for, no device",
        check="hca-unknown",
        nccl=NO_NETWORK,
        env={"NCCL_IB_HCA": "mlx5_0", "NCCL_NET": "IB"},
        signature="nccl-net-not-initialized",
    ),
    Fault(
        "RDMA switched off",
        check="rdma-disabled",
        nccl=OVER_TCP,
        env={"NCCL_IB_DISABLE": "1"},
        falls_back="Socket",
        signature="nccl-ib-disabled",
    ),
    Fault(
        "network of a name that NCCL does not have",
        check="rdma-transport-unknown",
        nccl=NO_NETWORK,
        env={"NCCL_NET": "RoCE"},
        signature="nccl-net-not-initialized",
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
        falls_back="Socket",
        signature="nccl-gid-index-outside",
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
        check="gid-index-differs",
        nccl=QP_FAMILY,
        on=SECOND,
        inject="ip address del 192.168.1.9/24 dev enP2p1s0f0np0",
        signature="nccl-gid-mismatch",
        answers={"<address>": "192.168.1.9"},
    ),
    Fault(
        "interface of another machine",
        check="ifname-unknown",
        nccl=NO_INTERFACE,
        env={"NCCL_SOCKET_IFNAME": "eth0"},
        signature="nccl-socket-interface-missing",
    ),
    Fault(
        "all interfaces excluded",
        check="ifname-excluded",
        nccl=NO_INTERFACE,
        env={"NCCL_SOCKET_IFNAME": "^lo,en,wl,docker"},
        signature="nccl-socket-interface-missing",
    ),
    Fault(
        "interface without an address",
        check="ifname-unaddressed",
        nccl=NO_INTERFACE,
        on=SECOND,
        env={"NCCL_SOCKET_IFNAME": "enP7s7"},
        inject="ip address flush dev enP7s7",
        signature="nccl-socket-interface-missing",
    ),
    Fault(
        "interface that is down",
        check="ifname-down",
        nccl=NO_INTERFACE,
        on=SECOND,
        env={"NCCL_SOCKET_IFNAME": "enP7s7"},
        inject="ip link set enP7s7 down",
        signature="nccl-socket-interface-missing",
    ),
    Fault(
        "connections to the ports of the bootstrap refused",
        check="firewall-drops-peer",
        nccl=r"connect to 192\.168\.0\.8<\d+> returned Connection refused, exceeded error retry count",
        on=FIRST,
        common={"NCCL_SOCKET_RETRY_CNT": "3"},  # 34 take a minute
        inject="nft add table inet fw; nft 'add chain inet fw in { type filter hook input priority 0; }';"
        " nft add rule inet fw in iifname enp1s0f0np0 ct state new tcp dport != { 22, 25000 }"
        " reject with tcp reset",
        signature="nccl-connect-gave-up",
    ),
    Fault(
        "RDMA packets dropped on the way",
        check="firewall-drops-roce",
        nccl=RETRIES,
        on=SECOND,
        common=IMPATIENT,
        inject="nft add table inet fw; nft 'add chain inet fw in { type filter hook input priority 0; }';"
        " nft add rule inet fw in udp dport 4791 drop",
        signature="nccl-ib-retries-exceeded",
    ),
    Fault(
        "frames over 1500 bytes dropped on the way",
        check="firewall-drops-roce",
        nccl=RETRIES,
        on=SECOND,
        common={**IMPATIENT, "NCCL_SOCKET_IFNAME": "enP7s7"},
        inject="nft add table netdev f; nft 'add chain netdev f in { type filter hook ingress device enp1s0f0np0"
        " priority 0; }'; nft add rule netdev f in meta length gt 1500 drop",
        signature="nccl-ib-retries-exceeded",
    ),
    Fault(
        "master address of the wrong node",
        check="master-addr-wrong",
        nccl=r"rendezvous: 192\.168\.0\.9:25000: .*Connection refused",
        options={"--master-addr": "192.168.0.9"},
        env={"LAB_OPTIONS": "--limit 5"},
        answers={"<address of the head>": "192.168.0.8"},
    ),
    # Ranks that make a communicator also print `Mismatched NCCL version detected`, which takes a GPU.
    Fault(
        "different releases of NCCL",
        check="software-differs",
        nccl=r"IB connect: not done",
        on=SECOND,
        common={"LAB_NCCL": None},
        release="2.28.9",
        contained=True,
    ),
    # NCCL takes the smaller MTU of the two ends: it works, and soft-RoCE has no bandwidth to lose. Its line tells
    # what each end has, as ibv_query_port(3) numbers it: 3 is 1024 bytes.
    Fault(
        "MTU of one end of a rail",
        check="mtu-differs",
        nccl=r"IbDev 1 Port 1 qp_num \d+ mtu 3 GID",
        on=SECOND,
        common={"NCCL_DEBUG_SUBSYS": "INIT,NET"},
        inject="ip link set dev enP2p1s0f0np0 mtu 1500",
        works=True,
    ),
    # On a Spark either twin answers ARP requests for both addresses, as they are on one wire. In the lab each rail is a
    # wire of its own, so NCCL works.
    Fault(
        "both rails in one subnet",
        check="rails-in-one-subnet",
        nccl=r"NET/IB : Using \[0\]rocep1s0f0:1/RoCE",
        inject=f"n={NUMBER}; ip address del 192.168.1.$((7 + n))/24 dev enP2p1s0f0np0;"
        " ip address add 192.168.0.$((17 + n))/24 dev enP2p1s0f0np0",
        works=True,
    ),
    # It is Gloo that takes the address, and there is none in the lab: NCCL asks interfaces, not names. What PyTorch
    # does is in tests/logs/cases/gloo-loopback.
    Fault(
        "host name that means the node itself",
        check="hostname-is-loopback",
        nccl=r"Bootstrap: Using enp1s0f0np0:192\.168\.0\.[89]",
        options={"--master-addr": "spark-01"},
        inject=f'n={NUMBER}; sed -i "s/^192.168.0.$((7 + n)) /127.0.1.1 /" /etc/hosts',
        works=True,
        answers={"<one of enP7s7, enp1s0f0np0, enP2p1s0f0np0, wlP9s9>": "enp1s0f0np0"},
    ),
    # The ranks meet before NCCL connects, so its log ends with the interface that it chose; what PyTorch's store says
    # is in tests/logs/gpu/peer-missing.log.
    Fault(
        "a rank that nobody started",
        check="",  # each node is as it should be
        nccl=r"rendezvous: no answer from the peer: timed out",
        on=SECOND,
        absent=SECOND,
        undo="start",
    ),
)
