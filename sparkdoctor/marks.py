"""Phases of a launch, and marks: the lines of a healthy log that say how far it is and what it chose.

They are read from knowledge files and judged there (sparkdoctor.signatures).
"""

from __future__ import annotations

from typing import Protocol

from sparkdoctor.host import Data


class Phase(Data, frozen=True):
    """A stretch of a launch, from a line that says it has begun to the next one's."""

    name: str
    title: str
    """What the launch does meanwhile: "loads the weights"."""
    order: int
    """Its place among the phases. A launch that is started anew begins with the least."""
    waits: str = ""
    """What a launch that stops here usually waits for; empty when it may rest here."""
    patience: int = 0
    """Seconds without a new line after which a launch that may not rest here counts as hanging."""
    causes: tuple[str, ...] = ()
    """Names of checks and causes that are worth a look then."""


class Mark(Data, frozen=True):
    """A line of a log in which nothing is wrong, and which says how far the launch is or what it chose."""

    name: str
    match: str
    """As Signature.match."""
    refs: tuple[str, ...]
    matches: tuple[str, ...]
    ignores: tuple[str, ...]
    phase: str = ""
    """The phase that begins with this line."""
    topic: str = ""
    """What it tells something about; marks of one topic stand together."""
    tells: str = ""
    """What it tells; may use {capture}."""
    goal: str = ""
    """A rank that logs this line says nothing more once it has come to this phase."""
    idle: bool = False
    """It only says that something still waits, which is no progress."""
    sets: str = ""
    """The name of a variable that is set in the launch's environment when this line is logged."""
    seen_in: tuple[str, ...] = ()


class Pattern(Protocol):
    """What is searched for in logs: a Signature or a Mark."""

    @property
    def name(self) -> str: ...
    @property
    def match(self) -> str: ...
    @property
    def ignores(self) -> tuple[str, ...]: ...
