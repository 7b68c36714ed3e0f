"""Knowledge: signatures (what a known line of a log looks like), causes (what made it), phases and marks.

A knowledge file is TOML with four kinds of flat tables. `[[signature]]` and `[[cause]]` are about what
goes wrong, `[[phase]]` and `[[mark]]` about how far a launch got and what it chose; their keys are
the fields of the classes here and in sparkdoctor.marks. Every entry is judged when it is loaded, so that nothing half right
ever meets a log. To judge files of your own::

    python -m sparkdoctor.signatures FILE.toml ...
"""

from __future__ import annotations

import enum
import re
import shlex
import sys
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import msgspec

from sparkdoctor.api import NAME, Certainty, Fix, Severity
from sparkdoctor.cost import implied_cost
from sparkdoctor.host import Data
from sparkdoctor.late import late
from sparkdoctor.marks import Mark, Pattern, Phase
from sparkdoctor.nearest import nearest
from sparkdoctor.patterns import captures, plain_text, refusal
from sparkdoctor.steps import steps
from sparkdoctor.typed import convert

FILE_SIZE = 1 << 20
"""Characters that a knowledge file may have."""
TEXTS = 5000
"""Texts to search logs for that a knowledge file may ask for; an alternative is one of its own."""
SAMPLE_LENGTH = 2000
"""Characters that a sample may have."""


class KnowledgeError(Exception):
    """A knowledge file or an entry of it cannot be used."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}")
        self.where = where
        self.problem = problem


class Role(enum.Enum):
    """What a line says about the failure of the run."""

    CAUSE = "cause"
    """It is where things went wrong first."""
    SYMPTOM = "symptom"
    """It shows how things went wrong, with several possible reasons."""
    CONSEQUENCE = "consequence"
    """It only says that something failed before."""


class Maturity(enum.Enum):
    STABLE = "stable"
    NEW = "new"
    """Seen by one person, or only read in the source of the program."""


class Signature(Data, frozen=True):
    """One known line of a log."""

    name: str
    title: str
    """What it means, as a statement; may use {capture}."""
    match: str
    """A regular expression, searched for in a line; sparkdoctor.patterns says which are allowed."""
    role: Role
    why: str
    """What happened, in full; may use {capture}."""
    refs: tuple[str, ...]
    """Where it can be checked: the source line that prints it, an issue, a manual."""
    matches: tuple[str, ...]
    """Lines that it must match."""
    ignores: tuple[str, ...]
    """Lines that look alike and that it must not match."""
    severity: Severity = Severity.ERROR
    causes: tuple[str, ...] = ()
    """Names of checks and causes, most likely first."""
    explains: tuple[str, ...] = ()
    """Signatures whose lines follow from this one."""
    both_ends: bool = False
    """The line is about a connection, and what is wrong with the machine at either end makes it."""
    fix: str = ""
    """What to do when no cause says it better; may use {capture}."""
    edit: str = ""
    """The lines to have in the file that `fix` names; may use {capture}."""
    run: tuple[str, ...] = ()
    """The commands of the fix, in order; may use {capture}, which is quoted for the shell."""
    cost: str = ""
    """What the fix interrupts or needs, and how to undo it, when its commands do not tell (sparkdoctor.cost)."""
    seen_in: tuple[str, ...] = ()
    """Programs with their versions."""
    versions: str = ""
    """Where the message or its cause begins or ends, in words."""
    status: Maturity = Maturity.STABLE


class Cause(Data, frozen=True):
    """A cause that no check can see."""

    name: str
    title: str
    why: str
    fix: str
    decide: str
    """The command that tells whether it is this one."""
    refs: tuple[str, ...]
    run: tuple[str, ...] = ()
    """The commands of the fix, in order."""
    edit: str = ""
    """The lines to have in the file that `fix` names."""
    cost: str = ""
    """What the fix interrupts or needs, and how to undo it, when its commands do not tell (sparkdoctor.cost)."""
    certainty: Certainty = Certainty.EXACT


class Knowledge(Data, frozen=True):
    """All entries by name."""

    signatures: dict[str, Signature]
    causes: dict[str, Cause]
    phases: dict[str, Phase] = msgspec.field(default_factory=dict)
    marks: dict[str, Mark] = msgspec.field(default_factory=dict)

    def patterns(self) -> list[Pattern]:
        """All that is searched for in logs."""
        return [*self.signatures.values(), *self.marks.values()]


Entry = Signature | Cause | Phase | Mark
T = TypeVar("T", bound=Entry)

_KINDS: dict[str, type[Entry]] = {"signature": Signature, "cause": Cause, "phase": Phase, "mark": Mark}

_PLACEHOLDER = late(r"<[a-zA-Z][^<>\n]{0,60}>")
_QUOTED = late(r"'\{([a-z][a-z0-9_]*)\}'")
_CAPTURE = late(r"(?<![{$])\{([a-z][a-z0-9_]*)\}")


def fill(text: str, values: Mapping[str, str]) -> str:
    """`text` with each {capture} replaced; other braces, as in `${HOME}` or `{{.Id}}`, stay."""
    return _CAPTURE.sub(lambda found: values.get(found[1], found[0]), text)


def mending(signature: Signature, values: Mapping[str, str]) -> Fix | None:
    """The signature's own fix. What was captured comes from a log, so commands get it quoted."""
    if not signature.fix:
        return None
    edit = fill(signature.edit, values).rstrip()
    do, run = signature.fix.strip(), signature.run
    told = steps(do)
    if not (run or edit):
        if len(told) == 1:
            do, run = told[0]
        elif any(step.run for step in told):
            do = "; ".join(
                f"{words}: {'; '.join(_command(one, values) for one in run)}" if run else words for words, run in told
            )
            run = ()
    do, run = fill(do, values), tuple(_command(command, values) for command in run)
    open_ = any(_PLACEHOLDER.search(text) for text in (signature.fix, signature.edit, *signature.run))
    sure = Certainty.FILL_IN if open_ else Certainty.EXACT
    if signature.role is Role.CONSEQUENCE:  # what is to be done there is to look further
        sure = Certainty.TRY
    return Fix(do, edit, run, sure, cost_of(signature))


