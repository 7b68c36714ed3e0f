"""Who wrote a line: prefixes, nested as launches nest them, and names of files."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.logs.origin import node_in_name, prefix_of, rank_in_name


@pytest.mark.parametrize(
    ("text", "node", "rank", "process", "container"),
    [
        ("spark-2:312:455 [0] NCCL INFO x", "spark-2", None, "312", ""),
        (
            "vllm-1  | (Worker_TP1 pid=312) [2026-11-24 15:24:41] spark-2:312:455 [0] x",
            "spark-2",
            1,
            "Worker_TP1",
            "vllm-1",
        ),
        ("(Worker_PP0_TP1 pid=312) INFO 11-24 15:24:41 x", "", None, "Worker_PP0_TP1", ""),
        ("(RayWorkerWrapper pid=7, ip=10.0.0.2) x", "10.0.0.2", None, "RayWorkerWrapper", ""),
        ("[rank1]:[E1124 15:24:41.03 ProcessGroupNCCL.cpp:1] x", "", 1, "", ""),
        ("[rank1]: Traceback (most recent call last):", "", 1, "", ""),
        ("1: [2026-11-24 15:24:41 TP3] x", "", 1, "TP3", ""),
        ("[2026-11-24 15:24:41 TP3] x", "", 3, "TP3", ""),
        ("[2026-11-24 15:24:41 DP0 TP3] x", "", None, "DP0 TP3", ""),
        ("[1,1]<stdout>:x", "", 1, "", ""),
        ("[pod/vllm-0/vllm] 2026-11-24T15:24:41Z x", "", None, "", "vllm-0"),
        ("vllm.1.abc@spark-2    | x", "spark-2", None, "", "vllm.1.abc"),
        ("Nov 24 15:24:41 spark-1 kernel: [   12.345678] mlx5_core x", "spark-1", None, "kernel", ""),
        ("2026-11-24T15:24:41+0100 spark-1 vllm[12]: spark-2:1:1 [0] x", "spark-1", None, "vllm", ""),
        # No prefixes: words before a colon, a table, a traceback.
        ("2026-11-24T15:24:41Z Loading weights: 5", "", None, "", ""),
        ("RuntimeError: NCCL error", "", None, "", ""),
        ("|  0  N/A | x", "", None, "", ""),
        ("", "", None, "", ""),
    ],
)
def test_prefixes(text: str, node: str, rank: int | None, process: str, container: str) -> None:
    found = prefix_of(text)
    assert (found.node, found.rank, found.process, found.container) == (node, rank, process, container)


@pytest.mark.parametrize(
    ("name", "rank"),
    [
        ("rank1.log", 1),
        ("a/vllm.rank-3.err", 3),
        ("train_task_2.out", 2),
        ("slurm-123_4.out", None),
        ("frank1.log", None),
    ],
)
def test_rank_in_a_name(name: str, rank: int | None) -> None:
    assert rank_in_name(name) == rank


def test_node_in_a_name() -> None:
    nodes = frozenset({"spark-1", "spark-2"})
    assert node_in_name("logs/vllm.spark-2.312.log", nodes) == "spark-2"
    assert node_in_name("logs/spark-1/vllm.log", nodes) == "spark-1"
    assert node_in_name("spark-1-spark-2.log", nodes) == ""
    assert node_in_name("spark-12.log", nodes) == ""


@given(st.text(alphabet="[]()0123456789:|, =pidrankTPWorker_-.@<>\t", max_size=80))
def test_no_text_raises(text: str) -> None:
    assert 0 <= prefix_of(text).end <= len(text)
    rank_in_name(text)
    node_in_name(text, frozenset({text[:3], "a"}))
