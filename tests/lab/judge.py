"""What sparkdoctor says about the pair: facts collected on both nodes over ssh, judged here."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sparkdoctor.api import Severity
from sparkdoctor.library import Answer, Result, Status, check, explain
from tests.lab.guest import Guest, User
from tests.lab.launch import COMPOSE
from tests.lab.nccl import Rank
from tests.lab.pair import Pair


def collect(pair: Pair, folder: Path, shell: tuple[User, Mapping[str, str]] | None = None) -> list[str]:
    """A snapshot of each node with its launch, in `folder`: the compose file, or what a user's shell would start."""

    def one(guest: Guest) -> str:
        command, user = f"SPARKDOCTOR_PATIENCE=300 sparkdoctor collect -f {COMPOSE} -o -", "root"
        if shell is not None:
            user, env = shell
            words = [f"{name}={value}" for name, value in env.items()]
            command = shlex.join(
                ["env", "SPARKDOCTOR_PATIENCE=300", *words, "sparkdoctor", "collect", "--shell", "-o", "-"]
            )
        path = folder / f"{guest.name}.json"
        path.write_text(guest.run(f"PATH=$PATH:/usr/local/bin {command}", user).stdout)  # type: ignore[arg-type]
        return str(path)

    with ThreadPoolExecutor() as both:
        return list(both.map(one, pair))


def problems(results: Sequence[Result]) -> list[Result]:
    """The failures that matter to a launch and do not follow from another failure."""
    failed = [result for result in results if result.status is Status.FAILED and result.severity is not Severity.NOTE]
    followers = {name for result in failed for name in result.with_it}
    return [result for result in failed if result.check not in followers]


def judge(snapshots: Sequence[str]) -> list[Result]:
    """Every check on both nodes. Raises AssertionError when a check crashed."""
    results = check(snapshots=snapshots)
    crashed = [f"{result.check}: {result.trace}" for result in results if result.status is Status.CRASHED]
    assert crashed == []
    return results


def diagnose(ranks: Sequence[Rank], snapshots: Sequence[str], folder: Path) -> Answer:
    """What `explain` makes of NCCL's own logs; they are kept in `folder`."""
    logs = []
    for number, rank in enumerate(ranks):
        path = folder / f"rank{number}.log"
        path.write_text(rank.log)
        logs.append(str(path))
    return explain(logs, snapshots=snapshots)