def _command(template: str, values: Mapping[str, str]) -> str:
    """With what a log gave quoted for the shell; where it stands between quotes already, only if it is plain."""
    template = _QUOTED.sub(r"{\1}", template)

    def put(found: re.Match[str]) -> str:
        value = values.get(found[1], found[0])
        inside = template.count("'", 0, found.start()) % 2 or template.count('"', 0, found.start()) % 2
        quoted = shlex.quote(value)
        return f"<{found[1]}>" if inside and quoted != value else quoted

    return _CAPTURE.sub(put, template) if values else template


def cost_of(entry: Signature | Cause) -> str:
    """What the entry says its fix costs, or else what the fix itself tells."""
    return entry.cost or implied_cost((entry.fix, entry.edit, *entry.run))


def load(text: str, origin: str) -> Knowledge:
    """The entries of one knowledge file; `origin` names it in messages.

    Raises KnowledgeError for the first entry that cannot be used. What entries name in `causes`
    and `explains` is compared by `merge`, when all of it is known.
    """
    listed: list[Entry] = []
    for entry in entries(text, origin):
        if isinstance(entry, KnowledgeError):
            raise entry
        listed.append(entry)
    return _together(listed)


def _together(listed: Iterable[Entry]) -> Knowledge:
    knowledge = Knowledge({}, {})
    for entry in listed:
        if isinstance(entry, Signature):
            knowledge.signatures[entry.name] = entry
        elif isinstance(entry, Cause):
            knowledge.causes[entry.name] = entry
        elif isinstance(entry, Phase):
            knowledge.phases[entry.name] = entry
        else:
            knowledge.marks[entry.name] = entry
    return knowledge


def merge(parts: Iterable[Knowledge], check_names: Collection[str]) -> Knowledge:
    """All of it as one. Raises KnowledgeError for a name given twice and for one that means nothing."""
    parts = list(parts)
    for problem in disagreements(parts, check_names):
        raise problem
    merged = Knowledge({}, {})
    for part in parts:
        merged.signatures.update(part.signatures)
        merged.causes.update(part.causes)
        merged.phases.update(part.phases)
        merged.marks.update(part.marks)
    return merged


