"""Several logs at once: bad ones are named and lose nothing; repeats are counted; endings are kept."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

from sparkdoctor.logs.match import Matcher
from sparkdoctor.logs.scan import ENDING_LINES, KEPT, LOOK_BACK, Logs
from tests.entries import signature

MATCHER = Matcher([signature("known-line", "a known line"), signature("other-line", "another known")])


def logs(*paths: Path | str, stdin: bytes = b"") -> Logs:
    return Logs([str(path) for path in paths], MATCHER, io.BytesIO(stdin))


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_bad_files_do_not_lose_the_good_ones(tmp_path: Path) -> None:
    good = written(tmp_path / "good.log", "x\na known line\n")
    last = written(tmp_path / "last.log", "a known line\n")
    empty = written(tmp_path / "empty.log", "")
    several = logs(tmp_path / "none.log", good, empty, tmp_path, last)
    assert [(hit.file, hit.line) for hit in several.hits()] == [(str(good), 2), (str(last), 1)]
    assert [error.path for error in several.problems] == [str(tmp_path / "none.log"), str(empty), str(tmp_path)]
    assert [ending.file for ending in several.endings] == [str(good), str(last)]


def test_what_was_read_of_a_damaged_file_counts(tmp_path: Path) -> None:
    path = tmp_path / "cut.log.gz"
    noise = "".join(f"{number * 7919 % 10007} noise\n" for number in range(300_000))
    path.write_bytes(gzip.compress(("a known line\n" + noise).encode())[:-1000])
    several = logs(path)
    assert [hit.line for hit in several.hits()] == [1]
    assert "damaged or cut off" in several.problems[0].problem
    assert several.endings


def test_standard_input_has_a_name() -> None:
    several = logs("-", stdin=b"a known line\n")
    assert [hit.file for hit in several.hits()] == ["stdin"]


def test_a_log_named_twice_is_read_once(tmp_path: Path) -> None:
    path = written(tmp_path / "a.log", "a known line\n")
    assert len(list(logs(path, path).hits())) == 1


def test_a_storm_is_counted_and_not_kept(tmp_path: Path) -> None:
    path = written(tmp_path / "storm.log", "a known line\n" * 5000 + "another known\n" * 3)
    hits = list(logs(path).hits())
    assert len(hits) == KEPT + 1 + 3
    assert sum(hit.count for hit in hits if hit.signature == "known-line") == 5000
    assert [(hit.line, hit.count) for hit in hits if hit.count > 1] == [(5000, 5000 - KEPT)]


def test_a_storm_before_the_damage_counts(tmp_path: Path) -> None:
    path = tmp_path / "cut.log.gz"
    noise = "".join(f"{number * 7919 % 10007} noise\n" for number in range(300_000))
    path.write_bytes(gzip.compress(("a known line\n" * 500 + noise).encode())[:-1000])
    several = logs(path)
    assert sum(hit.count for hit in several.hits()) == 500
    assert "damaged or cut off" in several.problems[0].problem


def ending(text: str) -> tuple[bool, list[tuple[int, str]]]:
    several = logs("-", stdin=text.encode())
    list(several.hits())
    (last,) = several.endings
    return last.error_like, [(line.line, line.text) for line in last.lines]


def test_the_last_lines_that_look_like_errors() -> None:
    text = "".join(f"RuntimeError: number {number}\nINFO fine\n" for number in range(20)) + "INFO end\n\n"
    error_like, lines = ending(text)
    assert error_like
    assert lines == [(2 * number + 1, f"RuntimeError: number {number}") for number in range(20 - ENDING_LINES, 20)]


def test_the_very_last_lines_when_none_looks_like_one() -> None:
    error_like, lines = ending("one\ntwo\n\n   \nthree")
    assert not error_like
    assert lines == [(1, "one"), (2, "two"), (5, "three")]


def test_words_that_look_like_errors() -> None:
    for line in (
        "torch.OutOfMemoryError: CUDA out of memory",
        "bind: Address already in use (errno 98): failed",
        "Killed",
        "Aborted (core dumped)",
        "CRITICAL something",
        "ssh: connect to host spark-2 port 22: Connection refused",
    ):
        assert ending(f"a\n{line}\nb\n") == (True, [(2, line)])
    assert not ending("WARNING 11-23 failed to raise the limit\nNCCL INFO Could not find: libnccl-net.so: failed\n")[0]
    assert not ending("not an erroneous word; 3 errorless runs\n")[0]


def test_only_the_end_is_looked_at() -> None:
    assert not ending("Error: long ago\n" + "INFO x\n" * (LOOK_BACK + 1))[0]


def test_a_progress_bar_at_the_end() -> None:
    assert ending("x\r10%\r20% failed to load\r\n")[1] == [(1, "20% failed to load")]
