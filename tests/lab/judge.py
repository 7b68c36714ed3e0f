"""What sparkdoctor says about the pair: facts collected on both nodes over ssh, judged here."""

from __future__ import annotations

import json
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from sparkdoctor.api import Severity
from sparkdoctor.library import Answer, Result, Status, check, explain
from tests.lab.guest import Guest, User
from tests.lab.launch import COMPOSE
from tests.lab.nccl import Rank
from tests.lab.pair import Pair


class Nodes:
    """sparkdoctor on both nodes, ready to be asked. Close it after use."""

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        script = (Path(__file__).parent / "resident.py").read_text()
        for guest in pair:
            guest.write("/opt/resident.py", script)
        self._waiting = [guest.start("SPARKDOCTOR_PATIENCE=300 python3 -u /opt/resident.py") for guest in pair]

    def close(self) -> None:
        for process in self._waiting:
            process.communicate()

    def collect(self, folder: Path, shell: tuple[User, Mapping[str, str]] | None = None) -> list[str]:
        """A snapshot of each node with its launch, in `folder`: the compose file, or what a user's shell would start."""

        def one(guest: Guest, process: subprocess.Popen[str]) -> str:
            text = _collect_as(guest, *shell) if shell else _ask(process, ["collect", "-f", COMPOSE, "-o", "-"])
            path = folder / f"{guest.name}.json"
            path.write_text(text)
            return str(path)

        with ThreadPoolExecutor() as both:
            return list(both.map(one, self.pair, self._waiting))


def _ask(process: subprocess.Popen[str], arguments: Sequence[str]) -> str:
    assert process.stdin
    assert process.stdout
    process.stdin.write(json.dumps(arguments) + "\n")
    process.stdin.flush()
    line = process.stdout.readline()
    assert line, f"the resident process ended: {process.communicate()[1]}"
    answer = json.loads(line)
    assert answer["code"] == 0, answer
    return str(answer["stdout"])


def _collect_as(guest: Guest, user: User, env: Mapping[str, str]) -> str:
    """What a user's own login shows: its limits are not those of the resident process."""
    words = [f"{name}={value}" for name, value in env.items()]
    command = shlex.join(["env", "SPARKDOCTOR_PATIENCE=300", *words, "sparkdoctor", "collect", "--shell", "-o", "-"])
    return guest.run(f"PATH=$PATH:/usr/local/bin {command}", user).stdout


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
