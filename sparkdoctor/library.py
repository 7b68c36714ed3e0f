"""The Python API: what the commands do, as calls that print nothing.

>>> import sparkdoctor
>>> results = sparkdoctor.check(files=["compose.yaml"])
>>> sparkdoctor.exit_code(results)
<Exit.OK: 0>
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from sparkdoctor.ask import Ask
from sparkdoctor.diagnose import Diagnosis
from sparkdoctor.errors import BadInput
from sparkdoctor.explaining import Answer
from sparkdoctor.explaining import explain as explain_logs
from sparkdoctor.look import look
from sparkdoctor.registry import load_checks
from sparkdoctor.run import Exit, Result, Status, exit_code, run_checks
from sparkdoctor.system import Live, System

__all__ = ["Answer", "BadInput", "Diagnosis", "Exit", "Result", "Status", "check", "exit_code", "explain"]


def check(
    targets: Sequence[str] = (),
    *,
    snapshots: Sequence[str] = (),
    files: Sequence[str] = (),
    env_files: Sequence[str] = (),
    services: Sequence[str] = (),
    containers: Sequence[str] = (),
    names: Sequence[str] | None = None,
    system: System | None = None,
) -> list[Result]:
    """Every check on every node, as `sparkdoctor check` runs them.

    Args:
        targets: one folder, compose file or .env file for each rank.
        snapshots: files that `sparkdoctor collect` wrote; then this machine is not looked at.
        files, env_files, services, containers: as the options of the command.
        names: only these checks; all when None.
        system: the machine to ask; this one when None.

    Raises:
        BadInput: an argument or a file cannot be used; its text is one line for the user.
        KeyError: a name in `names` is no check.
    """
    checks = load_checks().by_name
    chosen = [checks[name] for name in sorted(checks if names is None else names)]
    ask = Ask(
        targets=(*snapshots, *targets),
        files=tuple(files),
        env_files=tuple(env_files),
        services=tuple(services),
        containers=tuple(containers),
    )
    found = look(ask, system or Live(), dict(os.environ))
    return [result for cluster in found.clusters for result in run_checks(chosen, cluster)]


def explain(logs: Sequence[str], *, snapshots: Sequence[str] = (), here: bool = False) -> Answer:
    """What `sparkdoctor explain LOG...` answers; `.diagnoses` are in rank order.

    Raises BadInput for a snapshot that cannot be used. A log that cannot be read is named in
    `.unread`, and the others are read.
    """
    return explain_logs(logs, snapshots, ask=Ask(), system=Live(), environ=dict(os.environ), here=here)
