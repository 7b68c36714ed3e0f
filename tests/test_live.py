"""`explain --follow` and `run` as processes: real pipes, real signals, real exit codes."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sparkdoctor.ask import Ask
from sparkdoctor.diagnose import Diagnosis
from sparkdoctor.explaining import Case
from sparkdoctor.following import Watch
from sparkdoctor.logs.follow import News
from sparkdoctor.logs.phases import Stop
from sparkdoctor.logs.read import Block
from sparkdoctor.system import Live
from tests.doors.engine import Chunks, engine, frame
from tests.doors.test_docker import ANSWERS, with_log

ROOT = Path(__file__).parent.parent
HEAD = (ROOT / "tests" / "logs" / "healthy" / "vllm-two-ranks-head.log").read_text().splitlines()
FAILED = ROOT / "examples" / "logs" / "memlock.log"
COMMAND = [sys.executable, "-m", "sparkdoctor"]
OURS = ("--machine", str(ROOT / "tests" / "machines" / "spark-1.ttar"))


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(tmp_path / "config"), "COLUMNS": "100"}


@pytest.fixture
def started(tmp_path: Path, environment: dict[str, str]) -> Iterator[object]:
    processes: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, stdin: int = subprocess.DEVNULL) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [*COMMAND, *arguments],
            cwd=tmp_path,
            env=environment,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        processes.append(process)
        return process

    yield start
    for process in processes:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()


def case() -> Case:
    return Case((), ask=Ask(machine_only=True), system=Live(), environ={}, here=False)


class Listener:
    """A Watch whose clock is ours."""

    def __init__(self, hang_after: float | None = None) -> None:
        self.now = 0.0
        self.said: list[Diagnosis | Stop] = []
        self.watch = Watch(case(), self.said.append, hang_after=hang_after, clock=lambda: self.now)
        self._line = 1

    def hear(self, *lines: str) -> None:
        data = "".join(f"{line}\n" for line in lines).encode()
        self.watch.hear([News("x.log", Block(self._line, data))] if lines else [])
        self._line += len(lines)

    def hangs(self) -> list[tuple[str, float | None]]:
        return [(stop.phase, stop.silent) for stop in self.said if isinstance(stop, Stop)]


def upto(text: str) -> list[str]:
    return HEAD[: next(at for at, line in enumerate(HEAD) if text in line) + 1]


def test_each_diagnosis_is_said_once_and_what_follows_is_not() -> None:
    listener = Listener()
    for line in FAILED.read_text().splitlines() * 2:
        listener.hear(line)
    names = [found.name for found in listener.said if isinstance(found, Diagnosis)]
    assert names[0] == "nccl-reg-mr-enomem"
    assert len(names) == len(set(names))


def test_silence_in_a_phase_is_said_once_a_phase() -> None:
    listener = Listener()
    listener.hear(*upto("Starting to load model"))
    listener.now = 599.0
    listener.hear()
    assert listener.hangs() == []
    listener.now = 600.0
    listener.hear()
    listener.now = 1200.0
    listener.hear()
    assert listener.hangs() == [("weights-loading", 600.0)]


def test_lines_and_progress_are_no_silence_and_waiting_is() -> None:
    listener = Listener(hang_after=60.0)
    listener.hear(*upto("Starting to load model"))
    listener.now = 50.0
    listener.hear("anything")
    listener.now = 100.0
    listener.hear("(EngineCore pid=300) INFO 11-23 16:22:03 [shm_broadcast.py:112] No available shared memory broadcast"
                  " block found in 60 seconds.")  # fmt: skip
    assert listener.hangs() == []
    listener.now = 110.0
    listener.hear()
    assert listener.hangs() == [("weights-loading", 60.0)]


def test_a_server_that_serves_may_be_silent() -> None:
    listener = Listener(hang_after=1.0)
    listener.hear(*HEAD)
    listener.now = 1e6
    listener.hear()
    assert listener.hangs() == []


def test_a_launch_that_failed_is_not_said_to_hang() -> None:
    listener = Listener(hang_after=1.0)
    listener.hear(*upto("Starting to load model"), *FAILED.read_text().splitlines())
    listener.now = 1e6
    listener.hear()
    assert listener.hangs() == []


def test_a_pipe_is_followed_and_told_of_before_it_ends(started) -> None:  # type: ignore[no-untyped-def]
    process = started("explain", "--follow", "--json", "-", *OURS, stdin=subprocess.PIPE)
    process.stdin.write(FAILED.read_bytes())
    process.stdin.flush()
    first = json.loads(process.stdout.readline())  # comes while the pipe is open
    assert (first["event"], first["found"]["name"]) == ("diagnosis", "nccl-reg-mr-enomem")
    process.stdin.close()
    last = [json.loads(line) for line in process.stdout][-1]
    assert (last["event"], last["exit"], process.wait()) == ("end", 0, 0)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_with_the_summary(started, tmp_path: Path, number: signal.Signals) -> None:  # type: ignore[no-untyped-def]
    log = tmp_path / "x.log"
    log.write_bytes(FAILED.read_bytes())
    process = started("explain", "-f", "--json", "x.log", *OURS)
    assert json.loads(process.stdout.readline())["event"] == "diagnosis"
    process.send_signal(number)
    events = [json.loads(line)["event"] for line in process.stdout]
    assert (events[-1], process.wait()) == ("end", 0)


def told(process: subprocess.Popen[bytes]) -> list[str]:
    """What is said until a diagnosis is, and until the end once SIGINT has come."""
    assert process.stdout is not None
    first = json.loads(process.stdout.readline())
    process.send_signal(signal.SIGINT)
    last = [json.loads(line) for line in process.stdout][-1]
    assert (first["event"], last["event"], process.wait()) == ("diagnosis", "end", 0), process.stderr
    return [first["found"]["name"], *{line["file"] for one in last["diagnoses"] for line in one["evidence"]}]


def test_a_container_is_followed(started, environment, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """The engine is the stand-in of tests/doors/engine.py, because Docker may not run here."""
    lines = FAILED.read_bytes().splitlines(keepends=True)
    log = Chunks(*(frame(2, b"2026-11-23T15:14:00.5Z " + line) for line in lines[:3]))
    with engine(tmp_path, ANSWERS | with_log(log, terminal=False)) as host:
        environment["DOCKER_HOST"] = host
        process = started("explain", "-f", "--json", "--container", "vllm", "--since", "2026-11-23T15:00:00Z")
        for line in lines[3:12]:
            log.put(frame(1, b"2026-11-23T15:14:29.5Z " + line))
        assert told(process) == ["nccl-reg-mr-enomem", "container:vllm"]
        log.end()
    assert "follow=1" in log.asked
    assert "since=1795446000" in log.asked


REMOTE = Path("/lib/systemd/systemd-journal-remote")


@pytest.mark.skipif(not (REMOTE.exists() and shutil.which("journalctl")), reason="needs systemd-journal-remote")
def test_a_unit_is_followed(started, environment, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    """A real journal, written entry by entry; only where it lies is told to journalctl by a script."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin/journalctl").write_text(
        f'#!/bin/sh\nexec {shutil.which("journalctl")} --directory={tmp_path} "$@"\n'
    )
    (tmp_path / "bin/journalctl").chmod(0o755)
    environment["PATH"] = f"{tmp_path}/bin:{environment['PATH']}"

    def entry(at: int, text: str, unit: str = "vllm.service") -> bytes:
        time = 1795446000_000000 + at * 1_000_000
        fields = {
            "__REALTIME_TIMESTAMP": time, "__MONOTONIC_TIMESTAMP": at * 1_000_000 + 1, "_BOOT_ID": "2" * 32,
            "_SYSTEMD_UNIT": unit, "_HOSTNAME": "spark-2", "SYSLOG_IDENTIFIER": "vllm", "MESSAGE": text,
        }  # fmt: skip
        return "".join(f"{name}={value}\n" for name, value in fields.items()).encode() + b"\n"

    lines = [line.partition("| ")[2] for line in FAILED.read_text().splitlines()]
    with subprocess.Popen(
        [REMOTE, "--output", tmp_path / "x.journal", "-"], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as writer:
        assert writer.stdin is not None
        # Before --since, and of another unit: neither is told.
        writer.stdin.write(entry(0, "CUDA error: out of memory") + entry(61, "CUDA error: out of memory", "x.service"))
        writer.stdin.flush()
        while not (tmp_path / "x.journal").exists():
            time.sleep(0.01)
        process = started("explain", "-f", "--json", "--unit", "vllm", "--since", "2026-11-23T15:01:00Z")
        for number, line in enumerate(filter(None, lines)):
            writer.stdin.write(
                entry(100 + number, f"\x1b[36m{line}\x1b[0m")
            )  # a binary field in what journalctl prints
            writer.stdin.flush()
        assert told(process) == ["nccl-reg-mr-enomem", "unit:vllm"]


def test_a_file_since_when_and_its_timeline(started, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    log = tmp_path / "x.log"
    old = "[2026-11-22 15:14:29] spark-2:327:327 [0] NCCL INFO x\n2026-11-22 10:00:00 CUDA error: out of memory\n"
    log.write_text(old + FAILED.read_text())
    process = started("explain", "-f", "x.log", "--timeline", "--since", "2026-11-23T00:00:00Z", *OURS)
    assert process.stdout.readline() == b"cause[nccl-reg-mr-enomem] NCCL could not pin memory for the NIC\n"
    process.send_signal(signal.SIGINT)
    rest = process.stdout.read().decode()
    assert "\ntimeline, from 2026-11-23 15:14:29\n+0.000 s  spark-2  x.log:13  cause[nccl-reg-mr-enomem]" in rest
    assert "out of memory" not in rest


def run_it(environment: dict[str, str], tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, "run", *arguments], cwd=tmp_path, env=environment, capture_output=True, check=False
    )


PYTHON = ("--force", "--", sys.executable, "-c")


def test_the_output_goes_through_unchanged_and_the_code_is_kept(environment: dict[str, str], tmp_path: Path) -> None:
    code = r"import sys, os; os.write(1, b'\x1b[31mred\xff\r\n' * 9999); os.write(2, b'err'); sys.exit(7)"
    done = run_it(environment, tmp_path, *PYTHON, code)
    assert done.stdout == b"\x1b[31mred\xff\r\n" * 9999
    assert b"err" in done.stderr
    assert done.returncode == 7


def test_a_failure_is_explained(environment: dict[str, str], tmp_path: Path) -> None:
    code = f"import sys; sys.stderr.write(open({str(FAILED)!r}).read()); sys.exit(1)"
    done = run_it(environment, tmp_path, *PYTHON, code)
    assert done.returncode == 1
    assert done.stdout == b""
    assert done.stderr.count(b"cause[nccl-reg-mr-enomem]") == 1


def test_a_signal_from_elsewhere_is_passed_on(started) -> None:  # type: ignore[no-untyped-def]
    code = "import signal, sys; signal.signal(signal.SIGTERM, lambda *_: sys.exit(9)); print('up', flush=True); signal.pause()"
    process = started("run", *PYTHON, code)
    assert process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGTERM)
    assert process.wait() == 9


