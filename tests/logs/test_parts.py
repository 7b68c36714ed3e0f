"""A log read in parts by several processes gives what it gives read in one go."""

from __future__ import annotations

import gzip
import itertools
import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sparkdoctor.logs import read, scan
from sparkdoctor.logs.match import Hit, Matcher
from sparkdoctor.logs.read import divide
from sparkdoctor.logs.scan import KEPT, Ending, Logs
from tests.entries import signature

MATCHER = Matcher(
    [
        signature("known-line", r"a known line (?P<number>\d{0,9})"),
        signature("other-line", "another known"),
        signature("rare-line", "once in a while"),
    ]
)
LINES = [
    b"a known line 7\n",
    b"another known\n",
    b"once in a while\n",
    b"Error: it failed\n",
    b"\n",
    b"plain words\r\n",
    b"\x1b[31mred\n",
    b"[2026-11-24 15:24:41] tick\n",
]


@pytest.fixture(autouse=True)
def _small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan, "MUCH", 1)
    monkeypatch.setattr(scan, "PART", 4096)
    monkeypatch.setattr(scan, "TAIL", 2048)
    monkeypatch.setattr(read, "READ", 512)
    monkeypatch.setattr(read, "BLOCK", 2048)
    monkeypatch.setattr(read, "OVERLAP", 64)
    monkeypatch.setattr("sparkdoctor.logs.forked.os.sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr("sparkdoctor.logs.forked._has_threads", lambda: False)


def both(*paths: Path) -> tuple[list[Hit], list[Ending], list[str]]:
    """What comes out, which is the same in one go and in parts."""
    logs = Logs([str(path) for path in paths], MATCHER)
    parted = list(logs.hits()), logs.endings, [str(problem) for problem in logs.problems]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scan, "MUCH", 1 << 40)
        logs = Logs([str(path) for path in paths], MATCHER)
        assert (list(logs.hits()), logs.endings, [str(problem) for problem in logs.problems]) == parted
    return parted


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def test_a_log_is_divided_at_newlines(tmp_path: Path) -> None:
    data = b"".join(b"line %d of many\n" % number for number in range(3000))
    path = written(tmp_path / "a.log", data)
    parts = divide(str(path), 4096)
    assert len(parts) > 5
    assert parts[0].start == 0
    assert parts[-1].end is None
    for part, following in itertools.pairwise(parts):
        assert part.end == following.start
        assert data[following.start - 1] == 0x0A
        assert 2048 < following.start - part.start < 6144


@pytest.mark.parametrize(
    "data",
    [
        gzip.compress(random.Random(1).randbytes(50_000)),
        "text\n".encode("utf-16") * 5000,
        b"a\0b\n" + b"text\n" * 5000,
        b'{"log":"text\\n","stream":"stdout","time":"2026-11-24T15:24:41.5Z"}\n' * 500,
        b"short\n",
        b"one long line " * 5000,
        b"",
    ],
)
def test_what_must_be_read_as_a_whole_is_not_divided(tmp_path: Path, data: bytes) -> None:
    path = written(tmp_path / "a.log", data)
    assert divide(str(path), 4096) == []
    both(path)


def test_what_cannot_be_read_is_not_divided(tmp_path: Path) -> None:
    for path in ("-", str(tmp_path), str(tmp_path / "none"), "a\0b", "/dev/null"):
        assert divide(path, 4096) == []


@given(st.integers(0, 2**32), st.sampled_from([100, 3000, 20_000]), st.floats(0, 1), st.booleans())
@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_same_as_in_one_go(tmp_path: Path, seed: int, length: int, share: float, overlong: bool) -> None:
    chance = random.Random(seed)
    lines = [
        chance.choice(LINES) if chance.random() < share else b"nothing of note %d\n" % n for n in range(length // 10)
    ]
    if overlong:
        lines.insert(chance.randrange(len(lines) + 1), b"x" * 3000 + b" another known " + b"y" * chance.randrange(9000))
    both(written(tmp_path / "a.log", b"".join(lines)))


def test_several_logs_good_and_bad(tmp_path: Path) -> None:
    big = b"".join(b"nothing %d\n" % number for number in range(3000))
    paths = [
        written(tmp_path / "first.log", big + b"a known line 1\n" + big + b"Error: no\n"),
        tmp_path / "none.log",
        written(tmp_path / "small.log", b"another known\n"),
        written(tmp_path / "packed.log.gz", gzip.compress(big + b"once in a while\n")),
        written(tmp_path / "cut.log.gz", gzip.compress(big + b"once in a while\n")[:-20]),
        written(tmp_path / "last.log", b"a known line 2\n" + big),
    ]
    hits, endings, problems = both(*paths)
    assert [(Path(hit.file).name, hit.line, hit.signature) for hit in hits] == [
        ("first.log", 3001, "known-line"),
        ("small.log", 1, "other-line"),
        ("packed.log.gz", 3001, "rare-line"),
        ("last.log", 1, "known-line"),
    ]
    assert [ending.lines[-1].line for ending in endings if "first" in ending.file] == [6002]
    assert len(problems) == 2


def test_a_storm_is_counted_over_all_parts(tmp_path: Path) -> None:
    hits, _, _ = both(written(tmp_path / "storm.log", b"a known line 5\n" * 7000 + b"another known\n" * 150))
    assert len(hits) == 2 * (KEPT + 1)
    assert sum(hit.count for hit in hits) == 7150
    assert [(hit.line, hit.count) for hit in hits if hit.count > 1] == [(7000, 6900), (7150, 50)]


def test_ends_of_very_many_logs_are_not_all_kept_in_memory(tmp_path: Path) -> None:
    logs = Logs([str(written(tmp_path / f"{number}.log", b"Error: %d\n" % number)) for number in range(50)], MATCHER)
    list(logs.hits())
    assert sum(bool(tail.blocks) for tail in logs._tails) < scan.WAITING
    assert [ending.lines[0].text for ending in logs.endings] == [f"Error: {number}" for number in range(50)]