def disagreements(parts: Iterable[Knowledge], check_names: Collection[str]) -> Iterator[KnowledgeError]:
    """What does not fit together between entries, and between them and the checks."""
    signatures: dict[str, Signature] = {}
    phases: dict[str, Phase] = {}
    marks: dict[str, Mark] = {}
    decided = set(check_names)
    taken = set(check_names)
    for part in parts:
        for name in (*part.signatures, *part.causes, *part.marks):
            if name in taken:
                yield KnowledgeError(name, "the name is given twice; checks, signatures, causes and marks share names")
            taken.add(name)
        for phase in part.phases.values():
            for other in phases.values():
                if phase.name == other.name or phase.order == other.order:
                    yield KnowledgeError(f"phase {phase.name}", f"has the name or the order of phase {other.name}")
        signatures |= part.signatures
        phases |= part.phases
        marks |= part.marks
        decided.update(part.causes)
    for phase in phases.values():
        for name in phase.causes:
            if name not in decided:
                where = f"phase {phase.name}"
                yield KnowledgeError(where, f"`causes` names no check or cause: {_nearest(name, decided)}")
    for mark in marks.values():
        for key, name in (("phase", mark.phase), ("goal", mark.goal)):
            if name and name not in phases:
                yield KnowledgeError(f"mark {mark.name}", f"`{key}` names no phase: {_nearest(name, phases)}")
    for signature in signatures.values():
        where = f"signature {signature.name}"
        for name in signature.causes:
            if name not in decided:
                yield KnowledgeError(where, f"`causes` names no check or cause: {_nearest(name, decided)}")
        for name in signature.explains:
            if name not in signatures:
                yield KnowledgeError(where, f"`explains` names no signature: {_nearest(name, signatures)}")
    circle = _circle({name: signature.explains for name, signature in signatures.items()})
    if circle:
        yield KnowledgeError(f"signature {circle[0]}", f"`explains` goes in a circle: {' explains '.join(circle)}")


def entries(text: str, origin: str) -> Iterator[Entry | KnowledgeError]:
    """Each entry of a knowledge file, or why it cannot be used."""
    if len(text) > FILE_SIZE:
        yield KnowledgeError(origin, f"has {len(text)} characters, {FILE_SIZE} are allowed")
        return
    import tomllib  # not needed for knowledge that was judged in an earlier run

    try:
        tables = tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # TOMLDecodeError is the one; a number of 5000 digits the other
        yield KnowledgeError(origin, f"is not TOML: {error}")
        return
    taken: set[tuple[bool, str]] = set()
    texts = 0
    for kind, listed in tables.items():
        type_ = _KINDS.get(kind)
        if type_ is None or not isinstance(listed, list):
            allowed = ", ".join(f"[[{known}]]" for known in _KINDS)
            yield KnowledgeError(origin, f"has `{kind}` where only {allowed} may stand")
            continue
        for number, table in enumerate(listed, 1):
            if not isinstance(table, dict):
                yield KnowledgeError(origin, f"has a {kind} that is not a table")
                continue
            where = _where(text, origin, kind, table.get("name"), number)
            try:
                entry: Entry = _entry(table, type_)
                key = (type_ is Phase, entry.name)  # nothing but a mark names a phase
                if key in taken:
                    raise ValueError("the name is given twice in this file")
                taken.add(key)
                texts += len(plain_text(entry.match)) if isinstance(entry, Signature | Mark) else 0
                if texts > TEXTS:
                    yield KnowledgeError(where, f"brings the file to {texts} texts to search for, {TEXTS} are allowed")
                    return
                yield entry
            except ValueError as error:  # msgspec.ValidationError is one
                yield KnowledgeError(where, str(error))


def _entry(table: dict[str, Any], type_: type[T]) -> T:
    """Raises ValueError with what is wrong with this entry."""
    fields = msgspec.structs.fields(type_)
    known = [field.name for field in fields]
    for key in table:
        if key not in known:
            raise ValueError(f"unknown key {_nearest(key, known)}")
    for field in fields:
        if field.required and not table.get(field.name):
            raise ValueError(f"`{field.name}` is missing or empty")
    entry = convert(table, type_)
    if not NAME.fullmatch(entry.name):
        raise ValueError(f"the name {entry.name!r} is not lower-case words joined by hyphens")
    if isinstance(entry, Phase):
        if bool(entry.waits) != (entry.patience > 0):
            raise ValueError("`waits` and `patience` (seconds, more than 0) go together")
        return entry
    for ref in entry.refs:
        if not ref.startswith(("https://", "http://")):
            raise ValueError(f"the reference {ref!r} is not an address")
    if isinstance(entry, Signature):
        _judge_pattern(entry, ("title", "why", "fix", "edit", "run"))
        _judge_signature(entry)
    elif isinstance(entry, Mark):
        _judge_pattern(entry, ("tells",))
        if bool(entry.topic) != bool(entry.tells):
            raise ValueError("`topic` and `tells` go together")
        if not (entry.phase or entry.topic or entry.goal or entry.idle or entry.sets):
            raise ValueError("the mark says nothing: one of `phase`, `topic`, `goal`, `idle` and `sets` is needed")
    return entry


