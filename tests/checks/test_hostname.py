from __future__ import annotations

from pathlib import Path

import pytest

from sparkdoctor.api import Certainty, Fact, Host, Node, unread
from sparkdoctor.launch.compose import read_compose
from sparkdoctor.launch.resolve import resolve
from sparkdoctor.launch.seen import of_container
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.system import Live
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import container, failed, only_finding, running, shell, through_snapshot
from tests.checks.recipe import COMPOSE, pair

LOOPBACK = builtin_check("hostname-is-loopback")


def named(*addresses: str, name: str = "spark-1") -> Host:
    hosts = {"localhost": ("127.0.0.1",), name: addresses}
    return changed(healthy_host(), network__hosts=Fact("/etc/hosts", hosts))


DEBIANS = named("127.0.1.1")


def test_the_machines_own_address() -> None:
    result = examine(LOOPBACK, healthy_node())
    assert result.status is Status.PASSED
    assert [(seen.what, seen.value, seen.where) for seen in result.seen] == [("spark-1", "192.168.0.8", "/etc/hosts")]


@pytest.mark.parametrize("addresses", [("127.0.1.1",), ("127.0.0.1",), ("::1",), ("192.168.0.8", "127.0.1.1")])
def test_a_loopback_address_comes_first(addresses: tuple[str, ...]) -> None:
    node = healthy_node(host=named(*addresses))
    finding = only_finding(LOOPBACK, node)
    loopback = addresses[-1]
    assert finding.message == (
        f"spark-1, this machine's own name, is {loopback} in /etc/hosts, and Gloo offers that to the other ranks"
    )
    assert [(seen.what, seen.value) for seen in finding.seen[:2]] == [
        ("spark-1", " ".join(addresses)), ("GLOO_SOCKET_IFNAME", "not set"),
    ]  # fmt: skip
    assert finding.fix.do == "in compose.yaml, under services.vllm.environment"
    assert finding.fix.edit == 'GLOO_SOCKET_IFNAME: "enp1s0f0np0"'  # the interface that reaches MASTER_ADDR
    assert list(failed(node)) == ["hostname-is-loopback"]


def test_a_running_rank_and_its_snapshot() -> None:
    node = running(host=DEBIANS)
    assert "/home/user/ds4/compose.yaml" in only_finding(LOOPBACK, node).fix.do
    assert only_finding(LOOPBACK, through_snapshot(node)) == only_finding(LOOPBACK, node)


def test_an_interface_named_to_gloo() -> None:
    told = healthy_node(host=DEBIANS, spec=healthy_spec(env={"GLOO_SOCKET_IFNAME": "enP7s7"}))
    assert examine(LOOPBACK, told).status is Status.PASSED
    empty = healthy_node(host=DEBIANS, spec=healthy_spec(env={"GLOO_SOCKET_IFNAME": ""}))
    assert examine(LOOPBACK, empty).status is Status.FAILED  # torch takes one character or none for unset


def test_the_image_may_name_one() -> None:
    def image(**changes: object) -> Host:
        return changed(DEBIANS, docker__images=DEBIANS.docker.images.map(lambda known: (changed(known[0], **changes),)))

    baked = healthy_node(host=image(env={"GLOO_SOCKET_IFNAME": "enP7s7"}))
    assert examine(LOOPBACK, baked).seen[0].value == "enP7s7"
    elsewhere = examine(LOOPBACK, healthy_node(host=image(reference="another:tag")))
    assert elsewhere.status is Status.UNKNOWN
    assert "is not on this machine, and it may set GLOO_SOCKET_IFNAME" in elsewhere.reason


def test_one_rank_needs_no_address() -> None:
    alone = {"--nnodes": "1", "--tensor-parallel-size": "1"}
    assert examine(LOOPBACK, healthy_node(host=DEBIANS, spec=healthy_spec(flags=alone))).status is Status.SKIPPED


def test_who_does_not_use_gloo() -> None:
    assert examine(LOOPBACK, shell({"NCCL_NET": "IB"}, host=DEBIANS)).status is Status.SKIPPED


