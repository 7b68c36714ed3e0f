"""The conditions that shell text branches on: `[`, `test` and `[[` (POSIX test, bash(1) Conditional Expressions)."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence
from typing import NamedTuple


class Argument(NamedTuple):
    text: str
    known: bool
    where: str


def holds(arguments: Sequence[Argument], name: str) -> bool | None:
    """Whether a condition holds; None where only the container could tell (a file, an unknown variable)."""
    words = [argument.text for argument in arguments]
    if name != "test" and words and words[-1] in ("]", "]]"):
        words = words[:-1]
        arguments = arguments[:-1]
    if words[:1] == ["!"]:
        inner = holds(arguments[1:], "test")
        return None if inner is None else not inner
    if not all(argument.known for argument in arguments):
        return None
    match words:
        case []:
            return False
        case [word]:
            return bool(word)
        case ["-n", word]:
            return bool(word)
        case ["-z", word]:
            return not word
        case [left, "=" | "==", right]:
            return left == right if name != "[[" else fnmatch.fnmatchcase(left, right)
        case [left, "!=", right]:
            return left != right if name != "[[" else not fnmatch.fnmatchcase(left, right)
        case [left, ("-eq" | "-ne" | "-gt" | "-ge" | "-lt" | "-le") as how, right]:
            try:
                order = int(left) - int(right)
            except ValueError:
                return None
            return {"-eq": order == 0, "-ne": order != 0, "-gt": order > 0, "-ge": order >= 0,
                    "-lt": order < 0, "-le": order <= 0}[how]  # fmt: skip
    return None
