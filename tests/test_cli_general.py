"""What is printed for failures that no signature names."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from inline_snapshot import snapshot

ROOT = Path(__file__).resolve().parents[1]

PYTHON = """\
(Worker_TP1 pid=377) INFO 11-24 10:00:00 [odd.py:3] Loading the odd things
(Worker_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7] Traceback (most recent call last):
(Worker_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7]   File "/usr/lib/python3.12/site-packages/oddlib/core.py", line 33, in load
(Worker_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7]     raise OddError(f"cannot make sense of {path}")
(Worker_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7] oddlib.errors.OddError: cannot make sense of /models/odd.bin
(Worker_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7]
(Worker_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7] During handling of the above exception, another exception occurred:
(Worker_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7]
(Worker_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7] Traceback (most recent call last):
(Worker_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7]   File "/opt/odd/serve.py", line 3, in main
(Worker_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7] RuntimeError: the odd thing did not start
"""


def run(tmp_path: Path, text: str, *options: str) -> str:
    (tmp_path / "odd.log").write_text(text)
    done = subprocess.run(
        [sys.executable, "-m", "sparkdoctor", "explain", "odd.log", *options],
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(tmp_path), "COLUMNS": "100", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr == ""
    return re.sub(r"the \d+ known", "the N known", f"[exit {done.returncode}]\n{done.stdout}")


def test_an_unknown_python_error(tmp_path: Path) -> None:
    assert run(tmp_path, PYTHON) == snapshot("""\
[exit 1]
warning[unknown-python-error] OddError: cannot make sense of /models/odd.bin
  --> odd.log:5 (rank 1, 2026-11-24 10:00:07)
   | …) ERROR 11-24 10:00:07 [odd.py:7] oddlib.errors.OddError: cannot make sense of /models/odd.bin
   why: No signature names this failure; this is read off the line itself. The first exception is
        oddlib.errors.OddError, raised at /usr/lib/python3.12/site-packages/oddlib/core.py:33 in
        load. Handling it led to others, the last on line 11: RuntimeError: the odd thing did not
        start.
   next: compare the version of oddlib, where it runs, with what the message asks for:
          python3 -m pip show oddlib

none of the N known signatures explains how odd.log ends
the last lines that look like errors, odd.log:
     7 | …24 10:00:07 [odd.py:7] During handling of the above exception, another exception occurred:
     8 | (Worker_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7]
     9 | (Worker_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7] Traceback (most recent call last):
    10 | …r_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7]   File "/opt/odd/serve.py", line 3, in main
    11 | …ker_TP1 pid=377) ERROR 11-24 10:00:07 [odd.py:7] RuntimeError: the odd thing did not start
a failure that is not known yet is worth a report, with these lines
""")


def test_an_unknown_end(tmp_path: Path) -> None:
    assert run(tmp_path, "vllm-1  | started\nvllm-1 exited with code 159\n") == snapshot("""\
[exit 1]
warning[unknown-exit-159] exit code 159: SIGSYS
  --> odd.log:2
   | vllm-1 exited with code 159
   why: No signature names this failure; this is read off the line itself. Exit code 159: ended by
        SIGSYS: it made a system call that a filter (seccomp) forbids (look at --security-opt
        seccomp). An exit code or signal alone does not say why.
   next: look for what the process said before, and for the kernel's line about it:
          journalctl --dmesg --no-pager | grep -iE 'segfault|traps:|fatal signal|Xid'
          coredumpctl list --no-pager
          df -h /dev/shm
   see: https://man7.org/linux/man-pages/man7/signal.7.html

none of the N known signatures explains how odd.log ends
no line looks like an error; the last ones, odd.log:
     1 | vllm-1  | started
     2 | vllm-1 exited with code 159
a failure that is not known yet is worth a report, with these lines
""")


def test_an_unknown_panic(tmp_path: Path) -> None:
    line = "odd-1  | thread 'odd-worker' panicked at src/odd.rs:7:5:\nodd-1  | nobody knows this\n"
    assert run(tmp_path, line) == snapshot("""\
[exit 1]
warning[unknown-panic] panic: nobody knows this at src/odd.rs:7:5
  --> odd.log:1
   | odd-1  | thread 'odd-worker' panicked at src/odd.rs:7:5:
   why: No signature names this failure; this is read off the line itself. The program (Rust or Go)
        ended itself because of a state that it does not expect.
   next: run it once more with its stack shown:
          export RUST_BACKTRACE=1 GOTRACEBACK=all

none of the N known signatures explains how odd.log ends
no line looks like an error; the last ones, odd.log:
     1 | odd-1  | thread 'odd-worker' panicked at src/odd.rs:7:5:
     2 | odd-1  | nobody knows this
a failure that is not known yet is worth a report, with these lines
""")


def test_as_json(tmp_path: Path) -> None:
    told = run(tmp_path, PYTHON, "--json")
    document = json.loads(told.partition("\n")[2])
    (found,) = document["diagnoses"]
    assert (document["exit"], found["name"], found["general"]) == (1, "unknown-python-error", True)
    assert (found["evidence"][0]["line"], found["evidence"][0]["rank"]) == (5, 1)
    assert document["timeline"][0]["line"]["process"] == "Worker_TP1"


@pytest.mark.parametrize("option", ["--summary", "--timeline", "-v"])
def test_with_other_options(tmp_path: Path, option: str) -> None:
    told = run(tmp_path, PYTHON, option)
    assert told.startswith("[exit 1]\n")
    assert "unknown-python-error" in told
