"""The answer of `list`: every check, signature and cause, one a line."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, Literal

import msgspec

from sparkdoctor.host import Data
from sparkdoctor.plugins import Trouble
from sparkdoctor.registry import Registry
from sparkdoctor.render.clean import printable
from sparkdoctor.render.styled import Text

SCHEMA = "sparkdoctor.list/1"
KNOWLEDGE = "sparkdoctor.knowledge/1"


class Entry(Data, frozen=True):
    name: str
    kind: Literal["check", "signature", "cause"]
    severity: str
    title: str
    origin: str


def entries(registry: Registry) -> Iterator[Entry]:
    """Checks, then signatures, then causes, each by name."""
    for name, check in sorted(registry.checks.by_name.items()):
        yield Entry(name, "check", check.severity.value, check.title, registry.origin[name])
    for name, signature in sorted(registry.knowledge.signatures.items()):
        yield Entry(name, "signature", signature.severity.value, signature.title, registry.origin[name])
    for name, cause in sorted(registry.knowledge.causes.items()):
        yield Entry(name, "cause", "", cause.title, registry.origin[name])


def lines(listed: Sequence[Entry]) -> Iterator[Text]:
    """Columns for grep and awk, two blanks apart."""
    width = max((len(entry.name) for entry in listed), default=0)
    for entry in listed:
        origin = "" if entry.origin == "built in" else f"  ({entry.origin})"
        severity = f"{entry.severity or '-':<7}"
        yield Text(printable(f"{entry.kind:<9}  {entry.name:<{width}}  {severity}  {entry.title}{origin}"))


def document(listed: Iterable[Entry], troubles: Iterable[Trouble]) -> str:
    from sparkdoctor.render import json

    return json.dump(
        {
            "schema": SCHEMA,
            "entries": [
                {"name": e.name, "kind": e.kind, "severity": e.severity, "title": e.title, "origin": e.origin}
                for e in listed
            ],
            "not_loaded": [{"origin": trouble.origin, "problem": trouble.problem} for trouble in troubles],
        }
    )


def told(registry: Registry, only: Collection[str], *, as_json: bool) -> str:
    """These signatures and causes in full."""
    from sparkdoctor.catalogue import catalogue

    if not as_json:
        lines = catalogue(registry.knowledge, registry.checks.by_name, only)
        return "\n".join(printable(part) for line in lines for part in line.split("\n"))
    from sparkdoctor.render import json

    def listed(entries: Iterable[Any]) -> list[dict[str, Any]]:
        return [
            {**msgspec.structs.asdict(entry), "origin": registry.origin[entry.name]}
            for entry in entries
            if entry.name in only
        ]

    return json.dump(
        {
            "schema": KNOWLEDGE,
            "signatures": listed(registry.knowledge.signatures.values()),
            "causes": listed(registry.knowledge.causes.values()),
            "not_loaded": [{"origin": trouble.origin, "problem": trouble.problem} for trouble in registry.troubles],
        }
    )
