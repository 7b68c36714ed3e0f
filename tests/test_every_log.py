"""Real logs of failures made on purpose: each is diagnosed as what was done. See tests/logs/README.md."""

from __future__ import annotations

import tomllib
from collections.abc import Collection
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from sparkdoctor.api import Severity
from sparkdoctor.diagnose import Diagnosis, diagnose
from sparkdoctor.logs.match import Matcher
from sparkdoctor.logs.scan import Logs
from sparkdoctor.registry import Registry, load_registry

LOGS = Path(__file__).parent / "logs"
CASES = sorted(folder for folder in (LOGS / "cases").iterdir() if folder.is_dir())
GPU: dict[str, list[str]] = tomllib.loads((LOGS / "gpu" / "expected.toml").read_text())
DOCKER: dict[str, list[str]] = tomllib.loads((LOGS / "docker" / "expected.toml").read_text())
PAIR: dict[str, dict[str, Any]] = tomllib.loads((LOGS / "gpu-pair" / "expected.toml").read_text())
OWN: dict[str, dict[str, str]] = {
    folder: tomllib.loads((LOGS / folder / "expected.toml").read_text()) for folder in ("packages", "vllm")
}
EXAMPLE = Path(__file__).parent.parent / "examples" / "logs" / "memlock.log"


@cache
def registry() -> Registry:
    return load_registry()


@cache
def matcher() -> Matcher:
    return Matcher(registry().knowledge.signatures.values())


def diagnosed(*paths: Path, notes: Collection[str] = ()) -> list[Diagnosis]:
    """Without facts of any machine; of notes only those named, as any log may have some."""
    logs = Logs(tuple(str(path) for path in paths), matcher())
    hits = list(logs.hits())
    assert logs.problems == []
    found = diagnose(hits, registry().knowledge, registry().checks.by_name, None)
    return [diagnosis for diagnosis in found if diagnosis.severity is not Severity.NOTE or diagnosis.name in notes]


@pytest.mark.parametrize("case", CASES, ids=lambda folder: folder.name)
def test_every_case_is_diagnosed_as_what_was_done(case: Path) -> None:
    expected: dict[str, Any] = tomllib.loads((case / "expected.toml").read_text())
    found = diagnosed(*sorted(case.glob("*.log")), notes=expected["diagnoses"])
    assert [diagnosis.name for diagnosis in found] == expected["diagnoses"]
    assert sorted(follower.name for follower in found[0].follows) == expected["follows"]
    assert (found[0].missing is not None) == expected["elsewhere"]


@pytest.mark.parametrize("name", sorted(path.stem for path in (LOGS / "gpu").glob("*.log")))
def test_every_log_of_a_gpu_is_diagnosed(name: str) -> None:
    found = diagnosed(LOGS / "gpu" / f"{name}.log", notes=GPU[name])
    assert [diagnosis.name for diagnosis in found] == GPU[name]


@pytest.mark.parametrize("name", sorted(path.stem for path in (LOGS / "docker").glob("*.log")))
def test_every_log_of_docker_is_diagnosed(name: str) -> None:
    found = diagnosed(LOGS / "docker" / f"{name}.log", notes=DOCKER[name])
    assert [diagnosis.name for diagnosis in found] == DOCKER[name]


@pytest.mark.parametrize("name", sorted({path.name.split(".rank")[0] for path in (LOGS / "gpu-pair").glob("*.log")}))
def test_both_ranks_logs_of_two_gpus_are_diagnosed(name: str) -> None:
    expected = PAIR[name]
    found = diagnosed(*sorted((LOGS / "gpu-pair").glob(f"{name}.rank?.log")), notes=expected["diagnoses"])
    assert [diagnosis.name for diagnosis in found] == expected["diagnoses"]
    assert "rank" not in expected or found[0].evidence[0].rank == expected["rank"]
    if name.startswith("healthy") and "sockets" not in name:
        assert all(diagnosis.severity is Severity.NOTE for diagnosis in found)


@pytest.mark.parametrize(
    ("folder", "name"), [(folder, path.stem) for folder in OWN for path in sorted((LOGS / folder).glob("*.log"))]
)
def test_every_log_made_on_a_cpu_begins_with_what_was_done(folder: str, name: str) -> None:
    assert [diagnosis.name for diagnosis in diagnosed(LOGS / folder / f"{name}.log")][:1] == [OWN[folder][name]]


def test_the_healthy_rank_alone_decides_nothing_about_the_sick_one() -> None:
    """The loud log is not the sick node: rank 0 only saw its connection close."""
    [found] = diagnosed(LOGS / "cases" / "nccl-gid-empty" / "rank0.log")
    assert found.name == "nccl-peer-closed"
    assert found.missing is not None


def test_the_example_is_one_story() -> None:
    [found] = diagnosed(EXAMPLE)
    assert found.name == "nccl-reg-mr-enomem"
    assert [cause.name for cause in found.causes][:2] == ["memlock-limited", "kernel-cma-from-kho"]
    assert [line.line for line in found.evidence] == [11]
    assert {follower.name for follower in found.follows} == {
        "nccl-unhandled-system-error",
        "nccl-peer-closed",
        "nccl-remote-error",
        "vllm-worker-failed",
        "vllm-engine-failed",
    }
