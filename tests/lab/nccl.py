"""Runs NCCL's own network code in the guests, and reads what it chose from its log."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.lab.disks import NEWEST
from tests.lab.guest import Guest, User
from tests.lab.pair import Pair

DRIVER = "/opt/nccl_driver.py"

RECIPE = {
    "NCCL_IB_HCA": "rocep1s0f0,roceP2p1s0f0",
    "NCCL_SOCKET_IFNAME": "enp1s0f0np0",
    "NCCL_DEBUG": "INFO",
}
"""What a sound launch on this pair sets."""

IMPATIENT = {"NCCL_IB_TIMEOUT": "14", "NCCL_IB_RETRY_CNT": "2"}
"""soft-RoCE takes NCCL's default of 7 retries for endless; a ConnectX-7 gives up after some 30 seconds."""


@dataclass(frozen=True)
class Rank:
    """How one rank's run ended."""

    log: str
    """NCCL's own log."""
    outcome: dict[str, Any]
    """What was chosen, or `step` and `result` of the failure."""
    noise: str = ""
    """Standard error of whatever ran it."""

    @property
    def worked(self) -> bool:
        return bool(self.outcome) and "step" not in self.outcome

    @property
    def failure(self) -> str:
        """`IB connect: ncclSystemError`, empty when it worked."""
        if self.worked:
            return ""
        return f"{self.outcome.get('step', 'start')}: {self.outcome.get('result', self.noise.strip()[-300:])}"

    @property
    def warnings(self) -> list[str]:
        """NCCL's lines at WARN, without time, process and source position."""
        return [found[1] for found in re.finditer(r"NCCL WARN (.*)", self.log)]


def library(version: str = NEWEST) -> str:
    return f"/opt/nccl/{version}/libnccl.so.2"


def rank_command(
    rank: int, env: Mapping[str, str], *, version: str = NEWEST, master: str = "192.168.0.8", size: int = 1 << 16,
    limit: int = 20,
) -> str:  # fmt: skip
    """The shell command that runs one rank."""
    words = ["python3", DRIVER, library(version), "rank", str(rank), "--master", master, "--size", str(size),
             "--limit", str(limit)]  # fmt: skip
    return shlex.join(["env", *(f"{name}={value}" for name, value in env.items()), *words])


def run_commands(pair: Pair, commands: tuple[str, str], user: User = "root", timeout: float = 150) -> tuple[Rank, Rank]:
    """Run one command on each node at the same time; each must end with a rank's outcome."""
    started = [guest.start(command, user) for guest, command in zip(pair, commands, strict=True)]
    first, second = (_ended(process, timeout) for process in started)
    return first, second


def run_ranks(
    pair: Pair,
    env: Mapping[str, str] = RECIPE,
    second_env: Mapping[str, str] | None = None,
    *,
    user: User = "root",
    versions: tuple[str, str] = (NEWEST, NEWEST),
    **options: Any,
) -> tuple[Rank, Rank]:
    """Run both ranks as processes of a user; `options` are those of `rank_command`."""
    envs = (env, env if second_env is None else second_env)
    first, second = (rank_command(rank, envs[rank], version=versions[rank], **options) for rank in (0, 1))
    return run_commands(pair, (first, second), user)


def _ended(process: subprocess.Popen[str], timeout: float) -> Rank:
    log, errors = process.communicate(timeout=timeout)
    return as_rank(log, errors)


def as_rank(log: str, errors: str) -> Rank:
    """A rank's run from its two streams; the driver's one JSON line is on standard error."""
    noise = []
    outcome: dict[str, Any] = {}
    for line in errors.splitlines():
        if line.startswith("{"):
            outcome = json.loads(line)
        else:
            noise.append(line)
    return Rank(log, outcome, "\n".join(noise))


@dataclass(frozen=True)
class Choice:
    """What NCCL chose on one machine by itself."""

    net: str | None
    bootstrap: tuple[str, str] | None
    """Interface and address."""
    side_channel: tuple[str, str] | None
    devices: tuple[tuple[str, int], ...]
    """HCA and port, in NCCL's order."""
    gid_indexes: dict[int, int]
    """By number of the device, for those for which NCCL got as far as connecting."""
    steps: dict[str, str]
    log: str


def choices(guest: Guest, version: str, envs: Iterable[Mapping[str, str]], user: User = "root") -> list[Choice]:
    """Let NCCL choose on a guest under each environment."""
    quiet = {"NCCL_DEBUG": "INFO", "NCCL_DEBUG_SUBSYS": "INIT,ENV,NET,BOOTSTRAP"}
    cases = "".join(json.dumps({"env": quiet | dict(env)}) + "\n" for env in envs)
    done = guest.run(f"python3 {DRIVER} {library(version)} select", user, stdin=cases, timeout=600)
    return [_choice(json.loads(line)) for line in done.stdout.splitlines()]


def _choice(answer: dict[str, Any]) -> Choice:
    log = answer["log"]
    using_ib = re.search(r"NET/IB : Using.*OOB (\S+?):(\S+)<\d+>", log)
    return Choice(
        net=answer.get("net"),
        bootstrap=_interface(re.search(r"Bootstrap ?: Using (\S+?):(\S+)<\d+>", log)),
        side_channel=_interface(using_ib) if answer.get("devices") else None,
        devices=tuple((device["name"], device["port"]) for device in answer.get("devices", ())),
        gid_indexes=_gids(log),
        steps=answer["steps"],
        log=log,
    )


def _interface(found: re.Match[str] | None) -> tuple[str, str] | None:
    return (found[1], found[2].partition("%")[0]) if found else None


def _gids(log: str) -> dict[int, int]:
    """`NCCL Dev 0 IbDev 0 Port 1 qp_num 43 mtu 5 GID 1 (0/800A8C0FFFF0000)`: a line for each device."""
    found = re.findall(r"NCCL Dev (\d+) IbDev .* GID (-?\d+) \(", log)
    return {int(device): int(index) for device, index in found}
