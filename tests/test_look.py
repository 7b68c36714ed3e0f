"""What is looked at: which launch, which node, which machine a rank runs on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from sparkdoctor.ask import Ask
from sparkdoctor.errors import BadInput
from sparkdoctor.look import Look, look
from sparkdoctor.snapshot import Snapshot, to_json
from sparkdoctor.system import Recorded
from sparkdoctor.testing import healthy_host, healthy_spec

ROOT = Path(__file__).resolve().parents[1]
MACHINES = ROOT / "tests/machines"


def machine(name: str, text: str = "") -> Recorded:
    return Recorded(text or (MACHINES / f"{name}.ttar").read_text(), name)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "examples/dual-spark", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def nodes(found: Look) -> list[tuple[str, bool, str]]:
    """(name, was its machine looked at, its launch's title and .env file)."""
    return [
        (
            node.name,
            node.host is not None,
            f"{node.launch.spec.title} {node.launch.spec.env_file}" if node.launch else "",
        )
        for cluster in found.clusters
        for node in cluster.nodes
    ]


HEAD, WORKER = "compose.yaml (service vllm) head.env", "compose.yaml (service vllm) worker.env"


@pytest.mark.parametrize(
    ("here", "expected"),
    [
        ("spark-1", [("spark-1", True, HEAD), ("worker.env", False, WORKER)]),
        ("spark-2", [("head.env", False, HEAD), ("spark-2", True, WORKER)]),
        ("gpu-h100", [("head.env", False, HEAD), ("worker.env", False, WORKER)]),
    ],
)
def test_the_rank_of_this_machine_is_told_by_its_addresses(
    place: Path, here: str, expected: list[tuple[str, bool, str]]
) -> None:
    ask = Ask(targets=("worker.env", "head.env"), files=("compose.yaml",))
    assert nodes(look(ask, machine(here), {})) == expected


def test_one_rank_is_always_this_machines(place: Path) -> None:
    assert nodes(look(Ask(targets=("head.env",)), machine("gpu-h100"), {})) == [("gpu-host", True, HEAD)]


def test_a_folder_is_a_rank_with_its_own_env(place: Path) -> None:
    for name in ("head", "worker"):
        (place / name).mkdir()
        shutil.copy("compose.yaml", place / name)
        shutil.copy(f"{name}.env", place / name / ".env")
    found = look(Ask(targets=("worker", "head")), machine("spark-2"), {})
    assert nodes(found) == [
        ("head/.env", False, "head/compose.yaml (service vllm) head/.env"),
        ("spark-2", True, "worker/compose.yaml (service vllm) worker/.env"),
    ]


def test_a_compose_file_in_this_folder_is_taken_and_that_is_said(place: Path) -> None:
    (place / ".env").write_text((place / "head.env").read_text())
    found = look(Ask(), machine("spark-1"), {})
    assert found.chosen == "compose.yaml is in this folder"
    assert nodes(found) == [("spark-1", True, "compose.yaml (service vllm) .env")]


def test_without_any_launch_the_machine_alone_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert nodes(look(Ask(), machine("spark-1"), {})) == [("spark-1", True, "")]


def test_a_shell_that_is_set_up_for_nccl_is_taken_and_that_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = look(Ask(), machine("gpu-h100"), {})
    assert nodes(found) == [("gpu-host", True, "this shell ")]
    assert found.chosen == "this shell sets NCCL_*, VLLM_* or MASTER_ADDR"


def test_snapshots_stand_in_rank_order_and_two_of_one_name_apart(place: Path) -> None:
    for number in (0, 1):
        text = to_json(Snapshot(healthy_host(0), (healthy_spec(number),)))
        (place / f"{number}.json").write_text(text)
    found = look(Ask(targets=("1.json", "0.json")), machine("gpu-h100"), {})
    assert [node.name for node in found.clusters[0].nodes] == ["spark-1#2", "spark-1#1"]


def test_rank_files_and_snapshots_must_be_as_many(place: Path) -> None:
    (place / "0.json").write_text(to_json(Snapshot(healthy_host(0))))
    ask = Ask(targets=("0.json", "head.env", "worker.env"), files=("compose.yaml",))
    with pytest.raises(BadInput, match="2 rank files and 1 snapshots"):
        look(ask, machine("gpu-h100"), {})


def test_the_override_file_of_a_folder_is_taken_with_its_compose_file(place: Path) -> None:
    (place / "compose.override.yaml").write_text("services: {vllm: {shm_size: 1gb}}\n")
    found = look(Ask(env_files=("head.env",)), machine("spark-1"), {})
    launch = found.clusters[0].nodes[0].launch
    assert launch is not None
    assert launch.spec.shm_size is not None
    assert launch.spec.shm_size.where == "compose.override.yaml:1"


def test_patience_is_a_number_of_seconds(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPARKDOCTOR_PATIENCE", "300")
    assert nodes(look(Ask(targets=("head.env",)), machine("spark-1"), {})) == [("spark-1", True, HEAD)]
    monkeypatch.setenv("SPARKDOCTOR_PATIENCE", "long")
    with pytest.raises(BadInput, match="SPARKDOCTOR_PATIENCE is 'long'"):
        look(Ask(targets=("head.env",)), machine("spark-1"), {})
