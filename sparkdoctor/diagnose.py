"""From hits to diagnoses: what came first, what followed, and which cause the facts of the machines leave.

Pure: logs go in as hits, machines as a Cluster of facts, and nothing is printed.
"""

from __future__ import annotations

import enum
import shlex
from collections.abc import Collection, Iterable, Mapping, Sequence

import msgspec

from sparkdoctor.api import Check, Cluster, Fix, Node, Seen, Severity
from sparkdoctor.groups import Group, grouped, in_time
from sparkdoctor.host import Data
from sparkdoctor.logs.chronicle import Chronicle
from sparkdoctor.logs.match import Hit
from sparkdoctor.logs.scan import Line
from sparkdoctor.manual import advice
from sparkdoctor.run import Result, Status, examine
from sparkdoctor.signatures import Cause, Knowledge, Role, Signature, cost_of, fill, mending

PEERS = 8
"""Nodes whose logs are asked for by name."""


class Verdict(enum.Enum):
    CONFIRMED = "confirmed"
    RULED_OUT = "ruled-out"
    OPEN = "open"
    """The facts at hand do not decide."""


class Remedy(Data, frozen=True, omit_defaults=False):
    """A fix, and the nodes on which it is to be done just so."""

    fix: Fix
    on: tuple[str, ...] = ()
    """Empty when no facts say where."""


class Candidate(Data, frozen=True, omit_defaults=False):
    """A possible cause, and what the facts say about it."""

    name: str
    title: str
    verdict: Verdict
    message: str
    """The finding that confirms it, or why its check could not look; empty when there is no more to say."""
    on: tuple[str, ...]
    """The nodes whose facts decided."""
    seen: tuple[Seen, ...]
    fixes: tuple[Remedy, ...]
    """All that is to be done when it is confirmed; empty when it is ruled out."""
    decide: str
    """The command that decides, empty when it is decided."""


class Follower(Data, frozen=True, omit_defaults=False):
    """A signature whose lines follow from the diagnosis."""

    name: str
    title: str
    count: int
    evidence: tuple[Line, ...]
    last: Line | None = None
    """The last of all lines, if there are several."""


class Missing(Data, frozen=True, omit_defaults=False):
    """The cause is not in the files at hand."""

    statement: str
    get: tuple[str, ...]
    """Commands that bring the logs in which it may be."""


class Diagnosis(Data, frozen=True, omit_defaults=False):
    """One signature that was found, with its causes in the order of likelihood."""

    name: str
    title: str
    role: Role
    severity: Severity
    cause: str | None
    """The first of `causes` that is not ruled out; the signature itself when it has none; None when all are ruled out."""
    why: str
    causes: tuple[Candidate, ...]
    fixes: tuple[Remedy, ...]
    """Of the confirmed cause, else the signature's own, else of the most likely open cause."""
    evidence: tuple[Line, ...]
    count: int
    """Lines that matched."""
    follows: tuple[Follower, ...]
    refs: tuple[str, ...]
    last: Line | None = None
    """The last of all lines that matched, if there are several."""
    missing: Missing | None = None
    """Given with the first diagnosis when none of them is where it began."""


def diagnose(
    hits: Iterable[Hit],
    knowledge: Knowledge,
    checks: Mapping[str, Check],
    cluster: Cluster | None,
    chronicle: Chronicle | None = None,
) -> list[Diagnosis]:
    """Diagnoses in rank order: the first is where to begin.

    `cluster`: the machines whose facts decide between causes, None when there are none at hand.
    Errors stand before warnings and notes; then confirmed causes, open ones, symptoms and
    consequences; then the order of time, or of the logs if their times cannot be compared. A line
    that an earlier one explains stands under it. `chronicle`: what all lines tell about times and
    places; by default what the hits do.
    """
    if chronicle is None:
        chronicle = Chronicle()
        hits = list(chronicle.following(hits))
    groups = in_time(grouped(hits, knowledge.signatures, chronicle), chronicle)
    courts = _Court(knowledge, checks, cluster)
    causes = {name: courts.judge(group.signature, group.nodes) for name, group in groups.items()}
    leaders = _leaders(groups)
    led = {
        leader: [groups[name] for name, lead in leaders.items() if lead == leader]
        for leader in groups
        if leader not in leaders
    }
    severity = {name: _severity([groups[name], *led[name]], causes[name], checks) for name in led}
    ranked = sorted(
        (groups[name] for name in led),
        key=lambda group: (_SEVERITY.index(severity[group.name]), *_rank(group, causes[group.name])),
    )
    diagnoses = [_diagnosis(group, severity[group.name], causes[group.name], led[group.name]) for group in ranked]
    missing = _missing(diagnoses, cluster, chronicle)
    return [msgspec.structs.replace(diagnoses[0], missing=missing), *diagnoses[1:]] if missing else diagnoses


