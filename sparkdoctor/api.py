"""All that a check may import: the facts it judges and the words it answers with.

A check is a pure function of a Node (one rank and its machine) or of a Cluster (all ranks of
one launch). It yields `Seen` for what it looked at and found right, and a `Finding` for what
is wrong. It raises nothing itself: the first unreadable fact ends it as `unknown` (CannotTell),
`skip(...)` ends it as `skipped`.
"""

from __future__ import annotations

import enum
import re
from collections.abc import Callable, Iterable, Iterator
from typing import NoReturn, get_type_hints

from sparkdoctor.fact import CannotTell, Fact, unread
from sparkdoctor.host import UNLIMITED, Data, Gid, Hca, Host, Image, Interface, ModelCache, Port, Process, Software
from sparkdoctor.launch.types import Launch, Spec

__all__ = [
    "UNLIMITED", "CannotTell", "Certainty", "Check", "Cluster", "Fact", "Finding", "Fix", "Found", "Gid", "Hca",
    "Host", "Image", "Interface", "Launch", "ModelCache", "Node", "Port", "Process", "Seen", "Severity", "Skip", "Software",
    "Spec", "check", "size", "skip", "unread",
]  # fmt: skip


class Severity(enum.Enum):
    """What follows for this launch."""

    ERROR = "error"
    """It fails, hangs, or silently drops to TCP."""
    WARNING = "warning"
    """It runs, but slower or less safely than it should."""
    NOTE = "note"
    """Worth knowing; nothing to do."""


class Certainty(enum.Enum):
    """How sure a fix is."""

    EXACT = "exact"
    """Paste it as it is."""
    FILL_IN = "fill-in"
    """It has a <placeholder> that only the user can fill."""
    TRY = "try"
    """It helps often, not always."""


class Seen(Data, frozen=True, omit_defaults=False):
    """One piece of evidence."""

    what: str
    value: str
    where: str
    wanted: str = ""


class Fix(Data, frozen=True, omit_defaults=False):
    """What to do about a finding; sparkdoctor prints it and never runs it."""

    do: str
    """One imperative line, lower case, no full stop; names the file when there is an `edit`."""
    edit: str = ""
    """Lines to have in that file, verbatim."""
    run: tuple[str, ...] = ()
    """Commands, in order, on the node of the finding."""
    certainty: Certainty = Certainty.EXACT
    cost: str = ""
    """What it interrupts or needs: `restarts the model`, `needs root and a reboot`."""


class Finding(Data, frozen=True):
    """Something is wrong: a fact of this machine with its value, the evidence, the fix."""

    message: str
    seen: tuple[Seen, ...]
    fix: Fix


Found = Iterator[Finding | Seen]


class Skip(Exception):
    """There is nothing here for this check to look at."""


def skip(reason: str) -> NoReturn:
    """End a check as `skipped`; `reason` completes 'skipped: '."""
    raise Skip(reason)


class Node(Data, frozen=True):
    """One rank: its machine and its launch, each if it is known."""

    name: str
    host: Host | None = None
    launch: Launch | None = None

    def machine(self) -> Host:
        """The machine's facts. Raises CannotTell when this rank's machine was not looked at."""
        if self.host is None:
            raise CannotTell(
                self.name,
                "its machine was not looked at (run `sparkdoctor collect` there and pass the file with --from)",
            )
        return self.host

    def launched(self) -> Launch:
        """The launch. Raises Skip when no launch is known for this node."""
        if self.launch is None:
            skip("no launch to look at")
        return self.launch

    def env(self, name: str) -> Fact[str] | None:
        """A variable that the rank will see, None when it is not set.

        Raises Skip without a launch and CannotTell when its environment could not be read.
        """
        return self.launched().env.value.get(name)

    def flag(self, name: str) -> Fact[str] | None:
        """A vLLM option by its long name (`tensor-parallel-size`), None when it is not given."""
        return self.launched().flags.value.get(name)


class Cluster(Data, frozen=True):
    """All nodes of one launch, in rank order where it is known."""

    nodes: tuple[Node, ...]

    def several(self) -> tuple[Node, ...]:
        """The nodes. Raises Skip when there is only one, so nothing to compare."""
        if len(self.nodes) < 2:
            skip("one node only, nothing to compare")
        return self.nodes


Run = Callable[[Node], Iterable[Finding | Seen]] | Callable[[Cluster], Iterable[Finding | Seen]]


class Check(Data, frozen=True):
    """A named pure function with a manual."""

    name: str
    severity: Severity
    scope: type
    """Node or Cluster."""
    run: Callable[..., Iterable[Finding | Seen]]
    docs: str
    """The docstring: the manual, printed by `explain NAME`."""
    after: tuple[str, ...] = ()
    """Checks whose failure on the same node explains this one's."""
    needs_root: bool = False
    """What it looks at only root may read, so for the exit code it does not count that it could not be seen."""

    @property
    def family(self) -> str:
        return self.name.split("-", 1)[0]

    @property
    def title(self) -> str:
        return self.docs.split("\n", 1)[0]


NAME = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)+")


def check(
    name: str, severity: Severity = Severity.ERROR, *, after: tuple[str, ...] = (), needs_root: bool = False
) -> Callable[[Callable[..., Iterable[Finding | Seen]]], Check]:
    """Make a Check of a generator function `(node: Node)` or `(cluster: Cluster)`.

    `name` states the bad thing (`memlock-limited`); its first word is the family. Raises
    TypeError for a malformed name, a missing manual or an argument that is neither.
    """

    def decorate(function: Callable[..., Iterable[Finding | Seen]]) -> Check:
        if not NAME.fullmatch(name):
            raise TypeError(f"check {name!r}: the name must be lower-case words joined by hyphens")
        import inspect  # a sizeable import, which knowing a check by name does without

        docs = inspect.getdoc(function)
        if not docs:
            raise TypeError(f"check {name}: no docstring; it is the check's manual")
        hints = get_type_hints(function)
        hints.pop("return", None)
        scopes = list(hints.values())
        if len(scopes) != 1 or scopes[0] not in (Node, Cluster):
            raise TypeError(f"check {name}: its one argument must be annotated Node or Cluster")
        return Check(name, severity, scopes[0], function, docs, after, needs_root)

    return decorate


def size(count: int) -> str:
    """Bytes for people: `unlimited`, `64 MiB`, `7.9 GiB`; binary units (IEC 80000-13)."""
    if count == UNLIMITED:
        return "unlimited"
    amount = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if amount == int(amount) else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.0f} TiB" if amount == int(amount) else f"{amount:.1f} TiB"
