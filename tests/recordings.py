"""Recorded machines for tests: those of tests/machines, and small ones written in place."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from sparkdoctor import archive
from sparkdoctor.archive import Entry
from sparkdoctor.system import Recorded

MACHINES = Path(__file__).parent / "machines"


def machine(name: str, changes: Mapping[str, str | Entry | None] | None = None) -> Recorded:
    """The machine tests/machines/NAME.ttar, with entries replaced (None takes one away)."""
    entries = archive.parse((MACHINES / f"{name}.ttar").read_bytes().decode(), name)
    return _recorded({**entries, **{path: _entry(change) for path, change in (changes or {}).items()}})


def files(entries: Mapping[str, str | Entry]) -> Recorded:
    """A machine that has these entries and nothing else."""
    return _recorded({path: _entry(entry) for path, entry in entries.items()})


def problem(words: str) -> Entry:
    """An entry for what could not be read."""
    return Entry(problem=words)


def absent(words: str = "No such file or directory") -> Entry:
    """An entry for what is not there."""
    return Entry(problem=words, absent=True)


def folder(*names: str) -> Entry:
    return Entry(folder=names)


def _entry(change: str | Entry | None) -> Entry | None:
    return Entry(text=change) if isinstance(change, str) else change


def _recorded(entries: dict[str, Entry | None]) -> Recorded:
    return Recorded(archive.render({path: entry for path, entry in entries.items() if entry is not None}))


@contextmanager
def unprivileged() -> Iterator[None]:
    """Whoever runs the tests is not root in here."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)
