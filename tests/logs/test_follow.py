"""Real files that are appended to, rotated and truncated while they are followed; nothing waits for a fixed time."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, cast

import pytest

from sparkdoctor.logs.follow import Feed, Follow, News, Sign, WrittenFile
from sparkdoctor.logs.read import Block, LogError

DEADLINE = 30.0
"""Seconds after which something never happens; nothing is measured by it."""


class Reader:
    """Collects what a Follow brings, until it is told what to wait for."""

    def __init__(self, follow: Follow) -> None:
        self.follow = follow
        self.news: list[News] = []
        self._batches: Iterator[object] = iter(self._collected())

    def _collected(self) -> Iterator[None]:
        for batch in self.follow.batches():
            self.news += batch
            yield

    def until(self, done: Callable[[], bool]) -> None:
        end = time.monotonic() + DEADLINE
        while not done():
            assert time.monotonic() < end, self.news
            next(self._batches, None)

    def lines(self, name: str) -> list[tuple[int, str]]:
        blocks = [news.what for news in self.news if news.name == name and isinstance(news.what, Block)]
        return [
            (block.first + offset, text)
            for block in blocks
            for offset, text in enumerate(block.data.decode().splitlines())
        ]

    def ended(self, name: str) -> bool:
        return News(name, Sign.END) in self.news

    def finish(self) -> None:
        self.follow.stopped.set()
        for _ in self._batches:
            pass


@pytest.fixture
def follow() -> Iterator[Follow]:
    follow = Follow()
    yield follow
    follow.stopped.set()


def append(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


def test_what_is_there_and_what_is_appended(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "x.log"
    path.write_text("one\n")
    follow.add_path(str(path))
    reader = Reader(follow)
    reader.until(lambda: reader.lines(str(path)) == [(1, "one")])
    append(path, "two\nthr")
    reader.until(lambda: (2, "two") in reader.lines(str(path)))
    append(path, "ee\n")
    reader.until(lambda: (3, "three") in reader.lines(str(path)))
    append(path, "no newline")
    reader.finish()
    assert reader.lines(str(path)) == [(1, "one"), (2, "two"), (3, "three"), (4, "no newline")]


def test_a_rotated_file_is_read_to_its_end_and_then_the_new_one(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "x.log"
    path.write_text("one\n")
    follow.add_path(str(path))
    reader = Reader(follow)
    reader.until(lambda: (1, "one") in reader.lines(str(path)))
    path.rename(tmp_path / "x.log.1")
    append(tmp_path / "x.log.1", "late\n")  # its writer has not noticed yet
    reader.until(lambda: (2, "late") in reader.lines(str(path)))
    path.write_text("new\n")
    reader.until(lambda: (1, "new") in reader.lines(str(path)))
    assert reader.lines(str(path)) == [(1, "one"), (2, "late"), (1, "new")]


@pytest.mark.parametrize("text", ["new\n", "something longer than what was there before\n"], ids=["shorter", "longer"])
def test_a_truncated_file_begins_anew(tmp_path: Path, follow: Follow, text: str) -> None:
    path = tmp_path / "x.log"
    path.write_text("one\ntwo\nthree\n")
    follow.add_path(str(path))
    reader = Reader(follow)
    reader.until(lambda: len(reader.lines(str(path))) == 3)
    path.write_text(text)  # the same file: truncated, then written
    reader.until(lambda: (1, text.strip()) in reader.lines(str(path)))


def test_a_file_written_over_right_after_it_was_read(tmp_path: Path) -> None:
    path = tmp_path / "x.log"
    path.write_text("one\n")
    with path.open("rb", buffering=0) as file:
        growing = WrittenFile(str(path), cast(BinaryIO, file), threading.Event())
        assert growing.read(100) == b"one\n"
        path.write_text("something longer\n")
        assert (growing.read(100), growing.replaced) == (b"", True)


def test_a_file_that_comes_later_is_waited_for(tmp_path: Path, follow: Follow) -> None:
    path = tmp_path / "x.log"
    follow.add_path(str(path))
    reader = Reader(follow)
    next(reader._batches)
    path.write_text("one\n")
    reader.until(lambda: (1, "one") in reader.lines(str(path)))


def test_several_at_once_and_one_that_cannot_be_read(tmp_path: Path, follow: Follow) -> None:
    for name in ("a", "b"):
        (tmp_path / name).write_text(f"{name}\n")
        follow.add_path(str(tmp_path / name))
    follow.add_path(str(tmp_path))
    reader = Reader(follow)
    reader.until(lambda: bool(reader.lines(str(tmp_path / "a")) and reader.lines(str(tmp_path / "b"))))
    reader.until(lambda: reader.ended(str(tmp_path)))
    [problem] = [news.what for news in reader.news if isinstance(news.what, LogError)]
    assert problem.path == str(tmp_path)


def test_a_pipe_ends_by_itself(follow: Follow) -> None:
    out, into = os.pipe()
    follow.add_path("-", stdin=out)
    reader = Reader(follow)
    os.write(into, b"one line, long enough to be told from a compressed one\n")
    reader.until(lambda: len(reader.lines("stdin")) == 1)
    os.close(into)
    reader.until(lambda: reader.ended("stdin"))
    os.close(out)


def test_a_progress_bar_is_progress(follow: Follow) -> None:
    feed = Feed()
    follow.add("x", feed)
    reader = Reader(follow)
    feed.put(b"Loading safetensors checkpoint shards:  10%\r")
    reader.until(lambda: News("x", Sign.REPAINT) in reader.news)
    feed.put(b"")
    reader.until(lambda: reader.ended("x"))
    assert reader.lines("x") == [(1, "Loading safetensors checkpoint shards:  10%")]


def test_a_log_that_grows_faster_than_it_is_searched_is_not_kept_in_memory(follow: Follow) -> None:
    feed = Feed()
    follow.add("x", feed)
    for number in range(2000):
        feed.put(f"line {number:06d} of a long log\n".encode())
    feed.put(b"")
    reader = Reader(follow)
    reader.until(lambda: reader.ended("x"))
    assert [line for line, _ in reader.lines("x")] == list(range(1, 2001))
    assert threading.active_count() < 20
