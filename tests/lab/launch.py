"""A launch on the pair: one compose file a node, run for real, in containers or as a user's processes."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import yaml

from tests.lab.disks import NEWEST
from tests.lab.docker import IMAGE, MOUNTS
from tests.lab.guest import User
from tests.lab.nccl import RECIPE, Rank, run_commands
from tests.lab.pair import Pair

FOLDER = "/home/spark/serve"
COMPOSE = f"{FOLDER}/compose.yaml"
SERVICE = "vllm"

Service = dict[str, Any]


def service(rank: int) -> Service:
    """A sound service for one rank: the keys and values that a pair needs."""
    return {
        "image": IMAGE,
        "network_mode": "host",
        "ipc": "host",
        "ulimits": {"memlock": -1},
        "devices": ["/dev/infiniband:/dev/infiniband"],
        "environment": {**RECIPE, "LAB_NCCL": NEWEST, "LAB_OPTIONS": "--size 16777216 --limit 20"},
        "volumes": list(MOUNTS),
        "command": [
            "vllm", "serve", "lab/model", "--tensor-parallel-size", "2", "--nnodes", "2", "--node-rank", str(rank),
            "--master-addr", "192.168.0.8", "--master-port", "25000", *(["--headless"] if rank else []),
        ],
    }  # fmt: skip


@dataclass
class Launch:
    """Both ranks' services, as dictionaries that a test or a fix may change."""

    services: tuple[Service, Service] = field(default_factory=lambda: (service(0), service(1)))
    user: User | None = None
    """Run as this user's processes instead of in containers."""
    absent: tuple[int, ...] = ()
    """Ranks that `run` does not start: they say nothing and end at once."""

    def write(self, pair: Pair) -> None:
        for guest, one in zip(pair, self.services, strict=True):
            guest.run(f"mkdir -p {FOLDER}")
            guest.write(COMPOSE, yaml.safe_dump({"services": {SERVICE: one}}, sort_keys=False))

    def run(self, pair: Pair, *, contained: bool) -> tuple[Rank, Rank]:
        """Start both ranks and wait for their end.

        Not `contained`, the services' commands are run without Docker, with all that the
        compose file gives them but a container: for what no container takes part in, and faster.
        """
        if contained:
            command = f"docker compose --progress quiet -f {COMPOSE} run --rm --no-TTY {SERVICE}"
            commands = [command, command]
        else:
            commands = [_bare(one) for one in self.services]
        first, second = ("true" if rank in self.absent else command for rank, command in enumerate(commands))
        return run_commands(pair, (first, second), "root" if contained else self.user or "root")

    def changed(self, rank: int, **keys: Any) -> None:
        """Set keys of one rank's service; `None` takes one away. `environment` is merged."""
        merge(self.services[rank], keys)


def merge(target: dict[str, Any], change: Mapping[str, Any]) -> None:
    """Lay one mapping over another; `None` takes a key away."""
    for key, value in change.items():
        if value is None:
            target.pop(key, None)
        elif isinstance(value, Mapping) and isinstance(target.get(key), dict):
            merge(target[key], value)
        else:
            target[key] = deepcopy(value)


def _bare(one: Service) -> str:
    words = [f"{name}={value}" for name, value in one["environment"].items()]
    return shlex.join(["env", *words, f"/opt/bin/{one['command'][0]}", *one["command"][1:]])
