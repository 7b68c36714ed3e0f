"""The answers as JSON: one document, a versioned `schema`, keys that stay."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import msgspec

from sparkdoctor import __version__
from sparkdoctor.api import CannotTell, Finding, Fix, Node, Seen
from sparkdoctor.plugins import Trouble
from sparkdoctor.run import Exit, Result

if TYPE_CHECKING:
    from sparkdoctor.nccl import Chosen

CHECK_SCHEMA = "sparkdoctor.check/1"


def check_document(
    nodes: Iterable[Node], results: Sequence[Result], troubles: Sequence[Trouble], code: Exit
) -> dict[str, Any]:
    """The answer of `check`: every result, unfolded, one entry for each check and target."""
    return {
        "schema": CHECK_SCHEMA,
        "version": __version__,
        "exit": int(code),
        "nodes": [_node(node) for node in nodes],
        "not_loaded": [{"origin": trouble.origin, "problem": trouble.problem} for trouble in troubles],
        "results": [_result(result) for result in results],
    }


def error_document(schema: str, problem: str, code: Exit = Exit.USAGE) -> dict[str, Any]:
    """The one document of a command that could not answer."""
    return {"schema": schema, "version": __version__, "exit": int(code), "error": problem}


def dump(document: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(document), indent=2).decode()


def _node(node: Node) -> dict[str, Any]:
    spec = node.launch.spec if node.launch is not None else None
    return {
        "name": node.name,
        "looked_at": node.host is not None,
        "taken": node.host.taken if node.host is not None else None,
        "nccl": _prediction(node),
        "launch": None
        if spec is None
        else {
            "kind": spec.kind,
            "title": spec.title,
            "source": spec.source,
            "service": spec.service,
            "env_file": spec.env_file,
            "remarks": [{"where": remark.where, "text": remark.text} for remark in spec.remarks],
        },
    }


def _prediction(node: Node) -> dict[str, Any] | None:
    """What NCCL will choose; `problem` when nobody can tell."""
    if node.launch is None:
        return None
    from sparkdoctor.nccl import describe  # NCCL's rules, which an explanation does without
    from sparkdoctor.predict import predict

    try:
        predicted = predict(node)
    except CannotTell as why:
        return {"problem": str(why)}
    chosen = predicted.selection
    return {
        "rules": seen_document(predicted.rules),
        "transport": chosen.transport,
        "bootstrap": _interface(chosen.bootstrap),
        "side_channel": _interface(chosen.side_channel),
        "ports": [
            {
                "hca": port.port.hca,
                "port": port.port.port.number,
                "gid_index": port.gid_index,
                "gid": describe(port.gid),
            }
            for port in chosen.ports
        ],
        "sockets": [_interface(socket) for socket in chosen.sockets],
        "messages": [{"level": message.level, "text": message.text} for message in chosen.messages],
    }


def _interface(chosen: Chosen | None) -> dict[str, str] | None:
    return {"name": chosen.name, "address": chosen.address} if chosen is not None else None


def _result(result: Result) -> dict[str, Any]:
    return {
        "check": result.check,
        "severity": result.severity.value,
        "on": list(result.on),
        "status": result.status.value,
        "reason": result.reason,
        "seen": [seen_document(seen) for seen in result.seen],
        "findings": [_finding(finding) for finding in result.findings],
        "with_it": list(result.with_it),
    }


def _finding(finding: Finding) -> dict[str, Any]:
    return {
        "message": finding.message,
        "seen": [seen_document(seen) for seen in finding.seen],
        "fix": fix_document(finding.fix),
    }


def seen_document(seen: Seen) -> dict[str, str]:
    return {"what": seen.what, "value": seen.value, "wanted": seen.wanted, "where": seen.where}


def fix_document(fix: Fix) -> dict[str, Any]:
    return {
        "do": fix.do,
        "edit": fix.edit,
        "run": list(fix.run),
        "certainty": fix.certainty.value,
        "cost": fix.cost,
    }
