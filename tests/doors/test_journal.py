"""journalctl for one unit. A script stands in for journalctl: the tests' machine may have no journal."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkdoctor.doors import journal
from sparkdoctor.system import DoorClosed, Live, Recorded

EXPORT = Path(__file__).parent.parent / "logs" / "forms" / "journal.export"


def journalctl(folder: Path, monkeypatch: pytest.MonkeyPatch, script: str) -> None:
    path = folder / "journalctl"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")


def read_all(log: journal.UnitLog) -> bytes:
    return b"".join(iter(lambda: log.read(1 << 16), b""))


def test_the_entries_of_a_unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journalctl(tmp_path, monkeypatch, f'echo "$@" > {tmp_path}/asked; cat {EXPORT}')
    log = journal.log("vllm.service", 1795533881.0)
    assert read_all(log) == EXPORT.read_bytes()
    log.close()
    asked = (tmp_path / "asked").read_text().split()
    assert {"--unit=vllm.service", "--since=@1795533881", "--output=export"} <= set(asked)


def test_a_failure_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journalctl(tmp_path, monkeypatch, "echo 'No journal files were opened' >&2; exit 1")
    log = journal.log("vllm", None)
    with pytest.raises(OSError, match="exit code 1: No journal files were opened"):
        read_all(log)
    log.close()


def test_what_takes_too_long_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    journalctl(tmp_path, monkeypatch, "exec sleep 600")
    monkeypatch.setattr(journal, "LIMIT", 0.2)
    log = journal.log("vllm", None)
    with pytest.raises(OSError, match=r"did not end within 0\.2 s"):
        read_all(log)
    log.close()


@pytest.mark.parametrize("name", ["", "-f", "a b", "*", "vllm\n", "a/b", "x" * 300])
def test_a_name_that_is_none_is_refused(name: str) -> None:
    with pytest.raises(DoorClosed, match="no name of a unit"):
        journal.log(name, None)


def test_no_journalctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(DoorClosed, match="not installed"):
        journal.log("vllm", None)


def test_only_this_machine_has_such_logs() -> None:
    for system in (Recorded(""), Live("/nonexistent")):
        with pytest.raises(DoorClosed):
            system.log("container", "vllm", None)
        with pytest.raises(DoorClosed):
            system.log("unit", "vllm", None)
