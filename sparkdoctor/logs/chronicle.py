"""When and where the lines of several logs were written, on one scale.

Each log has a clock of its own: its zone, year and boot time are learned from its lines (times.py).
Clocks of different logs are compared by events that all ranks log at one time, if there are any.
Pure; what cannot be told stays unknown, and logs whose times do not meet are not compared.
"""

from __future__ import annotations

import os.path
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import combinations
from typing import NamedTuple

from sparkdoctor.host import Data
from sparkdoctor.logs.match import Hit
from sparkdoctor.logs.origin import Prefix, node_in_name, prefix_of, rank_in_name
from sparkdoctor.logs.sources import rotated
from sparkdoctor.logs.times import Clock, Kind, Stamp, learn, moment, shown

REMEMBERED = 2000
"""Lines of one log from which its clock is learned."""
APART = 1800.0
"""Seconds between two logs of one run; what lies further apart has another zone, clock or run."""
TOGETHER = 2.0
"""Seconds within which all ranks log an event that they have in common; smaller offsets are not told from none."""
ASIDE = 14 * 3600 + APART
"""Seconds that clocks may differ by when the zones are unknown."""

SHARED: Mapping[str, tuple[str, ...]] = {
    "nccl-init-complete": ("comm",),
    "vllm-ranks-assigned": (),
}
"""Marks that all ranks log at one time, with the captures that tell one event from another of its kind."""


class Place(NamedTuple):
    """When and where a line was written, as far as it can be told."""

    at: float | None = None
    """Seconds since 1970, UTC, on the common scale."""
    time: str = ""
    """As the log's own clock showed it, with its zone if that is known."""
    node: str = ""
    rank: int | None = None
    process: str = ""


class Offset(Data, frozen=True, omit_defaults=False):
    """How far the clock of one log is ahead of another's."""

    file: str
    than: str
    seconds: float
    events: int
    """Events that both logs have; the estimate is the median of their differences."""
    kind: str
    """The mark that tells these events."""


class _Notes:
    """What is known of one log."""

    def __init__(self) -> None:
        self.stamps: list[tuple[Stamp, ...]] = []
        self.nodes: Counter[str] = Counter()
        self.ranks: set[int] = set()
        self.shared: dict[tuple[str, ...], list[Stamp]] = {}


