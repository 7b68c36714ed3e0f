"""The decisive lines of all logs in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from sparkdoctor.diagnose import Diagnosis
from sparkdoctor.host import Data
from sparkdoctor.logs.scan import Line


class Moment(Data, frozen=True, omit_defaults=False):
    """The first line of a signature in one log, or the last of all."""

    offset: float | None
    """Seconds after the first moment whose time is known; None when its own is not."""
    role: str
    """`cause`, `symptom` or `consequence` of a diagnosis, else its severity; `follows` for what another explains."""
    name: str
    title: str
    line: Line
    repeats: int = 0
    """When it is the last line of several: how many these are."""


def timeline(diagnoses: Iterable[Diagnosis]) -> tuple[Moment, ...]:
    """Those whose time is not known stand at the end, in the order of the diagnoses."""
    moments = [moment for diagnosis in diagnoses for moment in _of_diagnosis(diagnosis)]
    known = sorted(
        ((moment.line.at, moment) for moment in moments if moment.line.at is not None), key=lambda pair: pair[0]
    )
    start = known[0][0] if known else 0.0
    timed = [
        Moment(at - start, moment.role, moment.name, moment.title, moment.line, moment.repeats) for at, moment in known
    ]
    return (*timed, *(moment for moment in moments if moment.line.at is None))


def _of_diagnosis(diagnosis: Diagnosis) -> Iterator[Moment]:
    role = diagnosis.role.value if diagnosis.severity.value == "error" else diagnosis.severity.value
    yield from _moments(role, diagnosis.name, diagnosis.title, diagnosis.evidence, diagnosis.count, diagnosis.last)
    for follower in diagnosis.follows:
        yield from _moments("follows", follower.name, follower.title, follower.evidence, follower.count, follower.last)


def _moments(
    role: str, name: str, title: str, evidence: Iterable[Line], count: int, last: Line | None
) -> Iterator[Moment]:
    firsts: dict[str, Line] = {}
    for line in evidence:
        firsts.setdefault(line.file, line)
    for line in firsts.values():
        yield Moment(None, role, name, title, line)
    if last is not None and last not in firsts.values():
        yield Moment(None, role, name, title, last, count)
