from __future__ import annotations

from pathlib import Path

import pytest

from sparkdoctor.api import Check, Cluster, Fact, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_node, healthy_pair, healthy_spec
from tests.checks.forms import failed, running, through_snapshot
from tests.checks.recipe import pair

MODEL = builtin_check("launch-model-differs")
FLAGS = builtin_check("launch-flags-differ")
NCCL = builtin_check("launch-nccl-differs")
SETTINGS = builtin_check("launch-settings-differ")


def flags(head: dict[str, str | None], worker: dict[str, str | None]) -> Cluster:
    return Cluster(
        (
            healthy_node(0, spec=healthy_spec(0, flags=head)),
            healthy_node(1, spec=healthy_spec(1, flags=worker)),
        )
    )


def env(head: dict[str, str | None], worker: dict[str, str | None]) -> Cluster:
    return Cluster((healthy_node(0, spec=healthy_spec(0, env=head)), healthy_node(1, spec=healthy_spec(1, env=worker))))


def test_one_forgotten_option(tmp_path: Path) -> None:
    cluster = pair(tmp_path, worker_edit=("--max-model-len 1000000", "--max-model-len 200000"))
    found = failed(*cluster.nodes)
    assert list(found) == ["launch-flags-differ"]
    finding = found["launch-flags-differ"].findings[0]
    assert finding.message == "--max-model-len is 1000000 on spark-1 and 200000 on spark-2"
    assert [seen.where for seen in finding.seen] == [f"{tmp_path}/head.yaml:31", f"{tmp_path}/worker.yaml:31"]
    assert finding.fix.do == f"on spark-2, in {tmp_path}/worker.yaml, in the command of service vllm"
    assert finding.fix.edit == "--max-model-len 1000000"


@pytest.mark.parametrize(
    ("head", "worker", "status"),
    [
        ({}, {"--kv-cache-dtype": None}, Status.FAILED),
        ({}, {"--enforce-eager": ""}, Status.FAILED),
        ({"--dtype": "auto"}, {}, Status.PASSED),  # vLLM's default
        ({}, {"--pipeline-parallel-size": None}, Status.PASSED),
        ({}, {"--port": "9000"}, Status.PASSED),
        ({}, {"--served-model-name": "x"}, Status.PASSED),
        ({}, {"--gpu-memory-utilization": "0.80"}, Status.PASSED),
        (
            {"--speculative-config": '{"method":"mtp","num_speculative_tokens":2}'},
            {"--speculative-config": '{ "num_speculative_tokens": 2, "method": "mtp" }'},
            Status.PASSED,
        ),
        ({"--speculative-config.method": "mtp"}, {"--speculative-config.method": "eagle"}, Status.FAILED),
    ],
)
def test_which_options_must_be_alike(
    head: dict[str, str | None], worker: dict[str, str | None], status: Status
) -> None:
    assert examine(FLAGS, flags(head, worker)).status is status


def test_what_only_the_worker_has_is_taken_away() -> None:
    fix = examine(FLAGS, flags({}, {"--enforce-eager": ""})).findings[0].fix
    assert fix.do == "on spark-2, remove --enforce-eager from the command (compose.yaml, service vllm)"


def test_sizes_that_divide_but_differ() -> None:
    cluster = flags({}, {"--tensor-parallel-size": "1", "--pipeline-parallel-size": "2"})
    assert list(failed(*cluster.nodes)) == ["launch-flags-differ"]
    assert len(examine(FLAGS, cluster).findings) == 2


def test_another_model(tmp_path: Path) -> None:
    cluster = pair(tmp_path, worker_edit=("DeepSeek-V4-Flash", "DeepSeek-V4-Flash-Base"))
    result = examine(MODEL, cluster)
    assert result.findings[0].message == (
        "spark-2 serves deepseek-ai/DeepSeek-V4-Flash-Base, spark-1 deepseek-ai/DeepSeek-V4-Flash"
    )
    assert result.findings[0].fix.do.startswith("on spark-2, ")
    assert result.findings[0].fix.edit == "serve deepseek-ai/DeepSeek-V4-Flash"


