"""The matcher finds what `re` would find line by line, and nothing else."""

from __future__ import annotations

import io
import itertools
import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from sparkdoctor.logs.engine import VARIABLE
from sparkdoctor.logs.match import CAPTURE, STEP, Hit, Matcher, windows
from sparkdoctor.logs.read import BLOCK, has_controls, read_log
from sparkdoctor.logs.scanner import Candidate, Texts
from sparkdoctor.logs.template import TemplateScanner
from sparkdoctor.patterns import WINDOW
from tests.entries import signature

SIGNATURES = [
    signature("reg-mr", r"Call to (?P<call>ibv_reg_mr\w*) failed with error (?P<why>[\w ]+)"),
    signature("hex-only", r"0xdead, 0xbeef"),
    signature("either-way", r"(?:deadbeef|the other way) (?P<number>\d+)?"),
    signature("not-ascii", r"fehlgeschlagen: größer"),
    signature("two-words", r"first word .{0,80}second"),
    signature("at-end", r"gave up$"),
]


@pytest.fixture(autouse=True, params=["python", "native"])
def _engine(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """All of it holds for both engines."""
    if request.param == "native":
        pytest.importorskip("hyperscan")
    monkeypatch.setenv(VARIABLE, request.param)


def scan(data: bytes, file: str = "x.log") -> list[Hit]:
    matcher = Matcher(SIGNATURES)
    return list(matcher.scan(read_log("-", io.BytesIO(data), has_controls=matcher.has_controls), file))


def found(data: bytes) -> list[tuple[int, str]]:
    return [(hit.line, hit.signature) for hit in scan(data)]


def test_a_hit_has_its_place_its_text_and_its_captures() -> None:
    log = b"one\nhost:1:2 [0] NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory\nthree"
    text = "host:1:2 [0] NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory"
    captures = {"call": "ibv_reg_mr_iova2", "why": "Cannot allocate memory"}
    assert scan(log) == [Hit("reg-mr", "x.log", 2, text, captures, text.index("Call"), len(text))]


def test_several_signatures_on_one_line_and_several_lines() -> None:
    log = b"0xdead, 0xbeef deadbeef 7\n\nx\n0xdead, 0xbeef\n"
    assert found(log) == [(1, "hex-only"), (1, "either-way"), (4, "hex-only")]


def test_an_optional_capture_is_empty() -> None:
    assert scan(b"the other way ")[0].captures == {"number": ""}


def test_windows_lines_and_colours() -> None:
    assert found(b"x\r\nit gave up\r\n\x1b[31mfirst \x1b[1mword\x1b[0m and second\r\n") == [
        (2, "at-end"),
        (3, "two-words"),
    ]


def test_a_progress_bar_is_taken_paint_by_paint() -> None:
    log = b"10%\r20% first word\rsecond\r30% it gave up\r40%\n"
    assert found(log) == [(1, "at-end")]
    assert scan(log)[0].text == "30% it gave up"


def test_bytes_that_are_no_utf_8() -> None:
    assert found(b"\xff\xfe\xc3(\ngr\xf6\xdfer\n\xff it gave up\n") == []  # begins like UTF-16
    assert found(b"\xc3(\n\xff it gave up\nfehlgeschlagen: gr\xf6\xdfer\n") == [(2, "at-end")]
    assert found("fehlgeschlagen: größer".encode()) == [(1, "not-ascii")]


def test_control_characters_inside_a_message() -> None:
    assert found(b"it ga\x08ve up\n") == [(1, "at-end")]


@pytest.mark.parametrize(
    "at", [0, 1000, STEP - 5, WINDOW - 10, WINDOW, 5 * WINDOW + 17, BLOCK - 20, BLOCK, 3 * BLOCK + 5]
)
def test_a_message_anywhere_in_an_overlong_line_is_found_once(at: int) -> None:
    line = b"." * at + b"0xdead, 0xbeef" + b"." * (BLOCK // 2)
    hits = scan(b"before\n" + line + b"\nafter 0xdead, 0xbeef\n")
    assert [hit.line for hit in hits] == [2, 3]
    assert "0xdead, 0xbeef" in hits[0].text
    assert len(hits[0].text) <= WINDOW


def test_captured_text_is_bounded() -> None:
    hit = scan(b"Call to ibv_reg_mr failed with error " + b"x" * 1000)[0]
    assert len(hit.captures["why"]) == CAPTURE


def test_windows_cover_a_line() -> None:
    text = "".join(chr(0x4E00 + number) for number in range(5 * WINDOW + 3))
    for length in (0, 1, WINDOW - 1, WINDOW, WINDOW + 1, WINDOW + STEP, WINDOW + STEP + 1, len(text)):
        parts = list(windows(text[:length].encode()))
        assert all(len(part) <= WINDOW for part in parts)
        for start in range(0, max(1, length - STEP), 97):
            assert any(text[start : min(length, start + STEP)] in part for part in parts)


def _by_hand(text: str) -> list[tuple[int, str]]:
    """What a plain loop finds."""
    return [
        (number, entry.name)
        for number, line in enumerate(text.split("\n"), 1)
        for entry in SIGNATURES
        if any(re.search(entry.match, part) for part in line.split("\r"))
    ]


PIECES = st.sampled_from(
    [
        "Call to ibv_reg_mr failed with error x",
        "0xdead, 0xbeef",
        "0xdead",
        ", 0xbeef",
        "deadbeef ",
        "the other way ",
        "fehlgeschlagen: größer",
        "first word ",
        " second",
        "gave up",
        "\n",
        "\r",
        " ",
        "7",
    ]
)


@given(st.lists(st.one_of(PIECES, st.text(st.characters(exclude_categories=["Cc", "Cs"]))), max_size=30))
@example(["0xdead, 0xbeef", "\n"] * 3)
def test_the_same_as_a_plain_loop(pieces: list[str]) -> None:
    text = "x" + "".join(pieces)
    assert found(text.encode()) == _by_hand(text)


@given(st.binary(max_size=500), st.lists(st.text("aA1 .\nbx", min_size=1, max_size=8).filter(lambda t: "\n" not in t)))
def test_the_scanner_misses_no_line(data: bytes, texts: list[str]) -> None:
    data += "\n".join(texts).encode()
    scanner = TemplateScanner([(text,) for text in texts])
    for _ in range(2):  # the second time from memory
        candidates = list(scanner.scan(data))
        start = 0
        for line in data.split(b"\n"):
            which = {index for index, text in enumerate(texts) if text.encode() in line}
            assert which == {index for one in candidates if one.start == start for index in one.which}
            start += len(line) + 1
        assert all(data[one.start :].split(b"\n")[0] == one.line for one in candidates)


def test_what_the_scanner_remembers_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparkdoctor.logs.template.REMEMBERED", 50)
    scanner = TemplateScanner([("needle",)])
    words = ["".join(chr(ord("g") + int(digit)) for digit in str(number)) for number in range(1000)]
    data = "\n".join([*words, "needle", "z" * 1000]).encode()
    assert [one.start for one in scanner.scan(data)] == [data.index(b"needle")]
    assert len(scanner._verdicts) <= 50
    assert b"z" * 1000 not in scanner._verdicts


def test_any_scanner_that_offers_enough_gives_the_same() -> None:
    class Everything:
        """Offers each line for each text."""

        has_controls = staticmethod(has_controls)

        def __init__(self, texts: Texts) -> None:
            self._all = tuple(range(len(list(texts))))

        def scan(self, data: bytes) -> list[Candidate]:
            lines = data.splitlines(keepends=True)
            starts = itertools.accumulate(map(len, lines), initial=0)
            return [Candidate(start, line.rstrip(b"\n"), self._all) for start, line in zip(starts, lines, strict=False)]

    data = b"0xdead, 0xbeef\nx\nfirst word second it gave up\r\n"
    blocks = list(read_log("-", io.BytesIO(data)))
    assert list(Matcher(SIGNATURES, Everything).scan(blocks, "x.log")) == scan(data) != []


def test_no_signatures() -> None:
    assert list(Matcher([]).scan(read_log("-", io.BytesIO(b"x\ny\n")), "x.log")) == []