def test_a_command_that_dies_of_a_signal(environment: dict[str, str], tmp_path: Path) -> None:
    code = "import os, signal; os.kill(os.getpid(), signal.SIGKILL)"
    assert run_it(environment, tmp_path, *PYTHON, code).returncode == 128 + signal.SIGKILL


def test_a_process_left_behind_does_not_keep_us(environment: dict[str, str], tmp_path: Path) -> None:
    code = "import subprocess, sys; print(subprocess.Popen(['sleep', '1000']).pid)"
    done = run_it(environment, tmp_path, *PYTHON, code)
    os.kill(int(done.stdout), signal.SIGKILL)
    assert done.returncode == 0


@pytest.mark.parametrize(
    ("command", "code"), [(("--force", "--", "./no-such"), 127), (("--force", "--", "/dev/null"), 126)]
)
def test_a_command_that_cannot_be_started(
    environment: dict[str, str], tmp_path: Path, command: tuple[str, ...], code: int
) -> None:
    assert run_it(environment, tmp_path, *command).returncode == code


def test_a_problem_found_before_keeps_the_command_from_starting(environment: dict[str, str], tmp_path: Path) -> None:
    """The launch file asks for a tensor parallel size that its nodes do not have."""
    (tmp_path / "compose.yaml").write_text(
        "services:\n  vllm:\n    image: vllm/vllm-openai:v0.32.0\n"
        "    command: vllm serve m --nnodes 2 --node-rank 5 --master-addr 192.0.2.1 --tensor-parallel-size 2\n"
    )
    refused = run_it(environment, tmp_path, "--select", "rank-out-of-range", "--", "touch", "ran")
    assert refused.returncode == 125
    assert not (tmp_path / "ran").exists()
    assert b"--force" in refused.stderr
    forced = run_it(environment, tmp_path, "--select", "rank-out-of-range", "--force", "--", "touch", "ran")
    assert forced.returncode == 0
    assert (tmp_path / "ran").exists()


