"""Find signatures in logs: a scan of whole blocks for plain text, then the expression on the few lines left."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

from sparkdoctor.host import Data
from sparkdoctor.logs.engine import make_scanner
from sparkdoctor.logs.origin import prefix_of
from sparkdoctor.logs.read import Block
from sparkdoctor.logs.scanner import Scanner, Texts
from sparkdoctor.marks import Pattern
from sparkdoctor.patterns import WINDOW

STEP = WINDOW // 2
"""Windows over a long line begin this far apart, so a match of up to as many characters is always inside one."""
TIMED = 100
"""Hits of one signature in one log for which a time is looked for in the lines before."""
LOOK_BACK = 200
"""How many of these."""
BEGINNING = 200
"""Bytes of such a line that are kept."""
CAPTURE = 200
"""Characters of a captured text that are kept."""


class Hit(Data, frozen=True):
    """A line that a signature matches."""

    signature: str
    file: str
    line: int
    """From 1."""
    text: str
    """The part of the line that matched, without control characters; of an overlong line one window."""
    captures: dict[str, str]
    start: int = 0
    end: int = 0
    """Where in `text` the expression matched."""
    count: int = 1
    """Lines that it stands for: more than this one when there were too many to keep."""
    near: str = ""
    """If the line gives no time: the beginning of the last line before it, of not too many, that does."""


class Matcher:
    """All signatures at once."""

    def __init__(self, signatures: Iterable[Pattern], scanner: Callable[[Texts], Scanner] = make_scanner) -> None:
        listed = list(signatures)
        self._names = [signature.name for signature in listed]
        self._expressions = [signature.match for signature in listed]
        self._compiled: dict[int, re.Pattern[str]] = {}  # few of them are ever needed
        self._scanner = scanner(Texts(listed))

    @property
    def has_controls(self) -> Callable[[bytes], bool]:
        """For read_log: the scanner's, which is at least as fast as its own."""
        return self._scanner.has_controls

    def scan(self, blocks: Iterable[Block], file: str) -> Iterator[Hit]:
        """Hits in the order of the log, each signature once a line. Raises what reading the blocks raises."""
        last, on_last = 0, set[int]()  # the pieces of an overlong line have some text in common
        timed: Counter[int] = Counter()
        for block in blocks:
            for start, line, which in self._scanner.scan(block.data):
                for index in which:
                    found = self._confirm(index, line)
                    if found is None:
                        continue
                    number = block.line_at(start)
                    if number != last:
                        last, on_last = number, set()
                    if index not in on_last:
                        on_last.add(index)
                        kept = {key: value[:CAPTURE] for key, value in found.groupdict("").items()}
                        timed[index] += 1
                        near = _near(block.data, start, found.string) if timed[index] <= TIMED else ""
                        yield Hit(self._names[index], file, number, found.string, kept, *found.span(), near=near)

    def _confirm(self, index: int, line: bytes) -> re.Match[str] | None:
        pattern = self._compiled.get(index)
        if pattern is None:
            pattern = self._compiled[index] = re.compile(self._expressions[index])
        return next(filter(None, map(pattern.search, windows(line))), None)


def _near(data: bytes, start: int, text: str) -> str:
    if prefix_of(text).stamps:
        return ""
    for _ in range(LOOK_BACK):
        end = start - 1
        if end < 0:
            break
        start = data.rfind(b"\n", 0, end) + 1
        before = data[start : min(end, start + BEGINNING)].decode(errors="replace")
        if before and prefix_of(before).stamps:
            return before
    return ""


def windows(line: bytes) -> Iterator[str]:
    """What expressions are run on: the parts between carriage returns (a progress bar repaints its line), each
    without control characters, and in overlapping windows when it is long."""
    for part in line.decode(errors="replace").split("\r"):
        text = part if part.isprintable() else part.translate(_CONTROLS)
        yield text[:WINDOW]
        for start in range(STEP, len(text) - STEP, STEP):
            yield text[start : start + WINDOW]


_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09}
