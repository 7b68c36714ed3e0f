"""The answer of `explain LOG...` as lines of text: where it began, what followed, which cause the facts leave."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from msgspec.structs import replace

from sparkdoctor.api import Fix, Seen, Severity
from sparkdoctor.diagnose import Candidate, Diagnosis, Follower, Remedy, Verdict
from sparkdoctor.logs.phases import Course
from sparkdoctor.logs.scan import Ending, Line
from sparkdoctor.render.clean import cut_left, printable
from sparkdoctor.render.console import prose
from sparkdoctor.render.styled import Text
from sparkdoctor.render.summary import render_stop
from sparkdoctor.render.text import FIX_WORD, STYLE, below_fix, evidence
from sparkdoctor.render.timeline import whereabouts
from sparkdoctor.signatures import Role
from sparkdoctor.steps import steps
from sparkdoctor.unnamed import General

if TYPE_CHECKING:
    from sparkdoctor.explaining import Answer

FILES = 4
"""Files of which a line is shown when not all are asked for."""
SEEN = 3
"""Values that are shown for a cause that is ruled out."""
_VERDICT = {
    Verdict.CONFIRMED: ("confirmed", "bold red"),
    Verdict.OPEN: ("open", "bold yellow"),
    Verdict.RULED_OUT: ("ruled out", "dim"),
}


def render_explain(answer: Answer, width: int, *, verbose: bool = False) -> Iterator[Text]:
    """All but the files that could not be read. `width`: columns for evidence and prose."""
    diagnoses = answer.diagnoses
    errors = [diagnosis for diagnosis in diagnoses if diagnosis.severity is Severity.ERROR]
    began = any(diagnosis.role is Role.CAUSE for diagnosis in errors)
    parts = [
        _diagnosis(diagnosis, width, verbose, began and diagnosis.role is not Role.CAUSE and not verbose)
        for diagnosis in diagnoses
    ]
    told = {stop.file for stop in answer.stops} | {course.file for course in answer.courses if course.arrived}
    endings = [ending for ending in answer.unexplained if ending.error_like or ending.file not in told]
    if endings:
        parts.append(_unknown(endings, answer.tried, width))
    parts += [render_stop(stop, width) for stop in answer.stops]
    if not parts and answer.courses:
        parts.append(_nothing_wrong(answer.courses, width))
    if answer.known:
        parts.append(_closing(answer, width))
    for number, part in enumerate(parts):
        if number:
            yield Text("")
        yield from part


def render_diagnosis(diagnosis: Diagnosis, width: int, *, verbose: bool = False) -> Iterator[Text]:
    """One diagnosis by itself."""
    return _diagnosis(diagnosis, width, verbose, brief=False)


def _nothing_wrong(courses: Sequence[Course], width: int) -> Iterator[Text]:
    names = ", ".join(f"{course.file} ({course.phase})" for course in courses)
    yield from (Text(printable(line)) for line in prose(f"nothing that is known went wrong in {names}", "", width))


def _diagnosis(diagnosis: Diagnosis, width: int, verbose: bool, brief: bool) -> Iterator[Text]:
    error = diagnosis.severity is Severity.ERROR
    word = diagnosis.role.value if error else diagnosis.severity.value
    yield _head(word, STYLE[diagnosis.severity], diagnosis.name, diagnosis.title)
    yield from _evidence(diagnosis.evidence, diagnosis.count, diagnosis.last, width, verbose)
    if brief:
        return
    yield from _labelled("why", "", diagnosis.why, width)
    for cause in diagnosis.causes:
        yield from _cause(cause, width, verbose)
    if isinstance(diagnosis, General):
        yield from _look(diagnosis.fixes, width)
    else:
        yield from _remedy(diagnosis, width)
    for ref in diagnosis.refs if verbose else diagnosis.refs[:1]:
        yield Text(f"   see: {printable(ref)}")
    yield from _follows(diagnosis.follows, width, verbose)
    if diagnosis.missing is not None:
        yield from _labelled("missing", "bold yellow", diagnosis.missing.statement, width)
        yield from (Text(f"          {printable(command)}") for command in diagnosis.missing.get)


def _head(word: str, style: str, name: str, title: str) -> Text:
    return Text.assemble((f"{word}[{printable(name)}]", style), (f" {printable(title)}", "bold"))


def _evidence(lines: Sequence[Line], count: int, last: Line | None, width: int, verbose: bool) -> Iterator[Text]:
    """The first line of each file, or all that were kept."""
    firsts = list({line.file: line for line in reversed(lines)}.values())[::-1]
    shown = list(lines) if verbose else firsts[:FILES]
    for line in shown:
        more = ""
        if line is shown[-1] and count > len(shown):
            more = f" and {count - len(shown)} more"
            more += f", the last at {printable(last.time)}" if last is not None and last.time else ""
        said = ", ".join(filter(None, (whereabouts(line), printable(line.time))))
        place = f" ({said})" if said else ""
        yield Text.assemble("  ", ("-->", "blue"), f" {printable(line.file)}:{line.line}", (place, "dim"), more)
        yield Text(f"   | {_cut(line, max(20, width - 5))}")


def _cut(line: Line, width: int) -> str:
    """A line of a log in `width` columns: cut on the left, so that the message stays, unless what matched would go."""
    text = printable(line.text.strip())
    before = printable(line.text[: line.start].lstrip())
    if not line.end or len(text) - len(before) < width:
        return cut_left(text, width)
    if len(printable(line.text[: line.end].lstrip())) < width:
        return text[: width - 1] + "…"
    return "…" + text[len(before) : len(before) + width - 2] + "…"


def _cause(cause: Candidate, width: int, verbose: bool) -> Iterator[Text]:
    word, style = _VERDICT[cause.verdict]
    if cause.verdict is Verdict.OPEN:
        yield from _labelled(word, style, f"{cause.name}: {cause.title}", width)
        yield from (Text(printable(line)) for line in prose(cause.message, "        ", width))
        yield Text(f"        to decide: {printable(cause.decide)}")
        return
    confirmed = cause.verdict is Verdict.CONFIRMED
    told = cause.message if confirmed else _values(cause.seen, len(cause.seen) if verbose else SEEN)
    on = printable(", ".join(cause.on))
    yield Text.assemble("   ", (f"{word}:", style), f" {printable(cause.name)}  {printable(told)}  ", (on, "dim"))
    if confirmed:
        yield from evidence(list(dict.fromkeys(cause.seen)), "      | ")


def _look(fixes: Sequence[Remedy], width: int) -> Iterator[Text]:
    """What to look at next, which is no fix."""
    for remedy in fixes:
        yield from _labelled("next", "bold green", remedy.fix.do.rstrip(".:") + (":" if remedy.fix.run else ""), width)
        yield from below_fix(remedy.fix)


def _values(seen: Sequence[Seen], most: int) -> str:
    distinct = list(dict.fromkeys(f"{item.what} {item.value} ({item.where})" for item in seen))
    return "; ".join(distinct[:most]) + ("; ..." if len(distinct) > most else "")


def _remedy(diagnosis: Diagnosis, width: int) -> Iterator[Text]:
    if diagnosis.cause is None:
        yield Text("   no cause that is known for this line is left")
    if not diagnosis.fixes:
        return
    first = next((cause for cause in diagnosis.causes if cause.name == diagnosis.cause), None)
    if first is not None and first.verdict is Verdict.OPEN and diagnosis.fixes == first.fixes:
        yield Text(f"   if it is {printable(first.name)}:")
    folded: dict[Fix, list[Remedy]] = {}
    for remedy in diagnosis.fixes:
        folded.setdefault(replace(remedy.fix, run=()), []).append(remedy)
    everywhere = len({tuple(node for one in same for node in one.on) for same in folded.values()}) == 1
    for same in folded.values():
        yield from _fix(same, width, named=not everywhere)


def _fix(remedies: Sequence[Remedy], width: int, *, named: bool) -> Iterator[Text]:
    """Remedies that differ by their commands alone. `named`: with the nodes they are for."""
    fix = remedies[0].fix
    colon = ":" if fix.edit or any(one.fix.run for one in remedies) else ""
    word = FIX_WORD[fix.certainty]
    if named:
        word += f" on {', '.join(node for one in remedies for node in one.on)}"
    yield from _written(printable(word), fix.do.rstrip(".:") + colon if colon else fix.do, width)
    run = {node: one.fix.run for one in remedies for node in one.on} if len(remedies) > 1 else None
    yield from below_fix(fix, run=run)


def _written(label: str, text: str, width: int) -> Iterator[Text]:
    """What to do, each numbered step from a line of its own, and a command of it whole."""
    for number, step in enumerate(steps(text)):
        words = f"{step.words}:" if step.run else step.words
        if number:
            yield from (Text(printable(line)) for line in prose(words, "        ", width))
        else:
            yield from _labelled(label, "bold green", words, width)
        yield from (Text(f"          {printable(command)}") for command in step.run)


def _labelled(label: str, style: str, text: str, width: int) -> Iterator[Text]:
    for number, line in enumerate(prose(text, "        ", width, first=f"   {label}: ")):
        shown = Text(printable(line))
        if not number:
            shown.stylize(style, 3, 4 + len(label))
        yield shown


def _follows(followers: Sequence[Follower], width: int, verbose: bool) -> Iterator[Text]:
    if not followers:
        return
    if verbose:
        for follower in followers:
            yield _head("follows", "cyan", follower.name, follower.title)
            yield from _evidence(follower.evidence, follower.count, follower.last, width, verbose)
        return
    count = sum(follower.count for follower in followers)
    files = len({line.file for follower in followers for line in follower.evidence})
    lines = f"{count} line{'s' if count > 1 else ''}" + (f" in {files} files" if files > 1 else "")
    titles = "; ".join(follower.title for follower in followers)
    yield from _labelled("follows", "cyan", f"{lines} ({titles}); -v shows them", width)


def _unknown(endings: Sequence[Ending], tried: int, width: int) -> Iterator[Text]:
    names = ", ".join(ending.file for ending in endings)
    statement = f"none of the {tried} known signatures explains how {names} end{'s' if len(endings) == 1 else ''}"
    yield from (Text(printable(line)) for line in prose(statement, "", width))
    for ending in endings:
        what = (
            "the last lines that look like errors"
            if ending.error_like
            else "no line looks like an error; the last ones"
        )
        yield Text(f"{what}, {printable(ending.file)}:")
        for line in ending.lines:
            yield Text(f"{line.line:>6} | {_cut(line, max(20, width - 9))}")
    yield Text("a failure that is not known yet is worth a report, with these lines")


def _closing(answer: Answer, width: int) -> Iterator[Text]:
    begin, count = answer.diagnoses[0], len(answer.diagnoses)
    first = answer.known[0]
    words = f"{count} diagnos{'es' if count > 1 else 'is'}"
    if count > 1:
        words += f", begin with {begin.name}"
    if any(diagnosis.causes for diagnosis in answer.diagnoses):
        words += f"; {answer.facts}"
    yield from (Text(printable(line)) for line in prose(words, "", width))
    yield Text(f"Why and how, at length: sparkdoctor explain {printable(first.cause or first.name)}")
