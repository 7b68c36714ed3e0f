"""Find signatures in logs: a scan of whole blocks for plain text, then the expression on the few lines left.

The scan may find too much and must never find too little; the expression decides. So any scanner
that keeps this rule gives the same answer, and one made of machine code can stand in for the one here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import NamedTuple, Protocol

from sparkdoctor.host import Data
from sparkdoctor.logs.read import Block
from sparkdoctor.patterns import WINDOW, plain_text
from sparkdoctor.signatures import Signature

STEP = WINDOW // 2
"""Windows over a long line begin this far apart, so a match of up to as many characters is always inside one."""
CAPTURE = 200
"""Characters of a captured text that are kept."""
REMEMBERED = 100_000
"""Lines, as stripped for the scan, whose verdict is remembered."""
REMEMBERED_LENGTH = 400
"""Bytes of the longest such line."""


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


class Candidate(NamedTuple):
    """A line that may match."""

    offset: int
    """Lines of the block before it."""
    line: bytes
    which: tuple[int, ...]
    """Which of the scanner's texts may be in it, by index."""


class Scanner(Protocol):
    """Finds the lines of a block that contain one of the texts it was made for; may offer others too."""

    def scan(self, data: bytes) -> Iterable[Candidate]: ...


# Digits, hexadecimal letters, punctuation and blanks: what differs between lines that say the same.
_VARYING = bytes(code for code in range(128) if not chr(code).isalpha() or chr(code) in "abcdefABCDEF").replace(
    b"\n", b""
)


class TemplateScanner:
    """The scanner in plain Python: lines are stripped to what stays the same, and each such remainder is judged once.

    A text that is in a line is, stripped in the same way, in the stripped line. Logs repeat themselves, so the
    loop over all texts runs for a small part of the lines.
    """

    def __init__(self, texts: Iterable[tuple[str, ...]]) -> None:
        """`texts[i]`: the texts of which a line that signature i matches contains at least one."""
        self._texts = [
            (index, text.encode(), text.encode().translate(None, _VARYING))
            for index, alternatives in enumerate(texts)
            for text in alternatives
        ]
        self._verdicts: dict[bytes, tuple[tuple[int, bytes], ...]] = {}

    def scan(self, data: bytes) -> Iterator[Candidate]:
        stripped = data.translate(None, _VARYING).split(b"\n")
        verdicts = self._verdicts
        lines: list[bytes] = []
        for offset, rest in enumerate(stripped):
            verdict = verdicts.get(rest)
            if verdict is None:
                verdict = self._judge(rest)
            if verdict:
                lines = lines or data.split(b"\n")
                line = lines[offset]
                which = tuple(dict.fromkeys(index for index, text in verdict if text in line))
                if which:
                    yield Candidate(offset, line, which)

    def _judge(self, rest: bytes) -> tuple[tuple[int, bytes], ...]:
        verdict = tuple((index, text) for index, text, stripped in self._texts if stripped in rest)
        if len(rest) <= REMEMBERED_LENGTH:
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            self._verdicts[rest] = verdict
        return verdict


class Matcher:
    """All signatures at once."""

    def __init__(
        self,
        signatures: Iterable[Signature],
        scanner: Callable[[list[tuple[str, ...]]], Scanner] = TemplateScanner,
    ) -> None:
        listed = list(signatures)
        self._patterns = [(signature.name, re.compile(signature.match)) for signature in listed]
        self._scanner = scanner([plain_text(signature.match) for signature in listed])

    def scan(self, blocks: Iterable[Block], file: str) -> Iterator[Hit]:
        """Hits in the order of the log, each signature once a line. Raises what reading the blocks raises."""
        last, on_last = 0, set[str]()  # the pieces of an overlong line have some text in common
        for block in blocks:
            for offset, line, which in self._scanner.scan(block.data):
                number = block.first + offset
                if number != last:
                    last, on_last = number, set()
                for index in which:
                    hit = self._confirm(index, line, file, number)
                    if hit is not None and hit.signature not in on_last:
                        on_last.add(hit.signature)
                        yield hit

    def _confirm(self, index: int, line: bytes, file: str, number: int) -> Hit | None:
        name, pattern = self._patterns[index]
        for text in windows(line):
            found = pattern.search(text)
            if found:
                kept = {key: value[:CAPTURE] for key, value in found.groupdict("").items()}
                return Hit(name, file, number, text, kept, *found.span())
        return None


def windows(line: bytes) -> Iterator[str]:
    """What expressions are run on: the parts between carriage returns (a progress bar repaints its line), each
    without control characters, and in overlapping windows when it is long."""
    for part in line.decode(errors="replace").split("\r"):
        text = part if part.isprintable() else part.translate(_CONTROLS)
        yield text[:WINDOW]
        for start in range(STEP, len(text) - STEP, STEP):
            yield text[start : start + WINDOW]


_CONTROLS = {code: None for code in (*range(0x20), *range(0x7F, 0xA0)) if code != 0x09}
