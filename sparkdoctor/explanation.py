"""The whole answer of `explain LOG...`: diagnoses, what is missing, what is unknown, what could not be read."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Mapping, Sequence
from typing import BinaryIO

import msgspec

from sparkdoctor.api import Check, Cluster, Node, Severity
from sparkdoctor.diagnose import Diagnosis, Verdict, diagnose
from sparkdoctor.host import Data
from sparkdoctor.logs.match import Matcher
from sparkdoctor.logs.scan import Ending, Logs
from sparkdoctor.signatures import Knowledge, Role

SCHEMA = "sparkdoctor.explain/1"
PEERS = 8
"""Nodes whose logs are asked for by name."""


class Missing(Data, frozen=True, omit_defaults=False):
    """The cause is not in these files."""

    statement: str
    get: tuple[str, ...]
    """Commands that bring the logs where it may be."""


class Unknown(Data, frozen=True, omit_defaults=False):
    """Nothing known explains an error in these files."""

    tried: int
    """Signatures that were looked for."""
    endings: tuple[Ending, ...]


class Unread(Data, frozen=True, omit_defaults=False):
    """A file that could not be read, or not to its end."""

    file: str
    problem: str


class Explanation(Data, frozen=True, omit_defaults=False):
    """`explain --json` is this, encoded."""

    schema: str
    diagnoses: tuple[Diagnosis, ...]
    """In rank order."""
    missing: Missing | None
    unknown: Unknown | None
    unread: tuple[Unread, ...]

    def json(self) -> bytes:
        return msgspec.json.encode(self)


def explain_logs(
    paths: Iterable[str],
    knowledge: Knowledge,
    checks: Mapping[str, Check],
    cluster: Cluster | None = None,
    *,
    stdin: BinaryIO | None = None,
) -> Explanation:
    """Read these logs (`-` is standard input) and diagnose them together. Raises nothing for a bad file."""
    logs = Logs(paths, Matcher(knowledge.signatures.values()), stdin)
    diagnoses = diagnose(logs.hits(), knowledge, checks, cluster)
    explained = any(diagnosis.severity is Severity.ERROR for diagnosis in diagnoses)
    endings = tuple(ending for ending in logs.endings if ending.error_like or not diagnoses)
    return Explanation(
        schema=SCHEMA,
        diagnoses=tuple(diagnoses),
        missing=_missing(diagnoses, cluster),
        unknown=Unknown(len(knowledge.signatures), endings) if endings and not explained else None,
        unread=tuple(Unread(error.path, error.problem) for error in logs.problems),
    )


def _missing(diagnoses: Sequence[Diagnosis], cluster: Cluster | None) -> Missing | None:
    """Said when errors were found and none of them is where it began."""
    errors = [diagnosis for diagnosis in diagnoses if diagnosis.severity is Severity.ERROR]
    began = any(
        diagnosis.role is Role.CAUSE or any(cause.verdict is Verdict.CONFIRMED for cause in diagnosis.causes)
        for diagnosis in errors
    )
    if began or not errors:
        return None
    only = "only consequences" if all(error.role is Role.CONSEQUENCE for error in errors) else "only symptoms"
    return Missing(
        f"these files show {only} ({', '.join(error.name for error in errors)}); what failed first is not in them:"
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
