from __future__ import annotations

from typing import Any

import pytest

from sparkdoctor.api import Certainty, Cluster, Fact, Finding, Node, unread
from sparkdoctor.facts.firewall import firewall
from sparkdoctor.host import Chain, Firewall, Host, Rule
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_pair, healthy_spec
from tests.firewall.recorded import recorded

PEER = builtin_check("firewall-drops-peer")
ROCE = builtin_check("firewall-drops-roce")

FABRIC = {"NCCL_SOCKET_IFNAME": "enp1s0f0np0"}


def match(left: dict[str, str], right: Any, op: str = "==") -> dict[str, Any]:
    kind = "meta" if "key" in left else "payload"
    return {"match": {"op": op, "left": {kind: left}, "right": right}}


TCP = {"protocol": "tcp", "field": "dport"}
UDP = {"protocol": "udp", "field": "dport"}
SADDR = {"protocol": "ip", "field": "saddr"}
DROP: dict[str, Any] = {"drop": None}
ACCEPT: dict[str, Any] = {"accept": None}


def base(*rules: tuple[dict[str, Any], ...], **changes: Any) -> Firewall:
    """One chain at a hook, `inet fw in` unless told otherwise."""
    chain = Chain("inet", "fw", "in", tuple(Rule(at, rule) for at, rule in enumerate(rules, 2)), "filter", "input")
    return Firewall((changed(chain, **changes),))


def host(rank: int, filters: Firewall | Fact[Firewall], **changes: Any) -> Host:
    known = filters if isinstance(filters, Fact) else Fact("nft --json list ruleset", filters)
    return healthy_host(rank, network__firewall=known, **changes)


def node(rank: int, filters: Firewall | Fact[Firewall], **changes: Any) -> Node:
    return healthy_node(rank, host=host(rank, filters, **changes), spec=healthy_spec(rank, env=FABRIC))


def pair(filters: Firewall | Fact[Firewall], rank: int = 1, **changes: Any) -> Cluster:
    """The healthy pair, its bootstrap on the cable, with this firewall on one node."""
    sound = node(1 - rank, Firewall())
    broken = node(rank, filters, **changes)
    return Cluster((sound, broken) if rank else (broken, sound))


def only(result: Any) -> Finding:
    assert result.status is Status.FAILED, result
    (finding,) = result.findings
    assert isinstance(finding, Finding)
    return finding


EPHEMERAL = base((match(TCP, {"range": [1024, 65535]}), DROP))


def test_no_firewall_passes() -> None:
    result = examine(PEER, healthy_pair())
    assert result.status is Status.PASSED
    assert [(seen.what, seen.value) for seen in result.seen][:2] == [
        ("TCP from 192.168.0.9 to port 25000 on spark-1", "not dropped"),
        ("TCP from 10.0.0.9 to ports 32768-60999 on spark-1", "not dropped"),
    ]
    result = examine(ROCE, healthy_pair())
    assert result.status is Status.PASSED
    assert result.seen[0].value == "a card, which RoCE packets leave past the firewall"


def test_ports_of_the_bootstrap_dropped() -> None:
    finding = only(examine(PEER, pair(EPHEMERAL)))
    assert finding.message == "spark-2 drops TCP from 192.168.0.8 to ports 32768-60999 on enp1s0f0np0"
    assert [(seen.what, seen.value, seen.where) for seen in finding.seen] == [
        (
            "ports of NCCL's bootstrap and of Gloo",
            "any of 32768-60999",
            "/proc/sys/net/ipv4/ip_local_port_range",
        ),
        ("drops it", "tcp dport 1024-65535 drop", "nft -a list chain inet fw in (handle 2)"),
    ]
    assert finding.fix.do == "on spark-2, let 192.168.0.8 in on enp1s0f0np0"
    assert finding.fix.run == ('sudo nft insert rule inet fw in iifname "enp1s0f0np0" ip saddr 192.168.0.8 accept',)
    assert finding.fix.certainty is Certainty.EXACT


def test_on_the_head_the_master_port_counts_too() -> None:
    finding = only(examine(PEER, pair(EPHEMERAL, rank=0)))
    assert finding.message == "spark-1 drops TCP from 192.168.0.9 to port 25000 on enp1s0f0np0, and 1 more"
    assert finding.fix.run == ('sudo nft insert rule inet fw in iifname "enp1s0f0np0" ip saddr 192.168.0.9 accept',)
    finding = only(examine(PEER, pair(base((match(TCP, 25000), DROP)), rank=0)))
    assert finding.message == "spark-1 drops TCP from 192.168.0.9 to port 25000 on enp1s0f0np0"
    assert (
        examine(PEER, pair(base((match(TCP, 25000), DROP)))).status is Status.PASSED
    )  # nothing listens there on a worker


