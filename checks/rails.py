"""The addresses of the paths between two machines, one against the other."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from sparkdoctor.api import Certainty, Cluster, Finding, Fix, Found, Interface, Node, Seen, Severity, check
from sparkdoctor.nccl.devices import usable

from ._fix import on_node
from ._interfaces import ipv4
from ._rdma import hcas, nccl_interfaces, over_rdma

Assigned = ipaddress.IPv4Interface


@check("rails-in-one-subnet", severity=Severity.WARNING, after=("hca-unknown", "hca-not-active"))
def in_one_subnet(cluster: Cluster) -> Found:
    """Two HCAs that lead to the same machines have addresses in one subnet.

    ## Why it matters
    The two HCAs behind a cable, `rocep1s0f0` and `roceP2p1s0f0`, are two interfaces on one wire. With
    both in one subnet Linux answers an ARP request for either address on both (`arp_ignore` is 0), each
    with its own MAC address, and the peer keeps one of the answers. RoCE packets for one HCA
    then arrive at the other, which does not know their queue pair: nothing is acknowledged, and NCCL
    gives up with `Got completion from peer ... status=IBV_WC_RETRY_EXC_ERR(12)`. Which answer wins
    is chance, so it works on one day and not on the next. TCP leaves through one of the two only.

    NVIDIA's guide for two Sparks gives each HCA a subnet of its own; its guide for a switch puts both
    into one. Those who keep one subnet set `net.ipv4.conf.all.arp_ignore=1` and
    `net.ipv4.conf.all.arp_announce=2`, which this check does not look at.

    ## How to fix it
    Give the second HCA of every machine an address in a second subnet, the same for all machines, in
    /etc/netplan.

    ## References
    - https://docs.kernel.org/networking/ip-sysctl.html (arp_ignore, arp_announce, arp_filter)
    - https://github.com/NVIDIA/dgx-spark-playbooks/blob/main/nvidia/connect-two-sparks/README.md
    - https://github.com/NVIDIA/dgx-spark-playbooks/blob/main/nvidia/multi-sparks-through-switch/README.md
    - https://github.com/eugr/spark-vllm-docker/blob/main/docs/NETWORKING.md
    """
    over_rdma(cluster.nodes[0])
    taken = [
        own.network
        for node in cluster.nodes
        if node.host is not None and node.host.network.interfaces.is_known
        for interface in node.host.network.interfaces.value
        for own in ipv4(interface)
    ]
    for node in cluster.nodes:
        first, second = _pair(node) or (None, None)
        where = node.machine().network.interfaces.where
        if first is None or second is None:
            for _, one in nccl_interfaces(node):
                yield _seen(node, one, where)
            continue
        shared = next(
            own.network for own in ipv4(first) if any(own.network.overlaps(it.network) for it in ipv4(second))
        )
        yield Finding(
            f"{first.name} and {second.name} of {node.name} both have an address in {shared}",
            (_seen(node, first, where), _seen(node, second, where)),
            on_node(node, _move(second, shared, taken)),
        )


def _pair(node: Node) -> tuple[Interface, Interface] | None:
    """An interface that NCCL uses, and another with an ACTIVE HCA in the same IPv4 subnet, used or not:
    it answers for the first one all the same."""
    used = [one for _, one in nccl_interfaces(node)]
    active = {
        hca.netdev.value for hca in hcas(node) if hca.netdev.is_known and any(usable(port) for port in hca.ports.value)
    }
    others = [one for one in node.machine().network.interfaces.value if one.name in active and one not in used]
    for at, first in enumerate(used):
        for second in [*used[at + 1 :], *others]:
            if any(own.network.overlaps(its.network) for own in ipv4(first) for its in ipv4(second)):
                return first, second
    return None


def _move(one: Interface, shared: ipaddress.IPv4Network, taken: Sequence[ipaddress.IPv4Network]) -> Fix:
    """Move the interface's address into the next private subnet of that size that no machine uses yet."""
    old = next(own for own in ipv4(one) if own.network.overlaps(shared))
    new = _next_free(old, taken)
    address = f"{new.with_prefixlen}" if new is not None else f"<address in another subnet>/{old.network.prefixlen}"
    return Fix(
        f"move {one.name} into a subnet of its own, the same on every machine (`addresses` under its name in"
        " /etc/netplan keeps it after a boot)",
        run=(
            f"sudo ip address del {old.with_prefixlen} dev {one.name}",
            f"sudo ip address add {address} dev {one.name}",
        ),
        certainty=Certainty.EXACT if new is not None else Certainty.FILL_IN,
        cost="needs root; interrupts RDMA",
    )


def _next_free(old: Assigned, taken: Sequence[ipaddress.IPv4Network]) -> Assigned | None:
    """The same host number in the first subnet behind that is private (RFC 1918) and free."""
    size = old.network.num_addresses
    for step in range(1, 256):
        start = int(old.network.network_address) + step * size
        if start + size > 1 << 32:
            break
        network = ipaddress.IPv4Network((start, old.network.prefixlen))
        if not any(network.subnet_of(block) for block in _PRIVATE):
            break
        if not any(network.overlaps(other) for other in taken):
            return Assigned((int(old.ip) - int(old.network.network_address) + start, old.network.prefixlen))
    return None


_PRIVATE = tuple(ipaddress.IPv4Network(block) for block in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"))


def _seen(node: Node, one: Interface, where: str) -> Seen:
    held = ", ".join(own.with_prefixlen for own in ipv4(one))
    return Seen(f"{one.name} of {node.name}", held or "no IPv4 address", where)
