"""`explain LOG` without click: the same answers, and only the imports it needs."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sparkdoctor.start import plain_logs

ROOT = Path(__file__).resolve().parents[1]
MEMLOCK = str(ROOT / "examples/logs/memlock.log")

QUICK = "import sys; sys.argv[0] = 'sparkdoctor'; from sparkdoctor.start import main; main()"
BY_CLICK = "import sys; sys.argv[0] = 'sparkdoctor'; from sparkdoctor.cli import main; main()"


def run(code: str, *words: str, stdin: str = "", **env: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *words]
    variables = {**os.environ, "PYTHONPATH": str(ROOT), **env}
    return subprocess.run(
        command, input=stdin, capture_output=True, text=True, check=False, env=variables, cwd="/", timeout=100
    )


@pytest.fixture(scope="module")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("logs")
    (folder / "fine.log").write_text("INFO all is well\n" * 50)
    (folder / "unknown.log").write_text("INFO x\nRuntimeError: \x1b[2Jnobody knows\n")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ["{memlock}"],
        ["{memlock}", "--json"],
        ["-v", "{memlock}", "{logs}/fine.log"],
        ["{logs}"],
        ["{logs}/unknown.log", "--verbose"],
        ["{logs}/unknown.log", "--json"],
        ["{logs}/none.log"],
        ["{logs}/none.log", "--json", "{memlock}"],
        ["{logs}/*.log"],
        ["-"],
    ],
)
def test_both_ways_say_the_same(words: list[str], logs: Path) -> None:
    words = ["explain", *(word.format(memlock=MEMLOCK, logs=logs) for word in words)]
    assert plain_logs(words)[0]
    quick, by_click = (run(code, *words, stdin="RuntimeError: from a pipe\n") for code in (QUICK, BY_CLICK))
    assert (quick.stdout, quick.stderr, quick.returncode) == (by_click.stdout, by_click.stderr, by_click.returncode)
    assert quick.stdout or quick.stderr


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_input_that_cannot_be_used_is_one_line(json: list[str]) -> None:
    for code in (QUICK, BY_CLICK):
        done = run(code, "explain", MEMLOCK, *json, SPARKDOCTOR_ENGINE="steam")
        assert done.returncode == 2
        assert done.stderr == "sparkdoctor: SPARKDOCTOR_ENGINE=steam names no engine; there are python and native\n"
        assert ('"error"' in done.stdout) is bool(json)


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--help"],
        ["explain"],
        ["explain", "memlock-limited"],
        ["explain", "README"],
        ["explain", "--help"],
        ["explain", "a.log", "--color", "always"],
        ["explain", "a.log", "--here"],
        ["explain", "--from", "a.json", "a.log"],
        ["explain", "-f", "a.log"],
        ["explain", "--", "a.log"],
        ["explain", "-vv", "a.log"],
        ["explain", "--jso", "a.log"],
        ["check", "a.log"],
        ["explain", ""],
    ],
)
def test_all_else_is_for_click(words: list[str]) -> None:
    assert plain_logs(words)[0] == []


def test_completions_are_for_click(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plain_logs(["explain", "a.log"])[0]
    monkeypatch.setenv("_SPARKDOCTOR_COMPLETE", "bash_complete")
    assert not plain_logs(["explain", "a.log"])[0]


def test_a_reader_that_has_read_enough() -> None:
    command = f"{sys.executable} -m sparkdoctor explain {MEMLOCK} | true"
    done = subprocess.run(
        ["bash", "-c", f"{command}; exit ${{PIPESTATUS[0]}}"], capture_output=True, text=True, check=False, cwd=ROOT
    )
    assert (done.returncode, done.stderr) == (0, "")


NEVER = {
    "click", "rich", "yaml", "docker", "requests", "pyroute2", "pynvml", "psutil", "packaging", "importlib.metadata",
    "importlib.resources", "tomllib", "difflib", "inspect", "traceback", "hashlib", "dataclasses", "statistics",
    "asyncio", "threading", "logging", "tempfile", "shutil", "argparse", "sparkdoctor.look", "sparkdoctor.facts",
    "sparkdoctor.cli", "sparkdoctor.checks", "sparkdoctor.nccl", "sparkdoctor.launch.compose",
}  # fmt: skip


@pytest.mark.parametrize("words", [[], ["--json"]])
def test_the_second_explanation_imports_little(words: list[str], tmp_path: Path) -> None:
    """Counted, not timed: what is in here is most of what a run costs."""
    machine = "import sparkdoctor.explaining as e; e._cannot_run_models = lambda _: True; "  # whatever this one is
    code = (
        f"import os, sys; sys.argv[0] = 'sparkdoctor'; {machine}leave = os._exit\n"
        "os._exit = lambda code: (print(*sys.modules, file=sys.stderr, flush=True), leave(code))\n"
        "from sparkdoctor.start import main; main()"
    )
    env = {"XDG_CACHE_HOME": str(tmp_path), "FORCE_COLOR": "", "TTY_COMPATIBLE": "", "TTY_INTERACTIVE": ""}
    first = run(code, "explain", MEMLOCK, *words, **env)
    second = run(code, "explain", MEMLOCK, *words, **env)
    assert second.stdout == first.stdout
    assert "memlock-limited" in second.stdout
    modules = set(second.stderr.split())
    assert "sparkdoctor.explaining" in modules
    if "typing_extensions" in modules:  # msgspec takes it where it is installed, which no package of ours asks for
        modules -= {"inspect", "ast", "dis"}
    assert modules & NEVER == set()
    assert len(modules) < 170
