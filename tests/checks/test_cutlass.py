from __future__ import annotations

import pytest

from sparkdoctor.api import Check, Fact, Node, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, only_finding, running, shell, through_snapshot

MISMATCH = builtin_check("cutlass-dsl-mismatch")
KERNELS = builtin_check("cutlass-kernels-unfit")
DIFFER = builtin_check("cutlass-libs-differ")


def installed(*requires: str, **versions: str | None) -> Node:
    """The healthy rank with other packages; `_` stands for `-`, None takes a package away."""
    host = healthy_host()
    software = host.software[0]
    packages = {**software.packages.value, **{name.replace("_", "-"): version for name, version in versions.items()}}
    software = changed(
        software,
        packages=Fact(software.packages.where, {n: v for n, v in packages.items() if v is not None}),
        requires=Fact(software.requires.where, requires) if requires else software.requires,
    )
    return healthy_node(host=changed(host, software=(software,)))


def dsl(version: str, **others: str | None) -> Node:
    return installed(nvidia_cutlass_dsl=version, nvidia_cutlass_dsl_libs_base=version, **others)


# What came of really importing each pair (see the rules).
@pytest.mark.parametrize(
    ("flashinfer", "version", "status"),
    [
        ("0.6.12", "4.4.2", Status.PASSED),
        ("0.6.13", "4.4.2", Status.FAILED),
        ("0.6.13", "4.5.0.dev0", Status.FAILED),
        ("0.6.13", "4.5.0", Status.PASSED),
        ("0.6.17", "4.4.2", Status.FAILED),
        ("0.6.18.post1", "4.4.2", Status.PASSED),
        ("0.6.18", "4.3.5", Status.FAILED),
        ("0.7.0.post1", "4.6.0", Status.PASSED),
        ("0.7.1", "4.6.0", Status.FAILED),
        ("0.7.2.post1", "4.6.2", Status.PASSED),
    ],
)
def test_flashinfer_and_the_dsl(flashinfer: str, version: str, status: Status) -> None:
    assert examine(MISMATCH, dsl(version, flashinfer_python=flashinfer)).status is status


def test_the_write_ups_dead_end() -> None:
    node = dsl("4.4.2", quack_kernels="0.4.1")
    finding = only_finding(MISMATCH, node)
    assert finding.message == (
        "flashinfer-python 0.6.13 uses cute.nvgpu.OperandMajorMode, which nvidia-cutlass-dsl 4.4.2 does not have,"
        " so its import fails"
    )
    assert finding.seen[1].value == "4.4.2"
    assert finding.seen[1].wanted == ">=4.5.0"
    assert finding.fix.edit == "RUN pip install --force-reinstall 'nvidia-cutlass-dsl[cu13]==4.5.2'"
    assert list(failed(node)) == ["cutlass-dsl-mismatch"]


def test_the_pin_of_vllm_is_offered_only_when_it_mends() -> None:
    node = installed("nvidia-cutlass-dsl==4.4.2", nvidia_cutlass_dsl="4.4.2", nvidia_cutlass_dsl_libs_base="4.4.2")
    fix = only_finding(MISMATCH, node).fix
    assert fix.edit == "RUN pip install --force-reinstall 'nvidia-cutlass-dsl[cu13]>=4.5.0'"


def test_a_dsl_that_lost_a_name() -> None:
    node = dsl("4.8.1", flashinfer_python="0.6.8.post1", quack_kernels="0.4.1", vllm="0.20.2")
    result = examine(KERNELS, node)
    assert [finding.seen[0].what for finding in result.findings] == ["flashinfer-python", "quack-kernels", "vllm"]
    assert "cute.core.ThrMma" in result.findings[0].message
    assert examine(KERNELS, dsl("4.6.0.dev0", flashinfer_python="0.6.12")).status is Status.FAILED
    fresh = dsl("4.8.0", flashinfer_python="0.7.2.post1", quack_kernels="0.6.5", vllm="0.33.0")
    assert examine(KERNELS, fresh).status is Status.PASSED


