from __future__ import annotations

import pytest

from sparkdoctor.api import Check, Fact, Node, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, only_finding, running, through_snapshot

FP8 = builtin_check("marlin-fp4-with-fp8")
IMAGE = builtin_check("marlin-fp4-image")

LMXXF = "lmxxf/vllm-deepseek-v4-dgx-spark:latest"
FLASH = {"quant_method": "fp8", "model_type": "deepseek_v4", "expert_dtype": "fp4"}
BASE = {**FLASH, "expert_dtype": "fp8"}


def node(config: dict[str, str] = FLASH, *, quantization: str | None = None, image: str | None = None) -> Node:
    host = healthy_host()
    if image is not None:
        software = changed(host.software[0], key=f"image:{image}")
        host = changed(host, software=(software,))
    host = changed(host, caches=(changed(host.caches[0], config=Fact("config.json", config)),))
    spec = healthy_spec(flags={"--quantization": quantization})
    return healthy_node(host=host, spec=changed(spec, image=Fact("compose.yaml:4", image)) if image else spec)


def test_an_fp4_method_for_an_fp8_checkpoint() -> None:
    bad = node(quantization="mxfp4")
    finding = only_finding(FP8, bad)
    assert finding.message == "--quantization mxfp4 is for FP4 weights, and this model has FP8 weights"
    assert [seen.value for seen in finding.seen] == ["mxfp4", "fp8", "fp4"]
    assert finding.fix.do == "remove --quantization from the command (compose.yaml, service vllm)"
    other = healthy_node(1, spec=healthy_spec(1, flags={"--quantization": "mxfp4"}))
    assert list(failed(bad, other)) == ["marlin-fp4-with-fp8"]


@pytest.mark.parametrize(
    ("quantization", "config", "status"),
    [
        ("fp8", FLASH, Status.SKIPPED),
        ("deepseek_v4_fp8", FLASH, Status.SKIPPED),
        ("modelopt_fp4", BASE, Status.FAILED),
        ("mxfp4", {"quant_method": "mxfp4"}, Status.PASSED),
        (None, BASE, Status.SKIPPED),
    ],
)
def test_methods(quantization: str | None, config: dict[str, str], status: Status) -> None:
    assert examine(FP8, node(config, quantization=quantization)).status is status


def test_the_write_ups_first_dead_end() -> None:
    bad = node(image=LMXXF)
    finding = only_finding(IMAGE, bad)
    assert finding.message == (
        f"image {LMXXF} is made for FP4 Marlin kernels, and the weights of this model are FP8 but for its experts"
    )
    assert finding.fix.edit == "image: aidendle94/sparkrun-vllm-ds4-gb10:production-ready"
    assert examine(FP8, bad).status is Status.PASSED


def test_that_image_with_fp8_experts_is_worse() -> None:
    bad = node(BASE, image=LMXXF)
    assert only_finding(FP8, bad).message == f"image {LMXXF} is for FP4 weights, and this model has FP8 experts"
    assert "marlin-fp4-image" not in failed(bad)


def test_another_image() -> None:
    assert examine(IMAGE, node()).status is Status.SKIPPED
    assert examine(IMAGE, node({"quant_method": "mxfp4"}, image=LMXXF)).status is Status.PASSED


@pytest.mark.parametrize("check", [FP8, IMAGE], ids=lambda check: check.name)
def test_weights_that_were_not_seen(check: Check) -> None:
    host = healthy_host()
    spec = changed(healthy_spec(), image=Fact("compose.yaml:4", LMXXF))
    shut = changed(host.caches[0], config=unread("config.json", "Permission denied"))
    result = examine(check, healthy_node(host=changed(host, caches=(shut,)), spec=spec))
    assert result.status is Status.UNKNOWN
    assert "Permission denied" in result.reason


def test_a_running_process_and_a_snapshot() -> None:
    bad = node(quantization="mxfp4")
    assert only_finding(FP8, through_snapshot(bad)) == only_finding(FP8, bad)
    assert bad.host is not None
    argv = Fact("/proc/4211/cmdline", ("vllm", "serve", "deepseek-ai/DeepSeek-V4-Flash", "-q", "mxfp4"))
    assert only_finding(FP8, running(host=bad.host, argv=argv)).seen[0].where == "/proc/4211/cmdline"
