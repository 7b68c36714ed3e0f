"""What a YAML launch file says, as a tree whose every value knows where it is written."""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import accumulate, pairwise
from typing import Literal, NamedTuple, TypeAlias

from sparkdoctor.launch.scalars import Plain, text_of
from sparkdoctor.launch.types import LaunchError, Remark

Tag = Literal["", "reset", "override"]
"""Docker Compose's own tags: `!reset` takes away what earlier files say, `!override` replaces it."""


class Piece(NamedTuple):
    """A stretch of a scalar's text, the line it is written on, and the variable it came from."""

    text: str
    line: int
    note: str = ""
    """`NODE_RANK from head.env:1`, empty for what is written in the file itself."""


class Locator:
    """Where the characters of a scalar are written; made once for many questions."""

    def __init__(self, scalar: Scalar) -> None:
        self._scalar = scalar
        self._starts = list(accumulate((len(piece.text) for piece in scalar.pieces), initial=0))[:-1]

    def _index(self, offset: int) -> int:
        return max(0, bisect_right(self._starts, offset) - 1)

    def line(self, offset: int) -> int:
        """The line of one character."""
        pieces = self._scalar.pieces
        return pieces[self._index(offset)].line if pieces else self._scalar.line

    def where(self, start: int, end: int) -> str:
        """The place of a stretch of text: its first line, and the variables in it."""
        inside = self._scalar.pieces[self._index(start) : self._index(max(start, end - 1)) + 1]
        return f"{self._scalar.file}:{self.line(start)}{_notes(inside)}"

    def cut(self, start: int, text: str) -> list[Piece]:
        """`text`, which stands in the scalar from `start` on, line by line."""
        end = start + len(text)
        inner = self._starts[bisect_right(self._starts, start) : bisect_left(self._starts, end)]
        return [Piece(text[a - start : b - start], self.line(a)) for a, b in pairwise([start, *inner, end])]


@dataclass(frozen=True, kw_only=True)
class Written:
    """Where a node is written: `file` as the user named it, `line` from 1."""

    file: str
    line: int
    folder: str = ""
    """What a relative path in it starts from, absolute."""
    tag: Tag = ""

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True, kw_only=True)
class Scalar(Written):
    value: Plain
    pieces: tuple[Piece, ...] = ()
    """The text of a string value, in order; empty for a value that is not a string."""
    over: tuple[str, ...] = ()
    """Places whose value this one replaced, nearest first."""
    remarks: tuple[Remark, ...] = ()

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}{_notes(self.pieces)}"

    @property
    def text(self) -> str:
        """The value as Docker Compose writes it into an environment: `true`, `1.5`; null is empty."""
        return text_of(self.value)

    def part(self, start: int) -> Scalar:
        """The same scalar from character `start` of its text on; for `NAME=value`."""
        rest, at = [], 0
        for piece in self.pieces:
            if cut := piece.text[max(0, start - at) :]:
                rest.append(piece._replace(text=cut))
            at += len(piece.text)
        return replace(self, value=self.text[start:], pieces=tuple(rest))


@dataclass(frozen=True, kw_only=True)
class Listing(Written):
    items: tuple[Node, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Table(Written):
    items: dict[str, Node] = field(default_factory=dict)

    def get(self, key: str) -> Node | None:
        """The node at `key`; None also for `!reset` and for a null."""
        node = self.items.get(key)
        if node is None or node.tag == "reset" or (isinstance(node, Scalar) and node.value is None):
            return None
        return node


Node: TypeAlias = Scalar | Listing | Table


def scalars(node: Node) -> Iterator[Scalar]:
    """All scalars of a tree."""
    if isinstance(node, Scalar):
        yield node
    else:
        for child in node.items.values() if isinstance(node, Table) else node.items:
            yield from scalars(child)


def places(node: Node) -> tuple[str, ...]:
    """Where a node is written, then the places it replaced."""
    return (node.where, *node.over) if isinstance(node, Scalar) else (node.where,)


def path_of(scalar: Scalar, home: str = "") -> str:
    """A scalar's text as an absolute path; `~` only where the home directory is known."""
    path = scalar.text
    if path == "~" or path.startswith("~/"):
        return os.path.normpath(home + path[1:]) if home else path
    return os.path.normpath(os.path.join(scalar.folder, path)) if path else path


def want_table(node: Node, what: str) -> Table:
    """Raises LaunchError for anything else."""
    if isinstance(node, Table):
        return node
    raise LaunchError(node.where, f"`{what}` must be a mapping, and this is {kind(node)}")


def want_text(node: Node, what: str) -> Scalar:
    """Raises LaunchError for anything else."""
    if isinstance(node, Scalar):
        return node
    raise LaunchError(node.where, f"`{what}` must be a single value, and this is {kind(node)}")


def want_string(node: Node, what: str) -> Scalar:
    """Raises LaunchError also for a number, a boolean or null, as Compose's schema does."""
    scalar = want_text(node, what)
    if isinstance(scalar.value, str):
        return scalar
    shown = "empty" if scalar.value is None else f"`{scalar.text}` without quotes, which YAML takes for no text"
    raise LaunchError(scalar.where, f"`{what}` must be text, and this is {shown}")


def kind(node: Node) -> str:
    if isinstance(node, Scalar):
        return "empty" if node.value is None else f"`{node.text[:40]}`"
    return "a mapping" if isinstance(node, Table) else "a list"


def _notes(pieces: Iterable[Piece]) -> str:
    notes = dict.fromkeys(piece.note for piece in pieces if piece.note)
    return f" ({', '.join(notes)})" if notes else ""
