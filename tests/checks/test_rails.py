from __future__ import annotations

import pytest

from sparkdoctor.api import Certainty, Cluster, Host, Node, Severity, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_pair, healthy_spec
from tests.checks.forms import failed, through_snapshot

SHARED = builtin_check("rails-in-one-subnet")


def addressed(rank: int = 0, **addresses: str) -> Host:
    """The healthy host with other addresses, by interface."""
    host = healthy_host(rank)
    interfaces = host.network.interfaces.map(
        lambda known: tuple(
            changed(one, addresses=(addresses[one.name],)) if one.name in addresses else one for one in known
        )
    )
    return changed(host, network__interfaces=interfaces)


def node(rank: int = 0, **addresses: str) -> Node:
    return healthy_node(rank, host=addressed(rank, **addresses))


def test_a_subnet_for_each_rail() -> None:
    result = examine(SHARED, healthy_pair(second=through_snapshot(healthy_node(1))))
    assert result.status is Status.PASSED
    assert [(seen.what, seen.value) for seen in result.seen] == [
        ("enp1s0f0np0 of spark-1", "192.168.0.8/24"),
        ("enP2p1s0f0np0 of spark-1", "192.168.1.8/24"),
        ("enp1s0f0np0 of spark-2", "192.168.0.9/24"),
        ("enP2p1s0f0np0 of spark-2", "192.168.1.9/24"),
    ]


def test_both_rails_of_both_machines() -> None:
    pair = Cluster((node(0, enP2p1s0f0np0="192.168.0.18/24"), node(1, enP2p1s0f0np0="192.168.0.19/24")))
    result = examine(SHARED, pair)
    assert result.severity is Severity.WARNING
    assert [finding.message for finding in result.findings] == [
        "enp1s0f0np0 and enP2p1s0f0np0 of spark-1 both have an address in 192.168.0.0/24",
        "enp1s0f0np0 and enP2p1s0f0np0 of spark-2 both have an address in 192.168.0.0/24",
    ]
    first, second = (finding.fix for finding in result.findings)
    assert first.do.startswith("on spark-1, move enP2p1s0f0np0 into a subnet of its own, the same on every machine")
    assert first.run == (
        "sudo ip address del 192.168.0.18/24 dev enP2p1s0f0np0",
        "sudo ip address add 192.168.1.18/24 dev enP2p1s0f0np0",
    )
    assert second.run[1] == "sudo ip address add 192.168.1.19/24 dev enP2p1s0f0np0"
    assert list(failed(*pair.nodes)) == ["rails-in-one-subnet"]


def test_the_new_subnet_is_free_on_every_machine() -> None:
    crowded = node(1, enP2p1s0f0np0="192.168.0.19/24", enP7s7="192.168.1.9/24")
    result = examine(SHARED, Cluster((node(0, enP2p1s0f0np0="192.168.0.18/24"), crowded)))
    assert [finding.fix.run[1].split()[4] for finding in result.findings] == ["192.168.2.18/24", "192.168.2.19/24"]


@pytest.mark.parametrize("addresses", [("169.254.7.1/16", "169.254.7.2/16"), ("192.168.255.8/24", "192.168.255.9/24")])
def test_where_no_private_subnet_follows_the_address_is_left_open(addresses: tuple[str, str]) -> None:
    ends = {"enp1s0f0np0": addresses[0], "enP2p1s0f0np0": addresses[1]}
    finding = examine(SHARED, healthy_pair(node(0, **ends))).findings[0]
    length = addresses[0].partition("/")[2]
    assert finding.fix.certainty is Certainty.FILL_IN
    assert finding.fix.run[1] == f"sudo ip address add <address in another subnet>/{length} dev enP2p1s0f0np0"


def test_a_twin_that_nccl_does_not_use_answers_all_the_same() -> None:
    one_hca = healthy_spec(env={"NCCL_IB_HCA": "rocep1s0f0"})
    host = addressed(0, enP2p1s0f0np0="192.168.0.18/24")
    result = examine(SHARED, healthy_pair(healthy_node(host=host, spec=one_hca)))
    assert len(result.findings) == 1
    assert result.findings[0].fix.run[0] == "sudo ip address del 192.168.0.18/24 dev enP2p1s0f0np0"


def test_a_wider_subnet_that_holds_the_other() -> None:
    assert examine(SHARED, healthy_pair(node(0, enP2p1s0f0np0="192.168.7.8/16"))).status is Status.FAILED


def test_one_machine_alone_is_judged() -> None:
    assert examine(SHARED, Cluster((node(0, enP2p1s0f0np0="192.168.0.18/24"),))).status is Status.FAILED


def test_a_rail_without_an_address_shares_nothing() -> None:
    interfaces = healthy_host().network.interfaces.map(
        lambda known: tuple(changed(one, addresses=()) if one.name == "enP2p1s0f0np0" else one for one in known)
    )
    bare = healthy_node(host=changed(healthy_host(), network__interfaces=interfaces))
    result = examine(SHARED, healthy_pair(bare))
    assert result.status is Status.PASSED
    assert result.seen[1].value == "no IPv4 address"


def test_interfaces_that_cannot_be_read() -> None:
    denied = healthy_node(1, host=changed(healthy_host(1), network__interfaces=unread("ip address", "refused")))
    assert examine(SHARED, healthy_pair(second=denied)).reason == "ip address: refused"
