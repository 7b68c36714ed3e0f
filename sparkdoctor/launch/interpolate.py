"""Variables in the text of a compose or .env file: `$X ${X} ${X:-d} ${X-d} ${X:?m} ${X?m} ${X:+a} ${X+a} $$`.

Source: compose-go v2.13.0 template/template.go (the Compose specification, chapter Interpolation,
leaves the corner cases to it).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from sparkdoctor.secrets import clean_env

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_BRACED = re.compile(r"\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<how>:?[-?+])(?P<rest>.*))?\}")
"""Greedy up to the last `}` of the line; a default cannot hold a line feed (Go's `.` does not match one)."""

MAX_TEXT = 1 << 20
"""Characters that one value may grow to: `A=$B$B`, `B=$C$C`, ... would double with every line."""
MAX_NESTING = 32


class Variable(NamedTuple):
    """A variable that compose can put into a file."""

    value: str
    place: str
    """`the shell` or `head.env:1`."""
    over: tuple[str, ...] = ()
    """Places that set it too and lost, nearest first."""

    @staticmethod
    def named(name: str, value: str, place: str, over: tuple[str, ...] = ()) -> Variable:
        """A variable without its secret: nothing that sparkdoctor does needs a token."""
        return Variable(clean_env({name: value})[name], place, over)


Lookup = Callable[[str], Variable | None]


class Segment(NamedTuple):
    """A stretch of the result and where in the template it comes from."""

    text: str
    offset: int
    note: str = ""
    """`NODE_RANK from head.env:1`."""


class Unset(NamedTuple):
    """A variable that is nowhere set and has no default; compose warns and goes on with a blank."""

    name: str
    offset: int


class TemplateError(Exception):
    """Raised for a required variable without a value and for a `${` that is no variable."""

    def __init__(self, problem: str, offset: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.offset = offset


def substitute(template: str, lookup: Lookup) -> tuple[list[Segment], list[Unset]]:
    """The template with its variables filled in. Raises TemplateError."""
    segments: list[Segment] = []
    unset: list[Unset] = []
    _fill(template, 0, lookup, segments, unset, 0)
    if sum(len(segment.text) for segment in segments) > MAX_TEXT:
        raise TemplateError(f"its variables make it longer than {MAX_TEXT >> 20} MiB", 0)
    return segments, unset


def plain(segments: list[Segment]) -> str:
    return "".join(segment.text for segment in segments)


def _fill(text: str, base: int, lookup: Lookup, segments: list[Segment], unset: list[Unset], depth: int) -> None:
    """Append the result for `text`, which starts at offset `base` of the whole template."""
    if depth > MAX_NESTING:
        raise TemplateError(f"variables are nested more than {MAX_NESTING} deep", base)
    done = 0
    while (at := text.find("$", done)) >= 0:
        if at > done:
            segments.append(Segment(text[done:at], base + done))
        after = at + 1
        if text.startswith("$", after):
            segments.append(Segment("$", base + at))
            done = after + 1
        elif name := NAME.match(text, after):
            _variable(name[0], base + at, lookup, segments, unset)
            done = name.end()
        elif text.startswith("{", after):
            done = _braced(text, at, base, lookup, segments, unset, depth)
        else:
            segments.append(Segment("$", base + at))
            done = after
    if done < len(text):
        segments.append(Segment(text[done:], base + done))


def _variable(name: str, offset: int, lookup: Lookup, segments: list[Segment], unset: list[Unset]) -> None:
    variable = lookup(name)
    if variable is None:
        unset.append(Unset(name, offset))
    else:
        segments.append(_from(name, variable, offset))


def _from(name: str, variable: Variable, offset: int) -> Segment:
    return Segment(variable.value, offset, f"{name} from {variable.place}")


def _braced(
    text: str, at: int, base: int, lookup: Lookup, segments: list[Segment], unset: list[Unset], depth: int
) -> int:
    """Handle `${...}` at `at`; the offset behind it."""
    match = _BRACED.match(text, at + 1)
    if match is None:
        end = text.find("}", at)
        shown = text[at : end + 1 if end >= 0 else at + 20].split("\n")[0]
        raise TemplateError(f"`{shown}` is no variable; write `$$` for a dollar sign", base + at)
    name, how = match["name"], match["how"]
    if how is None:
        _variable(name, base + at, lookup, segments, unset)
        return match.end()
    start, end = match.start("rest"), _closing(text, at + 1, match.end() - 1)
    operand = text[start:end]
    variable = lookup(name)
    good = variable is not None and (variable.value != "" or not how.startswith(":"))
    if how[-1] == "+":
        if good:
            _fill(operand, base + start, lookup, segments, unset, depth + 1)
    elif good and variable is not None:
        segments.append(_from(name, variable, base + at))
    elif how[-1] == "-":
        _fill(operand, base + start, lookup, segments, unset, depth + 1)
    else:
        message: list[Segment] = []
        _fill(operand, base + start, lookup, message, unset, depth + 1)
        words = plain(message).strip()
        state = "is missing a value" if variable is None else "is set but empty"
        raise TemplateError(f"required variable {name} {state}" + (f": {words}" if words else ""), base + at)
    return end + 1


def _closing(text: str, opening: int, last: int) -> int:
    """The offset of the `}` that closes the `{` at `opening`; `last` where braces do not pair up."""
    depth, at = 0, opening
    while at <= last:
        if text[at] == "}":
            depth -= 1
            if depth == 0:
                return at
        elif text[at] == "{":
            depth += 1
            at += 1  # upstream also steps over the character behind a brace
        at += 1
    return last
