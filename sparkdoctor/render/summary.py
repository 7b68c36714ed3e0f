"""How far launches got, where they stand still, and what they chose, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator

from sparkdoctor.logs.phases import Course, Stop, Told
from sparkdoctor.render.clean import cut_left, printable
from sparkdoctor.render.console import prose
from sparkdoctor.render.styled import Text

LABEL = 10
"""Columns of the labels."""


def render_courses(courses: tuple[Course, ...], width: int) -> Iterator[Text]:
    """What `--summary` shows, a paragraph a log."""
    if not courses:
        yield Text("no line of a launch that is known (vLLM, SGLang, NCCL with NCCL_DEBUG=INFO)")
    for number, course in enumerate(courses):
        if number:
            yield Text("")
        yield from _course(course, width)


def render_stops(stops: tuple[Stop, ...], width: int) -> Iterator[Text]:
    for number, stop in enumerate(stops):
        if number:
            yield Text("")
        yield from render_stop(stop, width)


def render_stop(stop: Stop, width: int) -> Iterator[Text]:
    """One log that ends, or stands still, where a launch should go on."""
    how = "this log ends while it" if stop.silent is None else f"no progress for {stop.silent:.0f} s while it"
    word = "ends" if stop.silent is None else "hang"
    yield Text.assemble((f"{word}[{stop.phase}]", "bold yellow"), (f" {how} {stop.title}", "bold"))
    yield Text.assemble("  ", ("-->", "blue"), f" {printable(stop.file)}:{stop.evidence.line}")
    yield Text(f"   | {cut_left(printable(stop.evidence.text.strip()), max(20, width - 5))}")
    yield from (
        Text(printable(line)) for line in prose(stop.waits, "        ", width, first="   usually it waits for: ")
    )
    if stop.checks:
        yield Text(f"   to look: sparkdoctor check --select {','.join(stop.checks)}")


def _course(course: Course, width: int) -> Iterator[Text]:
    last = course.steps[-1].title if course.steps else "says nothing of how far the launch is"
    yield Text.assemble((printable(course.file), "bold"), f": {last}")
    if course.launches > 1:
        yield _line("launches", f"{course.launches} in this log; all below is of the last")
    if course.steps:
        firsts = {step.phase: step.evidence.line for step in reversed(course.steps)}
        seen = dict.fromkeys(step.phase for step in course.steps)
        places = ", ".join(f"{phase}:{firsts[phase]}" for phase in seen)
        yield from (Text(line) for line in prose(places, " " * (LABEL + 3), width, first=_label("phases")))
    for topic in dict.fromkeys(told.topic for told in course.told):
        for number, told in enumerate(_longest([told for told in course.told if told.topic == topic])):
            yield _line("" if number else topic, _told(told))


def _longest(told: list[Told]) -> list[Told]:
    """Without what another one says too, and more of."""
    return [one for one in told if not any(one is not other and other.text.startswith(one.text) for other in told)]


def _told(told: Told) -> str:
    return f"{told.text}  :{told.evidence.line}" + (f" and {told.count - 1} more" if told.count > 1 else "")


def _label(word: str) -> str:
    return f"  {word:<{LABEL}} "


def _line(label: str, text: str) -> Text:
    return Text(f"{_label(printable(label))}{printable(text)}")
