"""The same log under different facts, with the checks and signatures that ship: the machine decides."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkdoctor.api import Cluster, Fact, Node
from sparkdoctor.diagnose import Diagnosis, Verdict, diagnose
from sparkdoctor.logs.match import Matcher
from sparkdoctor.logs.scan import Logs
from sparkdoctor.registry import load_registry
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_pair

# The lines of the write-up, with the prefixes that NCCL 2.30 and vLLM put before them.
WORKER = """\
(Worker_TP1 pid=312) INFO 11-23 15:14:21 [parallel_state.py:1906] world_size=2 rank=1 backend=nccl
[2026-11-23 15:14:29] spark-2:312:455 [0] misc/ibvwrap.cc:218 (wrap_ibv_reg_mr_iova2) NCCL WARN Call to \
ibv_reg_mr_iova2 failed with error Cannot allocate memory
spark-2:312:455 [0] NCCL INFO transport/net_ib/reg.cc:43 (ncclIbRegMrDmaBufInternal2) -> 2
(Worker_TP1 pid=312) RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)
"""
HEAD = """\
(Worker_TP0 pid=311) INFO 11-23 15:14:21 [parallel_state.py:1906] world_size=2 rank=0 backend=nccl
(Worker_TP0 pid=311) RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)
"""


@pytest.fixture
def files(tmp_path: Path) -> list[str]:
    for name, text in (("head.log", HEAD), ("worker.log", WORKER)):
        (tmp_path / name).write_text(text)
    return [str(tmp_path / "head.log"), str(tmp_path / "worker.log")]


def explained(files: list[str], cluster: Cluster | None) -> Diagnosis:
    registry = load_registry()
    logs = Logs(files, Matcher(registry.knowledge.signatures.values()))
    diagnoses = diagnose(logs.hits(), registry.knowledge, registry.checks.by_name, cluster)
    assert [diagnosis.name for diagnosis in diagnoses] == ["nccl-reg-mr-enomem"]
    return diagnoses[0]


def verdict(diagnosis: Diagnosis, name: str) -> Verdict:
    return next(cause.verdict for cause in diagnosis.causes if cause.name == name)


def kho_node(rank: int) -> Node:
    meminfo = healthy_host(rank).memory.meminfo
    host = changed(
        healthy_host(rank),
        machine__kernel=Fact("/proc/sys/kernel/osrelease", "7.0.0-1019-nvidia"),
        memory__meminfo=Fact(meminfo.where, {**meminfo.value, "CmaFree": 9 << 30}),
    )
    return healthy_node(rank, host=host)


def test_the_line_in_the_worker_is_the_cause_of_both_failures(files: list[str]) -> None:
    found = explained(files, None)
    assert [(line.file, line.line) for line in found.evidence] == [(files[1], 2)]
    follower = next(one for one in found.follows if one.name == "nccl-unhandled-system-error")
    assert {line.file for line in follower.evidence} == set(files)
    assert {cause.verdict for cause in found.causes} == {Verdict.OPEN}
    assert found.cause == "memlock-limited"
    assert "memlock" in found.fixes[0].fix.do


def test_a_finite_memlock_on_one_node(files: list[str]) -> None:
    worker = healthy_node(1, memlock=Fact("worker/compose.yaml:12", 8 << 20))
    found = explained(files, healthy_pair(second=worker))
    assert found.cause == "memlock-limited"
    assert (found.causes[0].verdict, found.causes[0].on) == (Verdict.CONFIRMED, ("spark-2",))
    assert "8 MiB" in found.causes[0].message
    assert verdict(found, "kernel-cma-from-kho") is Verdict.RULED_OUT
    assert found.fixes == found.causes[0].fixes


def test_a_kernel_with_cma_from_kho(files: list[str]) -> None:
    found = explained(files, Cluster((kho_node(0), kho_node(1))))
    assert found.cause == "kernel-cma-from-kho"
    assert found.causes[0].verdict is Verdict.CONFIRMED
    assert verdict(found, "memlock-limited") is Verdict.RULED_OUT
    assert "kho=off" in found.fixes[0].fix.edit


def test_a_healthy_pair_rules_both_out_with_its_values(files: list[str]) -> None:
    found = explained(files, healthy_pair())
    assert found.cause not in ("memlock-limited", "kernel-cma-from-kho")
    for name, value in (("memlock-limited", "unlimited"), ("kernel-cma-from-kho", "128 MiB")):
        cause = next(one for one in found.causes if one.name == name)
        assert cause.verdict is Verdict.RULED_OUT
        assert any(value in seen.value for seen in cause.seen)


def test_one_healthy_node_rules_nothing_out_for_the_other(files: list[str]) -> None:
    blind = changed(healthy_node(1), host=None)
    found = explained(files, healthy_pair(second=blind))
    assert verdict(found, "kernel-cma-from-kho") is Verdict.OPEN
    assert found.cause is not None