def _judge_pattern(entry: Signature | Mark, texts: Iterable[str]) -> None:
    """Raises ValueError; `texts`: the fields that may use captures."""
    problem = refusal(entry.match)
    if problem:
        raise ValueError(f"`match` {problem}")
    for sample in (*entry.matches, *entry.ignores):
        if len(sample) > SAMPLE_LENGTH or "\n" in sample:
            raise ValueError(f"a sample is more than one line of {SAMPLE_LENGTH} characters: {sample[:60]!r}")
    pattern = re.compile(entry.match)
    for sample in entry.matches:
        if not pattern.search(sample):
            raise ValueError(f"the pattern misses its own sample {sample!r}")
    for sample in entry.ignores:
        if pattern.search(sample):
            raise ValueError(f"the pattern matches a line of `ignores`: {sample!r}")
    named = captures(entry.match)
    for key in texts:
        value = getattr(entry, key)
        for name in _CAPTURE.findall("\n".join(value) if isinstance(value, tuple) else value):
            if name not in named:
                raise ValueError(f"`{key}` uses {{{name}}}, and the pattern captures no such thing")


def _judge_signature(signature: Signature) -> None:
    if not signature.fix and not signature.causes and signature.role is not Role.CONSEQUENCE:
        raise ValueError("`fix` is missing, and there are no `causes` to give one")
    if (signature.edit or signature.run) and not signature.fix:
        raise ValueError("`edit` and `run` need a `fix` that says what they do")
    if signature.name in signature.explains:
        raise ValueError("`explains` names the entry itself")


def _circle(arrows: Mapping[str, tuple[str, ...]]) -> list[str]:
    """A way along the arrows that comes back to where it began, empty if there is none.

    Two signatures that explain each other would each be folded under the other, and neither shown.
    """
    settled: set[str] = set()
    for start in arrows:
        path: list[str] = []
        stack = [(start, False)]
        while stack:
            name, leaving = stack.pop()
            if leaving:
                settled.add(path.pop())
            elif name in path:
                return [*path[path.index(name) :], name]
            elif name not in settled:
                path.append(name)
                stack.append((name, True))
                stack += [(other, False) for other in arrows.get(name, ())]
    return []


def _where(text: str, origin: str, kind: str, name: Any, number: int) -> str:
    if not isinstance(name, str) or not name:
        return f"{origin}: {kind} number {number}"
    found = re.search(rf"^\s*name\s*=\s*[\"']{re.escape(name)}[\"']", text, re.MULTILINE)
    at = f":{text.count(chr(10), 0, found.end()) + 1}" if found else ""
    return f"{origin}{at}: {kind} {name}"


def _nearest(name: str, known: Iterable[str]) -> str:
    near = nearest(name, known, 1)
    return f"`{name}`; the nearest is `{near[0]}`" if near else f"`{name}`"


def main(paths: list[str]) -> int:
    """Print what is wrong with these knowledge files, or how many entries they have."""
    from sparkdoctor.registry import load_checks  # which itself comes here for the knowledge

    parts: list[Knowledge] = []
    problems: list[str] = []
    for path in paths:
        try:
            with open(path, encoding="utf-8") as file:
                found = list(entries(file.read(), path))
        except (OSError, UnicodeDecodeError) as error:
            problems.append(f"{path}: {error}")
            continue
        problems += [str(entry) for entry in found if isinstance(entry, KnowledgeError)]
        parts.append(_together(entry for entry in found if not isinstance(entry, KnowledgeError)))
    problems += [str(problem) for problem in disagreements(parts, load_checks().by_name)]
    print(f"{sum(len(part.signatures) for part in parts)} signatures, {sum(len(part.causes) for part in parts)} causes")
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
