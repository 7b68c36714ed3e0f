"""Our reader and the table it is held to, against a real Docker Compose.

Needs the `docker compose` plugin, or a docker-compose binary named by SPARKDOCTOR_COMPOSE; no
engine. Last compared with Docker Compose 2.40.3 (compose-go 2.9.1).
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from packaging.version import Version

from sparkdoctor.launch.compose import read_compose
from sparkdoctor.launch.types import LaunchError, Spec
from sparkdoctor.system import Live
from tests.launch.compose_cases import CASES, Case, Refused


@cache
def compose() -> Sequence[str]:
    """The command that runs Docker Compose, empty when there is none."""
    named = os.environ.get("SPARKDOCTOR_COMPOSE")
    for command in ([named], ["docker", "compose"], ["docker-compose"]):
        if command[0] and shutil.which(command[0]):
            words = [str(word) for word in command]
            done = subprocess.run([*words, "version"], capture_output=True, text=True, check=False, timeout=60)
            if done.returncode == 0 and "version v" in done.stdout:
                return words
    return ()


@cache
def version() -> Version:
    done = subprocess.run([*compose(), "version", "--short"], capture_output=True, text=True, check=True, timeout=60)
    return Version(done.stdout.strip().removeprefix("v"))


def config(case: Case, folder: Path) -> dict[str, Any] | None:
    """The services as `docker compose config` prints them, None when it refuses the project."""
    for name, text in case.files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text))
    words = [*compose()]
    words += [word for name in case.use for word in ("--file", str(folder / name))]
    words += [word for name in case.env_files for word in ("--env-file", str(folder / name))]
    words += [word for name in case.profiles for word in ("--profile", name)]
    done = subprocess.run(
        [*words, "config", "--format", "json", *case.services],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={"PATH": os.environ["PATH"], **case.environ},
    )
    if done.returncode != 0:
        return None
    services: dict[str, Any] = json.loads(done.stdout)["services"]
    return services


def theirs(service: dict[str, Any]) -> dict[str, Any]:
    """What Docker Compose says of a service, in the terms of a Spec. `config` doubles every dollar sign."""

    def text(value: Any) -> Any:
        return value.replace("$$", "$") if isinstance(value, str) else value

    limit = service.get("ulimits", {}).get("memlock")
    reserved = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices")
    return {
        "env": {name: text(value) for name, value in (service.get("environment") or {}).items()},
        "image": text(service.get("image")),
        "argv": tuple(text(word) for key in ("entrypoint", "command") for word in service.get(key) or ()),
        "memlock": limit["soft"] if isinstance(limit, dict) else limit,
        "shm_size": int(service["shm_size"]) if "shm_size" in service else None,
        "ipc": service.get("ipc"),
        "network_mode": service.get("network_mode"),
        "privileged": service.get("privileged") or None,
        "cap_add": tuple(service.get("cap_add") or ()),
        "user": service.get("user"),
        "gpus": bool(service.get("gpus") or reserved or service.get("runtime") == "nvidia") or None,
        "devices": tuple(each["target"] for each in service.get("devices") or () if "=" not in each["target"]),
        "mounts": tuple(
            (
                each.get("source", "tmpfs" if each["type"] == "tmpfs" else ""),
                each["target"],
                each.get("read_only", False),
            )
            for each in service.get("volumes") or ()
        )
        + tuple(("tmpfs", path.split(":")[0], False) for path in service.get("tmpfs") or ()),
    }


def ours(spec: Spec) -> dict[str, Any]:
    env: dict[str, str | None] = {name: fact.value for name, fact in spec.env.value.items()}
    return {
        "env": {**env, **dict.fromkeys(spec.unset)},
        "image": spec.image and spec.image.value,
        "argv": spec.argv.value,
        "memlock": spec.memlock and spec.memlock.value,
        "shm_size": spec.shm_size and spec.shm_size.value,
        "ipc": spec.ipc and spec.ipc.value,
        "network_mode": spec.network_mode and spec.network_mode.value,
        "privileged": (spec.privileged and spec.privileged.value) or None,
        "cap_add": spec.cap_add.value if spec.cap_add else (),
        "user": spec.user and spec.user.value,
        "gpus": (spec.gpus and spec.gpus.value) or None,
        "devices": spec.devices.value if spec.devices else (),
        "mounts": tuple((m.source, m.target, m.read_only) for m in spec.mounts.value) if spec.mounts else (),
    }


@pytest.mark.skipif(not compose(), reason="no docker compose here; name one with SPARKDOCTOR_COMPOSE")
@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_case_against_docker_compose(case: Case, tmp_path: Path) -> None:
    if case.since and version() < Version(case.since):
        pytest.skip(f"Docker Compose {case.since} or newer does so")
    real = config(case, tmp_path)
    try:
        specs = read_compose(
            Live(),
            [str(tmp_path / name) for name in case.use],
            [str(tmp_path / name) for name in case.env_files],
            profiles=case.profiles,
            environ=case.environ,
            services=case.services,
        )
    except LaunchError:
        assert real is None, "docker compose takes this project"
        assert isinstance(case.want, Refused)
        return
    assert real is not None, "docker compose refuses this project"
    assert sorted(real) == sorted(spec.service for spec in specs)
    for spec in specs:
        assert ours(spec) == theirs(real[spec.service])
