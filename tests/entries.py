"""Signatures, causes and checks made up for tests of what works on them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sparkdoctor.api import CannotTell, Check, Finding, Fix, Found, Node, Seen, Severity, check, skip
from sparkdoctor.run import Status
from sparkdoctor.signatures import Cause, Knowledge, Role, Signature, merge


def signature(name: str, match: str, role: Role = Role.CAUSE, **more: Any) -> Signature:
    defaults: dict[str, Any] = {
        "title": f"title of {name}",
        "why": f"why of {name}",
        "refs": ("https://example.org/source",),
        "matches": (match,),
        "ignores": ("something else",),
    }
    return Signature(name=name, match=match, role=role, **(defaults | more))


def cause(name: str, **more: Any) -> Cause:
    defaults: dict[str, Any] = {
        "title": f"title of {name}",
        "why": f"why of {name}",
        "fix": f"mend {name}",
        "decide": f"look at {name}",
        "refs": ("https://example.org/cause",),
    }
    return Cause(name=name, **(defaults | more))


def knowledge(*entries: Signature | Cause, checks: Iterable[str] = ()) -> Knowledge:
    part = Knowledge(
        {entry.name: entry for entry in entries if isinstance(entry, Signature)},
        {entry.name: entry for entry in entries if isinstance(entry, Cause)},
    )
    return merge([part], list(checks))


def check_with(name: str, outcome: Status | dict[str, Status], severity: Severity = Severity.ERROR) -> Check:
    """A check with this outcome, on every node or by the node's name."""

    @check(name, severity)
    def made_up(node: Node) -> Found:
        """A check of the tests.

        ## Why it matters
        It does not.

        ## How to fix it
        Mend the thing in
        the file:

            thing: mended

        Then start again.
        """
        status = outcome[node.name] if isinstance(outcome, dict) else outcome
        seen = Seen(name, f"value on {node.name}", f"/proc/{node.name}", wanted="another")
        match status:
            case Status.PASSED:
                yield seen
            case Status.FAILED:
                yield Finding(f"{name} is wrong on {node.name}", (seen,), Fix(f"mend {name} on {node.name}"))
            case Status.SKIPPED:
                skip("nothing here")
            case Status.UNKNOWN:
                raise CannotTell("/proc", "may not be read")
            case Status.CRASHED:
                raise ZeroDivisionError("a bug")

    return made_up