def _leaders(groups: Mapping[str, Group]) -> dict[str, str]:
    """Of each signature that another explains, the one under which it stands: itself explained by none."""
    direct: dict[str, str] = {}
    for leader in groups.values():
        for name in leader.signature.explains:
            if name in groups and name not in direct and _may_lead(leader, groups[name]):
                direct[name] = leader.name
    roots = {name: _root(name, direct) for name in direct}
    initiating = [
        group
        for name, group in groups.items()
        if name not in roots and group.signature.role is Role.CAUSE and group.severity is Severity.ERROR
    ]
    for name, group in groups.items():
        if name not in roots and group.signature.role is Role.CONSEQUENCE:
            before = [leader.name for leader in initiating if leader.may_precede(group)]
            if before:
                roots[name] = before[0]
    return {name: roots.get(root, root) for name, root in roots.items()}


def _may_lead(leader: Group, follower: Group) -> bool:
    """What the program logged as no more than a warning is not why it then failed."""
    tamed = leader.severity is not leader.signature.severity and follower.severity is Severity.ERROR
    return not tamed and leader.may_precede(follower)


def _root(name: str, direct: Mapping[str, str]) -> str:
    while name in direct:
        name = direct[name]
    return name


class _Court:
    """Judges each cause once, whatever the number of signatures that name it."""

    def __init__(self, knowledge: Knowledge, checks: Mapping[str, Check], cluster: Cluster | None) -> None:
        self._knowledge = knowledge
        self._checks = checks
        self._cluster = cluster
        self._settled: dict[str, Candidate] = {}

    def judge(self, signature: Signature, writers: Collection[str] = ()) -> tuple[Candidate, ...]:
        """Its causes: confirmed, open, ruled out, each group in the signature's own order.

        `writers`: the nodes whose logs have its lines.
        """
        for name in signature.causes:
            if name not in self._settled:
                check = self._checks.get(name)
                self._settled[name] = _of_check(check, self._cluster) if check else _of_cause(self._causes[name])
        order = [Verdict.CONFIRMED, Verdict.OPEN, Verdict.RULED_OUT]
        settled = [self._of_writers(signature, self._settled[name], writers) for name in signature.causes]
        return tuple(sorted(settled, key=lambda candidate: order.index(candidate.verdict)))

    def _of_writers(self, signature: Signature, candidate: Candidate, writers: Collection[str]) -> Candidate:
        """What went wrong where the line was logged is not proven by what is wrong on another node."""
        check = self._checks.get(candidate.name)
        local = signature.role is Role.CAUSE and not signature.both_ends
        if check is None or check.scope is not Node or not local or self._cluster is None:
            return candidate
        names = {node.name for node in self._cluster.nodes}
        known = {next((name for name in names if _same_host(name, writer)), "") for writer in writers}
        if candidate.verdict is not Verdict.CONFIRMED or not known or "" in known or known & set(candidate.on):
            return candidate
        who = ", ".join(sorted(known))
        message = f"{candidate.message}; but the line is of {who}, for which that proves nothing"
        decide = f"sparkdoctor check --select {check.name}"
        return msgspec.structs.replace(candidate, verdict=Verdict.OPEN, message=message, decide=decide)

    @property
    def _causes(self) -> Mapping[str, Cause]:
        return self._knowledge.causes


def _same_host(one: str, other: str) -> bool:
    return one.split(".")[0].lower() == other.split(".")[0].lower()


def _of_cause(cause: Cause) -> Candidate:
    fix = Fix(cause.fix.strip(), cause.edit.rstrip(), cause.run, cause.certainty, cost_of(cause))
    return Candidate(cause.name, cause.title, Verdict.OPEN, "", (), (), (Remedy(fix),), cause.decide)


def _of_check(check: Check, cluster: Cluster | None) -> Candidate:
    decide = f"sparkdoctor check --select {check.name}"
    if cluster is None or not cluster.nodes:
        return _open(check, "", (), (), decide)
    targets: Sequence[Node | Cluster] = cluster.nodes if check.scope is Node else (cluster,)
    results = [examine(check, target) for target in targets]
    failed = [result for result in results if result.status is Status.FAILED]
    if failed:
        findings = [finding for result in failed for finding in result.findings]
        return Candidate(
            check.name,
            check.title,
            Verdict.CONFIRMED,
            "; ".join(dict.fromkeys(finding.message for finding in findings)),
            _nodes(failed),
            tuple(seen for finding in findings for seen in finding.seen),
            _remedies(failed),
            "",
        )
    passed = [result for result in results if result.status is Status.PASSED]
    seen = tuple(seen for result in passed for seen in result.seen)
    if len(passed) == len(results):
        return Candidate(check.name, check.title, Verdict.RULED_OUT, "", _nodes(passed), seen, (), "")
    blind = [result for result in results if result.status is not Status.PASSED]
    reason = "; ".join(dict.fromkeys(f"{', '.join(result.on)}: {result.reason}" for result in blind))
    return _open(check, reason, _nodes(passed), seen, decide)