def test_a_key_at_the_terminal_reaches_the_command_once(environment: dict[str, str], tmp_path: Path) -> None:
    """The terminal sends SIGINT to the whole process group, so it must not be passed on as well: docker compose takes
    the second one for an order to kill."""
    code = (
        "import signal, sys, time; got = []; signal.signal(signal.SIGINT, lambda *_: got.append(1))\n"
        "print('up', flush=True)\n"
        "while not got: time.sleep(0.01)\n"
        "signal.sigtimedwait([signal.SIGUSR1], 1)\n"  # time for a second one
        "print('got', len(got), flush=True)"
    )
    ours, theirs = os.openpty()
    name = os.ttyname(theirs)
    wrapped = shlex.join([*COMMAND, "run", *PYTHON, code])
    process = subprocess.Popen(
        ["sh", "-c", f"exec < {name}; exec {wrapped}"],  # the leader of a session gets the terminal that it opens
        cwd=tmp_path,
        env=environment,
        start_new_session=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    )
    with process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"up\n"
        os.write(ours, b"\x03")
        assert process.stdout.read() == b"got 1\n"
    os.close(ours)
    os.close(theirs)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--container", "x"), "container:x: there is no /nowhere (Docker is not installed or not running)"),
        (("--unit", "a b", "x.log"), "unit:a b: 'a b' is no name of a unit"),
        (("--since", "never", "-"), "--since never is neither a duration (90s, 30m, 2h, 1d) nor a date and time"),
    ],
)
def test_what_cannot_be_followed_is_said_at_once(
    environment: dict[str, str], tmp_path: Path, arguments: tuple[str, ...], said: str
) -> None:
    done = subprocess.run(
        [*COMMAND, "explain", "-f", *arguments],
        cwd=tmp_path,
        env=environment | {"DOCKER_HOST": "unix:///nowhere"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"sparkdoctor: {said}")
    assert done.stderr.count("\n") == 1


def test_nothing_to_follow(environment: dict[str, str]) -> None:
    done = subprocess.run([*COMMAND, "explain", "-f"], env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "name a log, a folder of logs, --container or --unit" in done.stderr
