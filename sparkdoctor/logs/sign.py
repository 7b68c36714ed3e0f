"""A line that tells of a failure, whatever program it is of; sparkdoctor.logs.signs finds them."""

from __future__ import annotations

from enum import IntEnum

import msgspec

from sparkdoctor.host import Data


class Weight(IntEnum):
    """How likely a sign is the beginning of a failure; the least comes first."""

    BEGINS = 0
    FOLLOWS = 1
    """It says that something failed before."""
    WEAK = 2
    """A program may say so and go on."""


class Sign(Data, frozen=True):
    """A line that tells of a failure, of whichever program."""

    kind: str
    line: int
    text: str
    start: int
    end: int
    """What in `text` tells, as offsets."""
    said: dict[str, str]
    """What was read off it, by name."""
    weight: Weight
    mild: bool
    """Whether the program went on after it, or said so as a warning."""
    since: int
    """The first line that belongs to it, such as that of a traceback,"""
    until: int
    """and the last, such as that of a message of several lines."""

    def moved(self, lines: int) -> Sign:
        """The same, so many lines further down."""
        replace = msgspec.structs.replace
        return replace(self, line=self.line + lines, since=self.since + lines, until=self.until + lines)
