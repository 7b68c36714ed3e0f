from __future__ import annotations

import pytest

from sparkdoctor.api import Check, Fact, Node, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, only_finding, running, through_snapshot

UNKNOWN = builtin_check("b12x-unknown-to-vllm")
MISSING = builtin_check("b12x-not-installed")
OLD = builtin_check("b12x-dsl-too-old")

UPSTREAM = Fact(
    "vllm/envs.py", ("VLLM_ALLOW_LONG_MAX_MODEL_LEN", "VLLM_CACHE_ROOT", "VLLM_SPARSE_INDEXER_MAX_LOGITS_MB")
)


def upstream(
    *, flags: dict[str, str | None] | None = None, env: dict[str, str | None] | None = None, **packages: str | None
) -> Node:
    """The recipe in an image with upstream's vLLM."""
    host = healthy_host()
    software = host.software[0]
    versions = {**software.packages.value, **{name.replace("_", "-"): version for name, version in packages.items()}}
    software = changed(
        software,
        packages=Fact(software.packages.where, {n: v for n, v in versions.items() if v is not None}),
        requires=Fact("METADATA", ()),
        vllm_env=UPSTREAM,
        moe_backends=Fact("vllm/config/kernel.py", ("auto", "b12x", "marlin")),
    )
    return healthy_node(host=changed(host, software=(software,)), spec=healthy_spec(flags=flags, env=env))


def test_the_switch_of_a_fork_in_another_image() -> None:
    node = upstream()
    finding = only_finding(UNKNOWN, node)
    assert finding.message == "VLLM_USE_B12X_MOE=1 is set, and vllm 0.21.1 here does not know it"
    assert finding.fix.do == "in compose.yaml, under services.vllm"
    assert finding.fix.edit == "image: aidendle94/sparkrun-vllm-ds4-gb10:production-ready"
    assert finding.fix.run == ("docker compose pull vllm", "docker compose up -d --force-recreate vllm")
    assert list(failed(node)) == ["b12x-unknown-to-vllm"]


def test_upstream_that_has_the_kernels_is_told_of_its_own_option() -> None:
    fix = only_finding(UNKNOWN, upstream(vllm="0.33.0", b12x="1.5.1")).fix
    assert fix.do.endswith("and add --moe-backend b12x to the command")
    without = only_finding(UNKNOWN, upstream(vllm="0.33.0", b12x=None)).fix
    assert without.do.endswith("with the package: pip install 'vllm[b12x]==0.33.0' in the image")


@pytest.mark.parametrize(
    ("value", "status"), [("1", Status.FAILED), ("True", Status.FAILED), ("0", Status.SKIPPED), ("", Status.SKIPPED)]
)
def test_only_when_it_is_switched_on(value: str, status: Status) -> None:
    assert examine(UNKNOWN, upstream(env={"VLLM_USE_B12X_MOE": value})).status is status


def test_the_fork_knows_it() -> None:
    result = examine(UNKNOWN, healthy_node())
    assert result.status is Status.PASSED
    assert "vllm/envs.py" in result.seen[0].where


def test_a_running_process_and_a_snapshot() -> None:
    software = changed(healthy_host().software[0], key="container:4f1d2c3b4a59", vllm_env=UPSTREAM)
    node = running(host=changed(healthy_host(), software=(software,)))
    finding = only_finding(UNKNOWN, node)
    assert finding.seen[0].where == "/proc/4211/environ"
    assert only_finding(UNKNOWN, through_snapshot(node)) == finding


def test_the_option_without_the_package() -> None:
    node = upstream(flags={"--moe-backend": "b12x"}, env={"VLLM_USE_B12X_MOE": None}, b12x=None)
    finding = only_finding(MISSING, node)
    assert finding.message == "--moe-backend b12x is given, and the package b12x is not installed"
    assert finding.fix.edit == "RUN pip install 'vllm[b12x]==0.21.1'"
    assert "or remove --moe-backend from the command (compose.yaml, service vllm)" in finding.fix.do
    assert list(failed(node)) == ["b12x-not-installed"]
    assert only_finding(MISSING, through_snapshot(node)) == finding


def test_the_option_with_a_dsl_that_the_package_refuses() -> None:
    node = upstream(flags={"--moe-backend": "b12x"}, env={"VLLM_USE_B12X_MOE": None}, b12x="1.5.1")
    finding = only_finding(OLD, node)
    assert finding.message == "b12x 1.5.1 refuses nvidia-cutlass-dsl 4.5.2, and --moe-backend b12x needs it"
    assert list(failed(node)) == ["b12x-dsl-too-old"]


def test_older_packages_do_not_look_at_the_dsl() -> None:
    assert examine(OLD, upstream(flags={"--moe-backend": "B12X"}, b12x="0.30.0")).status is Status.PASSED
    assert examine(OLD, upstream(flags={"--moe-backend": "b12x"}, b12x=None)).status is Status.SKIPPED


@pytest.mark.parametrize("check", [MISSING, OLD], ids=lambda check: check.name)
def test_nothing_asks_for_b12x(check: Check) -> None:
    assert examine(check, healthy_node()).status is Status.SKIPPED


@pytest.mark.parametrize("check", [UNKNOWN, MISSING, OLD], ids=lambda check: check.name)
def test_an_environment_that_was_not_seen(check: Check) -> None:
    spec = healthy_spec(flags={"--moe-backend": "b12x"})
    assert examine(check, healthy_node(host=changed(healthy_host(), software=()), spec=spec)).status is Status.UNKNOWN
    shut = changed(healthy_host().software[0], packages=unread("x", "Permission denied"), vllm_env=unread("x", "no"))
    assert (
        examine(check, healthy_node(host=changed(healthy_host(), software=(shut,)), spec=spec)).status is Status.UNKNOWN
    )
