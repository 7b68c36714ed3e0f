from __future__ import annotations

from pathlib import Path

from sparkdoctor.api import Cluster, Fact, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_node, healthy_pair, healthy_spec
from tests.checks.forms import failed, only_finding, running, through_snapshot
from tests.checks.recipe import pair

DIFFER = builtin_check("nnodes-differ")
RAY = builtin_check("nnodes-with-ray")


def test_the_ranks_disagree(tmp_path: Path) -> None:
    cluster = pair(tmp_path, worker_edit=("--nnodes 2", "--nnodes 3"))
    found = failed(*cluster.nodes)
    assert list(found) == ["nnodes-differ"]
    finding = found["nnodes-differ"].findings[0]
    assert finding.message == "--nnodes differs: 2 on spark-1, 3 on spark-2"
    assert [seen.where.split("/")[-1] for seen in finding.seen] == ["head.yaml:34", "worker.yaml:34"]
    assert finding.fix.do == f"on spark-2, in {tmp_path}/worker.yaml, in the command of service vllm"
    assert finding.fix.edit == "--nnodes 2"


def test_a_worker_that_does_not_say(tmp_path: Path) -> None:
    cluster = pair(tmp_path, worker_edit=("--nnodes 2 ", ""))
    assert "--nnodes differs: 2 on spark-1, 1 on spark-2" in examine(DIFFER, cluster).findings[0].message


def test_more_ranks_than_nodes() -> None:
    third = changed(healthy_node(1), name="spark-3")
    finding = examine(DIFFER, Cluster((*healthy_pair().nodes, third))).findings[0]
    assert finding.message == "--nnodes is 2, and 3 ranks are given"


def test_ranks_that_are_not_at_hand_are_not_judged() -> None:
    nodes = tuple(healthy_node(rank, spec=healthy_spec(rank, flags={"--nnodes": "4"})) for rank in range(2))
    result = examine(DIFFER, Cluster(nodes))
    assert result.status is Status.UNKNOWN
    assert result.reason.startswith("2 of the 4 ranks are at hand")


def test_passes_and_could_not_read() -> None:
    assert examine(DIFFER, healthy_pair()).status is Status.PASSED
    assert examine(DIFFER, Cluster((healthy_node(),))).status is Status.SKIPPED
    dark = changed(healthy_node(1), launch__flags=unread("compose.yaml:45", "its entrypoint is a script"))
    assert examine(DIFFER, healthy_pair(second=dark)).status is Status.UNKNOWN
    assert examine(RAY, dark).status is Status.UNKNOWN


def test_ray_finds_its_machines_itself(tmp_path: Path) -> None:
    cluster = pair(tmp_path, edit=("--distributed-executor-backend mp", "--distributed-executor-backend ray"))
    found = failed(*cluster.nodes)
    assert list(found) == ["nnodes-with-ray"]
    finding = found["nnodes-with-ray"].findings[0]
    assert finding.message == "--nnodes 2 is given, and the executor is ray"
    assert finding.fix.edit == "--distributed-executor-backend mp"


def test_the_executors_that_take_it() -> None:
    for executor in ("mp", "external_launcher", None):
        node = healthy_node(spec=healthy_spec(flags={"--distributed-executor-backend": executor}))
        assert examine(RAY, node).status is Status.PASSED
    single = healthy_node(spec=healthy_spec(flags={"--nnodes": "1", "--distributed-executor-backend": "ray"}))
    assert examine(RAY, single).status is Status.SKIPPED


def test_a_running_process_and_a_snapshot() -> None:
    argv = ("vllm", "serve", "m", "-tp", "2", "--nnodes", "2", "--distributed-executor-backend", "ray")
    node = running(argv=Fact("/proc/4211/cmdline", argv))
    finding = only_finding(RAY, node)
    assert finding.seen[0].where == "/proc/4211/cmdline"
    assert only_finding(RAY, through_snapshot(node)) == finding
    assert examine(DIFFER, Cluster((node, through_snapshot(healthy_node(1))))).status is Status.PASSED
