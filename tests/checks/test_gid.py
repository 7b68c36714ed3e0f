import pytest

from sparkdoctor.api import Certainty, Cluster, Fact, Gid, Hca, Node, unread
from sparkdoctor.host import Host
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_pair, healthy_spec
from tests.checks.forms import failed, of_version, only_finding, running, through_snapshot

NOT_V2 = builtin_check("gid-not-roce-v2")
LINK_LOCAL = builtin_check("gid-link-local")
DIFFERS = builtin_check("gid-index-differs")

INDEX = "NCCL_IB_GID_INDEX"
UNSET = {INDEX: None}


def pinned(text: str | None, host: Host | None = None, rank: int = 0) -> Node:
    return healthy_node(rank, host=host, spec=healthy_spec(rank, env={INDEX: text}))


def with_gids(name: str, *rows: tuple[int, str, str], rank: int = 0) -> Host:
    """The healthy host with another GID table on one HCA: index, the address's last two groups (empty: link-local), type."""
    host = healthy_host(rank)

    def gid(index: int, tail: str, kind: str) -> Gid:
        text = f"0000:0000:0000:0000:0000:ffff:{tail}" if tail else "fe80:0000:0000:0000:4ebb:47ff:fe00:0001"
        return Gid(index, text, Fact(f"types/{index}", kind), Fact(f"ndevs/{index}", "x"))

    def edit(hca: Hca) -> Hca:
        if hca.name != name:
            return hca
        table = Fact(f"/sys/class/infiniband/{name}/ports/1/gids", tuple(gid(*row) for row in rows))
        return changed(hca, ports=hca.ports.map(lambda ports: tuple(changed(port, gids=table) for port in ports)))

    return changed(host, rdma__hcas=host.rdma.hcas.map(lambda hcas: tuple(edit(hca) for hca in hcas)))


V1, V2 = "IB/RoCE v1", "RoCE v2"
LINK = ((0, "", V1), (1, "", V2))


def test_the_recipe_passes_them() -> None:
    result = examine(NOT_V2, healthy_node())
    assert [(seen.what, seen.value) for seen in result.seen] == [
        ("rocep1s0f0 GID 3", "RoCE v2, IPv4 192.168.0.8"),
        ("roceP2p1s0f0 GID 3", "RoCE v2, IPv4 192.168.1.8"),
    ]
    for node in (running(), through_snapshot(running()), through_snapshot(healthy_node()), pinned(None), pinned("-1")):
        assert examine(NOT_V2, node).status is Status.PASSED
        assert examine(LINK_LOCAL, node).status is Status.PASSED
    assert examine(DIFFERS, healthy_pair()).status is Status.PASSED


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("0", "RoCE v1, link-local"),
        ("1", "RoCE v2, link-local"),
        ("2", "RoCE v1, IPv4 192.168.0.8"),
        ("5", "empty"),
        ("254", "empty"),
        ("255", "outside of a table of 255"),
        ("3three", "RoCE v2, IPv4 192.168.0.8"),
        ("three", "RoCE v1, link-local"),
    ],
)
def test_a_pinned_index(text: str, kind: str) -> None:
    node = pinned(text)
    if kind.startswith("RoCE v2, IPv4"):
        assert examine(NOT_V2, node).status is Status.PASSED
        return
    finding = only_finding(NOT_V2, node)
    assert finding.message == f"{INDEX}={text} is not a RoCE v2 GID with an IPv4 address on 2 of 2 ports"
    assert finding.seen[0].where.startswith("compose.yaml:")
    assert finding.seen[1].value == kind
    assert finding.seen[3].what == "NCCL's own choice for rocep1s0f0"
    assert finding.seen[3].value == "3, RoCE v2, IPv4 192.168.0.8"
    assert finding.seen[-1].value == "2.28.9"
    assert finding.fix.do.startswith(f"remove {INDEX} (compose.yaml:")
    assert finding.fix.run == ("docker compose up -d --force-recreate vllm",)
    assert examine(LINK_LOCAL, node).status is Status.PASSED
    assert list(failed(node)) == ["gid-not-roce-v2"]


def test_a_pinned_index_of_a_process_and_a_snapshot() -> None:
    node = running(env={INDEX: "1"})
    finding = only_finding(NOT_V2, node)
    assert finding.fix.do.startswith(f"remove {INDEX} (/home/user/ds4/compose.yaml, service vllm)")
    assert only_finding(NOT_V2, through_snapshot(node)) == finding


def test_a_table_that_has_moved_on_one_port() -> None:
    host = with_gids("rocep1s0f0", *LINK, (2, "c0a8:0008", V1), (4, "c0a8:0008", V2))
    finding = only_finding(NOT_V2, pinned("3", host))
    assert finding.message == f"{INDEX}=3 is not a RoCE v2 GID with an IPv4 address on 1 of 2 ports"
    assert finding.fix.do.startswith(f"remove {INDEX}")
    assert list(failed(pinned("3", host))) == ["gid-not-roce-v2"]
    assert not failed(pinned(None, host), pinned(None, rank=1))


def test_an_address_that_is_gone() -> None:
    host = with_gids("roceP2p1s0f0", *LINK)
    finding = only_finding(NOT_V2, pinned("3", host))
    assert [seen.value for seen in finding.seen[1:2]] == ["empty"]
    assert "give enP2p1s0f0np0 an IPv4 address" in finding.fix.do
    assert finding.fix.run == ("sudo ip address add <address>/24 dev enP2p1s0f0np0",)
    assert finding.fix.certainty is Certainty.FILL_IN
    assert list(failed(pinned("3", host))) == ["gid-not-roce-v2"]


