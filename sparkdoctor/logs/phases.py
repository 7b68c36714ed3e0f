"""How far a launch got and what it chose, from the marks in its logs."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec

from sparkdoctor.host import Data
from sparkdoctor.logs.match import Hit
from sparkdoctor.logs.scan import Line
from sparkdoctor.marks import Mark, Phase
from sparkdoctor.signatures import Knowledge, fill

TOLD = 60
"""Different things that are kept of one log."""
STEPS = 200
"""Changes of phase that are kept of one log: the first ones; where it stands is always known."""
TCP_IN_PLACE_OF_RDMA = "nccl-traffic-over-tcp"
"""The signature that a choice of TCP counts for in a launch that asks for RDMA."""
RDMA_VARIABLES = frozenset({"NCCL_IB_HCA", "NCCL_IB_GID_INDEX"})
"""Who sets one of them means to use RDMA."""


class Step(Data, frozen=True, omit_defaults=False):
    """A phase that began."""

    phase: str
    title: str
    evidence: Line


class Told(Data, frozen=True, omit_defaults=False):
    """Something that the launch chose or measured."""

    topic: str
    text: str
    values: dict[str, str]
    count: int
    evidence: Line
    """The first line that says it."""


class Stop(Data, frozen=True, omit_defaults=False):
    """A log whose last phase is one that a launch leaves when all is well."""

    file: str
    phase: str
    title: str
    waits: str
    """What a launch that stops there usually waits for."""
    checks: tuple[str, ...]
    """Names of checks and causes that are worth a look."""
    evidence: Line
    """The line with which the phase began."""
    silent: float | None = None
    """Seconds without progress, None when the log was read to its end and nobody saw time pass."""


class Course(Data, frozen=True, omit_defaults=False):
    """One log."""

    file: str
    launches: int
    """How often a launch began in it; all else is about the last one."""
    steps: tuple[Step, ...]
    phase: str
    """Where it is at the end; empty when no phase was seen."""
    arrived: bool
    """Whether it is in a phase in which a launch may rest, having gone through others."""
    told: tuple[Told, ...]


class Tracker:
    """Follows one log from mark to mark."""

    def __init__(self, file: str, knowledge: Knowledge) -> None:
        self.file = file
        self._knowledge = knowledge
        self._first = min((phase.order for phase in knowledge.phases.values()), default=0)
        self._launches = 1
        self._begin()

    def _begin(self) -> None:
        self.now: Phase | None = None
        self.since: Line | None = None
        self.sets: set[str] = set()
        self.values: dict[str, set[str]] = {}
        """All that was captured, by the name of the capture."""
        self._furthest: Phase | None = None
        self._goal: Phase | None = None
        self._steps: list[Step] = []
        self._told: dict[tuple[str, str], Told] = {}

    def add(self, hit: Hit) -> None:
        """Hits of marks, in the order of the log."""
        mark = self._knowledge.marks[hit.signature]
        line = Line(hit.file, hit.line, hit.text, hit.start, hit.end)
        if mark.phase:
            self._enter(self._knowledge.phases[mark.phase], line)
        if mark.goal:
            self._goal = self._knowledge.phases[mark.goal]
        if mark.sets:
            self.sets.add(mark.sets)
        for name, value in hit.captures.items():
            self.values.setdefault(name, set()).add(value)
        if mark.topic:
            self._tell(mark, hit, line)

    def _enter(self, phase: Phase, line: Line) -> None:
        furthest = self._furthest
        if furthest is not None and phase.order == self._first < furthest.order and self._left_first():
            self._launches += 1
            self._begin()
            furthest = None
        if furthest is not None and phase.order < furthest.order and not phase.waits:
            phase = furthest  # something is over that was begun late, as NCCL for one more group of ranks
        if phase is self.now:
            return
        self.now, self.since = phase, line
        if furthest is None or phase.order > furthest.order:
            self._furthest = phase
        if len(self._steps) < STEPS:
            self._steps.append(Step(phase.name, phase.title, line))

    def _left_first(self) -> bool:
        """A launch is new when the last one had come past its second phase: ranks in one log begin side by side."""
        return len({step.phase for step in self._steps}) > 2

    def _tell(self, mark: Mark, hit: Hit, line: Line) -> None:
        text = fill(mark.tells, hit.captures)
        told = self._told.get((mark.topic, text))
        if told is not None:
            self._told[mark.topic, text] = msgspec.structs.replace(told, count=told.count + hit.count)
        elif len(self._told) < TOLD:
            self._told[mark.topic, text] = Told(mark.topic, text, hit.captures, hit.count, line)

    @property
    def may_rest(self) -> bool:
        """Whether nothing more need be said: it serves, or what comes after this phase is not known."""
        if self.now is None:
            return True
        return not self.now.waits or (self._goal is not None and self.now.order >= self._goal.order)

    def stop(self, silent: float | None = None) -> Stop | None:
        """Where it stands, unless it may rest there."""
        if self.now is None or self.since is None or self.may_rest:
            return None
        now = self.now
        return Stop(self.file, now.name, now.title, now.waits, now.causes, self.since, silent)

    def course(self) -> Course:
        now = self.now.name if self.now is not None else ""
        arrived = bool(self._steps) and self.may_rest
        return Course(self.file, self._launches, tuple(self._steps), now, arrived, tuple(self._told.values()))


class Courses:
    """The trackers of several logs."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._trackers: dict[str, Tracker] = {}

    def without_marks(self, hits: Iterable[Hit]) -> Iterator[Hit]:
        """The hits of signatures; those of marks are kept here."""
        for hit in hits:
            if hit.signature in self._knowledge.marks:
                self.of(hit.file).add(hit)
            else:
                yield hit

    def of(self, file: str) -> Tracker:
        tracker = self._trackers.get(file)
        if tracker is None:
            tracker = self._trackers[file] = Tracker(file, self._knowledge)
        return tracker

    def all(self) -> tuple[Course, ...]:
        return tuple(tracker.course() for tracker in self._trackers.values())

    def stops(self) -> tuple[Stop, ...]:
        """Logs that end where a launch should go on. None when any of them serves: then the others only have no
        more to say."""
        last = max((phase.order for phase in self._knowledge.phases.values()), default=0)
        trackers = self._trackers.values()
        if any(tracker.now is not None and tracker.now.order == last for tracker in trackers):
            return ()
        return tuple(stop for tracker in trackers if (stop := tracker.stop()) is not None)

    def tcp_chosen(self) -> list[Hit]:
        """The lines that say that NCCL uses TCP, in launches that may span nodes, as hits of TCP_IN_PLACE_OF_RDMA."""
        if TCP_IN_PLACE_OF_RDMA not in self._knowledge.signatures:
            return []
        return [
            Hit(TCP_IN_PLACE_OF_RDMA, line.file, line.line, line.text, {}, line.start, line.end)
            for tracker in self._trackers.values()
            if tracker.values.get("nodes", set()) != {"1"}
            for told in tracker.course().told
            if told.values.get("network") == "Socket"
            for line in (told.evidence,)
        ]

    @property
    def ask_for_rdma(self) -> bool:
        """Whether any log says that its launch sets what only RDMA uses."""
        return any(tracker.sets & RDMA_VARIABLES for tracker in self._trackers.values())
