"""The hits of one signature as one: counted, a few kept, with when and where they were logged."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cache
from itertools import combinations

from sparkdoctor.api import Severity
from sparkdoctor.late import late
from sparkdoctor.logs.chronicle import Chronicle
from sparkdoctor.logs.match import Hit
from sparkdoctor.logs.scan import Line
from sparkdoctor.logs.sources import rotated
from sparkdoctor.signatures import Signature, fill

EVIDENCE_A_FILE = 3
EVIDENCE = 12
"""Lines that are kept as evidence of one signature; the others are counted."""
TRACEBACK = 200
"""Lines before its cause at which a consequence may be logged: a traceback tells what it broke before it says why."""
LATE = 60.0
"""Seconds by which a line of another log may come before its cause: a rank that fails prints why when it has torn down."""


_CALM = late(
    r"\b(?:WARNING|INFO|DEBUG) \d\d-\d\d \d\d:\d\d:\d\d \[|[ \t-](?:WARNING|INFO|DEBUG) (?:- |[\w./]{1,80}:\d{1,6} -- )"
)
"""How the loggers of vLLM, Ray and Python begin a line after which the program goes on."""


class Group:
    """All hits of one signature: counted, a few kept."""

    def __init__(self, signature: Signature, first: Hit, chronicle: Chronicle) -> None:
        self.signature = signature
        self.order = 0
        self.count = 0
        self.captures = first.captures
        self.first: dict[str, Line] = {}
        self.last: dict[str, Line] = {}
        self.evidence: list[Line] = []
        self.nodes: set[str] = set()
        """Those that wrote the lines; "" for lines of which nobody knows."""
        self._chronicle = chronicle
        self._calm = True
        self._captures: dict[str, dict[str, str]] = {}
        self._kept: dict[str, int] = {}

    @property
    def name(self) -> str:
        return self.signature.name

    @property
    def title(self) -> str:
        return fill(self.signature.title, self.captures)

    @property
    def severity(self) -> Severity:
        """That of the signature; of an error that the program itself only ever logged as less, it went on after it."""
        severity = self.signature.severity
        if severity is Severity.ERROR and self._calm and not _known_calm(self.signature):
            return Severity.NOTE
        return severity

    def add(self, hit: Hit) -> None:
        self.count += hit.count
        self._calm = self._calm and is_calm(hit.text, hit.start)
        place = self._chronicle.place(hit)
        line = Line(
            hit.file,
            hit.line,
            hit.text,
            hit.start,
            hit.end,
            place.time,
            place.at,
            place.node,
            place.rank,
            place.process,
        )
        self.nodes.add(place.node)
        self.first.setdefault(hit.file, line)
        self._captures.setdefault(hit.file, hit.captures)
        self.last[hit.file] = line
        kept = self._kept.get(hit.file, 0)
        if kept < EVIDENCE_A_FILE and len(self.evidence) < EVIDENCE:
            self._kept[hit.file] = kept + 1
            self.evidence.append(line)

    @property
    def last_line(self) -> Line | None:
        """The last by time, else of the last log; None if there is only one."""
        lines = list(self.last.values())
        return None if self.count == 1 else max(lines, key=lambda line: line.at or 0.0) if _timed(lines) else lines[-1]

    def sort(self) -> None:
        """Begin with the log in which it came first."""
        self.evidence.sort(key=lambda line: (self.first[line.file].at or 0.0, line.file))
        first = min(self.first.values(), key=lambda line: line.at or 0.0)
        self.captures = self._captures[first.file]

    def may_precede(self, other: Group) -> bool:
        """Whether this may be why some line of the other was logged."""
        return any(self._precedes(first, last) for first in self.first.values() for last in other.last.values())

    def _precedes(self, first: Line, last: Line) -> bool:
        if first.file == last.file:
            return first.line <= last.line + TRACEBACK
        mine, theirs = rotated(first.file), rotated(last.file)
        if mine[0] == theirs[0]:
            return mine[1] <= theirs[1]
        if first.at is None or last.at is None or not self._chronicle.comparable(first.file, last.file):
            return True
        return first.at <= last.at + LATE


def is_calm(text: str, start: int) -> bool:
    """Whether what begins at `start` was logged as a warning or as news."""
    return bool(_CALM.search(text[:start]))


@cache
def _known_calm(signature: Signature) -> bool:
    """Whether the line is known to be logged as no more than a warning, and an error all the same."""
    found = ((line, re.search(signature.match, line)) for sample in signature.matches for line in sample.splitlines())
    return any(match is not None and is_calm(line, match.start()) for line, match in found)


def grouped(hits: Iterable[Hit], signatures: Mapping[str, Signature], chronicle: Chronicle) -> dict[str, Group]:
    groups: dict[str, Group] = {}
    for hit in hits:
        if hit.signature not in groups:
            groups[hit.signature] = Group(signatures[hit.signature], hit, chronicle)
        groups[hit.signature].add(hit)
    return groups


def in_time(groups: Mapping[str, Group], chronicle: Chronicle) -> dict[str, Group]:
    """In the order of their first lines: by time if that is one scale for all of them, else by log and line."""
    lines = [line for group in groups.values() for line in group.first.values()]
    files = dict.fromkeys(line.file for line in lines)
    ordered = list(groups.values())
    if _timed(lines) and all(chronicle.comparable(one, other) for one, other in combinations(files, 2)):
        # Stamps of whole seconds are often equal; within one log its order decides.
        places = {file: number for number, file in enumerate(files)}
        firsts = {
            group.name: min((line.at or 0.0, places[line.file], line.line) for line in group.first.values())
            for group in ordered
        }
        ordered.sort(key=lambda group: firsts[group.name])
        for group in ordered:
            group.sort()
    for number, group in enumerate(ordered):
        group.order = number
    return {group.name: group for group in ordered}


def _timed(lines: Iterable[Line]) -> bool:
    return all(line.at is not None for line in lines)
