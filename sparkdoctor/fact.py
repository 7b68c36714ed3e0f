"""A fact: one value together with where it was read, or why it could not be read.

Nothing in sparkdoctor stands for "unknown" by being `None`, zero or empty: asking an
unreadable fact for its value raises `CannotTell`, which ends the check that asked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import msgspec
from msgspec import UNSET, UnsetType

T_co = TypeVar("T_co", covariant=True)
U = TypeVar("U")


class CannotTell(Exception):
    """There is something to look at, and it could not be seen."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}" if where else problem)
        self.where = where
        self.problem = problem


class Fact(msgspec.Struct, Generic[T_co], frozen=True, omit_defaults=True):
    """One value read from a machine or a file.

    `where` is the file (with its line, `compose.yaml:34`), the /proc or /sys path, or the
    command. Exactly one of `known` and `problem` is given; `known` is written `value` in
    JSON. `absent` says that the thing does not exist, as opposed to "may not be read".
    `over` lists the places whose value this one replaced, nearest first.
    """

    where: str
    known: T_co | UnsetType = msgspec.field(default=UNSET, name="value")
    problem: str = ""
    absent: bool = False
    over: tuple[str, ...] = ()

    @property
    def value(self) -> T_co:
        """The value. Raises CannotTell with this fact's own place and problem."""
        if isinstance(self.known, UnsetType):
            raise CannotTell(self.where, self.problem)
        return self.known

    @property
    def is_known(self) -> bool:
        return not isinstance(self.known, UnsetType)

    def map(self, change: Callable[[T_co], U]) -> Fact[U]:
        """The same fact with its value changed; a problem is passed on.

        A ValueError or CannotTell from `change` becomes the new fact's problem: text that
        does not parse is a thing we could not read.
        """
        if isinstance(self.known, UnsetType):
            return Fact(self.where, problem=self.problem, absent=self.absent, over=self.over)
        try:
            return Fact(self.where, change(self.known), over=self.over)
        except CannotTell as error:
            return Fact(error.where or self.where, problem=error.problem, over=self.over)
        except ValueError as error:
            return Fact(self.where, problem=f"not understood: {error}", over=self.over)

    def at(self, where: str) -> Fact[T_co]:
        """The same fact, said to have been read elsewhere."""
        return msgspec.structs.replace(self, where=where)


def unread(where: str, problem: str, *, absent: bool = False) -> Fact[Any]:
    """A fact that could not be read; fits wherever a fact of any type is wanted."""
    return Fact(where, problem=problem, absent=absent)
