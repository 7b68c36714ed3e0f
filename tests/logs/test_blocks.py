"""Blocks: their lines are counted right, and do not depend on how a log came in."""

from __future__ import annotations

import io
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.logs import read
from sparkdoctor.logs.read import Block, count_lines, read_log

lines = st.lists(st.binary(max_size=40), max_size=40).map(lambda parts: b"\n".join(parts))


@given(
    st.one_of(lines, st.binary(max_size=300), st.lists(st.sampled_from([b"\n", b"x" * 200]), max_size=99).map(b"".join))
)
def test_newlines_are_counted(data: bytes) -> None:
    assert count_lines(data) == data.count(b"\n")


@pytest.mark.parametrize("line", [b"\n", b"short\n", b"x" * 200 + b"\n", b"no newline"])
def test_newlines_are_counted_in_big_blocks(line: bytes) -> None:
    assert count_lines(line * 20_000) == line.count(b"\n") * 20_000


@given(lines, st.lists(st.integers(0, 500), max_size=10))
def test_the_line_at_an_offset_in_any_order(data: bytes, offsets: list[int]) -> None:
    block = Block(7, data)
    for at in offsets:
        assert block.line_at(at) == 7 + data[:at].count(b"\n")


class Pieces(io.RawIOBase):
    """A pipe that gives what its writer wrote at once."""

    def __init__(self, pieces: list[bytes]) -> None:
        self._pieces = iter([piece for piece in pieces if piece])

    def read(self, size: int = -1) -> bytes:
        return next(self._pieces, b"")


def lines_of(pieces: list[bytes]) -> Iterator[tuple[int, bytes]]:
    """Each line, or piece of one, with its number."""
    for block in read_log("-", Pieces(pieces)):  # type: ignore[arg-type]
        for offset, line in enumerate(block.data.splitlines(keepends=True)):
            yield block.first + offset, line


long_lines = st.lists(
    st.tuples(st.integers(0, 150), st.sampled_from([b"\n", b"\n\n"])).map(lambda pair: b"x" * pair[0] + pair[1]),
    max_size=12,
)


@given(long_lines, st.lists(st.integers(0, 1500), max_size=30))
def test_how_a_line_is_cut_does_not_depend_on_how_it_came(parts: list[bytes], cuts: list[int]) -> None:
    data = b"head of the log\n" + b"".join(parts)
    # The head is read whole, and no piece is as long as a line that is cut.
    edges = [0, *sorted({16, *(cut for cut in cuts if 16 <= cut < len(data)), *range(60, len(data), 60), len(data)})]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(read, "BLOCK", 64)
        patch.setattr(read, "OVERLAP", 8)
        byte_by_byte = [data[:16], *(data[at : at + 1] for at in range(16, len(data)))]
        pieces = [data[start:end] for start, end in itertools.pairwise(edges)]
        whole = list(lines_of(byte_by_byte))
        assert list(lines_of(pieces)) == whole
    assert all(len(line) <= 65 for _, line in whole)
    assert [number for number, line in whole if line.endswith(b"\n")] == list(range(1, data.count(b"\n") + 1))
