"""The manual of anything that has a name: a check, a signature, a cause. Plain text, offline."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from sparkdoctor.api import Certainty, Check, Fix, Node
from sparkdoctor.cost import implied_cost
from sparkdoctor.late import late
from sparkdoctor.signatures import Cause, Knowledge, Maturity, Role, Signature, cost_of, fill

_SECTION = late(r"^## (.+)$", re.MULTILINE)
HOW_TO_FIX = "How to fix it"


class NoSuchName(LookupError):
    """Nothing has this name; `nearest` are up to four that have a similar one."""

    def __init__(self, name: str, nearest: tuple[str, ...]) -> None:
        hint = f"; the nearest are {', '.join(nearest)}" if nearest else ""
        super().__init__(f"no check, signature or cause is called {name}{hint}")
        self.name = name
        self.nearest = nearest


def manual(name: str, checks: Mapping[str, Check], knowledge: Knowledge) -> str:
    """The manual of one name. Raises NoSuchName."""
    if name in checks:
        return _check(checks[name])
    if name in knowledge.signatures:
        return "\n".join(_signature(knowledge.signatures[name], checks, knowledge)) + "\n"
    if name in knowledge.causes:
        return "\n".join(_cause(knowledge.causes[name], knowledge.signatures.values())) + "\n"
    known = [*checks, *knowledge.signatures, *knowledge.causes]
    import difflib  # as in sparkdoctor.nearest; here names that are further away are worth a hint

    raise NoSuchName(name, tuple(difflib.get_close_matches(name, known, n=4, cutoff=0.4)))


def section(docs: str, title: str) -> str:
    """The text under `## title` of a manual, empty when it has no such part."""
    parts = _SECTION.split(docs)
    return dict(zip(parts[1::2], parts[2::2], strict=True)).get(title, "").strip()


def advice(check: Check) -> Fix:
    """What a check's manual says about mending, for when it could not look and so has no fix of its own.

    The first paragraph says what to do; an indented or fenced block after it is the lines to have.
    """
    text = section(check.docs, HOW_TO_FIX)
    words, _, rest = text.partition("\n\n")
    block: list[str] = []
    for line in rest.splitlines():
        if line.startswith("    ") or (block and not line.strip()):
            block.append(line.removeprefix("    "))
        else:
            break
    do = " ".join(words.split()).removesuffix(".").removesuffix(":")
    edit = "\n".join(block).rstrip()
    do = do or f"read its manual: sparkdoctor explain {check.name}"
    return Fix(do, edit, (), Certainty.TRY, implied_cost((do, edit)))


def _check(check: Check) -> str:
    scope = "looks at one node" if check.scope is Node else "compares all nodes"
    return f"{check.name} ({check.severity.value}, {scope})\n\n{check.docs.rstrip()}\n"


def _signature(signature: Signature, checks: Mapping[str, Check], knowledge: Knowledge) -> Iterator[str]:
    def shown(text: str) -> str:
        return fill(text, {name: f"<{name}>" for name in re.compile(signature.match).groupindex}).strip()

    new = ", seen by few so far" if signature.status is Maturity.NEW else ""
    yield f"{signature.name} ({signature.severity.value}, a line of a log: {signature.role.value}{new})"
    yield from ("", shown(signature.title), "", shown(signature.why))
    yield from _list("A line like", signature.matches[:2], "    ")
    if signature.causes:
        yield from ("", "## Possible causes, most likely first")
        for name in signature.causes:
            if name in checks:
                yield f"- {name}: {checks[name].title}"
                yield f"  to decide: sparkdoctor check --select {name}"
            else:
                cause = knowledge.causes[name]
                yield f"- {name}: {cause.title}"
                yield f"  to decide: {cause.decide}"
    if signature.fix:
        yield from ("", f"## {HOW_TO_FIX}", shown(signature.fix))
        yield from (f"    {line}" for line in (*shown(signature.edit).splitlines(), *map(shown, signature.run)))
        yield from _cost(cost_of(signature))
    by = [other.name for other in knowledge.signatures.values() if signature.name in other.explains]
    yield from _list("Follows from", by, "- ")
    if signature.role is Role.CAUSE:
        yield from _list("Explains", signature.explains, "- ")
    yield from _list("Versions", [signature.versions] if signature.versions else [], "")
    yield from _list("Seen in", signature.seen_in, "- ")
    yield from _list("References", signature.refs, "- ")


def _cause(cause: Cause, signatures: Iterable[Signature]) -> Iterator[str]:
    yield f"{cause.name} (a cause that no check can see)"
    yield from ("", cause.title, "", cause.why.strip())
    yield from _list("How to tell", [cause.decide], "    ")
    yield from ("", f"## {HOW_TO_FIX}", cause.fix.strip())
    yield from (f"    {line}" for line in (*cause.edit.splitlines(), *cause.run))
    yield from _cost(cost_of(cause))
    yield from _list("Lines of logs it may cause", [s.name for s in signatures if cause.name in s.causes], "- ")
    yield from _list("References", cause.refs, "- ")


def _cost(cost: str) -> list[str]:
    return [f"({cost})"] if cost else []


def _list(title: str, items: Iterable[str], mark: str) -> Iterator[str]:
    items = list(items)
    if items:
        yield from ("", f"## {title}", *(f"{mark}{item}" for item in items))
