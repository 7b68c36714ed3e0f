"""The MTU of the interfaces that RoCE packets take."""

from __future__ import annotations

from sparkdoctor.api import Cluster, Finding, Fix, Found, Interface, Node, Seen, Severity, check

from ._fix import on_node
from ._rdma import nccl_interfaces, over_rdma

JUMBO = 9000
"""Bytes; what the guides for two Sparks use, and enough for the largest RoCE packet."""

_HEADERS = 96
"""Bytes around the data of a RoCE packet: GRH, UDP, BTH, XRC, atomic and ICRC (iboe_get_mtu)."""


def roce_mtu(mtu: int) -> int:
    """Bytes of data in one RoCE packet (`active_mtu` of ibv_query_port(3)) on an interface of this MTU, 0 when none fit.

    iboe_get_mtu, include/rdma/ib_addr.h of Linux 6.17; ConnectX-7 and soft-RoCE both stop at 4096.
    """
    return next((size for size in (4096, 2048, 1024, 512, 256) if mtu - _HEADERS >= size), 0)


@check("mtu-differs", severity=Severity.WARNING, after=("hca-unknown", "hca-not-active"))
def mtu_differs(cluster: Cluster) -> Found:
    """The two ends of a path have different MTUs, so RoCE uses the smaller one.

    ## Why it matters
    NCCL sets up each connection with the smaller `active_mtu` of its two ends: 9000 bytes against
    1500 means 1024 bytes of data in a packet instead of 4096. That works and says nothing; it
    costs bandwidth. One pair measured 17.9 GB/s with one of its two paths at 1500, and 23.9 with
    all at 9000. TCP works too, as each end announces what it takes when a connection is made. Other
    packets that are larger than the peer's MTU are dropped, a `ping -M do -s 8972` among them.

    An update of the firmware was seen to put one interface back to 1500.

    ## How to fix it
    Give both ends the same MTU, 9000, and `mtu: 9000` under the interface's name in /etc/netplan
    to keep it after a boot. A switch between them must pass as much.

    ## References
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/transport/net_ib/connect.cc (rtrAttr->mtu, std::min)
    - https://github.com/torvalds/linux/blob/v6.17/include/rdma/ib_addr.h (iboe_get_mtu)
    - https://www.rfc-editor.org/rfc/rfc9293#section-3.7.1 (maximum segment size)
    - https://github.com/guardkit/dgx-spark (two-spark bring-up, finding 2)
    - https://netplan.readthedocs.io/en/stable/netplan-yaml/
    """
    nodes = cluster.several()
    over_rdma(nodes[0])
    for path in zip(*([(node, one) for _, one in nccl_interfaces(node)] for node in nodes), strict=False):
        seen = tuple(_seen(node, one, f"{one.name} of {node.name}") for node, one in path)
        low, high = (by(path, key=lambda end: end[1].mtu) for by in (min, max))
        if roce_mtu(low[1].mtu) == roce_mtu(high[1].mtu):
            yield from seen
            continue
        yield Finding(
            f"the MTU of {low[1].name} is {low[1].mtu} on {low[0].name} and that of its peer {high[1].name}"
            f" {high[1].mtu} on {high[0].name}, so RoCE packets carry {roce_mtu(low[1].mtu)} bytes"
            f" instead of {roce_mtu(high[1].mtu)}",
            seen,
            on_node(low[0], _raise(low[1], high[1].mtu)),
        )


@check("mtu-small", severity=Severity.NOTE, after=("mtu-differs",))
def mtu_small(node: Node) -> Found:
    """RoCE packets on an interface that NCCL uses carry less than 4096 bytes.

    ## Why it matters
    With the default MTU of 1500 a RoCE packet carries 1024 bytes; from 4192 on it carries 4096. What
    that is worth depends: NVIDIA measured full speed at 1500 (190 Gb/s with `ib_write_bw` over both
    HCAs of a cable), owners measured up to 1.5 % more on one HCA with 9000, and one pair a quarter less
    while only one of its two paths had 9000. So give all paths of all machines the same.

    ## How to fix it
    Set MTU 9000 on both ends, and on a switch between them, and `mtu: 9000` in /etc/netplan to keep
    it after a boot.

    ## References
    - https://github.com/torvalds/linux/blob/v6.17/include/rdma/ib_addr.h (iboe_get_mtu)
    - https://github.com/NVIDIA/dgx-spark-playbooks/blob/main/nvidia/connect-two-sparks/assets/performance_benchmarking_guide.md
    - https://github.com/guardkit/dgx-spark (two-spark bring-up, finding 2)
    - https://netplan.readthedocs.io/en/stable/netplan-yaml/
    """
    why = over_rdma(node)
    for _, one in nccl_interfaces(node):
        seen = _seen(node, one, one.name)
        if roce_mtu(one.mtu) == roce_mtu(JUMBO):
            yield seen
            continue
        yield Finding(
            f"the MTU of {one.name} is {one.mtu}, so RoCE packets carry {roce_mtu(one.mtu)} bytes"
            f" instead of {roce_mtu(JUMBO)}",
            (seen, why),
            _raise(one, JUMBO, "on both ends "),
        )


def _seen(node: Node, one: Interface, what: str) -> Seen:
    where = node.machine().network.interfaces.where
    return Seen(what, f"MTU {one.mtu}, RoCE {roce_mtu(one.mtu)}", where, wanted=f"MTU {JUMBO}, RoCE {roce_mtu(JUMBO)}")


def _raise(one: Interface, mtu: int, where: str = "") -> Fix:
    return Fix(
        f"{where}give {one.name} MTU {mtu} (`mtu: {mtu}` under its name in /etc/netplan keeps it after a boot)",
        run=(f"sudo ip link set dev {one.name} mtu {mtu}",),
        cost="needs root; a switch on the way must pass frames of that size",
    )
