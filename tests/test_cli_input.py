"""Bad input: one clear line each, exit code 2, no traceback, and the good input beside it is not lost."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sparkdoctor.snapshot import Snapshot, to_json
from sparkdoctor.testing import healthy_host, healthy_spec

ROOT = Path(__file__).resolve().parents[1]
GOOD = (
    "spark-1:7:9 [0] misc/ibvwrap.cc:213 NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory\n"
)

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """sparkdoctor as a process of its own in an empty folder."""

    def start(*arguments: str, stdin: str | None = None) -> subprocess.CompletedProcess[str]:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(tmp_path / "config")}
        command = [sys.executable, "-m", "sparkdoctor", *arguments]
        return subprocess.run(
            command, cwd=tmp_path, env=env, input=stdin, capture_output=True, text=True, check=False, timeout=60
        )

    return start


def one_line(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    lines = done.stderr.splitlines()
    assert len(lines) == 1, lines
    return lines[0]


def make(kind: str, path: Path) -> None:
    match kind:
        case "empty":
            path.touch()
        case "binary":
            path.write_bytes(b"\x7fELF\x02\x01\x01\x00" + bytes(range(256)) * 40)
        case "folder":
            path.mkdir()
        case "sparse":
            with path.open("wb") as file:
                file.truncate(10 << 30)
        case "fifo":
            os.mkfifo(path)
        case "utf-16 without mark":
            path.write_bytes(GOOD.encode("utf-16-le"))


@pytest.mark.parametrize("kind", ["missing", "empty", "binary", "folder", "sparse", "fifo", "utf-16 without mark"])
def test_a_log_that_cannot_be_read_is_one_line_and_the_others_are_read(run: Run, tmp_path: Path, kind: str) -> None:
    make(kind, tmp_path / "bad.log")
    assert "bad.log" in one_line(run("explain", "bad.log"))
    (tmp_path / "good.log").write_text(GOOD)
    done = run("explain", "bad.log", "good.log", "--json")
    assert "bad.log" in one_line(done)
    assert [diagnosis["name"] for diagnosis in json.loads(done.stdout)["diagnoses"]] == ["nccl-reg-mr-enomem"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_a_log_without_permission(run: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.log").write_text(GOOD)
    (tmp_path / "bad.log").chmod(0)
    assert "permission denied" in one_line(run("explain", "bad.log"))


def test_a_utf_16_log_with_its_mark_is_read(run: Run, tmp_path: Path) -> None:
    (tmp_path / "a.log").write_bytes(GOOD.encode("utf-16"))
    done = run("explain", "a.log")
    assert done.returncode == 0, done.stderr
    assert "nccl-reg-mr-enomem" in done.stdout


def test_standard_input_is_a_log(run: Run) -> None:
    done = run("explain", "-", stdin=GOOD)
    assert done.returncode == 0, done.stderr
    assert "--> stdin:1" in done.stdout
    assert "nothing came in" in one_line(run("explain", "-", stdin=""))


def test_a_word_that_is_neither_name_nor_file(run: Run) -> None:
    assert "memlock-limited" in one_line(run("explain", "memlock-limted"))


COMPOSE = "services:\n  vllm:\n    image: x\n    gpus: all\n    environment:\n      MASTER_ADDR: "


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("compose.yaml", "services:\n  vllm: [\n", "compose.yaml:"),
        ("compose.yaml", COMPOSE + "${MASTER_ADDR:?head-node IP}\n", "head-node IP"),
        ("compose.yaml", "services: 7\n", "compose.yaml"),
        ("compose.yaml", "", "compose.yaml"),
        ("compose.yaml", "\x00\x01", "compose.yaml"),
    ],
)
def test_a_compose_file_that_cannot_be_used(run: Run, tmp_path: Path, name: str, text: str, told: str) -> None:
    (tmp_path / name).write_text(text)
    assert told in one_line(run("check"))
    assert told in one_line(run("check", "-f", name))
    assert told in one_line(run("collect", "-o", "x.json"))
    done = run("check", "--json")
    assert told in one_line(done)
    assert json.loads(done.stdout)["exit"] == 2
    assert told in json.loads(done.stdout)["error"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "not a snapshot"),
        ('{"schema": "sparkdoctor.snapshot/99"}', "this version reads"),
        ("", "not a snapshot"),
        ("[1, 2]", "not a snapshot"),
    ],
)
def test_a_snapshot_that_cannot_be_used(run: Run, tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "a.json").write_text(text)
    (tmp_path / "good.json").write_text(to_json(Snapshot(healthy_host(), (healthy_spec(),))))
    assert told in one_line(run("check", "--from", "a.json"))
    assert told in one_line(run("check", "--from", "good.json", "a.json"))


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "--from", "nowhere.json"),
        ("check", "nowhere"),
        ("check", "--select", "memlok"),
        ("check", "--container", "nowhere"),
        ("check", "--pid", "999999999"),
        ("check", "-f", "nowhere.yaml"),
        ("list", "nowhere"),
        ("collect", "-o", "/nonexistent/x.json"),
        ("check", "--machine", "nowhere.ttar"),
    ],
)
def test_what_does_not_exist_is_named(run: Run, arguments: tuple[str, ...]) -> None:
    assert arguments[-1] in one_line(run(*arguments))


def test_options_that_do_not_go_together(run: Run, tmp_path: Path) -> None:
    (tmp_path / "good.json").write_text(to_json(Snapshot(healthy_host())))
    assert "--container" in one_line(run("check", "--from", "good.json", "--container", "vllm"))
    assert "--file" in one_line(run("check", "--from", "good.json", "-f", "compose.yaml"))


def test_a_launch_that_lies_here_by_chance_does_not_keep_logs_from_being_explained(run: Run, tmp_path: Path) -> None:
    (tmp_path / "compose.yaml").write_text(COMPOSE + "${MASTER_ADDR:?head-node IP}\n")
    (tmp_path / "good.log").write_text(GOOD)
    done = run("explain", "good.log", "--here")
    assert (done.returncode, done.stderr) == (0, "")
    assert "without a launch (compose.yaml:6: required variable MASTER_ADDR" in " ".join(done.stdout.split())
    assert "head-node IP" in one_line(run("explain", "good.log", "--file", "compose.yaml"))


def test_a_folder_since_when_and_the_timeline(run: Run, tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a.log").write_text(f"[2026-11-24 15:24:41] {GOOD}")
    done = run("explain", "logs", "--timeline", "--since", "2026-11-24T15:00:00Z")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(
        "timeline, from 2026-11-24 15:24:41\n+0.000 s  spark-1  logs/a.log:1  cause[nccl-reg-mr-enomem]"
    )
    assert run("explain", "logs", "--since", "2026-11-24T16:00:00Z").returncode == 1
    assert "--since never" in one_line(run("explain", "logs", "--since", "never"))
    assert "name a log" in run("explain").stderr
    assert "unit:a b: 'a b' is no name of a unit" in one_line(run("explain", "--unit", "a b"))
