from __future__ import annotations

import pytest

from sparkdoctor.api import Fact, Node, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, only_finding, running, through_snapshot

UNKNOWN = builtin_check("moe-backend-unknown")
UNFIT = builtin_check("moe-backend-unfit")

UPSTREAM = ("auto", "triton", "cutlass", "flashinfer_b12x", "b12x", "marlin", "deep_gemm_mega_moe")
DENSE = {"quant_method": "fp8", "model_type": "qwen3"}
FLASH = {"quant_method": "fp8", "model_type": "deepseek_v4", "n_routed_experts": "256"}  # the official checkpoint
BASE = {**FLASH, "expert_dtype": "fp8"}  # DeepSeek-V4-Flash-Base
NVFP4 = {"quant_method": "modelopt", "quant_algo": "NVFP4", "num_experts": "128"}


def node(backend: str | None, config: dict[str, str] = FLASH, known: tuple[str, ...] = UPSTREAM) -> Node:
    host = healthy_host()
    host = changed(
        host,
        software=(changed(host.software[0], moe_backends=Fact("vllm/config/kernel.py", known)),),
        caches=(changed(host.caches[0], config=Fact("config.json", config)),),
    )
    return healthy_node(host=host, spec=healthy_spec(flags={"--moe-backend": backend}))


def test_a_backend_that_came_later() -> None:
    old = node("flashinfer_b12x", known=("auto", "triton", "flashinfer_cutlass", "marlin"))
    finding = only_finding(UNKNOWN, old)
    assert finding.message == "--moe-backend flashinfer_b12x is given, and this vLLM has no such backend"
    assert finding.seen[0].wanted == "one of auto, triton, flashinfer_cutlass, marlin (vllm/config/kernel.py)"
    assert finding.fix.edit == "--moe-backend flashinfer_cutlass"


def test_a_word_that_is_near_nothing_is_taken_away() -> None:
    assert (
        only_finding(UNKNOWN, node("xyz")).fix.do
        == "remove --moe-backend from the command (compose.yaml, service vllm)"
    )


@pytest.mark.parametrize("word", ["marlin", "MARLIN", "deep-gemm-mega-moe"])
def test_words_are_compared_as_vllm_does(word: str) -> None:
    assert examine(UNKNOWN, node(word)).status is Status.PASSED


@pytest.mark.parametrize(
    ("backend", "config", "status"),
    [
        ("b12x", FLASH, Status.PASSED),
        ("marlin", FLASH, Status.PASSED),
        ("flashinfer_b12x", FLASH, Status.FAILED),  # NVFP4 only
        ("b12x", BASE, Status.FAILED),
        ("marlin", BASE, Status.PASSED),
        ("flashinfer_b12x", NVFP4, Status.PASSED),
        ("b12x", {**FLASH, "moe_quant_algo": "NVFP4"}, Status.PASSED),
        ("triton_unfused", NVFP4, Status.FAILED),
        ("b12x", DENSE, Status.SKIPPED),
        ("auto", BASE, Status.SKIPPED),
        ("deep_gemm_mega_moe", BASE, Status.SKIPPED),
        ("b12x", {"quant_method": "awq", "num_experts": "8"}, Status.SKIPPED),
        (None, BASE, Status.SKIPPED),
    ],
)
def test_formats(backend: str | None, config: dict[str, str], status: Status) -> None:
    assert examine(UNFIT, node(backend, config)).status is status


def test_what_is_said_of_fp8_experts() -> None:
    bad = node("b12x", BASE)
    finding = only_finding(UNFIT, bad)
    assert finding.message == "--moe-backend b12x does not compute FP8 experts, which this model has"
    assert finding.seen[1].where == "config.json"
    assert finding.fix.do == "remove --moe-backend from the command (compose.yaml, service vllm)"
    assert list(failed(node("cutlass", FLASH))) == ["moe-backend-unfit"]


def test_what_could_not_be_seen() -> None:
    host = healthy_host()
    spec = healthy_spec(flags={"--moe-backend": "b12x"})
    assert examine(UNFIT, healthy_node(host=changed(host, caches=()), spec=spec)).status is Status.UNKNOWN
    shut = changed(host.caches[0], config=unread("config.json", "Permission denied"))
    assert examine(UNFIT, healthy_node(host=changed(host, caches=(shut,)), spec=spec)).status is Status.UNKNOWN
    assert examine(UNFIT, healthy_node(host=host, spec=changed(spec, mounts=None))).status is Status.UNKNOWN
    assert examine(UNKNOWN, healthy_node(host=changed(host, software=()), spec=spec)).status is Status.UNKNOWN
    assert examine(UNKNOWN, healthy_node()).status is Status.SKIPPED
    assert examine(UNKNOWN, node("auto")).status is Status.SKIPPED
    gone = changed(host.caches[0], config=unread("hub", "there is no snapshot of this model", absent=True))
    result = examine(UNFIT, healthy_node(host=changed(host, caches=(gone,)), spec=spec))
    assert (result.status, result.reason) == (
        Status.SKIPPED,
        "deepseek-ai/DeepSeek-V4-Flash is not on spark-1 yet (hub)",
    )


def test_a_running_process_and_a_snapshot() -> None:
    bad = node("b12x", BASE)
    assert only_finding(UNFIT, through_snapshot(bad)) == only_finding(UNFIT, bad)
    assert bad.host is not None
    argv = Fact("/proc/4211/cmdline", ("vllm", "serve", "deepseek-ai/DeepSeek-V4-Flash", "--moe-backend", "b12x"))
    alive = running(host=bad.host, argv=argv)
    assert only_finding(UNFIT, alive).seen[0].where == "/proc/4211/cmdline"
