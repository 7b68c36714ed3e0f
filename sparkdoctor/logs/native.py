"""The scanner on Hyperscan (here Vectorscan, its fork for all processors): all texts in one pass over a block.

Hyperscan reads bytes at the speed of memory as long as few of them look like the beginning of
something. So it is not given the texts: of each text it gets the eight bytes that are rarest in lines
of the same kind that match nothing (the `ignores` of the signatures). Where they occur, the whole
text is looked for in the line.
"""

from __future__ import annotations

import math
import os
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, cast

import msgspec

from sparkdoctor.cache import digest, forget, keep, recall
from sparkdoctor.logs.scanner import Candidate, Texts

WINDOW = 8
"""Bytes of a text that are searched for: Hyperscan's literal matcher looks at no more at once."""
LAYOUT = b"3"
"""Changed with the meaning of what is kept between runs."""
SHARED = 64
"""Texts that one window stands for."""
PROBES = 3
CROWD = 800
"""Windows from which on Hyperscan looks at every second byte only for where one may begin, and is up to twice as fast:
findDesiredStride in src/fdr/fdr_engine_description.cpp (Vectorscan 5.4.12)."""

# One byte decides: control characters other than tab, newline and carriage return, and 0xc2, with which
# U+0080 to U+009F begin in UTF-8.
_CONTROLS = rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\xc2]"


class Unusable(Exception):
    """Hyperscan is not installed, or does not work here; its text says which."""


class _Kept(msgspec.Struct, array_like=True):
    """What is kept between runs: the databases, and the texts behind each number that the first reports."""

    windows: list[bytes]
    texts: list[list[tuple[bytes, int, list[int]]]]
    """For each window the texts that have it: the text, the bytes from its beginning to the window's end, whose it is."""
    database: bytes
    controls: bytes


