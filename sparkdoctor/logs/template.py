"""The scanner in plain Python, for machines without Hyperscan's wheel."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sparkdoctor.logs.read import has_controls
from sparkdoctor.logs.scanner import Candidate

REMEMBERED = 100_000
"""Lines, as stripped for the scan, whose verdict is remembered."""
REMEMBERED_LENGTH = 400
"""Bytes of the longest such line."""

# Digits, hexadecimal letters, punctuation and blanks: what differs between lines that say the same.
_VARYING = bytes(code for code in range(128) if not chr(code).isalpha() or chr(code) in "abcdefABCDEF").replace(
    b"\n", b""
)


class TemplateScanner:
    """Lines are stripped to what stays the same, and each such remainder is judged once.

    A text that is in a line is, stripped in the same way, in the stripped line. Logs repeat themselves, so the
    loop over all texts runs for a small part of the lines.
    """

    has_controls = staticmethod(has_controls)

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
        start = behind = 0
        for offset, rest in enumerate(stripped):
            verdict = verdicts.get(rest)
            if verdict is None:
                verdict = self._judge(rest)
            if verdict:
                lines = lines or data.split(b"\n")
                line = lines[offset]
                which = tuple(dict.fromkeys(index for index, text in verdict if text in line))
                if which:
                    start += sum(map(len, lines[behind:offset])) + offset - behind
                    behind = offset
                    yield Candidate(start, line, which)

    def _judge(self, rest: bytes) -> tuple[tuple[int, bytes], ...]:
        verdict = tuple((index, text) for index, text, stripped in self._texts if stripped in rest)
        if len(rest) <= REMEMBERED_LENGTH:
            if len(self._verdicts) >= REMEMBERED:
                self._verdicts.clear()
            self._verdicts[rest] = verdict
        return verdict