def test_ray_starts_vllm() -> None:
    spec = changed(healthy_spec(), argv=Fact("compose.yaml:45", ("ray", "start", "--block")))
    assert examine(LOOPBACK, healthy_node(host=DEBIANS, spec=spec)).status is Status.FAILED


def composed(tmp_path: Path, lines: str) -> Node:
    """The recipe with more lines in its service, on a machine with Debian's line."""
    file = tmp_path / "compose.yaml"
    file.write_text(COMPOSE.replace("    ipc: host\n", f"    ipc: host\n{lines}"))
    env = tmp_path / "head.env"
    env.write_text("NODE_RANK=0\nMASTER_ADDR=192.168.0.8\nHF_CACHE=/home/user/.cache/huggingface\n")
    (spec,) = read_compose(Live(), [str(file)], [str(env)])
    return Node("spark-1", DEBIANS, resolve(spec, DEBIANS))


def test_a_running_container_with_names_of_its_own() -> None:
    known = container(argv=healthy_spec().argv.value, hostname="spark-1", extra_hosts={"spark-1": ("192.168.0.8",)})
    node = Node("spark-1", DEBIANS, resolve(of_container(known), DEBIANS))
    (seen,) = examine(LOOPBACK, node).seen
    assert (seen.value, seen.where) == ("192.168.0.8", "docker inspect vllm-1")


@pytest.mark.parametrize(
    ("lines", "status"),
    [
        ('    extra_hosts: ["spark-1:192.168.0.8"]\n', Status.PASSED),
        ("    extra_hosts:\n      spark-1: 192.168.0.8\n", Status.PASSED),
        ('    extra_hosts: ["spark-1=127.0.0.1"]\n', Status.FAILED),
        ('    extra_hosts: ["spark-1=host-gateway"]\n', Status.UNKNOWN),
        ('    extra_hosts: ["host.docker.internal:host-gateway"]\n', Status.UNKNOWN),
        ("    extra_hosts: []\n", Status.FAILED),
        ("    hostname: vllm\n", Status.UNKNOWN),
        ("    hostname: localhost\n", Status.FAILED),
        ("", Status.FAILED),
    ],
)
def test_the_containers_own_names(tmp_path: Path, lines: str, status: Status) -> None:
    result = examine(LOOPBACK, composed(tmp_path, lines))
    assert result.status is status, result.reason


def test_a_name_that_only_dns_knows() -> None:
    result = examine(LOOPBACK, healthy_node(host=named("192.168.0.9", name="spark-2")))
    assert result.reason == "/etc/hosts: spark-1, this machine's name, is not in it; what DNS answers was not asked"


def test_a_hosts_file_that_cannot_be_read() -> None:
    host = changed(healthy_host(), network__hosts=unread("/etc/hosts", "Permission denied"))
    assert examine(LOOPBACK, healthy_node(host=host)).reason == "/etc/hosts: Permission denied"


def test_the_interface_is_left_open_where_several_would_do(tmp_path: Path) -> None:
    cluster = pair(tmp_path, head={"MASTER_ADDR": "spark-1"}, hosts=(DEBIANS, None))
    finding = only_finding(LOOPBACK, cluster.nodes[0])
    assert finding.fix.certainty is Certainty.FILL_IN
    assert "<one of enP7s7, enp1s0f0np0, enP2p1s0f0np0>" in finding.fix.edit


def test_the_master_by_a_name_that_this_machine_knows(tmp_path: Path) -> None:
    hosts = {"spark-1": ("127.0.1.1",), "head": ("192.168.1.77",)}
    machine = changed(healthy_host(), network__hosts=Fact("/etc/hosts", hosts))
    cluster = pair(tmp_path, head={"MASTER_ADDR": "head"}, hosts=(machine, None))
    assert only_finding(LOOPBACK, cluster.nodes[0]).fix.edit == 'GLOO_SOCKET_IFNAME: "enP2p1s0f0np0"'
