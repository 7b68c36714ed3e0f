"""The GID that NCCL uses on each port of a RoCE fabric."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass

from sparkdoctor.api import Certainty, Cluster, Fact, Finding, Fix, Found, Gid, Node, Port, Seen, Severity, check, skip
from sparkdoctor.nccl import choose_gid, describe, gid_at, integer
from sparkdoctor.nccl.gid import ipv4
from sparkdoctor.nccl.since import AUTOMATIC_GID
from sparkdoctor.predict import nccl_env, nccl_seen, nccl_version

from ._fix import RESTART, drop_env, on_node, set_env
from ._rdma import hcas, nccl_ports, over_rdma, own_network

PINNED = "NCCL_IB_GID_INDEX"
VARIABLES = (PINNED, "NCCL_IB_ADDR_FAMILY", "NCCL_IB_ADDR_RANGE", "NCCL_IB_ROCE_VERSION_NUM")

_LINK_LOCAL = ipaddress.IPv6Network("fe80::/64")


@dataclass(frozen=True)
class Used:
    """What NCCL uses on one port."""

    hca: str
    netdev: Fact[str]
    port: Port
    index: int
    gid: Gid | None
    pinned: bool
    """Whether NCCL was told the index."""

    @property
    def seen(self) -> Seen:
        return Seen(f"{self.hca} GID {self.index}", self.kind, self.port.gids.where, wanted="RoCE v2, IPv4")

    @property
    def kind(self) -> str:
        if self.gid is not None:
            return describe(self.gid)
        slots = self.port.gid_slots
        if slots.is_known and not 0 <= self.index < slots.value:
            return f"outside of a table of {slots.value}"
        return "empty"

    @property
    def is_link_local(self) -> bool:
        return self.gid is not None and ipaddress.IPv6Address(self.gid.gid) in _LINK_LOCAL

    @property
    def is_roce_v2(self) -> bool:
        """RoCE v2 with an address that can be routed."""
        return self.gid is not None and self.gid.type.value == "RoCE v2" and not self.is_link_local


@check("gid-not-roce-v2", after=("hca-unknown", "hca-not-active"))
def gid_not_roce_v2(node: Node) -> Found:
    """The GID index NCCL uses is not a RoCE v2 GID with an address, on some port that it uses.

    ## Why it matters
    NCCL takes NCCL_IB_GID_INDEX for every port as it is and never looks at what lies there. Past
    the end of the table it fails with `Call to ibv_query_gid failed with error Invalid argument
    errno 22`; at an empty slot with `Call to ibv_modify_qp failed with 61 No data available`.
    A link-local or RoCE v1 GID connects only to a GID of the same kind on the same segment:
    against IPv4 it fails with `22 Invalid argument`, between v1 and v2 the packets are not
    understood and the launch hangs until `Got completion ... status=12`.

    The index of a port's IPv4 GID depends on the order in which its addresses came and went. It
    differs between ports and machines, and it moves.

    ## How to fix it
    Since 2.21.5 NCCL finds the RoCE v2 IPv4 GID of each port by itself: unset the variable. When
    the port has no IPv4 address, give its interface one.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-ib-gid-index
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/docs/userguide/source/troubleshooting/networking_troubleshooting.rst
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/transport/net_ib/connect.cc (ncclIbGetGidIndex)
    - https://github.com/torvalds/linux/blob/v6.17/drivers/infiniband/core/verbs.c (ib_resolve_eth_dmac)
    """
    why = over_rdma(node)
    used = _used(node)
    bad = [one for one in used if not one.is_roce_v2 and (one.pinned or not one.is_link_local)]
    for one in used:
        if one not in bad:
            yield one.seen
    if not bad:
        return
    pinned = node.env(PINNED)
    index = f"{PINNED}={pinned.value}" if pinned is not None and bad[0].pinned else f"the GID index {bad[0].index}"
    yield Finding(
        f"{index} is not a RoCE v2 GID with an IPv4 address on {len(bad)} of {len(used)} ports",
        (
            Seen(PINNED, pinned.value, pinned.where) if pinned is not None else why,
            *(one.seen for one in bad),
            *_own_choice(node),
            nccl_seen(node),
        ),
        _better(node, bad),
    )


@check("gid-link-local", severity=Severity.WARNING, after=("gid-index-differs", "gid-not-roce-v2"))
def gid_link_local(node: Node) -> Found:
    """NCCL falls back to a link-local GID, because a port that it uses has no IPv4 address.

    ## Why it matters
    Without an IPv4 GID in its table NCCL uses index 0: RoCE v1 on the link-local address. That
    works over a direct cable as long as the port at the other end has no IPv4 address either. The
    day one of them gets one (NetworkManager hands out 169.254.x.x unasked) the two no longer fit,
    and `ibv_modify_qp` fails with `22 Invalid argument`.

    ## How to fix it
    Give the port's interface an IPv4 address on both machines, in a subnet of its own.

    ## References
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/transport/net_ib/connect.cc (ncclUpdateGidIndex)
    - https://github.com/NVIDIA/dgx-spark-playbooks/blob/main/nvidia/connect-two-sparks/README.md
    """
    over_rdma(node)
    used = _used(node)
    fallen = [one for one in used if one.is_link_local and not one.pinned]
    for one in used:
        if one not in fallen:
            yield one.seen
    if fallen:
        names = " and ".join(one.hca for one in fallen)
        yield Finding(
            f"NCCL falls back to the link-local GID of {names}, which {'have' if len(fallen) > 1 else 'has'} no IPv4 address",
            (*(one.seen for one in fallen), nccl_seen(node)),
            _address(fallen),
        )


@check("gid-index-differs", after=("gid-not-roce-v2",))
def gid_index_differs(cluster: Cluster) -> Found:
    """The GIDs that NCCL uses on the two ends of a path are not of the same kind.

    ## Why it matters
    NCCL joins the first HCA of one machine to the first of the other, the second to the second.
    Their GIDs must be of one family and one RoCE version: the kernel refuses IPv4 against IPv6
    (`ibv_modify_qp failed with 22 Invalid argument`), and RoCE v1 does not understand v2. One
    NCCL_IB_GID_INDEX for all machines is a guess about the tables of all of them. Different
    indexes are fine when each is right for its own machine.

    ## How to fix it
    Unset NCCL_IB_GID_INDEX on every machine, so that NCCL (2.21.5 and later) finds the RoCE v2
    IPv4 GID of each port, and give every port that is used an IPv4 address.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-ib-gid-index
    - https://github.com/torvalds/linux/blob/v6.17/drivers/infiniband/core/addr.c (rdma_addr_find_l2_eth_by_grh)
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/transport/net_ib/connect.cc (ncclIbConnect)
    """
    nodes = cluster.several()
    over_rdma(nodes[0])
    tables = [_used(node) for node in nodes]
    for path in zip(*tables, strict=False):
        ends = list(zip(nodes, path, strict=True))
        seen = tuple(Seen(f"{node.name} {one.seen.what}", one.kind, one.port.gids.where) for node, one in ends)
        if len({_family(one.gid) for _, one in ends}) == 1:
            yield from seen
            continue
        words = ", ".join(f"{one.kind} on {node.name}" for node, one in ends)
        yield Finding(f"the GIDs of {ends[0][1].hca} and its peer do not fit: {words}", seen, _same_kind(ends))


def _used(node: Node, without: str = "") -> list[Used]:
    """What NCCL uses on each RoCE port, as if the variable `without` were not set. Raises Skip when there is none."""
    own_network(node)
    version = nccl_version(node)
    env = nccl_env(node, [name for name in VARIABLES if name != without])
    pinned = version < AUTOMATIC_GID or integer(env.get(PINNED), -1) >= 0
    netdevs = {hca.name: hca.netdev for hca in hcas(node)}
    used = []
    for one in nccl_ports(node):
        if one.port.link_layer.value == "Ethernet":
            index = choose_gid(one.port, env, version)
            used.append(Used(one.hca, netdevs[one.hca], one.port, index, gid_at(one.port, index), pinned))
    return used or skip("NCCL uses no RoCE port here")


def _family(gid: Gid | None) -> str:
    """What must be the same at both ends: RoCE version and family."""
    return describe(gid).rsplit(" ", 1)[0] if gid is not None and ipv4(gid) is not None else describe(gid)


def _own_choice(node: Node) -> list[Seen]:
    """What NCCL would use without a pinned index."""
    if node.env(PINNED) is None or nccl_version(node) < AUTOMATIC_GID:
        return []
    return [Seen(f"NCCL's own choice for {one.hca}", f"{one.index}, {one.kind}", one.port.gids.where)
            for one in _used(node, without=PINNED)]  # fmt: skip


def _better(node: Node, bad: list[Used]) -> Fix:
    """Let NCCL choose; before 2.21.5, or when the tables have nothing better, pin or make the right GID."""
    lacking = [one for one in bad if _v2_index(one.port) is None]
    if lacking:
        return _address(lacking)
    if nccl_version(node) >= AUTOMATIC_GID and node.env(PINNED) is not None:
        return drop_env(node, PINNED, "let NCCL find the GID of each port")
    indexes = {_v2_index(one.port) for one in _used(node)}
    if len(indexes) == 1:
        return set_env(node, PINNED, str(indexes.pop()))
    return Fix(
        f"use an image with NCCL {AUTOMATIC_GID} or later, which finds the GID of each port: here no one index fits all",
        cost=RESTART,
    )


def _v2_index(port: Port) -> int | None:
    """The first RoCE v2 GID with an IPv4 address."""
    return next((gid.index for gid in port.gids.value if ipv4(gid) and gid.type.value == "RoCE v2"), None)


def _address(ports: list[Used]) -> Fix:
    """Give the interfaces of these ports an IPv4 address."""
    names = [one.netdev.value if one.netdev.is_known else f"<the interface of {one.hca}>" for one in ports]
    return Fix(
        f"give {' and '.join(names)} an IPv4 address in the subnet of the port at the other end, each path in its own"
        " subnet (in /etc/netplan to keep it after a boot)",
        run=tuple(f"sudo ip address add <address>/24 dev {name}" for name in names),
        certainty=Certainty.FILL_IN,
        cost="needs root",
    )


def _same_kind(ends: list[tuple[Node, Used]]) -> Fix:
    """Let NCCL choose where a pinned index is the cause, else give the bare end an address; names the machine."""
    for node, one in ends:
        if one.pinned and node.env(PINNED) is not None and _v2_index(one.port) is not None:
            return drop_env(node, PINNED, "let NCCL find the GID of each port, on every machine")
    bare = next((end for end in ends if _v2_index(end[1].port) is None), ends[0])
    return on_node(bare[0], _address([bare[1]]))
