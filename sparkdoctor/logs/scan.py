"""Several logs in one go: their hits, what could not be read, and how each ends."""

from __future__ import annotations

import os
import re
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from itertools import islice
from typing import BinaryIO

import msgspec

from sparkdoctor.host import Data
from sparkdoctor.late import late
from sparkdoctor.logs.forked import forked
from sparkdoctor.logs.match import Hit, Matcher, decoded, windows
from sparkdoctor.logs.near import NEAR
from sparkdoctor.logs.read import STDIN, Block, LogError, Part, before, divide, read_log
from sparkdoctor.logs.sign import Sign
from sparkdoctor.patterns import WINDOW

KEPT = 100
"""Hits of one signature that are kept of one log; one more stands for all others."""
ENDING_LINES = 5
"""Lines that are shown of a log which nothing known explains."""
LOOK_BACK = 5000
"""Lines at the end of a log among which these are looked for,"""
TAIL = 1 << 20
"""and its bytes."""
WAITING = 16
"""Logs whose ends are kept until somebody asks for them."""
MUCH = 64 << 20
"""Bytes from which on logs are read in parts, by as many processes as there are processors."""
PART = 16 << 20
"""Bytes of a part; not less than TAIL."""

_HARMLESS = late(r"\b(?:INFO|DEBUG|WARNING)\b")
_ERROR_LIKE = late(
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
    time: str = ""
    """When it was logged, by the log's own clock, with its zone if that is known."""
    at: float | None = None
    """The same in seconds since 1970, UTC, on one scale for all logs; None when that cannot be told."""
    node: str = ""
    rank: int | None = None
    process: str = ""


class Ending(Data, frozen=True, omit_defaults=False):
    """The last lines of a log that look like errors; its very last lines when none does."""

    file: str
    lines: tuple[Line, ...]
    error_like: bool
    sign: Sign | None = None
    """Where the failure seems to begin, if its class is one that is told without a signature."""

    def moved(self, lines: int) -> Ending:
        """The same, so many lines further down."""
        replace = msgspec.structs.replace
        sign = self.sign.moved(lines) if self.sign is not None else None
        return replace(self, lines=tuple(replace(line, line=line.line + lines) for line in self.lines), sign=sign)


class Logs:
    """Reads each log once, in order, while its hits are asked for; several parts at a time when there is much to read."""

    def __init__(
        self,
        paths: Iterable[str],
        matcher: Matcher,
        stdin: BinaryIO | None = None,
        streams: Mapping[str, BinaryIO] | None = None,
    ) -> None:
        """`streams`: logs that are no files, by the name under which they are told of; they are read after the files."""
        self._streams = dict(streams or {})
        self._paths = list(dict.fromkeys([*paths, *self._streams]))
        self._matcher = matcher
        self._stdin = stdin
        self._tails: list[Tail] = []
        self.problems: list[LogError] = []
        """Logs that could not be read, or not to their end."""

    @property
    def endings(self) -> list[Ending]:
        """One for each log of which something could be read."""
        return [tail.ending() for tail in self._tails]

    def hits(self) -> Iterator[Hit]:
        """In the order of the logs; at most KEPT + 1 of one signature in one log.

        Raises nothing: a log that cannot be read becomes a problem, and the others are read.
        """
        work = self._shared_out()
        results = forked(work, lambda one: msgspec.msgpack.encode(self._read_part(*one)))
        parts = Counter(path for path, _ in work)
        with closing(results):
            for path in self._paths:
                name = "stdin" if path == STDIN else path
                if parts[path]:
                    yield from _capped(self._put_together(name, islice(results, parts[path])))
                else:
                    tail = Tail(name)
                    yield from self._hits_of(path, name, tail, self.problems)
                    self._keep(tail)

    def _shared_out(self) -> list[tuple[str, Part | None]]:
        """What other processes are to read: files, whole or in parts, when there is much to read."""
        files = [path for path in self._paths if path != STDIN and os.path.isfile(path)]
        if sum(map(_size, files)) < MUCH:
            return []
        return [(path, part) for path in files for part in (divide(path, PART) or (None,))]

    def _hits_of(
        self, path: str, name: str, tail: Tail, problems: list[LogError], part: Part | None = None
    ) -> Iterator[Hit]:
        blocks = read_log(
            path,
            self._streams.get(path, self._stdin if path == STDIN else None),
            part=part,
            has_controls=self._matcher.has_controls,
        )
        earlier = before(path, part, NEAR) if part is not None else b""
        try:
            yield from self._matcher.scan(tail.following(blocks), name, kept=KEPT, earlier=earlier)
        except LogError as error:
            problems.append(error)

    def _read_part(self, path: str, part: Part | None) -> _PartRead:
        tail = Tail(path)
        problems: list[LogError] = []
        hits = list(self._hits_of(path, path, tail, problems, part))
        ending = tail.ending() if tail.blocks and (part is None or part.end is None) else None
        return _PartRead(hits, tail.lines, ending, [(error.path, error.problem) for error in problems])

    def _put_together(self, name: str, results: Iterable[bytes]) -> Iterator[Hit]:
        before = 0
        for result in results:
            read = msgspec.msgpack.decode(result, type=_PartRead)
            for hit in read.hits:
                yield msgspec.structs.replace(hit, line=hit.line + before)
            self.problems += [LogError(*problem) for problem in read.problems]
            if read.ending is not None:
                self._tails.append(Tail(name, read.ending.moved(before)))
            before += read.lines

    def _keep(self, tail: Tail) -> None:
        """Endings are worked out when they are asked for, unless very many logs are kept waiting."""
        if tail.blocks:
            self._tails.append(tail)
            if len(self._tails) % WAITING == 0:
                for waiting in self._tails:
                    waiting.ending()


class _PartRead(msgspec.Struct, array_like=True):
    """What came of one part of a log; its lines are numbered from 1."""

    hits: list[Hit]
    lines: int
    ending: Ending | None
    problems: list[tuple[str, str]]


def _size(path: str) -> int:
    try:
        return os.path.getsize(path)
    except OSError:  # gone since
        return 0


def _capped(hits: Iterable[Hit]) -> Iterator[Hit]:
    """At most KEPT of each signature, then one that stands for its others, of hits that Matcher.scan gave for parts."""
    counts: Counter[str] = Counter()
    others: dict[str, Hit] = {}
    for hit in hits:
        counts[hit.signature] += hit.count
        if counts[hit.signature] <= KEPT:
            yield hit
        else:
            others[hit.signature] = hit
    for hit in sorted(others.values(), key=lambda hit: hit.line):
        yield msgspec.structs.replace(hit, count=counts[hit.signature] - KEPT, near="")


class Tail:
    """The end of a log, kept while it is read."""

    def __init__(self, name: str, ending: Ending | None = None) -> None:
        self.name = name
        self.blocks: deque[Block] = deque()
        self.lines = 0
        """Newlines of the whole log, once it has been read."""
        self._size = 0
        self._ending = ending

    def following(self, blocks: Iterator[Block]) -> Iterator[Block]:
        for block in blocks:
            self.blocks.append(block)
            self._size += len(block.data)
            while self._size - len(self.blocks[0].data) >= TAIL:
                self._size -= len(self.blocks.popleft().data)
            yield block
        if self.blocks:
            self.lines = self.blocks[-1].line_at(len(self.blocks[-1].data)) - 1

    def ending(self) -> Ending:
        if self._ending is None:
            self._ending = _ending(self.name, self.blocks)
            self.blocks.clear()
        return self._ending


def _ending(file: str, blocks: Iterable[Block]) -> Ending:
    errors: list[Line] = []
    any_: list[Line] = []
    lines = list(islice(_backwards(blocks), LOOK_BACK))
    for number, raw in lines:
        # A progress bar repaints its line, and the last paint is what a person saw.
        painted = next(text for text in reversed(list(windows(raw))) if text.strip())
        line = Line(file, number, painted)
        if len(any_) < ENDING_LINES:
            any_.append(line)
        if _ERROR_LIKE.search(line.text) and not _HARMLESS.search(line.text):
            errors.append(line)
            if len(errors) == ENDING_LINES:
                break
    from sparkdoctor.logs.signs import first_sign  # most logs need no ending

    sign = first_sign((number, decoded(raw)) for number, raw in reversed(lines))
    return Ending(file, tuple(reversed(errors or any_)), bool(errors), sign)


def _backwards(blocks: Iterable[Block]) -> Iterator[tuple[int, bytes]]:
    """Lines that are not blank, each the end of one, the last first, of the last TAIL bytes."""
    left = TAIL
    for block in reversed(list(blocks)):
        lines = block.data.split(b"\n")
        for offset in range(len(lines) - 1, -1, -1):
            left -= len(lines[offset]) + 1
            if left < 0:
                return
            line = lines[offset][-4 * WINDOW :]
            if any(text.strip() for text in windows(line)):
                yield block.first + offset, line
