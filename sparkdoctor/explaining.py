"""What `explain` does: read the logs, find the causes, let the facts at hand decide between them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparkdoctor import __version__
from sparkdoctor.api import Cluster
from sparkdoctor.diagnose import Diagnosis, diagnose
from sparkdoctor.errors import BadInput
from sparkdoctor.host import Data, Host
from sparkdoctor.logs.match import Matcher
from sparkdoctor.logs.scan import Ending, Logs
from sparkdoctor.look import Ask, clusters_of, is_snapshot_file, look, read_snapshot
from sparkdoctor.registry import Trouble, load_registry
from sparkdoctor.run import Exit
from sparkdoctor.system import System

SCHEMA = "sparkdoctor.explain/1"


class Answer(Data, frozen=True):
    """All that `explain LOG...` has to say."""

    diagnoses: tuple[Diagnosis, ...]
    """In rank order: the first is where to begin."""
    files: tuple[str, ...]
    endings: tuple[Ending, ...]
    """The last error-like lines of each log, for when nothing known matched."""
    tried: int
    """How many signatures were looked for."""
    facts: str
    """Whose facts decided between causes, or why none did."""
    unread: tuple[str, ...]
    """Logs that could not be read, or not to their end, one line each."""
    troubles: tuple[Trouble, ...]
    code: Exit


def explain(
    what: Sequence[str],
    snapshots: Sequence[str],
    *,
    ask: Ask,
    system: System,
    environ: Mapping[str, str],
    here: bool,
) -> Answer:
    """Explain logs. A path that is a snapshot counts as one of `snapshots`.

    The causes are judged by the snapshots; without any by this machine, if it looks like one
    that runs the model or `here` says so. Raises BadInput for a snapshot that cannot be used.
    """
    given = [*snapshots, *(path for path in what if is_snapshot_file(path))]
    files = tuple(path for path in what if path not in given)
    nodes = clusters_of([read_snapshot(path) for path in given]) if given else ()
    registry = load_registry()
    logs = Logs(files, Matcher(registry.knowledge.signatures.values()))
    hits = list(logs.hits())
    cluster: Cluster | None = None
    facts = "no line whose causes a machine's facts could decide"
    if nodes:
        cluster, facts = nodes[0], f"judged by the facts of {', '.join(node.name for node in nodes[0].nodes)}"
    elif any(registry.knowledge.signatures[hit.signature].causes for hit in hits):
        cluster, facts = _this_machine(ask, system, environ, here)
    found = diagnose(hits, registry.knowledge, registry.checks.by_name, cluster)
    code = Exit.USAGE if logs.problems else Exit.OK if found else Exit.FOUND
    return Answer(
        diagnoses=tuple(found),
        files=files,
        endings=tuple(logs.endings),
        tried=len(registry.knowledge.signatures),
        facts=facts,
        unread=tuple(str(problem) for problem in logs.problems),
        troubles=registry.troubles,
        code=code,
    )


def _this_machine(ask: Ask, system: System, environ: Mapping[str, str], here: bool) -> tuple[Cluster | None, str]:
    """This machine with the launch found on it, and in words whether its facts are used.

    Raises BadInput for a launch that was named and cannot be read; one that was only found
    here is left out, and that is said: the logs can be explained without it.
    """
    without = ""
    try:
        seen = look(ask, system, environ)
    except BadInput as problem:
        if ask != Ask():
            raise
        seen = look(Ask(machine_only=True), system, environ)
        without = f", without a launch ({problem})"
    cluster = seen.clusters[0]
    host = next((node.host for node in cluster.nodes if node.host is not None), None)
    if host is None or not (here or runs_models(host)):
        why = "this machine has neither a GB10 nor an RDMA device, so its facts were not used"
        return None, f"{why}: pass --from FILE (written by `sparkdoctor collect` on the node), or --here"
    return cluster, f"judged by the facts of {host.name}, this machine{without}"


def runs_models(host: Host) -> bool:
    """Whether a machine may be one of those that wrote the logs: a GB10, or any with an RDMA device."""
    dmi = host.machine.dmi.value if host.machine.dmi.is_known else {}
    gpus = host.gpus.devices.value if host.gpus.devices.is_known else ()
    return (
        dmi.get("product_family") == "DGX Spark"
        or any("GB10" in gpu.name.value for gpu in gpus if gpu.name.is_known)
        or bool(host.rdma.hcas.is_known and host.rdma.hcas.value)
    )


def answer_json(answer: Answer) -> str:
    """`explain --json`: diagnoses in rank order; `unknown` has the endings when nothing known matched."""
    from sparkdoctor.render import json

    document: dict[str, Any] = {
        "schema": SCHEMA,
        "version": __version__,
        "exit": int(answer.code),
        "diagnoses": answer.diagnoses,
        "facts": answer.facts,
        "tried": answer.tried,
        "not_read": list(answer.unread),
        "not_loaded": [{"origin": trouble.origin, "problem": trouble.problem} for trouble in answer.troubles],
        "unknown": [] if answer.diagnoses else answer.endings,
    }
    return json.dump(document)
