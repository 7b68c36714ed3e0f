"""What `check` does: look at the launch and its machines, run the checks, and judge them together."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sparkdoctor.api import Check, Node, Severity
from sparkdoctor.ask import Ask
from sparkdoctor.host import Data
from sparkdoctor.look import Look, look
from sparkdoctor.plugins import Trouble
from sparkdoctor.registry import load_checks
from sparkdoctor.run import Exit, Result, exit_code, run_checks
from sparkdoctor.system import System


class Done(Data, frozen=True):
    """All that `check` has to say."""

    seen: Look
    nodes: tuple[Node, ...]
    results: tuple[Result, ...]
    troubles: tuple[Trouble, ...]
    code: Exit


def check(
    ask: Ask,
    system: System,
    environ: Mapping[str, str],
    choose: Callable[[dict[str, Check]], list[Check]],
    *,
    fail_on: Severity,
    allow_unknown: bool,
) -> Done:
    """`choose` picks of all checks those to run. Raises BadInput, and Clash."""
    found = load_checks()
    chosen = choose(found.by_name)
    seen = look(ask, system, environ)
    results = tuple(result for cluster in seen.clusters for result in run_checks(chosen, cluster))
    nodes = tuple(node for cluster in seen.clusters for node in cluster.nodes)
    blind = bool(found.troubles) or all(node.launch is None for node in nodes)
    code = exit_code(results, fail_on=fail_on, allow_unknown=allow_unknown, incomplete=blind)
    return Done(seen, nodes, results, found.troubles, code)