def test_a_folder_beside_an_id_of_the_same_name(tmp_path: Path) -> None:
    cluster = pair(tmp_path, worker_edit=("deepseek-ai/DeepSeek-V4-Flash", "/cache/huggingface/DeepSeek-V4-Flash"))
    assert examine(MODEL, cluster).status is Status.PASSED


@pytest.mark.parametrize(
    ("name", "head", "worker", "status"),
    [
        ("NCCL_PROTO", "Simple", None, Status.FAILED),
        ("NCCL_ALGO", "Ring", "ring", Status.PASSED),
        ("NCCL_NET", "IB", None, Status.PASSED),
        ("NCCL_NET", "IB", "Socket", Status.FAILED),
        ("NCCL_NET", None, "Socket", Status.FAILED),
        ("NCCL_IB_DISABLE", "0", None, Status.PASSED),
        ("NCCL_IB_DISABLE", "0", "1", Status.FAILED),
        ("NCCL_IB_DISABLE", "0", "yes", Status.PASSED),  # NCCL reads it as 0
        ("NCCL_BUFFSIZE", "4194304", None, Status.PASSED),
        ("NCCL_BUFFSIZE", "8388608", None, Status.FAILED),
        ("NCCL_IB_HCA", "rocep1s0f0", "roceP2p1s0f0", Status.PASSED),
        ("NCCL_DEBUG_SUBSYS", "ALL", None, Status.PASSED),
    ],
)
def test_what_nccl_must_be_told_alike(name: str, head: str | None, worker: str | None, status: Status) -> None:
    assert examine(NCCL, env({name: head}, {name: worker})).status is status
    assert examine(SETTINGS, env({name: head}, {name: worker})).status is Status.PASSED


def test_one_rank_on_another_protocol() -> None:
    cluster = env({"NCCL_PROTO": "Simple"}, {})
    found = failed(*cluster.nodes)
    assert list(found) == ["launch-nccl-differs"]
    finding = found["launch-nccl-differs"].findings[0]
    assert finding.message == "NCCL_PROTO is Simple on spark-1 and not set on spark-2"
    assert (finding.fix.do, finding.fix.edit) == (
        "on spark-2, in compose.yaml, under services.vllm.environment",
        'NCCL_PROTO: "Simple"',
    )


def test_a_setting_that_one_file_forgot() -> None:
    cluster = env({"NCCL_IB_QPS_PER_CONNECTION": "4"}, {})
    found = failed(*cluster.nodes)
    assert list(found) == ["launch-settings-differ"]
    assert found["launch-settings-differ"].severity.value == "warning"


@pytest.mark.parametrize("check", [MODEL, FLAGS, NCCL, SETTINGS], ids=lambda check: check.name)
def test_pairs_that_pass_or_cannot_be_compared(check: Check) -> None:
    assert examine(check, healthy_pair()).status is Status.PASSED
    assert examine(check, Cluster((healthy_node(),))).status is Status.SKIPPED
    dark = changed(
        healthy_node(1),
        launch__flags=unread("compose.yaml:45", "its entrypoint is a script"),
        launch__env=unread("/proc/4211/environ", "Permission denied"),
    )
    assert examine(check, healthy_pair(second=dark)).status is Status.UNKNOWN


def test_running_ranks_and_snapshots() -> None:
    assert examine(FLAGS, Cluster((running(0), running(1)))).status is Status.PASSED
    argv = Fact("/proc/4211/cmdline", (*healthy_spec(1).argv.value, "--max-num-seqs", "6"))
    cluster = Cluster((running(0), running(1, argv=argv)))
    finding = examine(FLAGS, cluster).findings[0]
    assert finding.message == "--max-num-seqs is left to vLLM on spark-1 and 6 on spark-2"
    assert examine(FLAGS, Cluster(tuple(map(through_snapshot, cluster.nodes)))).findings[0] == finding
    proto = env({"NCCL_PROTO": "Simple"}, {})
    assert examine(NCCL, Cluster(tuple(map(through_snapshot, proto.nodes)))) == examine(NCCL, proto)
