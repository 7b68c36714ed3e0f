"""Several logs in one go: their hits, what could not be read, and how each ends."""

from __future__ import annotations

import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from itertools import islice
from typing import BinaryIO

import msgspec

from sparkdoctor.host import Data
from sparkdoctor.logs.match import Hit, Matcher, windows
from sparkdoctor.logs.read import STDIN, Block, LogError, read_log
from sparkdoctor.patterns import WINDOW

KEPT = 100
"""Hits of one signature that are kept of one log; one more stands for all others."""
ENDING_LINES = 5
"""Lines that are shown of a log which nothing known explains."""
LOOK_BACK = 5000
"""Lines at the end of a log among which these are looked for."""

_HARMLESS = re.compile(r"\b(?:INFO|DEBUG|WARNING)\b")
_ERROR_LIKE = re.compile(
    r"\b(?:\w*(?:error|exception)|fatal|critical|panic|abort(?:ed|ing)?|killed|fail(?:ed|ure)?|segfault|cannot"
    r"|could not|unable to|denied|refused|timed out|timeout|no such|not found|core dumped|out of memory|unhandled)\b",
    re.IGNORECASE,
)


class Line(Data, frozen=True, omit_defaults=False):
    """One line of a log, as evidence."""

    file: str
    line: int
    text: str
    start: int = 0
    end: int = 0
    """Where in `text` the signature matched; both 0 when none did."""


class Ending(Data, frozen=True, omit_defaults=False):
    """The last lines of a log that look like errors; its very last lines when none does."""

    file: str
    lines: tuple[Line, ...]
    error_like: bool


class Logs:
    """Reads each log once, in order, while its hits are asked for."""

    def __init__(self, paths: Iterable[str], matcher: Matcher, stdin: BinaryIO | None = None) -> None:
        self._paths = list(dict.fromkeys(paths))
        self._matcher = matcher
        self._stdin = stdin
        self.problems: list[LogError] = []
        """Logs that could not be read, or not to their end."""
        self.endings: list[Ending] = []
        """One for each log of which something could be read."""

    def hits(self) -> Iterator[Hit]:
        """In the order of the logs; at most KEPT + 1 of one signature in one log.

        Raises nothing: a log that cannot be read becomes a problem, and the others are read.
        """
        for path in self._paths:
            name = "stdin" if path == STDIN else path
            last: deque[Block] = deque(maxlen=2)
            counts: Counter[str] = Counter()
            others: dict[str, Hit] = {}
            try:
                for hit in self._matcher.scan(
                    _remembered(read_log(path, self._stdin, has_controls=self._matcher.has_controls), last), name
                ):
                    counts[hit.signature] += 1
                    if counts[hit.signature] <= KEPT:
                        yield hit
                    else:
                        others[hit.signature] = hit
            except LogError as error:
                self.problems.append(error)
            for signature, hit in others.items():
                yield msgspec.structs.replace(hit, count=counts[signature] - KEPT)
            if last:
                self.endings.append(_ending(name, last))


def _remembered(blocks: Iterator[Block], last: deque[Block]) -> Iterator[Block]:
    for block in blocks:
        last.append(block)
        yield block


def _ending(file: str, blocks: Iterable[Block]) -> Ending:
    errors: list[Line] = []
    any_: list[Line] = []
    for line in islice(_backwards(file, blocks), LOOK_BACK):
        if len(any_) < ENDING_LINES:
            any_.append(line)
        if _ERROR_LIKE.search(line.text) and not _HARMLESS.search(line.text):
            errors.append(line)
            if len(errors) == ENDING_LINES:
                break
    return Ending(file, tuple(reversed(errors or any_)), bool(errors))


def _backwards(file: str, blocks: Iterable[Block]) -> Iterator[Line]:
    """Lines that are not blank, the last first."""
    for block in reversed(list(blocks)):
        lines = block.data.split(b"\n")
        for offset in range(len(lines) - 1, -1, -1):
            # A progress bar repaints its line, and the last paint is what a person saw.
            painted = [text for text in windows(lines[offset][-4 * WINDOW :]) if text.strip()]
            if painted:
                yield Line(file, block.first + offset, painted[-1])
