"""The Docker engine on this machine, asked over its socket, never told to change anything.

Questions: `version`, `info`, `containers`, `container ID`, `image REF`. Answers are the Engine
API's own JSON, less all fields that no fact needs and with secrets removed.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from contextlib import closing
from typing import Any

from sparkdoctor.secrets import clean_argv, clean_env
from sparkdoctor.system import DoorClosed

TIMEOUT = 10
"""Seconds for one answer; an engine that is busy pulling still answers within one."""

SOCKET = "/var/run/docker.sock"


def ask(question: str) -> str:
    """The answer as JSON text. Raises DoorClosed."""
    path = _socket()
    if not os.path.exists(path):
        raise DoorClosed(f"there is no {path} (Docker is not installed or not running)", absent=True)
    return json.dumps(_answer(path, question))


def _answer(path: str, question: str) -> Any:
    # Here, because the SDK takes a quarter of a second to import, and most laptops have no engine.
    import docker
    import requests
    from docker.errors import APIError, DockerException, NotFound

    what, _, subject = question.partition(" ")
    try:
        with closing(docker.APIClient(base_url=f"unix://{path}", timeout=TIMEOUT, version="auto")) as client:
            match what:
                case "version":
                    return _only(client.version(), "Version", "ApiVersion", "Os", "Arch")
                case "info":
                    return _info(client.info())
                case "containers":
                    return [_only(each, "Id", "Names", "State") for each in client.containers(all=True)]
                case "container":
                    return _container(client.inspect_container(subject))
                case "image":
                    return _image(client.inspect_image(subject))
    except NotFound as error:
        raise DoorClosed(str(error.explanation or error), absent=True) from None
    except APIError as error:
        raise DoorClosed(str(error.explanation or error)) from None
    except (DockerException, requests.RequestException) as error:
        raise _closed(path, error) from None
    raise KeyError(question)


def _socket() -> str:
    """The engine's socket: that of DOCKER_HOST, Docker's own, or that of a rootless Docker."""
    host = os.environ.get("DOCKER_HOST", "")
    if host.startswith("unix://"):
        return host.removeprefix("unix://")
    if host:
        raise DoorClosed(f"DOCKER_HOST={host.split('://')[0]}://... is an engine on another machine")
    rootless = f"{os.environ.get('XDG_RUNTIME_DIR', '')}/docker.sock"
    return rootless if not os.path.exists(SOCKET) and os.path.exists(rootless) else SOCKET


def _closed(path: str, error: BaseException) -> DoorClosed:
    """Why there was no answer. The SDK wraps the system's own error several times."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno == errno.EACCES:
            return DoorClosed(f"permission denied on {path} (is this user in the docker group?)")
        if isinstance(cause, OSError) and cause.errno == errno.ECONNREFUSED:
            return DoorClosed(f"connection refused on {path} (is dockerd running?)")
        if isinstance(cause, TimeoutError):
            return DoorClosed(f"no answer on {path} within {TIMEOUT} s")
        cause = (
            next((part for part in cause.args if isinstance(part, BaseException)), None)
            or cause.__cause__
            or (cause.__context__)
        )
    return DoorClosed(f"{path}: {error}")


def _only(answer: Mapping[str, Any] | None, *names: str) -> dict[str, Any]:
    return {name: answer[name] for name in names if name in answer} if answer else {}


def _info(answer: Mapping[str, Any]) -> dict[str, Any]:
    kept = _only(answer, "Driver", "SecurityOptions", "DefaultRuntime")
    return {**kept, "Runtimes": {name: {} for name in answer.get("Runtimes") or {}}}


def _config(config: Mapping[str, Any] | None) -> dict[str, Any]:
    kept = _only(config, "Env", "Cmd", "Entrypoint", "User", "Image")
    if kept.get("Env"):
        env = clean_env(dict(pair.partition("=")[::2] for pair in kept["Env"]))
        kept["Env"] = [f"{name}={value}" for name, value in env.items()]
    for name in ("Cmd", "Entrypoint"):
        if kept.get(name):
            kept[name] = clean_argv(kept[name])
    labels = (config or {}).get("Labels") or {}
    kept["Labels"] = _only(labels, "com.docker.compose.project.config_files", "com.docker.compose.service")
    return kept


def _container(answer: Mapping[str, Any]) -> dict[str, Any]:
    host = _only(
        answer["HostConfig"],
        "Ulimits",
        "ShmSize",
        "IpcMode",
        "NetworkMode",
        "Privileged",
        "CapAdd",
        "Devices",
        "Runtime",
    )
    requests = answer["HostConfig"].get("DeviceRequests") or ()
    host["DeviceRequests"] = [_only(request, "Driver", "Capabilities", "DeviceIDs") for request in requests]
    return {
        **_only(answer, "Id", "Name", "Image"),
        "State": _only(answer["State"], "Running", "Pid"),
        "Config": _config(answer["Config"]),
        "HostConfig": host,
        "Mounts": [_only(mount, "Source", "Destination", "RW") for mount in answer.get("Mounts") or ()],
    }


def _image(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **_only(answer, "Id", "RepoDigests", "Architecture", "Os"),
        "GraphDriver": _only(answer.get("GraphDriver"), "Name", "Data"),
        "Config": _config(answer.get("Config")),
    }
