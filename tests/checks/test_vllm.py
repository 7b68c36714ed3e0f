from __future__ import annotations

import pytest

from sparkdoctor.api import Fact, Node, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, only_finding, running, shell, through_snapshot

UNMET = builtin_check("vllm-requirement-unmet")
UNKNOWN = builtin_check("vllm-env-unknown")


def environment(**changes: object) -> Node:
    host = healthy_host()
    return healthy_node(host=changed(host, software=(changed(host.software[0], **changes),)))


def asking(*requires: str, **packages: str) -> Node:
    where = healthy_host().software[0].packages.where
    return environment(requires=Fact("METADATA", requires), packages=Fact(where, {"vllm": "0.33.0", **packages}))


def with_env(**env: str) -> Node:
    return healthy_node(spec=healthy_spec(env=env))


def test_a_replaced_torch() -> None:
    node = asking("torch==2.14.0", "regex", torch="2.13.0+cu130", regex="2026.1.1")
    finding = only_finding(UNMET, node)
    assert finding.message == "vllm 0.33.0 wants torch ==2.14.0 and finds 2.13.0+cu130"
    assert [(seen.what, seen.value, seen.wanted) for seen in finding.seen] == [("torch", "2.13.0+cu130", "==2.14.0")]
    assert finding.fix.run == (
        "docker run --rm --entrypoint pip aidendle94/sparkrun-vllm-ds4-gb10:production-ready check",
    )
    other = healthy_node(1, host=changed(healthy_host(1), software=node.host.software if node.host else ()))
    assert list(failed(node, other)) == ["vllm-requirement-unmet"]


@pytest.mark.parametrize(
    ("line", "installed", "status"),
    [
        ("torch==2.14.0", "2.14.0+cu130", Status.PASSED),  # a local version satisfies its public one (PEP 440)
        ("nvidia-cutlass-dsl[cu13]==4.8.0", "4.8.0", Status.PASSED),
        ("transformers<5.21.0,>=5.16.1", "5.21.0", Status.FAILED),
        ("nvidia-cudnn-frontend>=1.31.0", "1.31.0rc1", Status.FAILED),
        ('b12x==1.5.1; extra == "b12x"', None, Status.PASSED),
        ('protobuf==7.36.1; platform_machine == "s390x"', None, Status.PASSED),
        ('xgrammar==0.2.8; platform_machine == "aarch64"', None, Status.FAILED),
        ('six>=1.16.0; python_version > "3.11"', None, Status.FAILED),
        ("Quack_Kernels==0.6.5", None, Status.FAILED),
    ],
)
def test_what_a_line_asks_for(line: str, installed: str | None, status: Status) -> None:
    name = line.split("=")[0].split("<")[0].split(">")[0].split("[")[0].split(";")[0].strip()
    assert examine(UNMET, asking(line, **({name: installed} if installed else {}))).status is status


def test_several_are_counted() -> None:
    finding = only_finding(UNMET, asking("torch==2.14.0", "quack-kernels==0.6.5"))
    assert finding.message == "vllm 0.33.0 wants torch ==2.14.0 and finds not installed and 1 more"
    assert len(finding.seen) == 2


def test_a_line_that_is_no_requirement_is_passed_over() -> None:
    assert examine(UNMET, asking("torch (>=2", "regex", regex="1.0")).status is Status.PASSED


def test_requirements_that_could_not_be_read() -> None:
    node = environment(requires=unread("METADATA", "Permission denied"))
    assert examine(UNMET, node).status is Status.UNKNOWN
    assert examine(UNMET, healthy_node(host=changed(healthy_host(), software=()))).status is Status.UNKNOWN
    assert examine(UNMET, Node("spark-1")).status is Status.SKIPPED


def test_a_slip_of_the_pen() -> None:
    node = with_env(VLLM_CACHE_ROOTS="/tmp")
    finding = only_finding(UNKNOWN, node)
    assert finding.message == "VLLM_CACHE_ROOTS=/tmp is set, and this vLLM has no such variable"
    assert "VLLM_CACHE_ROOT" in finding.seen[0].wanted
    assert finding.fix.do == f"remove VLLM_CACHE_ROOTS ({finding.seen[0].where})"
    assert finding.fix.run == ("docker compose up -d --force-recreate vllm",)
    assert list(failed(node)) == ["vllm-env-unknown"]


def test_what_an_option_replaced() -> None:
    assert only_finding(UNKNOWN, with_env(VLLM_ATTENTION_BACKEND="FLASHINFER")).fix.do.endswith(
        "and give --attention-backend instead"
    )


def test_env_is_asked_of_the_environment_of_the_rank() -> None:
    assert examine(UNKNOWN, healthy_node()).status is Status.PASSED
    assert examine(UNKNOWN, environment(vllm_env=unread("vllm/envs.py", "not understood"))).status is Status.UNKNOWN
    assert examine(UNKNOWN, healthy_node(host=changed(healthy_host(), software=()))).status is Status.UNKNOWN
    assert examine(UNKNOWN, shell({"NCCL_NET": "IB"})).status is Status.SKIPPED


def test_a_running_process_and_a_snapshot() -> None:
    node = running(env={"VLLM_SPARSE_INDEXER": "1"})
    finding = only_finding(UNKNOWN, node)
    assert finding.seen[0].where == "/proc/4211/environ"
    assert finding.fix.do == "remove VLLM_SPARSE_INDEXER (/home/user/ds4/compose.yaml, service vllm)"
    assert only_finding(UNKNOWN, through_snapshot(node)) == finding
    replaced = asking("torch==2.14.0")
    assert only_finding(UNMET, through_snapshot(replaced)) == only_finding(UNMET, replaced)
