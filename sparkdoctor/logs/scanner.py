"""What a scanner is: it finds the few lines of a block on which expressions have to be run.

A scan may find too much and must never find too little; the expression decides. So any scanner
that keeps this rule gives the same answers.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple, Protocol

from sparkdoctor.marks import Pattern
from sparkdoctor.patterns import plain_text


class Candidate(NamedTuple):
    """A line that may match."""

    start: int
    """Where in the block it begins."""
    line: bytes
    which: tuple[int, ...]
    """Which of the scanner's texts are in it, by index, ascending."""


class Scanner(Protocol):
    """Finds the lines of a block that contain one of the texts it was made for; may offer others too."""

    def scan(self, data: bytes) -> Iterable[Candidate]:
        """In the order of the block, each line once."""
        ...

    def has_controls(self, data: bytes) -> bool:
        """As sparkdoctor.logs.read.has_controls."""
        ...


class Texts:
    """The texts to look for, worked out only when they are asked for: a scanner kept from the last run has no need."""

    def __init__(self, signatures: Sequence[Pattern]) -> None:
        self.patterns = tuple(signature.match for signature in signatures)
        self._signatures = signatures

    def __iter__(self) -> Iterator[tuple[str, ...]]:
        """For each signature the texts of which every matching line contains at least one."""
        return (plain_text(pattern) for pattern in self.patterns)

    def ordinary(self) -> Iterator[str]:
        """Lines that look like the signatures' and match none: what logs are full of."""
        return (line for signature in self._signatures for line in signature.ignores)
