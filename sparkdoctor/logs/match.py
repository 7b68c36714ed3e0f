"""Find signatures in logs: a scan of whole blocks for plain text, then the expression on the few lines left."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator

import msgspec

from sparkdoctor.host import Data
from sparkdoctor.logs.engine import make_scanner
from sparkdoctor.logs.near import Near
from sparkdoctor.logs.origin import prefix_of
from sparkdoctor.logs.read import Block, LogError
from sparkdoctor.logs.scanner import Scanner, Texts
from sparkdoctor.marks import Pattern
from sparkdoctor.patterns import WINDOW

STEP = WINDOW // 2
"""Windows over a long line begin this far apart, so a match of up to as many characters is always inside one."""
TIMED = 100
"""Hits of one signature in one log for which a time is looked for in the lines before."""
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

    def scan(
        self, blocks: Iterable[Block], file: str, *, kept: int | None = None, earlier: bytes = b""
    ) -> Iterator[Hit]:
        """Hits in the order of the log, each signature once a line. Raises what reading the blocks raises.

        `kept`: hits of one signature; at the end one more, the last, stands for its others. `earlier`: whole lines
        before the first block, in which a time is looked for.
        """
        counts: Counter[int] = Counter()
        others: dict[int, Hit] = {}
        near = Near(earlier)
        piece, on_piece = 0, set[int]()
        failure: LogError | None = None
        try:
            for block in blocks:
                if block.first != piece:
                    piece, on_piece = block.first, set()
                late: dict[int, tuple[int, re.Match[str]]] = {}
                for start, index, found in self._matches(block, on_piece):
                    counts[index] += 1
                    if kept is not None and counts[index] > kept:
                        late[index] = start, found
                        continue
                    timed = counts[index] > TIMED or prefix_of(found.string).stamps
                    text = "" if timed else near.before(block.data, start)
                    yield self._hit(index, found, file, block.line_at(start), text)
                for index, (start, found) in sorted(late.items(), key=lambda one: one[1][0]):
                    others[index] = self._hit(index, found, file, block.line_at(start))
                near.passed(block.data)
        except LogError as error:  # what was read before counts
            failure = error
        for index, hit in sorted(others.items(), key=lambda one: one[1].line):
            yield msgspec.structs.replace(hit, count=counts[index] - (kept or 0))
        if failure is not None:
            raise failure

    def _matches(self, block: Block, on_piece: set[int]) -> Iterator[tuple[int, int, re.Match[str]]]:
        """Where a line begins, and whose expression matches in it how.

        `on_piece`: which are known to match the line with which the block begins. The pieces of an overlong line
        have some text in common.
        """
        for start, line, which in self._scanner.scan(block.data):
            for index in which:
                if start or index not in on_piece:
                    found = self._confirm(index, line)
                    if found is not None:
                        if not start:
                            on_piece.add(index)
                        yield start, index, found

    def _hit(self, index: int, found: re.Match[str], file: str, number: int, near: str = "") -> Hit:
        captures = {key: value[:CAPTURE] for key, value in found.groupdict("").items()}
        return Hit(self._names[index], file, number, found.string, captures, *found.span(), near=near)

    def _confirm(self, index: int, line: bytes) -> re.Match[str] | None:
        pattern = self._compiled.get(index)
        if pattern is None:
            pattern = self._compiled[index] = re.compile(self._expressions[index])
        return next(filter(None, map(pattern.search, windows(line))), None)


def windows(line: bytes) -> Iterator[str]:
    """What expressions are run on: the parts between carriage returns (a progress bar repaints its line), each
    without control characters, and in overlapping windows when it is long."""
    for text in decoded(line).split("\r"):
        yield text[:WINDOW]
        for start in range(STEP, len(text) - STEP, STEP):
            yield text[start : start + WINDOW]


def decoded(line: bytes) -> str:
    """Without control characters, except tabs and carriage returns."""
    text = line.decode(errors="replace")
    return text if text.isprintable() else text.translate(_CONTROLS)


_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code not in (0x09, 0x0D)}
