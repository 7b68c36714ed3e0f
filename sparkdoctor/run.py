"""Run checks over nodes; turn what they raise into a status; compute the exit code."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence

import msgspec

from sparkdoctor.api import CannotTell, Check, Cluster, Finding, Node, Seen, Severity, Skip
from sparkdoctor.host import Data


class Status(enum.Enum):
    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    """There was nothing to look at."""
    UNKNOWN = "unknown"
    """There was, and it could not be seen."""
    CRASHED = "crashed"
    """A bug of the check's."""


class Result(Data, frozen=True):
    """One check on one target."""

    check: str
    severity: Severity
    on: tuple[str, ...]
    """Names of the nodes it looked at."""
    status: Status
    seen: tuple[Seen, ...] = ()
    findings: tuple[Finding, ...] = ()
    reason: str = ""
    """Why skipped, unknown or crashed."""
    trace: str = ""
    """The traceback of a crash."""
    with_it: tuple[str, ...] = ()
    """Failed checks on the same node that this one's failure explains."""
    needs_root: bool = False
    """See Check.needs_root."""


def examine(check: Check, target: Node | Cluster) -> Result:
    """Run one check on one target. Raises nothing.

    A finding yielded before the check could not go on keeps the result `failed`; a check
    that yields nothing at all has looked at nothing and counts as crashed.
    """
    on = (target.name,) if isinstance(target, Node) else tuple(node.name for node in target.nodes)
    seen: list[Seen] = []
    findings: list[Finding] = []

    def result(status: Status, reason: str = "", trace: str = "") -> Result:
        if findings and status is not Status.CRASHED:
            status = Status.FAILED
        return Result(
            check.name,
            check.severity,
            on,
            status,
            tuple(seen),
            tuple(findings),
            reason,
            trace,
            needs_root=check.needs_root,
        )

    try:
        for item in check.run(target):
            if isinstance(item, Finding):
                findings.append(item)
            else:
                seen.append(item)
    except Skip as why:
        return result(Status.SKIPPED, str(why))
    except CannotTell as why:
        return result(Status.UNKNOWN, str(why))
    except Exception as bug:  # noqa: BLE001 - a stranger's code: its crash is shown, the run goes on
        import traceback  # takes as long to import as all checks take to run

        return result(Status.CRASHED, f"{type(bug).__name__}: {bug}", traceback.format_exc())
    if not seen and not findings:
        return result(Status.CRASHED, "the check yielded nothing, so it cannot say what it saw")
    return result(Status.PASSED)


def run_checks(checks: Iterable[Check], cluster: Cluster) -> list[Result]:
    """Every check on every target: a Node check once a node, a Cluster check once."""
    checks = list(checks)
    results = []
    for check in checks:
        targets: Sequence[Node | Cluster] = cluster.nodes if check.scope is Node else (cluster,)
        results += [examine(check, target) for target in targets]
    return _fold_consequences(results, {check.name: check for check in checks})


def _fold_consequences(results: list[Result], checks: dict[str, Check]) -> list[Result]:
    """Mark on each failed result which other failed results it explains (Check.after)."""
    failed = [result for result in results if result.status is Status.FAILED]
    explained: dict[int, list[str]] = {}
    for follower in failed:
        for leader in failed:
            if leader.check in checks[follower.check].after and set(leader.on) & set(follower.on):
                explained.setdefault(id(leader), []).append(follower.check)
                break
    return [
        msgspec.structs.replace(result, with_it=tuple(dict.fromkeys(explained[id(result)])))
        if id(result) in explained
        else result
        for result in results
    ]


class Exit(enum.IntEnum):
    """Exit codes of every command."""

    OK = 0
    """Nothing of the severity that counts was found (explain: something known matched)."""
    FOUND = 1
    """Something was (explain: nothing known matched)."""
    USAGE = 2
    """The input was not usable, or sparkdoctor or a check crashed."""
    UNKNOWN = 3
    """Nothing was found, but something that counts could not be looked at."""


_RANK = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}


def exit_code(
    results: Sequence[Result],
    *,
    fail_on: Severity = Severity.ERROR,
    allow_unknown: bool = False,
    incomplete: bool = False,
) -> Exit:
    """The exit code of `check` for these results.

    `incomplete` says that something beside the checks could not be looked at: a plugin that
    did not load, a node that did not answer. A found problem is certain, so 1 wins; then 2.
    """
    counted = [result for result in results if _RANK[result.severity] >= _RANK[fail_on]]
    if any(result.status is Status.FAILED for result in counted):
        return Exit.FOUND
    if any(result.status is Status.CRASHED for result in results):
        return Exit.USAGE
    nothing = not any(result.status in (Status.PASSED, Status.FAILED) for result in results)
    unknown = any(result.status is Status.UNKNOWN and not result.needs_root for result in counted)
    if (unknown or nothing or incomplete) and not allow_unknown:
        return Exit.UNKNOWN
    return Exit.OK