def test_quack_on_an_old_dsl() -> None:
    assert "quack-kernels 0.5.0 uses cute.nvgpu.OperandMajorMode" in only_finding(KERNELS, dsl("4.4.2")).message
    assert examine(KERNELS, dsl("4.4.2", quack_kernels="0.4.1")).status is Status.PASSED


def test_an_old_libs_cu13_stays_behind() -> None:
    node = installed(nvidia_cutlass_dsl_libs_cu13="4.4.2")
    finding = only_finding(DIFFER, node)
    assert finding.message == "nvidia-cutlass-dsl-libs-cu13 is 4.4.2 beside nvidia-cutlass-dsl 4.5.2"
    assert "'nvidia-cutlass-dsl[cu13]==4.5.2'" in finding.fix.edit
    assert list(failed(node)) == ["cutlass-libs-differ"]


@pytest.mark.parametrize("check", [MISMATCH, KERNELS, DIFFER], ids=lambda check: check.name)
def test_what_it_saw_and_what_it_could_not(check: Check) -> None:
    assert examine(check, healthy_node()).status is Status.PASSED
    assert examine(check, installed(nvidia_cutlass_dsl=None)).status is Status.SKIPPED
    unknown = examine(check, healthy_node(host=changed(healthy_host(), software=())))
    assert unknown.status is Status.UNKNOWN
    assert "start the container" in unknown.reason
    shut = changed(healthy_host().software[0], packages=unread("site-packages", "Permission denied"))
    result = examine(check, healthy_node(host=changed(healthy_host(), software=(shut,))))
    assert result.status is Status.UNKNOWN
    assert "Permission denied" in result.reason
    assert examine(check, Node("spark-1")).status is Status.SKIPPED


def test_a_running_process_and_a_snapshot() -> None:
    packages = Fact("vllm-1", {"flashinfer-python": "0.6.13", "nvidia-cutlass-dsl": "4.4.2"})
    software = changed(healthy_host().software[0], key="container:4f1d2c3b4a59", packages=packages)
    node = running(host=changed(healthy_host(), software=(software,)))
    assert "OperandMajorMode" in only_finding(MISMATCH, node).message
    assert only_finding(MISMATCH, through_snapshot(node)) == only_finding(MISMATCH, node)
    assert only_finding(MISMATCH, through_snapshot(dsl("4.4.2"))).seen[1].value == "4.4.2"


def test_a_server_started_without_a_container_gets_a_command() -> None:
    packages = Fact("/opt/env", {"flashinfer-python": "0.6.13", "nvidia-cutlass-dsl": "4.4.2"})
    software = changed(healthy_host().software[0], key="prefix:/opt/env", packages=packages)
    node = shell({"NCCL_NET": "IB"}, host=changed(healthy_host(), software=(software,)))
    assert only_finding(MISMATCH, node).fix.run == (
        "pip install --force-reinstall 'nvidia-cutlass-dsl[cu13]==4.5.2'",
        "pip check",
    )


def test_a_launch_of_something_else_is_not_asked_for_its_packages() -> None:
    host = changed(healthy_host(), software=())
    fine_tuning = changed(
        healthy_spec(env=dict.fromkeys(healthy_spec().env.value)), argv=Fact("compose.yaml:9", ("python", "train.py"))
    )
    assert examine(MISMATCH, healthy_node(host=host, spec=fine_tuning)).status is Status.SKIPPED
    built = changed(healthy_spec(), image=None)
    result = examine(MISMATCH, healthy_node(host=host, spec=built))
    assert result.status is Status.UNKNOWN
    assert "it names no image" in result.reason


def test_a_version_that_is_none_is_not_judged() -> None:
    assert examine(MISMATCH, dsl("4.5.2", flashinfer_python="main-abc")).status is Status.UNKNOWN