def test_nccls_own_fall_back() -> None:
    node = pinned(None, with_gids("roceP2p1s0f0", *LINK))
    assert examine(NOT_V2, node).status is Status.PASSED
    finding = only_finding(LINK_LOCAL, node)
    assert finding.message == "NCCL falls back to the link-local GID of roceP2p1s0f0, which has no IPv4 address"
    assert finding.fix.run == ("sudo ip address add <address>/24 dev enP2p1s0f0np0",)
    assert only_finding(LINK_LOCAL, through_snapshot(node)) == finding
    other = pinned(None, with_gids("roceP2p1s0f0", *LINK, rank=1), rank=1)
    assert list(failed(node, other)) == ["gid-link-local"]


def test_a_table_with_v1_only() -> None:
    host = with_gids("rocep1s0f0", *LINK, (2, "c0a8:0008", V1))
    finding = only_finding(NOT_V2, pinned(None, host))
    assert finding.message == "the GID index 2 is not a RoCE v2 GID with an IPv4 address on 1 of 2 ports"


def test_before_2_21_5_the_default_was_index_0() -> None:
    finding = only_finding(NOT_V2, of_version(pinned(None), "2.20.5"))
    assert finding.message == "the GID index 0 is not a RoCE v2 GID with an IPv4 address on 2 of 2 ports"
    assert finding.fix.edit == 'NCCL_IB_GID_INDEX: "3"'
    assert examine(NOT_V2, of_version(pinned("3"), "2.20.5")).status is Status.PASSED
    negative = only_finding(NOT_V2, of_version(pinned("-1"), "2.20.5"))
    assert negative.seen[1].value == "outside of a table of 255"


def test_since_2_21_5_nccl_chooses() -> None:
    assert examine(NOT_V2, of_version(pinned(None), "2.21.5")).status is Status.PASSED
    finding = only_finding(NOT_V2, of_version(pinned("1"), "2.21.5"))
    assert finding.seen[3].what == "NCCL's own choice for rocep1s0f0"
    assert finding.fix.do.startswith(f"remove {INDEX}")


def test_whose_rules_are_followed_when_no_nccl_is_known() -> None:
    unknown = pinned("1")
    assert unknown.launch is not None
    finding = only_finding(NOT_V2, Node(unknown.name, unknown.host, changed(unknown.launch, software=None)))
    assert finding.seen[-1].value == "rules of 2.30.7"
    assert finding.seen[-1].where == "which NCCL compose.yaml (service vllm) loads is not known"


def test_a_version_that_is_none_decides_nothing() -> None:
    assert examine(NOT_V2, of_version(pinned(None), "newest")).status is Status.UNKNOWN


def test_ends_that_do_not_fit() -> None:
    bare = pinned(None, with_gids("roceP2p1s0f0", *LINK, rank=1), rank=1)
    result = examine(DIFFERS, healthy_pair(pinned(None), bare))
    (finding,) = result.findings
    assert finding.message == (
        "the GIDs of roceP2p1s0f0 and its peer do not fit: RoCE v2, IPv4 192.168.1.8 on spark-1,"
        " RoCE v1, link-local on spark-2"
    )
    assert finding.fix.do.startswith("on spark-2, give enP2p1s0f0np0 an IPv4 address")
    assert list(failed(pinned(None), bare)) == ["gid-index-differs"]


def test_one_index_that_is_something_else_on_the_other_node() -> None:
    moved = with_gids("rocep1s0f0", *LINK, (2, "c0a8:0009", V2), (3, "c0a8:0009", V1), rank=1)
    result = examine(DIFFERS, healthy_pair(pinned("3"), pinned("3", moved, rank=1)))
    assert result.status is Status.FAILED
    assert result.findings[0].fix.do.startswith(f"remove {INDEX}")
    assert list(failed(pinned("3"), pinned("3", moved, rank=1))) == ["gid-not-roce-v2"]


def test_different_indexes_that_are_each_right() -> None:
    moved = with_gids("rocep1s0f0", *LINK, (4, "c0a8:0009", V1), (5, "c0a8:0009", V2), rank=1)
    assert not failed(pinned(None), pinned(None, moved, rank=1))


def test_unreadable() -> None:
    host = healthy_host()
    denied = unread("/sys/class/infiniband/rocep1s0f0/ports/1/gids", "Permission denied")
    hcas = tuple(
        changed(hca, ports=hca.ports.map(lambda ports: tuple(changed(port, gids=denied) for port in ports)))
        for hca in host.rdma.hcas.value
    )
    node = healthy_node(host=changed(host, rdma__hcas=Fact("/sys/class/infiniband", hcas)))
    for check in (NOT_V2, LINK_LOCAL):
        result = examine(check, node)
        assert result.status is Status.UNKNOWN
        assert "Permission denied" in result.reason
    assert examine(DIFFERS, healthy_pair(node)).status is Status.UNKNOWN
    alone = Node("spark-2", None, healthy_node(1).launch)
    assert examine(DIFFERS, healthy_pair(None, alone)).status is Status.UNKNOWN


def test_a_container_with_interfaces_of_its_own() -> None:
    node = healthy_node(spec=healthy_spec(network_mode=None))
    result = examine(NOT_V2, node)
    assert result.status is Status.UNKNOWN
    assert "interfaces of its own" in result.reason


def test_nothing_to_look_at() -> None:
    assert examine(DIFFERS, Cluster((healthy_node(),))).status is Status.SKIPPED
    uncabled = healthy_node(spec=healthy_spec(env={"NCCL_IB_HCA": "rocep1s0f1"}))
    assert examine(NOT_V2, uncabled).status is Status.SKIPPED
    tcp = healthy_node(spec=healthy_spec(env={"NCCL_NET": "Socket"}))
    assert examine(NOT_V2, tcp).status is Status.SKIPPED
