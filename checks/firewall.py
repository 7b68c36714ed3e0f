"""Packets between the ranks that this machine's own packet filter drops."""

from __future__ import annotations

from collections.abc import Iterator

from sparkdoctor.api import CannotTell, Cluster, Found, Host, Node, Seen, check, skip
from sparkdoctor.firewall import Packet
from sparkdoctor.launch.spread import MASTER_PORT, Spread, spread
from sparkdoctor.nccl import bootstrap_interface
from sparkdoctor.predict import nccl_env, nccl_version

from ._firewall import Stream, both_ways, each, ephemeral, judged, own_address, peers
from ._ranks import addresses, resolved
from ._rdma import hcas, nccl_ports, over_rdma, own_network, several_ranks

SYN = 60
"""Bytes of Linux's first packet of a TCP connection over IPv4, from the IP header on."""

ROCE_PORT = 4791
ROCE_HEADERS = 20 + 8 + 12 + 16 + 4
"""Bytes around the payload of an RDMA write: IP, UDP, BTH, RETH, ICRC."""
ROCE_LEAST = 20 + 8 + 12 + 4
RXE_HEADERS = 80
"""What rdma_rxe takes off the MTU (RXE_MAX_HDR_LENGTH, drivers/infiniband/sw/rxe/rxe_hdr.h)."""
ROCE_MTUS = (256, 512, 1024, 2048, 4096)


@check(
    "firewall-drops-peer",
    after=("master-addr-wrong", "ifname-unknown", "ifname-excluded", "ifname-down", "ifname-unaddressed"),
    needs_root=True,
)
def drops_peer(cluster: Cluster) -> Found:
    """A machine's packet filter drops the TCP connections that the ranks make to each other.

    ## Why it matters
    Only --master-port is a port that one can know. NCCL's bootstrap and its connections that set up
    RDMA, Gloo and vLLM's message queues listen on ports that the kernel picks out of
    net.ipv4.ip_local_port_range, on every node. Where a firewall drops these, connecting takes minutes
    and ends in `Connection timed out`; where it rejects them, in `Connection refused` or `No route to host`.

    The rules of nftables, iptables-nft, ufw and firewalld are looked at (`nft list ruleset`, which only
    root may ask), not those of a switch.

    ## How to fix it
    Let everything in from the other node on the interface that NCCL uses.

    ## References
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/bootstrap.cc (bootstrapInit, ncclSocketListen)
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html
    - https://docs.kernel.org/networking/ip-sysctl.html (ip_local_port_range)
    - https://wiki.nftables.org/wiki-nftables/index.php/Netfilter_hooks
    """
    return each(cluster, lambda node: _tcp(cluster, node))


@check("firewall-drops-roce", after=("firewall-drops-peer", "hca-unknown", "hca-not-active"), needs_root=True)
def drops_roce(cluster: Cluster) -> Found:
    """A machine's packet filter drops the RoCE packets of a soft-RoCE device.

    ## Why it matters
    RoCE v2 is UDP to port 4791. A soft-RoCE device (rdma_rxe) sends and receives these packets through
    the kernel, so its firewall drops them like any others; connections are made over TCP, and then NCCL
    ends in `status=IBV_WC_RETRY_EXC_ERR(12)`. A rule on the length of packets lets small ones pass and
    big ones not.

    The packets of a ConnectX are made and taken by the card. They never meet the host's firewall: a
    rule that drops UDP port 4791 does no harm there, and one that lets it in does no good. What drops
    the packets of a card is a switch, its configuration of lossless traffic, or the card at the other end.

    ## How to fix it
    Let everything in from the other node on the interface below the device.

    ## References
    - https://www.iana.org/assignments/service-names-port-numbers/service-names-port-numbers.xhtml?search=4791
    - https://github.com/torvalds/linux/blob/v6.17/drivers/infiniband/sw/rxe/rxe_net.c (rxe_udp_encap_recv, rxe_send)
    - https://github.com/linux-rdma/rdma-core/blob/v59.0/providers/rxe/man/rxe.7
    """
    return each(cluster, lambda node: _roce(cluster, node))


def _tcp(cluster: Cluster, node: Node) -> Found:
    several_ranks(node)
    own_network(node)
    yield from judged(node, _streams(cluster, node))


def _streams(cluster: Cluster, node: Node) -> Iterator[Stream]:
    host = node.machine()
    view = spread(node.launched())
    if view.rank == 0 and view.master_addr is not None:
        yield from _to_the_store(cluster, node, view, str(resolved(host, view.master_addr.value)))
    chosen, why = bootstrap_interface(host.network.interfaces.value, nccl_env(node), nccl_version(node))
    if chosen is None:
        skip(f"NCCL finds no interface for its bootstrap: {why[-1]}")
    if ":" in chosen.address:
        raise CannotTell(
            host.network.interfaces.where, f"NCCL's bootstrap uses IPv6 ({chosen.address} on {chosen.name})"
        )
    ports, because = ephemeral(host)
    head = view.master_addr.value if view.master_addr is not None and view.rank > 0 else ""
    for peer in peers(cluster, node, chosen.name, head):
        packet = Packet("input", chosen.name, peer, chosen.address, "tcp", 0, SYN)
        yield from both_ways(Stream(packet, ports.value, because))


def _to_the_store(cluster: Cluster, node: Node, view: Spread, master: str) -> Iterator[Stream]:
    """The connections of the other ranks to rank 0's store."""
    host = node.machine()
    port = view.master_port.value if view.master_port is not None else MASTER_PORT
    where = view.master_port.where if view.master_port is not None else "vLLM's default"
    interface = next((name for address, name in addresses(host).value.items() if str(address) == master), "")
    if not interface or ":" in master:
        return  # no address of this machine: master-addr-wrong says so
    for peer in peers(cluster, node, interface):
        packet = Packet("input", interface, peer, master, "tcp", port, SYN)
        yield Stream(packet, (port, port), Seen("master port", str(port), where))


def _roce(cluster: Cluster, node: Node) -> Found:
    over_rdma(node)
    own_network(node)
    known = {hca.name: hca for hca in hcas(node)}
    streams: list[Stream] = []
    ports = nccl_ports(node)
    if not ports:
        skip("NCCL uses no HCA of this machine")
    for used in ports:
        hca = known[used.hca]
        if hca.soft.value:
            interface = hca.netdev.value
            streams += _packets(cluster, node, interface, Seen("soft-RoCE device", hca.name, hca.soft.where))
        else:
            yield Seen(
                f"{hca.name} on {node.name}", "a card, which RoCE packets leave past the firewall", hca.soft.where
            )
    yield from judged(node, streams)


def _packets(cluster: Cluster, node: Node, interface: str, because: Seen) -> Iterator[Stream]:
    host = node.machine()
    own = own_address(host, interface)
    lengths = (ROCE_LEAST, _payload(host, interface) + ROCE_HEADERS)
    for peer in peers(cluster, node, interface):
        packet = Packet("input", interface, peer, own, "udp", ROCE_PORT, ROCE_LEAST)
        yield from both_ways(Stream(packet, lengths, because))


def _payload(host: Host, interface: str) -> int:
    """Bytes of the largest payload: the largest MTU of InfiniBand that the interface's own leaves room for."""
    mtu = next(one.mtu for one in host.network.interfaces.value if one.name == interface)
    return max((size for size in ROCE_MTUS if size <= mtu - RXE_HEADERS), default=ROCE_MTUS[0])
