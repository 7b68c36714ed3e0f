import pytest

from sparkdoctor.api import Fact, Finding, Node, unread
from sparkdoctor.host import Space
from sparkdoctor.launch.resolve import resolve
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, only_finding, running, shell, through_snapshot

CHECK = builtin_check("shm-too-small")
PRIVATE = {"ipc": None, "shm_size": None}


def only(node: Node) -> Finding:
    return only_finding(CHECK, node)


def predicted(**spec: object) -> Node:
    return healthy_node(spec=healthy_spec(**spec))  # type: ignore[arg-type]


def test_dockers_default_is_too_small() -> None:
    finding = only(predicted(**PRIVATE))
    assert finding.message == "/dev/shm of the rank holds 64 MiB"
    assert "sets neither shm_size nor ipc: host" in finding.seen[0].where
    assert finding.fix.do == "in compose.yaml, under services.vllm"
    assert finding.fix.edit == "ipc: host"
    assert finding.fix.cost == "restarts the model"


def test_shm_size_with_ipc_host_is_not_wrong() -> None:
    assert examine(CHECK, healthy_node()).status is Status.PASSED
    result = examine(CHECK, predicted(shm_size=Fact("compose.yaml:7", 64 << 20)))
    assert result.status is Status.PASSED
    assert result.seen[0].value == "60.8 GiB"


@pytest.mark.parametrize(("size", "status"), [((1 << 30) - 1, Status.FAILED), (1 << 30, Status.PASSED)])
def test_what_a_private_one_must_hold(size: int, status: Status) -> None:
    assert examine(CHECK, predicted(ipc=None, shm_size=Fact("compose.yaml:7", size))).status is status


def test_ipc_host_on_a_machine_whose_own_is_small() -> None:
    small = changed(healthy_host(), memory__shm=Fact("df /dev/shm", Space(64 << 20, 64 << 20)))
    assert only(healthy_node(host=small)).seen[0].where == "/dev/shm of spark-1; ipc: host, compose.yaml:6"


def test_the_shm_of_another_container_is_not_guessed() -> None:
    result = examine(CHECK, predicted(ipc=Fact("compose.yaml:6", "service:cache"), shm_size=None))
    assert result.status is Status.UNKNOWN
    assert "service:cache" in result.reason


def test_a_running_process() -> None:
    small = running(shm=Fact("df /proc/4211/root/dev/shm", Space(64 << 20, 1 << 20)))
    finding = only(small)
    assert finding.seen[0].where == "df /proc/4211/root/dev/shm"
    assert finding.fix.run == ("docker compose -f /home/user/ds4/compose.yaml up -d --force-recreate vllm",)
    assert examine(CHECK, running()).status is Status.PASSED


def test_a_shell() -> None:
    small = changed(healthy_host(), memory__shm=Fact("df /dev/shm", Space(64 << 20, 64 << 20)))
    assert only(shell({"NCCL_NET": "IB"}, host=small)).fix.run == ("sudo mount -o remount,size=50% /dev/shm",)


def test_a_snapshot() -> None:
    only(through_snapshot(predicted(**PRIVATE)))
    assert examine(CHECK, through_snapshot(running())).status is Status.PASSED


def test_unreadable() -> None:
    result = examine(CHECK, running(shm=unread("df /proc/4211/root/dev/shm", "Permission denied")))
    assert (result.status, result.reason) == (Status.UNKNOWN, "df /proc/4211/root/dev/shm: Permission denied")
    assert examine(CHECK, Node("spark-9", None, resolve(healthy_spec(), None))).status is Status.UNKNOWN


def test_tcp_needs_it_as_well() -> None:
    only(predicted(**PRIVATE, env={"NCCL_IB_DISABLE": "1"}))


def test_one_rank_does_not() -> None:
    alone = {"--nnodes": None, "--tensor-parallel-size": None, "--node-rank": None}
    assert examine(CHECK, predicted(**PRIVATE, flags=alone)).status is Status.SKIPPED


def test_the_fault_alone() -> None:
    assert list(failed(predicted(**PRIVATE))) == ["shm-too-small"]
