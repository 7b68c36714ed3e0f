"""What `explain --follow` and `run` do: each diagnosis when its line comes, each once, and silence as a finding."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable

import msgspec

from sparkdoctor.api import Severity
from sparkdoctor.diagnose import Diagnosis
from sparkdoctor.explaining import Answer, Case
from sparkdoctor.logs.follow import Follow, News, Sign
from sparkdoctor.logs.match import Hit
from sparkdoctor.logs.phases import Stop
from sparkdoctor.logs.read import Block, LogError
from sparkdoctor.logs.scan import KEPT, Tail

Say = Callable[[Diagnosis | Stop], None]


class Watch:
    """Listens to logs that grow."""

    def __init__(self, case: Case, say: Say, *, hang_after: float | None, clock: Callable[[], float]) -> None:
        """`hang_after`: seconds without progress that count as hanging; None for what each phase allows."""
        self._case = case
        self._say = say
        self._hang_after = hang_after
        self._clock = clock
        self._began = clock()
        self._progress: dict[str, float] = {}
        self._tails: dict[str, Tail] = {}
        self._counts: Counter[tuple[str, str]] = Counter()
        self._told: set[str] = set()
        self._hung: set[tuple[str, str, int]] = set()
        self._problems: list[str] = []
        self._diagnoses: list[Diagnosis] = []

    @property
    def said(self) -> bool:
        return bool(self._told or self._hung)

    def hear(self, batch: Iterable[News]) -> None:
        """Raises BadInput for a launch that was named and cannot be read."""
        found = False
        for name, what in batch:
            if isinstance(what, Block):
                found |= self._block(name, what)
            elif isinstance(what, LogError):
                self._problems.append(str(what))
            elif what is Sign.REPAINT:
                self._progress[name] = self._clock()
        if found:
            self._diagnoses = self._case.diagnoses()
            for diagnosis in self._diagnoses:
                if diagnosis.name not in self._told:
                    self._told.add(diagnosis.name)
                    self._say(diagnosis)
        self._look_for_silence()

    def _block(self, name: str, block: Block) -> bool:
        """Whether it may change what is known."""
        tail = self._tails.setdefault(name, Tail(name))
        hits = [hit for whole in tail.following(iter([block])) for hit in self._case.matcher.scan([whole], name)]
        marks = self._case.knowledge.marks
        idle = {hit.line for hit in hits if hit.signature in marks and marks[hit.signature].idle}
        if block.data.count(b"\n") > len(idle) or not idle:
            self._progress[name] = self._clock()
        failures = list(self._case.take(hits))
        self._case.hits += self._few(failures)
        return bool(failures) or any(hit.captures.get("network") for hit in hits)

    def _few(self, hits: Iterable[Hit]) -> Iterable[Hit]:
        """A log may grow for weeks: the first KEPT hits of each signature are kept, the others not even counted."""
        for hit in hits:
            self._counts[hit.file, hit.signature] += 1
            if self._counts[hit.file, hit.signature] <= KEPT:
                yield hit

    def _look_for_silence(self) -> None:
        if any(diagnosis.severity is Severity.ERROR for diagnosis in self._diagnoses):
            return
        now = self._clock()
        for stop in self._case.courses.stops():
            silent = now - self._progress.get(stop.file, self._began)
            allowed = self._case.knowledge.phases[stop.phase].patience if self._hang_after is None else self._hang_after
            key = (stop.file, stop.phase, stop.evidence.line)
            if silent >= allowed and key not in self._hung:
                self._hung.add(key)
                self._say(msgspec.structs.replace(stop, silent=silent))

    def answer(self) -> Answer:
        """For the end."""
        endings = [tail.ending() for tail in self._tails.values() if tail.blocks]
        return self._case.answer(self._case.diagnoses(), tuple(self._tails), endings, self._problems)


def watch(case: Case, follow: Follow, say: Say, *, hang_after: float | None, each: Callable[[], None]) -> Watch:
    """Listen until all logs have ended; `each` is called again and again meanwhile, five times a second at least."""
    listening = Watch(case, say, hang_after=hang_after, clock=time.monotonic)
    for batch in follow.batches():
        listening.hear(batch)
        each()
    return listening