class NativeScanner:
    """As TemplateScanner, at the speed of reading."""

    def __init__(self, texts: Texts) -> None:
        """Raises Unusable."""
        try:
            import hyperscan as library
        except ImportError as error:  # no wheel for this platform
            raise Unusable(f"hyperscan is not there: {error}") from error
        self._hyperscan = hyperscan = cast(Any, library)
        key = digest(
            [
                LAYOUT,
                str(hyperscan.__version__).encode(),
                os.uname().machine.encode(),  # the library would load a database of another processor
                *(pattern.encode() for pattern in texts.patterns),
                b"",
                *(line.encode() for line in texts.ordinary()),
            ]
        )
        content = recall("scanner", key)
        if content is not None:
            try:
                self._use(msgspec.msgpack.decode(content, type=_Kept))
                return
            except (msgspec.DecodeError, hyperscan.HyperscanError, Unusable):
                forget("scanner", key)  # of a build that calls itself the same
        try:
            kept = self._compile(texts)
            self._use(kept)
        except hyperscan.HyperscanError as error:
            raise Unusable(f"hyperscan {hyperscan.__version__}: {type(error).__name__}: {error}") from error
        keep("scanner", key, msgspec.msgpack.encode(kept))

    def scan(self, data: bytes) -> Iterator[Candidate]:
        found: list[tuple[int, int]] = []
        add = found.append
        self._database.scan(data, match_event_handler=lambda window, _, end, *__: add((end, window)))
        for start, stop, which in _by_line(data, self._texts_at(data, found)):
            yield Candidate(start, data[start:stop], which)

    def _texts_at(self, data: bytes, found: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Where a text begins, and whose it is, for each window that is part of one; in the order of the block."""
        texts = self._texts
        return sorted(
            (at, index)
            for end, window in found
            for text, before, indexes in texts[window]
            if (at := end - before) >= 0 and data.startswith(text, at)
            for index in indexes
        )

    def has_controls(self, data: bytes) -> bool:
        found: list[int] = []
        self._controls.scan(data, match_event_handler=lambda number, *_: found.append(number))
        return bool(found)

    def _use(self, kept: _Kept) -> None:
        """Raises Unusable when the databases do not find what they were made for."""
        self._texts = kept.texts
        self._database = self._loaded(kept.database)
        self._controls = self._loaded(kept.controls)
        probe: list[int] = []
        numbers = range(0, len(kept.windows), max(1, len(kept.windows) // PROBES))
        sample = b"\n".join(kept.windows[number] for number in numbers)
        self._database.scan(sample, match_event_handler=lambda window, *_: probe.append(window))
        if not set(numbers) <= set(probe):
            raise Unusable("hyperscan does not find what it was asked for")
        if not self.has_controls(b"a\x1b") or self.has_controls(b"a\t\r\n~"):
            raise Unusable("hyperscan does not tell control characters")

    def _loaded(self, serialized: bytes) -> Any:
        database = self._hyperscan.loadb(serialized, self._hyperscan.HS_MODE_BLOCK)
        database.scratch = self._hyperscan.Scratch(database)  # a loaded one has none
        return database

    def _compile(self, texts: Texts) -> _Kept:
        indexes: dict[bytes, list[int]] = {}
        for index, several in enumerate(texts):
            for text in several:
                if "\n" not in text:  # else it is in no line
                    indexes.setdefault(text.encode(), []).append(index)
        chosen = choose_windows(list(indexes), [line.encode() for line in texts.ordinary()])
        shared: dict[bytes, list[tuple[bytes, int, list[int]]]] = {}
        for (plain, whose), window in zip(indexes.items(), chosen, strict=True):
            shared.setdefault(window, []).append((plain, plain.index(window) + len(window), whose))
        if not shared:  # Hyperscan makes no database of nothing
            shared[b"\n" * WINDOW] = []
        windows = sorted(shared)
        hs = self._hyperscan
        return _Kept(
            windows,
            [shared[window] for window in windows],
            self._serialized([*windows, *_absent(CROWD - len(windows))], literal=True, flags=0),
            self._serialized([_CONTROLS], literal=False, flags=hs.HS_FLAG_SINGLEMATCH),
        )

    def _serialized(self, expressions: list[bytes], *, literal: bool, flags: int) -> bytes:
        database = self._hyperscan.Database(mode=self._hyperscan.HS_MODE_BLOCK)
        numbers = list(range(len(expressions)))
        database.compile(expressions=expressions, ids=numbers, elements=len(expressions), flags=flags, literal=literal)
        return bytes(self._hyperscan.dumpb(database))


def _absent(number: int) -> list[bytes]:
    """So many windows that occur in no block, since they are made of control characters."""
    return [bytes(1 + (each >> shift & 3) for shift in range(0, 2 * WINDOW, 2)) for each in range(number)]


def _by_line(data: bytes, found: Iterable[tuple[int, int]]) -> Iterator[tuple[int, int, tuple[int, ...]]]:
    """Beginning and end of each line, and whose texts are in it."""
    start, stop = 0, -1
    which: set[int] = set()
    for at, index in found:
        if at > stop:
            if which:
                yield start, stop, tuple(sorted(which))
                which = set()
            start = data.rfind(b"\n", 0, at) + 1
            stop = data.find(b"\n", at)
            stop = len(data) if stop < 0 else stop
        which.add(index)
    if which:
        yield start, stop, tuple(sorted(which))


def choose_windows(texts: Sequence[bytes], ordinary: Sequence[bytes]) -> list[bytes]:
    """Of each text the WINDOW bytes that occur in the fewest ordinary lines and have the rarest pairs of bytes.

    They decide how often Hyperscan stops to look, and whether the text is in a line at all is not up to them. The
    fewer there are the better, but where one occurs all its texts are compared: at most SHARED, if they can be told
    apart at all.
    """
    wanted = {window for text in texts for window in _windows(text)}
    lines: Counter[bytes] = Counter()
    pairs: Counter[bytes] = Counter()
    for line in ordinary:
        lines.update(wanted.intersection(_windows(line)))
        pairs.update(line[at : at + 2] for at in range(len(line) - 1))
    total = pairs.total() + 1
    weights = {pair: math.log((count + 0.5) / total) for pair, count in pairs.items()}
    unseen = math.log(0.5 / total)

    def commonness(window: bytes) -> tuple[int, float, bytes]:
        weight = sum(weights.get(window[at : at + 2], unseen) for at in range(len(window) - 1))
        return lines[window], weight, window

    chosen: list[bytes] = []
    users: Counter[bytes] = Counter()
    for text in texts:
        windows = _windows(text)
        free = [window for window in windows if users[window] < SHARED]
        best = min(free, key=commonness) if free else min(windows, key=users.__getitem__)
        users[best] += 1
        chosen.append(best)
    return chosen


def _windows(text: bytes) -> list[bytes]:
    return [text[at : at + WINDOW] for at in range(max(1, len(text) - WINDOW + 1))]
