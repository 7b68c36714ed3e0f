"""The time near a line does not depend on how the log was cut, and is what a plain search finds."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.logs import near
from sparkdoctor.logs.near import NEAR, Near
from sparkdoctor.logs.origin import prefix_of
from sparkdoctor.logs.times import stamp_at
from tests.logs.test_times import test_stamps

STAMPS = [text for text, *_ in test_stamps.pytestmark[0].args[1]]  # type: ignore[attr-defined]
TIMED = "[2026-11-24 15:24:41] something"
LINES = [TIMED, "INFO 11-24 15:24:42 [x.py:1] else", "host:1:2 [0] NCCL INFO x", "plain", "", "x" * 70, "é" * 90]


def by_hand(lines: list[bytes], number: int, reach: int) -> str:
    """The last line before this one that gives a time and begins within reach."""
    distance = 0
    for line in reversed(lines[:number]):
        distance += len(line)
        if distance > reach:
            return ""
        text = line.removesuffix(b"\n")[: near.BEGINNING].decode(errors="replace")
        if prefix_of(text).stamps:
            return text
    return ""


@given(
    st.lists(st.sampled_from(LINES), max_size=25),
    st.lists(st.integers(0, 25), max_size=8),
    st.lists(st.integers(0, 25), max_size=5),
    st.integers(0, 25),
    st.sampled_from([60, 100, 300]),
)
def test_the_same_as_a_plain_search_however_it_is_cut(
    texts: list[str], asked: list[int], cuts: list[int], lead: int, reach: int
) -> None:
    lines = [f"{text}\n".encode() for text in texts]
    edges = sorted({0, *(min(cut, len(lines)) for cut in cuts), len(lines)})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(near, "NEAR", reach)
        seeker = Near()
        for begin, end in itertools.pairwise(edges):
            block = b"".join(lines[begin:end])
            for number in sorted({number for number in asked if begin <= number < end}):
                found = seeker.before(block, len(b"".join(lines[begin:number])))
                assert found == by_hand(lines, number, reach)
            seeker.passed(block)
        lead = min(lead, len(lines))  # read from the middle, with what stands before it
        seeker = Near(b"".join(lines[:lead]))
        block = b"".join(lines[lead:])
        for number in sorted({number for number in asked if lead <= number < len(lines)}):
            assert seeker.before(block, len(b"".join(lines[lead:number]))) == by_hand(lines, number, reach)


def test_each_line_is_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    looked: list[bytes] = []
    real = near._line

    def noted(data: bytes, origin: int, end: int) -> tuple[int, bytes]:
        looked.append(data)
        return real(data, origin, end)

    monkeypatch.setattr(near, "_line", noted)
    line = b"nothing to tell here\n"
    block = line * 300
    seeker = Near()
    for _ in range(5):
        for number in range(300):
            assert seeker.before(block, number * len(line)) == ""
        seeker.passed(block)
    assert len(looked) < 5 * 300 + 10


def test_a_line_far_away_does_not_count() -> None:
    block = TIMED.encode() + b"\n" + b"x" * (NEAR - len(TIMED) - 2) + b"\n"
    assert Near().before(block, len(block)) == TIMED
    block += b"\n"
    assert Near().before(block, len(block)) == ""


@pytest.mark.parametrize("text", STAMPS)
def test_no_time_that_can_be_read_is_passed_over(text: str) -> None:
    assert stamp_at(text) is not None
    assert near._MAY_TELL.search(text.encode())
