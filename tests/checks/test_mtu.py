from __future__ import annotations

import pytest

from sparkdoctor.api import Cluster, Fact, Host, Node, Severity, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_pair, healthy_spec
from tests.checks.forms import failed, only_finding, running, through_snapshot

DIFFERS = builtin_check("mtu-differs")
SMALL = builtin_check("mtu-small")


def with_mtu(rank: int = 0, **mtus: int) -> Host:
    """The healthy host with other MTUs, by interface."""
    host = healthy_host(rank)
    interfaces = host.network.interfaces.map(
        lambda known: tuple(changed(one, mtu=mtus.get(one.name, one.mtu)) for one in known)
    )
    return changed(host, network__interfaces=interfaces)


def node(rank: int = 0, **mtus: int) -> Node:
    return healthy_node(rank, host=with_mtu(rank, **mtus))


def test_jumbo_frames_on_all_ends() -> None:
    result = examine(DIFFERS, healthy_pair(running(0), through_snapshot(healthy_node(1))))
    assert result.status is Status.PASSED
    assert [(seen.what, seen.value) for seen in result.seen] == [
        ("enp1s0f0np0 of spark-1", "MTU 9000, RoCE 4096"),
        ("enp1s0f0np0 of spark-2", "MTU 9000, RoCE 4096"),
        ("enP2p1s0f0np0 of spark-1", "MTU 9000, RoCE 4096"),
        ("enP2p1s0f0np0 of spark-2", "MTU 9000, RoCE 4096"),
    ]
    assert examine(SMALL, healthy_node()).status is Status.PASSED


def test_one_end_of_one_path() -> None:
    result = examine(DIFFERS, healthy_pair(second=node(1, enP2p1s0f0np0=1500)))
    (finding,) = result.findings
    assert (result.severity, len(result.seen)) == (Severity.WARNING, 2)  # the other path is right
    assert finding.message == (
        "the MTU of enP2p1s0f0np0 is 1500 on spark-2 and that of its peer enP2p1s0f0np0 9000 on spark-1,"
        " so RoCE packets carry 1024 bytes instead of 4096"
    )
    assert finding.fix.do.startswith("on spark-2, give enP2p1s0f0np0 MTU 9000 (`mtu: 9000` under its name in")
    assert finding.fix.run == ("sudo ip link set dev enP2p1s0f0np0 mtu 9000",)
    found = failed(healthy_node(), node(1, enP2p1s0f0np0=1500))
    assert list(found) == ["mtu-differs"]
    assert found["mtu-differs"].with_it == ("mtu-small",)


def test_what_rails_of_other_interfaces_have_is_not_looked_at() -> None:
    other = node(1, enP7s7=9000, enP2p1s0f1np1=9000)
    assert not failed(healthy_node(), other)
    one_hca = healthy_spec(env={"NCCL_IB_HCA": "rocep1s0f0"})
    pair = healthy_pair(
        healthy_node(spec=one_hca),
        healthy_node(1, host=with_mtu(1, enP2p1s0f0np0=1500), spec=healthy_spec(1, env={"NCCL_IB_HCA": "rocep1s0f0"})),
    )
    assert examine(DIFFERS, pair).status is Status.PASSED


def test_a_difference_that_roce_does_not_notice() -> None:
    result = examine(DIFFERS, healthy_pair(second=node(1, enp1s0f0np0=9216)))
    assert result.status is Status.PASSED
    assert "MTU 9216, RoCE 4096" in [seen.value for seen in result.seen]


@pytest.mark.parametrize(("mtu", "roce"), [(1500, 1024), (4191, 2048), (608, 512), (300, 0)])
def test_small_on_both_ends(mtu: int, roce: int) -> None:
    both = (node(0, enp1s0f0np0=mtu), node(1, enp1s0f0np0=mtu))
    assert examine(DIFFERS, Cluster(both)).status is Status.PASSED
    finding = only_finding(SMALL, both[0])
    assert finding.message == f"the MTU of enp1s0f0np0 is {mtu}, so RoCE packets carry {roce} bytes instead of 4096"
    assert finding.fix.run == ("sudo ip link set dev enp1s0f0np0 mtu 9000",)
    assert SMALL.severity is Severity.NOTE
    assert only_finding(SMALL, node(0, enp1s0f0np0=mtu)) == only_finding(SMALL, through_snapshot(both[0]))


def test_the_smallest_mtu_that_fits_the_largest_packet() -> None:
    assert examine(SMALL, node(0, enp1s0f0np0=4192)).status is Status.PASSED


def test_without_rdma_nothing_is_looked_at() -> None:
    tcp = healthy_spec(env={"NCCL_IB_DISABLE": "1"})
    assert examine(SMALL, healthy_node(spec=tcp)).status is Status.SKIPPED
    assert examine(DIFFERS, healthy_pair(healthy_node(spec=tcp))).status is Status.SKIPPED


def test_interfaces_that_cannot_be_read() -> None:
    denied = healthy_node(1, host=changed(healthy_host(1), network__interfaces=unread("ip address", "refused")))
    assert examine(DIFFERS, healthy_pair(second=denied)).reason == "ip address: refused"
    assert examine(SMALL, denied).status is Status.UNKNOWN


def test_an_hca_whose_interface_is_not_there() -> None:
    host = healthy_host()
    kept = host.network.interfaces.map(lambda known: tuple(one for one in known if one.name != "enp1s0f0np0"))
    result = examine(SMALL, healthy_node(host=changed(host, network__interfaces=kept)))
    assert result.reason == "ip address: enp1s0f0np0, the interface of rocep1s0f0, is not in it"


def test_a_container_with_interfaces_of_its_own() -> None:
    spec = changed(healthy_spec(), network_mode=Fact("compose.yaml:5", "fabric"))
    assert examine(SMALL, healthy_node(spec=spec)).status is Status.UNKNOWN
