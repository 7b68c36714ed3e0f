from __future__ import annotations

from pathlib import Path

import pytest

from sparkdoctor.api import Fact, Node, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, only_finding, running, shell, through_snapshot
from tests.checks.recipe import pair

SIZE = builtin_check("tp-size-wrong")
HEADS = builtin_check("tp-heads-undivided")


def sizes(**flags: str | None) -> Node:
    return healthy_node(spec=healthy_spec(flags={f"--{name.replace('_', '-')}": v for name, v in flags.items()}))


@pytest.mark.parametrize(
    ("flags", "status"),
    [
        ({}, Status.PASSED),
        ({"tensor_parallel_size": "1", "pipeline_parallel_size": "2"}, Status.PASSED),
        ({"tensor_parallel_size": "1", "data_parallel_size": "2"}, Status.PASSED),
        ({"tensor_parallel_size": "1"}, Status.FAILED),
        ({"tensor_parallel_size": None}, Status.FAILED),
        ({"tensor_parallel_size": "3"}, Status.FAILED),
        ({"tensor_parallel_size": "4"}, Status.FAILED),
        ({"nnodes": "1"}, Status.FAILED),
        ({"nnodes": None}, Status.FAILED),
        ({"nnodes": "0"}, Status.FAILED),
        ({"nnodes": None, "distributed_executor_backend": "ray"}, Status.SKIPPED),
        ({"nnodes": None, "tensor_parallel_size": "1"}, Status.PASSED),
        ({"nnodes": None, "tensor_parallel_size": None, "pipeline_parallel_size": None}, Status.SKIPPED),
    ],
)
def test_sizes_on_two_machines_of_one_gpu(flags: dict[str, str | None], status: Status) -> None:
    assert examine(SIZE, sizes(**flags)).status is status


def test_too_small_for_the_pair(tmp_path: Path) -> None:
    found = failed(*pair(tmp_path, edit=("--tensor-parallel-size 2", "--tensor-parallel-size 1")).nodes)
    assert list(found) == ["tp-size-wrong"]
    finding = found["tp-size-wrong"].findings[0]
    assert finding.message == "--nnodes 2 does not divide 1 GPU, which the parallel sizes ask for"
    assert finding.seen[0].where.endswith(("head.yaml:30", "worker.yaml:30"))
    assert finding.fix.edit == "--tensor-parallel-size 2"


def test_more_than_one_spark_has() -> None:
    finding = only_finding(SIZE, sizes(nnodes=None))
    assert finding.message == "the parallel sizes ask for 2 GPUs on spark-1 (no --nnodes), which has 1"
    assert finding.fix.edit == "--nnodes 2"
    assert only_finding(SIZE, sizes(tensor_parallel_size="4")).fix.edit == "--tensor-parallel-size 2"
    assert only_finding(SIZE, sizes(nnodes="3")).fix.edit == "--nnodes 2"


def test_options_that_became_a_comment(tmp_path: Path) -> None:
    """A `#` line inside a folded scalar takes the rest of the command with it."""
    cluster = pair(tmp_path, edit=("        --nnodes 2", "        # two nodes\n        --nnodes 2"))
    assert list(failed(*cluster.nodes)) == ["command-options-lost"]
    assert "(no --nnodes)" in examine(SIZE, cluster.nodes[0]).findings[0].message


def test_a_machine_that_was_not_looked_at() -> None:
    assert examine(SIZE, changed(healthy_node(), host=None)).status is Status.UNKNOWN
    assert examine(SIZE, changed(sizes(tensor_parallel_size="1"), host=None)).status is Status.FAILED
    blind = changed(healthy_host(), gpus__devices=unread("NVML", "libnvidia-ml.so.1 is not installed"))
    assert examine(SIZE, healthy_node(host=blind)).status is Status.UNKNOWN
    none = changed(healthy_host(), gpus__devices=Fact("NVML", ()))
    assert examine(SIZE, healthy_node(host=none)).status is Status.UNKNOWN


@pytest.mark.parametrize(
    ("tp", "status"), [("2", Status.PASSED), ("64", Status.PASSED), ("3", Status.FAILED), ("1", Status.SKIPPED)]
)
def test_heads(tp: str, status: Status) -> None:
    assert examine(HEADS, sizes(tensor_parallel_size=tp)).status is status


def test_three_machines() -> None:
    node = sizes(tensor_parallel_size="3", nnodes="3")
    finding = only_finding(HEADS, node)
    assert finding.message == "--tensor-parallel-size 3 does not divide the 64 attention heads of the model"
    assert finding.seen[1].where.endswith("config.json")
    assert finding.fix.edit == "--tensor-parallel-size 2"


def test_heads_that_were_not_seen() -> None:
    host = healthy_host()
    assert examine(HEADS, healthy_node(host=changed(host, caches=()))).status is Status.UNKNOWN
    plain = changed(host.caches[0], config=Fact("config.json", {"model_type": "x"}))
    assert examine(HEADS, healthy_node(host=changed(host, caches=(plain,)))).status is Status.SKIPPED
    assert examine(HEADS, shell({"NCCL_NET": "IB"})).status is Status.SKIPPED


def test_a_running_process_and_a_snapshot() -> None:
    node = running(argv=Fact("/proc/4211/cmdline", ("vllm", "serve", "m", "-tp=2")))
    finding = only_finding(SIZE, node)
    assert finding.seen[0].where == "/proc/4211/cmdline"
    assert only_finding(SIZE, through_snapshot(node)) == finding
    three = sizes(tensor_parallel_size="3", nnodes="3")
    assert only_finding(HEADS, through_snapshot(three)) == only_finding(HEADS, three)
