"""The Docker engine on this machine, asked over its socket, never told to change anything.

`log` gives what a container has printed, and prints. Questions of `ask`: `version`, `info`, `containers`, `container ID`, `image REF`. Answers are the Engine
API's own JSON, less all fields that no fact needs and with secrets removed.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import closing, suppress
from typing import Any
from urllib.parse import quote

from sparkdoctor.secrets import clean_argv, clean_env
from sparkdoctor.system import DoorClosed

TIMEOUT = 10
"""Seconds for one answer; an engine that is busy pulling still answers within one."""

SOCKET = "/var/run/docker.sock"


CHUNK = 1 << 16

OLDEST = "1.24"
"""An Engine API version to construct the SDK's client with; `/version` is asked without one."""


def ask(question: str) -> str:
    """The answer as JSON text. Raises DoorClosed."""
    path = _socket()
    _knock(path)
    return json.dumps(_answer(path, question))


def log(container: str, since: float | None, *, follow: bool = False) -> ContainerLog:
    """What a container has printed, with the engine's times; with `follow` until it stops.

    `since`: seconds since 1970. Raises DoorClosed.
    """
    path = _socket()
    _knock(path)
    import docker
    import requests
    from docker.errors import APIError, DockerException, NotFound, create_api_error_from_http_exception

    try:
        with closing(docker.APIClient(base_url=f"unix://{path}", timeout=TIMEOUT, version=OLDEST)) as oldest:
            version = oldest.version(api_version=False)["ApiVersion"]
        client = docker.APIClient(base_url=f"unix://{path}", timeout=TIMEOUT, version=version)
        terminal = client.inspect_container(container)["Config"]["Tty"]
        # Not by the SDK's `logs`: that gives the output of a terminal byte by byte, and takes a lost engine for the end.
        answer = client.get(
            f"{client.base_url}/v{version}/containers/{quote(container, safe='')}/logs",
            params={"stdout": 1, "stderr": 1, "timestamps": 1, "follow": int(follow)}
            | ({} if since is None else {"since": int(since)}),
            stream=True,
            timeout=(TIMEOUT, None),  # it may be silent for as long as it likes
        )
        try:
            answer.raise_for_status()
        except requests.HTTPError as error:
            create_api_error_from_http_exception(error)
    except NotFound as error:
        raise DoorClosed(str(error.explanation or error), absent=True) from None
    except APIError as error:
        raise DoorClosed(str(error.explanation or error)) from None
    except (DockerException, requests.RequestException) as error:
        raise DoorClosed(f"{path}: {error}") from None
    return ContainerLog(client, answer, terminal)


class ContainerLog:
    """A container's log, to be read like a file. `read` raises OSError."""

    def __init__(self, client: Any, answer: Any, terminal: bool) -> None:
        """`answer`: the engine's, a requests.Response that is read as it comes."""
        self._client = client
        self._answer = answer
        self._chunks = answer.raw.stream(CHUNK) if terminal else _texts(answer.raw)
        self._left = b""
        self._stopped = False

    def read(self, size: int) -> bytes:
        import urllib3

        try:
            self._left = self._left or next(self._chunks, b"")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            if not self._stopped:
                raise OSError(0, f"the Docker engine: {error}") from error
        data, self._left = self._left[:size], self._left[size:]
        return data

    def stop(self) -> None:
        from docker.types import CancellableStream

        self._stopped = True
        with suppress(OSError):  # there is no connection any more
            CancellableStream(self._chunks, self._answer).close()  # for it knows where the socket is

    def close(self) -> None:
        self._client.close()


def _texts(raw: Any) -> Iterator[bytes]:
    """What a container without a terminal wrote to both outputs (Engine API, "Stream format" of attach)."""
    while header := raw.read(8):
        length = int.from_bytes(header[4:], "big")
        text = raw.read(length) if length else b""
        if len(header) < 8 or len(text) < length:
            raise OSError(0, "its answer ends in the middle of a line")
        yield text


def _knock(path: str) -> None:
    """Raises DoorClosed when nobody answers on this socket; the SDK wraps these errors past recognition."""
    with socket.socket(socket.AF_UNIX) as knocking:
        knocking.settimeout(TIMEOUT)
        try:
            knocking.connect(path)
        except FileNotFoundError:
            raise DoorClosed(f"there is no {path} (Docker is not installed or not running)", absent=True) from None
        except PermissionError:
            raise DoorClosed(f"permission denied on {path} (is this user in the docker group?)") from None
        except ConnectionRefusedError:
            raise DoorClosed(f"connection refused on {path} (is dockerd running?)") from None
        except OSError as error:
            raise DoorClosed(f"{path}: {error}") from None


def _answer(path: str, question: str) -> Any:
    # Here, because the SDK takes a quarter of a second to import, and many a machine has no engine.
    import docker
    import requests
    from docker.errors import APIError, DockerException, NotFound

    def client(version: str) -> Any:
        return closing(docker.APIClient(base_url=f"unix://{path}", timeout=TIMEOUT, version=version))

    what, _, subject = question.partition(" ")
    try:
        with client(OLDEST) as oldest:
            engine = oldest.version(api_version=False)
        if what == "version":
            return _only(engine, "Version", "ApiVersion", "Os", "Arch")
        with client(engine["ApiVersion"]) as newest:
            match what:
                case "info":
                    return _info(newest.info())
                case "containers":
                    return [_only(each, "Id", "Names", "State") for each in newest.containers(all=True)]
                case "container":
                    return _container(newest.inspect_container(subject))
                case "image":
                    return _image(newest.inspect_image(subject))
    except NotFound as error:
        raise DoorClosed(str(error.explanation or error), absent=True) from None
    except APIError as error:
        raise DoorClosed(str(error.explanation or error)) from None
    except requests.Timeout:
        raise DoorClosed(f"no answer on {path} within {TIMEOUT} s") from None
    except (DockerException, requests.RequestException) as error:
        raise DoorClosed(f"{path}: {error}") from None
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


def _only(answer: Mapping[str, Any] | None, *names: str) -> dict[str, Any]:
    return {name: answer[name] for name in names if name in answer} if answer else {}


def _info(answer: Mapping[str, Any]) -> dict[str, Any]:
    kept = _only(answer, "Driver", "SecurityOptions", "DefaultRuntime")
    return {**kept, "Runtimes": {name: {} for name in answer.get("Runtimes") or {}}}


def _config(config: Mapping[str, Any] | None) -> dict[str, Any]:
    kept = _only(config, "Env", "Cmd", "Entrypoint", "User", "Image", "Hostname")
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
        "ExtraHosts",
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