class Chronicle:
    """Collects what the lines of all logs tell about time and place; asked when they have been read."""

    def __init__(self) -> None:
        self._notes: dict[str, _Notes] = {}
        self._written: dict[str, float] = {}
        self._clocks: dict[str, Clock] | None = None
        self._spans: dict[str, tuple[float, float]] = {}
        self.offsets: tuple[Offset, ...] = ()
        self.ranks = 0
        """How many there are, 0 when no line tells."""

    def date(self, written: Mapping[str, float]) -> None:
        """When files were last written, in seconds since 1970; for the year of stamps without one."""
        self._written.update(written)
        self._clocks = None

    def following(self, hits: Iterable[Hit]) -> Iterator[Hit]:
        """The same hits, noted."""
        for hit in hits:
            self.add(hit)
            yield hit

    def add(self, hit: Hit) -> None:
        prefix = _prefix(hit)
        self._note(hit.file, prefix)
        notes = self._notes[hit.file]
        rank, ranks = hit.captures.get("rank", ""), hit.captures.get("ranks", "")
        if rank.isdecimal() and ranks.isdecimal():
            notes.ranks.add(int(rank))
            self.ranks = max(self.ranks, int(ranks))
        elif prefix.rank is not None:
            notes.ranks.add(prefix.rank)
        keys = SHARED.get(hit.signature)
        if keys is not None and prefix.stamps and len(notes.shared) < REMEMBERED:
            event = (hit.signature, *(hit.captures.get(key, "") for key in keys))
            notes.shared.setdefault(event, []).append(_finest(prefix.stamps))

    def add_line(self, file: str, text: str) -> None:
        """A line that is no hit, such as the last of a log."""
        self._note(file, prefix_of(text))

    def _note(self, file: str, prefix: Prefix) -> None:
        self._clocks = None
        notes = self._notes.setdefault(file, _Notes())
        if prefix.stamps and len(notes.stamps) < REMEMBERED:
            notes.stamps.append(prefix.stamps)
        if prefix.node:
            notes.nodes[prefix.node] += 1

    def place(self, hit: Hit) -> Place:
        """Raises nothing."""
        clock = self._settled().get(hit.file, Clock())
        prefix = _prefix(hit)
        node, rank = self._whereabouts(hit.file, prefix)
        for stamp in sorted(prefix.stamps, key=_worth):
            at = moment(stamp, clock)
            if at is not None:
                zone = 0 if stamp.kind is Kind.ZONED and clock.zone is None else clock.zone
                return Place(at, shown(at + clock.offset, zone, stamp.step), node, rank, prefix.process)
        boot = next((stamp for stamp in prefix.stamps if stamp.kind is Kind.BOOT), None)
        return Place(None, f"{boot.seconds:.3f} s after boot" if boot else "", node, rank, prefix.process)

    def _whereabouts(self, file: str, prefix: Prefix) -> tuple[str, int | None]:
        notes = self._notes.get(file, _Notes())
        node, rank = prefix.node, prefix.rank
        if not node:
            node = next(iter(notes.nodes)) if len(notes.nodes) == 1 else ""
            node = node or node_in_name(file, frozenset(name for other in self._notes.values() for name in other.nodes))
        if rank is None:
            rank = next(iter(notes.ranks)) if len(notes.ranks) == 1 else rank_in_name(file)
        return node, rank

    def ranks_seen(self) -> set[int]:
        """The ranks whose lines are in these logs."""
        named = {rank for file in self._notes if (rank := rank_in_name(file)) is not None}
        return named.union(*(notes.ranks for notes in self._notes.values()))

    def comparable(self, one: str, other: str) -> bool:
        """Whether the times of two logs are on one scale: they overlap, or nearly."""
        if one == other:
            return True
        self._settled()
        a, b = self._spans.get(one), self._spans.get(other)
        return a is not None and b is not None and a[0] - APART <= b[1] and b[0] - APART <= a[1]

    def remarks(self) -> list[str]:
        """What was assumed about the clocks, for a person."""
        clocks = self._settled()
        told = [
            f"the clock of {offset.file} is {offset.seconds:.1f} s ahead of that of {offset.than}"
            if offset.seconds > 0
            else f"the clock of {offset.file} is {-offset.seconds:.1f} s behind that of {offset.than}"
            for offset in self.offsets
        ]
        told = [
            f"{words}, by {offset.events} event{'s' if offset.events > 1 else ''} that both log ({offset.kind})"
            for words, offset in zip(told, self.offsets, strict=True)
        ]
        zoneless = [file for file in clocks if self._lacks_zone(file)]
        if zoneless and len(zoneless) < len(clocks):
            told.append(f"{', '.join(zoneless)}: the times have no zone and are taken as UTC")
        pairs = [pair for pair in combinations(self._spans, 2) if not self.comparable(*pair)]
        if pairs:
            told.append(f"the times of {pairs[0][0]} and {pairs[0][1]} lie far apart and are not compared")
        return told

    def _lacks_zone(self, file: str) -> bool:
        stamps = [stamp for stamps in self._notes[file].stamps for stamp in stamps]
        kinds = {stamp.kind for stamp in stamps}
        return (
            self._settled()[file].zone is None and bool(kinds & {Kind.LOCAL, Kind.YEARLESS}) and Kind.ZONED not in kinds
        )

    def _settled(self) -> dict[str, Clock]:
        if self._clocks is None:
            clocks = {file: learn(notes.stamps, self._written.get(file)) for file, notes in self._notes.items()}
            clocks = self._with_years(clocks)
            clocks = self._with_boots(clocks)
            self.offsets = tuple(self._estimated(clocks))
            for offset in self.offsets:
                clock = clocks[offset.file]
                clocks[offset.file] = Clock(clock.zone, clock.near, clock.boot, offset.seconds)
            self._spans = {
                file: (min(times), max(times))
                for file, clock in clocks.items()
                if (times := [at for stamps in self._notes[file].stamps if (at := _at(stamps, clock)) is not None])
            }
            self._clocks = clocks
        return self._clocks

    def _with_years(self, clocks: dict[str, Clock]) -> dict[str, Clock]:
        """A log that nothing dates is of the time of the others."""
        known = [clock.near for clock in clocks.values() if clock.near is not None]
        return {
            file: Clock(clock.zone, max(known, default=None) if clock.near is None else clock.near, clock.boot)
            for file, clock in clocks.items()
        }

    def _with_boots(self, clocks: dict[str, Clock]) -> dict[str, Clock]:
        """When a node started is known for all its logs if one of them tells."""
        boots: dict[str, float] = {}
        for file, clock in clocks.items():
            node, _ = self._whereabouts(file, Prefix())
            if clock.boot is not None and node:
                boots[node] = clock.boot
        return {
            file: Clock(clock.zone, clock.near, clock.boot or boots.get(self._whereabouts(file, Prefix())[0]))
            for file, clock in clocks.items()
        }

    def _estimated(self, clocks: Mapping[str, Clock]) -> Iterator[Offset]:
        """Offsets to the first log that shares an event. Nothing when events disagree, or the difference is small."""
        than = next((file for file, notes in self._notes.items() if notes.shared), None)
        for file, notes in self._notes.items():
            if than is None or file == than or rotated(file)[0] == rotated(than)[0]:
                continue
            differences: list[float] = []
            kinds: set[str] = set()
            for event, stamps in notes.shared.items():
                theirs = self._notes[than].shared.get(event, [])
                if len(stamps) != 1 or len(theirs) != 1:  # a launch that was started anew logs it again
                    continue
                mine, other = moment(stamps[0], clocks[file]), moment(theirs[0], clocks[than])
                if mine is not None and other is not None:
                    differences.append(mine - other)
                    kinds.add(event[0])
            if differences and max(differences) - min(differences) <= TOGETHER:
                seconds = _median(differences)
                if TOGETHER < abs(seconds) <= ASIDE:
                    yield Offset(file, than, seconds, len(differences), ", ".join(sorted(kinds)))


def _prefix(hit: Hit) -> Prefix:
    own = prefix_of(hit.text)
    return own if own.stamps or not hit.near else own._replace(stamps=prefix_of(hit.near).stamps)


def _worth(stamp: Stamp) -> tuple[bool, bool]:
    """Those of the program itself first: a collector stamps a line when it comes in."""
    return stamp.kind is Kind.BOOT, stamp.kind is Kind.YEARLESS


def _finest(stamps: Sequence[Stamp]) -> Stamp:
    return min(stamps, key=lambda stamp: (_worth(stamp), stamp.step))


def _at(stamps: Sequence[Stamp], clock: Clock) -> float | None:
    return next((at for stamp in sorted(stamps, key=_worth) if (at := moment(stamp, clock)) is not None), None)


def written_times(paths: Iterable[str]) -> dict[str, float]:
    """When each of these files was last written; without those that cannot be asked."""
    times: dict[str, float] = {}
    for path in paths:
        try:
            times[path] = os.path.getmtime(path)
        except (OSError, ValueError):
            continue
    return times


def _median(values: Sequence[float]) -> float:
    """As that of `statistics`, which takes longer to import than a small log to read."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
