"""What numbers and names in logs stand for: tables as data, each with where it was read.

Pure, and loaded only when a log has a failure that no signature names.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple


class Code(NamedTuple):
    number: int
    name: str
    """As the program, its header or its manual calls it."""
    meaning: str
    """What it says, in a few words."""
    advice: str = ""
    """What that usually comes from, or what to do; empty when there is no more to say."""


def table(text: str) -> dict[int, Code]:
    """Of lines `NUMBER NAME | MEANING | ADVICE`, the last of which may be left out."""
    codes = {}
    for line in text.strip().splitlines():
        head, *said = (part.strip() for part in line.split("|"))
        number, name = head.split(None, 1)
        codes[int(number)] = Code(int(number), name, *said)
    return codes


def by_name(codes: Iterable[Code]) -> dict[str, Code]:
    """A code may have several names, with spaces between."""
    return {name: code for code in codes for name in code.name.split()}
