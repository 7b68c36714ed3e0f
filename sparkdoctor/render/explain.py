"""The answer of `explain LOG...` as lines of text: where it began, what followed, which cause the facts leave."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from sparkdoctor.api import Fix, Seen, Severity
from sparkdoctor.diagnose import Candidate, Diagnosis, Follower, Verdict
from sparkdoctor.explanation import Explanation, Missing, Unknown
from sparkdoctor.logs.scan import Line
from sparkdoctor.render.clean import cut_left, printable
from sparkdoctor.render.console import prose
from sparkdoctor.render.text import FIX_WORD, STYLE, evidence
from sparkdoctor.signatures import Role

FILES = 4
"""Files of which a line is shown when not all are asked for."""
SEEN = 3
"""Values that are shown for a cause that is ruled out."""
_VERDICT = {
    Verdict.CONFIRMED: ("confirmed", "bold red"),
    Verdict.OPEN: ("open", "bold yellow"),
    Verdict.RULED_OUT: ("ruled out", "dim"),
}


def render_explain(explanation: Explanation, *, width: int, verbose: bool = False) -> Iterator[Text]:
    """All but the files that could not be read, which are `unread`. `width`: columns for evidence and prose."""
    diagnoses = explanation.diagnoses
    began = any(d.role is Role.CAUSE and d.severity is Severity.ERROR for d in diagnoses)
    for number, diagnosis in enumerate(diagnoses):
        if number:
            yield Text("")
        brief = began and diagnosis.role is not Role.CAUSE and not verbose
        yield from _diagnosis(diagnosis, width, verbose, brief)
    if explanation.missing is not None:
        yield Text("")
        yield from _missing(explanation.missing, width)
    if explanation.unknown is not None:
        if diagnoses:
            yield Text("")
        yield from _unknown(explanation.unknown, bool(diagnoses), width)
    if diagnoses:
        yield Text("")
        yield Text(printable(_closing(diagnoses)))


def render_unread(explanation: Explanation) -> Iterator[Text]:
    """One line for each file that could not be read; belongs on standard error."""
    for unread in explanation.unread:
        yield Text(printable(f"{unread.file}: {unread.problem}"))


def _diagnosis(diagnosis: Diagnosis, width: int, verbose: bool, brief: bool) -> Iterator[Text]:
    error = diagnosis.severity is Severity.ERROR
    word = diagnosis.role.value if error else diagnosis.severity.value
    yield _head(word, STYLE[diagnosis.severity], diagnosis.name, diagnosis.title)
    yield from _evidence(diagnosis.evidence, diagnosis.count, width, verbose)
    if brief:
        return
    yield from _labelled("why", "", diagnosis.why, width)
    for cause in diagnosis.causes:
        yield from _cause(cause, width, verbose)
    yield from _remedy(diagnosis, width)
    for ref in diagnosis.refs if verbose else diagnosis.refs[:1]:
        yield Text(f"   see: {printable(ref)}")
    yield from _follows(diagnosis.follows, width, verbose)


def _head(word: str, style: str, name: str, title: str) -> Text:
    return Text.assemble((f"{word}[{printable(name)}]", style), (f" {printable(title)}", "bold"))


def _evidence(lines: Sequence[Line], count: int, width: int, verbose: bool) -> Iterator[Text]:
    """The first line of each file, or all that were kept."""
    firsts = list({line.file: line for line in reversed(lines)}.values())[::-1]
    shown = list(lines) if verbose else firsts[:FILES]
    for line in shown:
        last = line is shown[-1]
        more = f" and {count - len(shown)} more" if last and count > len(shown) else ""
        yield Text.assemble("  ", ("-->", "blue"), f" {printable(line.file)}:{line.line}{more}")
        yield Text(f"   | {cut_left(printable(line.text.strip()), max(20, width - 5))}")


def _cause(cause: Candidate, width: int, verbose: bool) -> Iterator[Text]:
    word, style = _VERDICT[cause.verdict]
    on = f"  {printable(', '.join(cause.on))}" if cause.on else ""
    if cause.verdict is Verdict.RULED_OUT:
        told = _values(cause.seen, len(cause.seen) if verbose else SEEN)
    else:
        told = cause.message if cause.verdict is Verdict.CONFIRMED else cause.title
    yield Text.assemble("   ", (f"{word}:", style), f" {printable(cause.name)}  {printable(told)}", (on, "dim"))
    if cause.verdict is Verdict.CONFIRMED:
        yield from evidence(list(dict.fromkeys(cause.seen)), "      | ")
    elif cause.verdict is Verdict.OPEN:
        for line in prose(f"({cause.message})", "         ", width):
            yield Text(printable(line))
        yield Text(f"         to decide: {printable(cause.decide)}")


def _values(seen: Sequence[Seen], most: int) -> str:
    distinct = list(dict.fromkeys(f"{item.what} {item.value} ({item.where})" for item in seen))
    return "; ".join(distinct[:most]) + ("; ..." if len(distinct) > most else "")


def _remedy(diagnosis: Diagnosis, width: int) -> Iterator[Text]:
    if diagnosis.cause is None:
        yield from _labelled("left", "bold", "none of the causes that are known for this line", width)
    if diagnosis.fix is None:
        return
    first = next((cause for cause in diagnosis.causes if cause.name == diagnosis.cause), None)
    if first is not None and first.verdict is Verdict.OPEN and diagnosis.fix == first.fix:
        yield Text(f"   if it is {printable(first.name)}:")
    yield from _fix(diagnosis.fix, width)


def _fix(fix: Fix, width: int) -> Iterator[Text]:
    colon = ":" if fix.edit or fix.run else ""
    yield from _labelled(FIX_WORD[fix.certainty], "bold green", fix.do.rstrip(".:") + colon if colon else fix.do, width)
    for line in fix.edit.splitlines():
        yield Text(f"          {printable(line)}")
    if fix.edit and fix.run:
        yield Text("        then:")
    for command in fix.run:
        yield Text(f"          {printable(command)}")
    if fix.cost:
        yield Text(f"        ({printable(fix.cost)})")


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
            yield from _evidence(follower.evidence, follower.count, width, verbose)
        return
    count = sum(follower.count for follower in followers)
    files = len({line.file for follower in followers for line in follower.evidence})
    lines = f"{count} line{'s' if count > 1 else ''}" + (f" in {files} files" if files > 1 else "")
    titles = "; ".join(follower.title for follower in followers)
    yield from _labelled("follows", "cyan", f"{lines} ({titles})  -v shows them", width)


def _missing(missing: Missing, width: int) -> Iterator[Text]:
    yield from (Text(printable(line)) for line in prose(missing.statement, "", width))
    yield from (Text(f"  {printable(command)}") for command in missing.get)


def _unknown(unknown: Unknown, something: bool, width: int) -> Iterator[Text]:
    names = ", ".join(ending.file for ending in unknown.endings)
    if something:
        statement = f"none of the {unknown.tried} known signatures explains an error in {names}"
    else:
        statement = f"none of the {unknown.tried} known signatures matches {names}"
    yield from (Text(printable(line)) for line in prose(statement, "", width))
    for ending in unknown.endings:
        yield Text(
            "the last lines that look like errors:" if ending.error_like else "no line looks like an error; the last:"
        )
        yield from _lines(ending.lines, width)
    yield Text("a failure that is not known yet is worth a report, with these lines")


def _lines(lines: Iterable[Line], width: int) -> Iterator[Text]:
    for line in lines:
        place = f"  {printable(line.file)}:{line.line}  "
        yield Text(place + cut_left(printable(line.text.strip()), max(40, width - len(place))))


def _closing(diagnoses: Sequence[Diagnosis]) -> str:
    count = len(diagnoses)
    name = diagnoses[0].cause or diagnoses[0].name
    begin = f" Begin with {diagnoses[0].name}." if count > 1 else ""
    return f"{count} diagnos{'es' if count > 1 else 'is'}.{begin} Why and how, at length: sparkdoctor explain {name}"