def test_only_some_ports() -> None:
    finding = only(examine(PEER, pair(base((match(TCP, {"set": [40000, {"range": [50000, 70000]}]}), DROP)))))
    assert finding.message == "spark-2 drops TCP from 192.168.0.8 to ports 40000 and 50000-60999 on enp1s0f0np0"


def test_what_goes_out_counts() -> None:
    out = base((match({"key": "l4proto"}, "tcp"), DROP), name="out", hook="output")
    finding = only(examine(PEER, pair(out)))
    assert finding.message == "spark-2 drops TCP to 192.168.0.8, ports 32768-60999 on enp1s0f0np0"
    assert finding.fix.run == ('sudo nft insert rule inet fw out oifname "enp1s0f0np0" ip daddr 192.168.0.8 accept',)


def test_both_nodes_are_told() -> None:
    result = examine(PEER, Cluster((node(0, EPHEMERAL), node(1, EPHEMERAL))))
    assert [finding.fix.do.split(",")[0] for finding in result.findings] == ["on spark-1", "on spark-2"]


def test_an_accept_for_the_peer_passes() -> None:
    assert examine(PEER, pair(base((match(SADDR, "192.168.0.8"), ACCEPT), policy="drop"))).status is Status.PASSED
    other = base((match(SADDR, "192.168.0.77"), ACCEPT), policy="drop")
    assert only(examine(PEER, pair(other))).seen[1].value == "policy drop"


UFW = firewall(recorded("ufw"))
FIREWALLD = firewall(recorded("firewalld"))


def test_ufw_that_was_told_of_the_other_node_passes() -> None:
    assert examine(PEER, pair(UFW, rank=0)).status is Status.PASSED


def test_ufw_that_was_not() -> None:
    finding = only(examine(PEER, pair(UFW)))
    assert finding.message == "spark-2 drops TCP from 192.168.0.8 to ports 32768-60999 on enp1s0f0np0"
    assert finding.fix.run == ("sudo ufw allow in on enp1s0f0np0 from 192.168.0.8",)


def test_firewalld() -> None:
    finding = only(examine(PEER, pair(FIREWALLD)))
    assert finding.fix.run == (
        "sudo firewall-cmd --permanent --zone=trusted --add-source=192.168.0.8",
        "sudo firewall-cmd --reload",
    )


def test_plain_iptables() -> None:
    input_chain = base((match(TCP, {"range": [1024, 65535]}), DROP), family="ip", table="filter", name="INPUT")
    finding = only(examine(PEER, pair(input_chain)))
    assert finding.fix.run == ("sudo iptables -I INPUT -i enp1s0f0np0 -s 192.168.0.8 -j ACCEPT",)


def test_without_root_it_says_what_to_run() -> None:
    told: Fact[Firewall] = unread("nft --json list ruleset", "only root may read it; run sparkdoctor with sudo")
    result = examine(PEER, pair(told))
    assert result.status is Status.UNKNOWN
    assert result.reason == "nft --json list ruleset: only root may read it; run sparkdoctor with sudo"
    assert examine(ROCE, pair(told)).status is Status.PASSED  # cards: their packets meet no firewall


def test_a_node_that_cannot_be_read_keeps_the_finding_of_the_other() -> None:
    told: Fact[Firewall] = unread("nft --json list ruleset", "only root may read it; run sparkdoctor with sudo")
    result = examine(PEER, Cluster((node(0, told), node(1, EPHEMERAL))))
    assert (result.status, len(result.findings)) == (Status.FAILED, 1)


def test_an_old_snapshot() -> None:
    result = examine(PEER, pair(Fact("", problem="not read")))
    assert (result.status, result.reason) == (Status.UNKNOWN, "not read")


def test_a_rule_that_a_packet_does_not_decide() -> None:
    limited = base(({"limit": {"rate": 5, "per": "second"}}, ACCEPT), policy="drop")
    result = examine(PEER, pair(limited))
    assert result.status is Status.UNKNOWN
    assert "what `limit rate 5/second accept` does to it cannot be told (inet fw in, handle 2)" in result.reason


def test_one_node_alone() -> None:
    """The other one's address is that of the head; on the head it is not known, and only what drops everybody is found."""
    worker = Cluster((node(1, EPHEMERAL),))
    assert "from 192.168.0.8" in only(examine(PEER, worker)).message
    finding = only(examine(PEER, Cluster((node(0, EPHEMERAL),))))
    assert "TCP from the other node to port 25000" in finding.message
    assert finding.fix.certainty is Certainty.FILL_IN
    assert "ip saddr <address of the other node> accept" in finding.fix.run[0]
    chosen = base((match(SADDR, "192.168.0.9"), ACCEPT), policy="drop")
    assert examine(PEER, Cluster((node(0, chosen),))).status is Status.UNKNOWN


