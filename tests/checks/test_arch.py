from __future__ import annotations

import pytest

from sparkdoctor.api import Fact, Node, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, only_finding, running, shell, through_snapshot

MALFORMED = builtin_check("arch-list-malformed")
WITHOUT = builtin_check("arch-list-without-gb10")


def flashinfer(value: str) -> Node:
    return healthy_node(spec=healthy_spec(env={"FLASHINFER_CUDA_ARCH_LIST": value}))


def torch(value: str) -> Node:
    return healthy_node(spec=healthy_spec(env={"TORCH_CUDA_ARCH_LIST": value}))


# What flashinfer 0.7.2.post1's CompilationContext() did with each value.
@pytest.mark.parametrize(
    ("value", "status", "mended"),
    [
        ("12.1a", Status.PASSED, ""),
        ("12.1", Status.PASSED, ""),
        ("12.0f 12.1a", Status.PASSED, ""),
        ("12.1a;12.0a", Status.FAILED, "12.1a 12.0a"),
        ("12.1a,12.0a", Status.FAILED, "12.1a 12.0a"),
        ("sm_121a", Status.FAILED, "12.1a"),
        ("121a", Status.FAILED, "12.1a"),
        ("12.1a ", Status.FAILED, "12.1a"),
        ("", Status.FAILED, "12.1a"),
        ("compute_90a", Status.FAILED, "9.0a 12.1a"),
    ],
)
def test_how_flashinfer_reads_it(value: str, status: Status, mended: str) -> None:
    assert examine(MALFORMED, flashinfer(value)).status is status
    if mended:
        assert only_finding(MALFORMED, flashinfer(value)).fix.edit == f'FLASHINFER_CUDA_ARCH_LIST: "{mended}"'
        assert examine(MALFORMED, flashinfer(mended)).status is Status.PASSED


def test_a_list_with_semicolons() -> None:
    finding = only_finding(MALFORMED, flashinfer("12.1a;12.0a"))
    assert finding.message == "FLASHINFER_CUDA_ARCH_LIST is '12.1a;12.0a', and FlashInfer cannot read '12.1a;12.0a'"
    assert finding.fix.do == "in compose.yaml, under services.vllm.environment"
    assert list(failed(flashinfer("sm_121a"))) == ["arch-list-malformed"]


def test_an_environment_without_flashinfer() -> None:
    software = changed(healthy_host().software[0], packages=Fact("x", {"vllm": "0.33.0"}))
    host = changed(healthy_host(), software=(software,))
    spec = healthy_spec(env={"FLASHINFER_CUDA_ARCH_LIST": "sm_121a"})
    assert examine(MALFORMED, healthy_node(host=host, spec=spec)).status is Status.SKIPPED
    assert examine(MALFORMED, healthy_node(host=changed(host, software=()), spec=spec)).status is Status.FAILED


@pytest.mark.parametrize(
    ("value", "problem"),
    [
        ("12.1a", ""),
        ("9.0a;12.1a", ""),
        ("12.0f", ""),
        ("12.1", "without its FP4 instructions"),
        ("12.0", "without its FP4 instructions"),
        ("9.0+PTX", "without its FP4 instructions"),
        ("12.0a", "does not run on this GPU (12.1)"),
        ("9.0 10.0a", "does not run on this GPU (12.1)"),
        ("", "does not run on this GPU (12.1)"),
        ("sm_121a", "PyTorch knows no architecture 'sm_121a'"),
        ("121a", "PyTorch knows no architecture '121a'"),
    ],
)
def test_what_pytorch_compiles_for(value: str, problem: str) -> None:
    result = examine(WITHOUT, torch(value))
    assert (result.status is Status.FAILED) == bool(problem)
    if problem:
        assert problem in result.findings[0].message
        assert list(failed(torch(value), healthy_node(1))) == ["arch-list-without-gb10"]


def test_what_flashinfer_compiles_for() -> None:
    assert examine(WITHOUT, flashinfer("12.0")).status is Status.PASSED
    assert "does not run" in only_finding(WITHOUT, flashinfer("10.0")).message


def test_another_gpu_and_none_and_an_unknown_one() -> None:
    spec = healthy_spec(env={"TORCH_CUDA_ARCH_LIST": "9.0"})
    host = healthy_host()
    gpu = host.gpus.devices.value[0]

    def with_capability(fact: Fact[tuple[int, int]]) -> Node:
        return healthy_node(host=changed(host, gpus__devices=Fact("NVML", (changed(gpu, capability=fact),))), spec=spec)

    assert examine(WITHOUT, with_capability(Fact("NVML", (9, 0)))).status is Status.SKIPPED
    assert examine(WITHOUT, with_capability(unread("NVML", "Not Supported"))).status is Status.UNKNOWN
    none = healthy_node(host=changed(host, gpus__devices=Fact("NVML", ())), spec=spec)
    assert examine(WITHOUT, none).status is Status.SKIPPED
    assert examine(WITHOUT, changed(healthy_node(spec=spec), host=None)).status is Status.UNKNOWN


def test_neither_is_set() -> None:
    spec = healthy_spec(env={"TORCH_CUDA_ARCH_LIST": None, "FLASHINFER_CUDA_ARCH_LIST": None})
    assert examine(MALFORMED, healthy_node(spec=spec)).status is Status.SKIPPED
    assert examine(WITHOUT, healthy_node(spec=spec)).status is Status.SKIPPED


def test_a_running_process_a_shell_and_a_snapshot() -> None:
    alive = running(env={"FLASHINFER_CUDA_ARCH_LIST": "sm_121a"})
    finding = only_finding(MALFORMED, alive)
    assert finding.seen[0].where == "/proc/4211/environ"
    assert finding.fix.do == "in /home/user/ds4/compose.yaml, under services.vllm.environment"
    assert only_finding(MALFORMED, through_snapshot(alive)) == finding
    assert only_finding(MALFORMED, shell({"FLASHINFER_CUDA_ARCH_LIST": "121a"})).fix.run == (
        "export FLASHINFER_CUDA_ARCH_LIST=12.1a",
    )
    assert only_finding(WITHOUT, through_snapshot(torch("9.0"))) == only_finding(WITHOUT, torch("9.0"))