def _remedies(failed: Iterable[Result]) -> tuple[Remedy, ...]:
    """The fixes of all findings, each once."""
    on: dict[Fix, dict[str, None]] = {}
    for result in failed:
        for finding in result.findings:
            on.setdefault(finding.fix, {}).update(dict.fromkeys(result.on))
    return tuple(Remedy(fix, tuple(nodes)) for fix, nodes in on.items())


def _open(check: Check, message: str, on: tuple[str, ...], seen: tuple[Seen, ...], decide: str) -> Candidate:
    return Candidate(check.name, check.title, Verdict.OPEN, message, on, seen, (Remedy(advice(check)),), decide)


def _nodes(results: Iterable[Result]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(node for result in results for node in result.on))


_SEVERITY = [Severity.ERROR, Severity.WARNING, Severity.NOTE]


def _severity(groups: Iterable[Group], causes: Sequence[Candidate], checks: Mapping[str, Check]) -> Severity:
    """The worst of the lines that stand together, and of the checks that found their cause.

    A line that is usual on one machine, and a note for that, is an error where the facts say that it matters.
    """
    found = [checks[cause.name].severity for cause in causes if cause.verdict is Verdict.CONFIRMED]
    return min([*(group.severity for group in groups), *found], key=_SEVERITY.index)


def _rank(group: Group, causes: Sequence[Candidate]) -> tuple[int, int]:
    confirmed = bool(causes) and causes[0].verdict is Verdict.CONFIRMED
    excluded = bool(causes) and causes[0].verdict is Verdict.RULED_OUT
    role = group.signature.role
    if role is Role.CAUSE:
        certain = confirmed or not causes  # a line without causes is its own proof
        place = 0 if certain else 3 if excluded else 1
    else:
        place = 2 if confirmed else 4 if role is Role.SYMPTOM else 5
    return place, group.order


def _diagnosis(
    group: Group, severity: Severity, causes: tuple[Candidate, ...], followers: Iterable[Group]
) -> Diagnosis:
    signature = group.signature
    first = next((cause for cause in causes if cause.verdict is not Verdict.RULED_OUT), None)
    mended = mending(signature, group.captures)
    own = (Remedy(mended),) if mended else ()
    confirmed = first is not None and first.verdict is Verdict.CONFIRMED
    return Diagnosis(
        name=signature.name,
        title=group.title,
        role=signature.role,
        severity=severity,
        cause=first.name if first else None if causes else signature.name,
        why=fill(signature.why, group.captures).strip(),
        causes=causes,
        fixes=first.fixes if first and confirmed else own or (first.fixes if first else ()),
        evidence=tuple(group.evidence),
        count=group.count,
        last=group.last_line,
        follows=tuple(Follower(g.name, g.title, g.count, tuple(g.evidence), g.last_line) for g in followers),
        refs=signature.refs,
    )


def _missing(diagnoses: Sequence[Diagnosis], cluster: Cluster | None, chronicle: Chronicle) -> Missing | None:
    """Said when errors were found and none of them is where it began."""
    errors = [diagnosis for diagnosis in diagnoses if diagnosis.severity is Severity.ERROR]
    began = any(
        diagnosis.role is Role.CAUSE or any(cause.verdict is Verdict.CONFIRMED for cause in diagnosis.causes)
        for diagnosis in errors
    )
    if began or not errors:
        return None
    only = "only consequences" if all(error.role is Role.CONSEQUENCE for error in errors) else "only symptoms"
    absent = sorted(set(range(chronicle.ranks)) - chronicle.ranks_seen())[:PEERS]
    ranks = f"rank{'s' if len(absent) > 1 else ''} {', '.join(map(str, absent))}"
    lacking = f"; no line of {ranks} of {chronicle.ranks} is among them" if absent else ""
    return Missing(
        f"these files show {only} ({', '.join(error.name for error in errors)}); what failed first is not in them"
        f"{lacking}:"
        " get the whole log of every rank, from its start, and the kernel's",
        _commands(cluster),
    )


def _commands(cluster: Cluster | None) -> tuple[str, ...]:
    kernel = "journalctl --dmesg --boot --no-pager"
    if cluster is None or not cluster.nodes:
        return ("docker logs --timestamps <container> > rank<N>.log 2>&1", f"{kernel} > kernel<N>.log")
    commands = []
    for node in cluster.nodes[:PEERS]:
        name = shlex.quote(node.name)
        commands.append(f"ssh {name} {shlex.quote(_logs_of(node))} > {name}.log 2>&1")
        commands.append(f"ssh {name} {kernel} > {name}-kernel.log")
    return tuple(commands)


def _logs_of(node: Node) -> str:
    spec = node.launch.spec if node.launch is not None else None
    if spec is not None and spec.kind == "compose":
        return f"docker compose -f {shlex.quote(spec.source)} logs --timestamps --no-color {shlex.quote(spec.service)}"
    if spec is not None and spec.kind == "container":
        return f"docker logs --timestamps {shlex.quote(spec.source)}"
    return "docker logs --timestamps <container>"