def test_a_launch_on_one_machine_is_skipped() -> None:
    flags = {
        "--nnodes": None,
        "--node-rank": None,
        "--master-addr": None,
        "--master-port": None,
        "--tensor-parallel-size": "1",
    }
    env = {"NODE_RANK": None, "MASTER_ADDR": None}
    alone = healthy_node(0, host=host(0, EPHEMERAL), spec=healthy_spec(0, env=env, flags=flags))
    assert examine(PEER, Cluster((alone,))).status is Status.SKIPPED
    assert examine(ROCE, Cluster((alone,))).status is Status.SKIPPED


def test_no_interface_for_the_bootstrap_is_for_other_checks_to_say() -> None:
    """The ifname checks do."""
    wrong = healthy_spec(1, env={"NCCL_SOCKET_IFNAME": "eth0"})
    result = examine(PEER, Cluster((healthy_node(1, host=host(1, EPHEMERAL), spec=wrong),)))
    assert (result.status, result.reason) == (
        Status.SKIPPED,
        "NCCL finds no interface for its bootstrap: Bootstrap : no socket interface found",
    )


def soft(rank: int, filters: Firewall | Fact[Firewall]) -> Node:
    """A node whose HCAs are soft-RoCE."""
    hcas = healthy_host(rank).rdma.hcas.map(
        lambda hcas: tuple(changed(hca, soft=Fact(f"/sys/class/infiniband/{hca.name}/parent", True)) for hca in hcas)
    )
    return node(rank, filters, rdma__hcas=hcas)


def soft_pair(filters: Firewall | Fact[Firewall]) -> Cluster:
    return Cluster((soft(0, Firewall()), soft(1, filters)))


ROCE_RULE = base((match(UDP, 4791), DROP))


def test_soft_roce_dropped() -> None:
    assert examine(ROCE, soft_pair(Firewall())).status is Status.PASSED
    finding = only(examine(ROCE, soft_pair(ROCE_RULE)))
    assert finding.message == (
        "spark-2 drops RoCE packets from 192.168.0.8 to UDP port 4791 on enp1s0f0np0 and enP2p1s0f0np0, and 1 more"
    )
    assert finding.fix.run == (
        'sudo nft insert rule inet fw in iifname "enp1s0f0np0" ip saddr 192.168.0.8 accept',
        'sudo nft insert rule inet fw in iifname "enP2p1s0f0np0" ip saddr 192.168.1.8 accept',
    )


def test_no_hca_for_nccl_is_for_other_checks_to_say() -> None:
    env = {"NCCL_IB_HCA": "mlx5_9"}
    nodes = tuple(healthy_node(rank, host=host(rank, Firewall()), spec=healthy_spec(rank, env=env)) for rank in (0, 1))
    result = examine(ROCE, Cluster(nodes))
    assert (result.status, result.reason) == (Status.SKIPPED, "NCCL uses no HCA of this machine")


def test_the_same_rule_does_no_harm_to_a_card() -> None:
    assert examine(ROCE, pair(ROCE_RULE)).status is Status.PASSED


def test_big_packets_only() -> None:
    ingress = base(
        (match({"key": "length"}, 1500, ">"), DROP),
        family="netdev", table="f", hook="ingress", devices=("enp1s0f0np0",),
    )  # fmt: skip
    finding = only(examine(ROCE, soft_pair(ingress)))
    assert finding.message == (
        "spark-2 drops RoCE packets of 1501-4156 bytes from 192.168.0.8 to UDP port 4791 on enp1s0f0np0"
    )
    assert finding.fix.run == ('sudo nft insert rule netdev f in iifname "enp1s0f0np0" ip saddr 192.168.0.8 accept',)
    assert examine(PEER, soft_pair(ingress)).status is Status.PASSED


def test_what_kind_of_device_it_is_may_not_be_known() -> None:
    hcas = healthy_host(1).rdma.hcas.map(
        lambda hcas: tuple(changed(hca, soft=Fact("", problem="not read")) for hca in hcas)
    )
    assert examine(ROCE, pair(ROCE_RULE, rdma__hcas=hcas)).status is Status.UNKNOWN


@pytest.mark.parametrize("check", [PEER, ROCE])
def test_a_machine_that_was_not_looked_at(check: Any) -> None:
    other = Node("spark-2", None, node(1, Firewall()).launch)
    assert examine(check, Cluster((node(0, Firewall()), other))).status is Status.UNKNOWN
