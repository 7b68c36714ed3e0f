from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from sparkdoctor.doors import docker as door
from sparkdoctor.facts import docker as facts
from sparkdoctor.host import UNLIMITED, Mount
from sparkdoctor.secrets import REMOVED
from sparkdoctor.system import DoorClosed, Live
from tests.doors.engine import VERSION, Chunks, engine, frame
from tests.recordings import unprivileged

ID = "4f" * 32
CONTAINER = {
    "Id": ID, "Created": "2026-11-24T12:00:00Z", "Path": "bash", "Name": "/vllm", "Image": "sha256:0a", "LogPath": "/x",
    "State": {"Status": "running", "Running": True, "Pid": 4242, "StartedAt": "2026-11-24T12:00:00Z"},
    "Config": {
        "Hostname": "spark-1", "User": "", "Image": "vllm/vllm:x", "Entrypoint": ["bash", "-lc"],
        "Cmd": ["exec vllm serve m --api-key sesame"],
        "Env": ["HF_TOKEN=sesame", "NCCL_NET=IB", "HEADLESS=", "BARE"],
        "Labels": {"com.docker.compose.project.config_files": "/home/user/ds4f/compose.yaml",
                   "com.docker.compose.service": "vllm", "org.opencontainers.image.version": "24.04"},
    },
    "HostConfig": {
        "Ulimits": [{"Name": "memlock", "Hard": -1, "Soft": -1}, {"Name": "stack", "Hard": 67108864, "Soft": 67108864}],
        "ShmSize": 68719476736, "IpcMode": "host", "NetworkMode": "host", "Privileged": False, "CapAdd": ["IPC_LOCK"],
        "Devices": [{"PathOnHost": "/dev/infiniband", "PathInContainer": "/dev/infiniband", "CgroupPermissions": "rwm"}],
        "DeviceRequests": [{"Driver": "", "Count": -1, "DeviceIDs": None, "Capabilities": [["gpu"]], "Options": {}}],
        "Runtime": "runc", "Memory": 0, "ExtraHosts": ["spark-2:192.168.0.9", "v6:fd00::9", "spark-2:192.168.1.9"],
    },
    "Mounts": [{"Type": "bind", "Source": "/home/user/.cache", "Destination": "/cache", "Mode": "", "RW": True},
               {"Type": "bind", "Source": "/etc/passwd", "Destination": "/etc/passwd", "Mode": "ro", "RW": False}],
    "NetworkSettings": {"Ports": {}},
}  # fmt: skip
IMAGE = {
    "Id": "sha256:0a", "RepoTags": ["vllm/vllm:x"], "RepoDigests": ["vllm/vllm@sha256:0b"], "Architecture": "arm64", "Os": "linux",
    "Config": {"Env": ["PATH=/opt/env/bin:/usr/bin", "API_KEY=sesame"], "Cmd": None, "Entrypoint": ["vllm"], "User": "app"},
    "GraphDriver": {"Name": "overlay2", "Data": {"UpperDir": "/var/lib/docker/overlay2/a/diff"}}, "RootFS": {},
}  # fmt: skip
ANSWERS: dict[str, tuple[int, Any]] = {
    "/version": (200, VERSION),
    "/info": (200, {"Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "nvidia-container-runtime"}},
                    "SecurityOptions": ["name=apparmor", "name=rootless"], "Driver": "overlay2", "Name": "spark-1"}),
    "/containers/json": (200, [{"Id": "00" * 32, "Names": ["/old"], "State": "exited", "Image": "x"},
                               {"Id": ID, "Names": ["/vllm"], "State": "running", "Image": "vllm/vllm:x"}]),
    f"/containers/{ID}/json": (200, CONTAINER),
    "/images/vllm/vllm:x/json": (200, IMAGE),
}  # fmt: skip

Serve = Callable[..., None]


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """`serve(**changes)` starts an engine with ANSWERS, some changed, and points DOCKER_HOST to it."""
    from contextlib import ExitStack

    with ExitStack() as stack:

        def start(changes: dict[str, tuple[int, Any]] | None = None) -> None:
            host = stack.enter_context(engine(tmp_path, {**ANSWERS, **(changes or {})}))
            monkeypatch.setenv("DOCKER_HOST", host)

        yield start


def test_a_container_as_docker_inspect_tells_it(serve: Serve) -> None:
    serve()
    container = facts.inspect_container(Live(), ID).value
    assert container.name == "vllm"
    assert (container.running, container.pid, container.image, container.image_id) == (
        True,
        4242,
        "vllm/vllm:x",
        "sha256:0a",
    )
    assert container.env.value == {"HF_TOKEN": REMOVED, "NCCL_NET": "IB", "HEADLESS": "", "BARE": ""}
    assert container.argv == ("bash", "-lc", f"exec vllm serve m --api-key {REMOVED}")
    assert container.ulimits == {"memlock": UNLIMITED, "stack": 64 << 20}
    assert (container.shm_size, container.ipc, container.network_mode) == (64 << 30, "host", "host")
    assert container.hostname == "spark-1"
    assert container.extra_hosts == {"spark-2": ("192.168.0.9", "192.168.1.9"), "v6": ("fd00::9",)}
    assert (container.privileged, container.cap_add, container.devices) == (False, ("IPC_LOCK",), ("/dev/infiniband",))
    assert container.gpus
    assert container.mounts == (
        Mount("/home/user/.cache", "/cache"),
        Mount("/etc/passwd", "/etc/passwd", read_only=True),
    )
    assert (container.compose_file, container.compose_service) == ("/home/user/ds4f/compose.yaml", "vllm")


def test_the_engine_its_running_containers_and_their_images(serve: Serve) -> None:
    serve()
    docker = facts.docker(Live(), ["not/here:x"])
    assert docker.version.value == "28.5.1"
    assert docker.rootless.value
    assert docker.runtimes.value == ("nvidia", "runc")
    assert [container.name for container in docker.containers.value] == ["vllm"]  # the other one went away meanwhile
    (image,) = docker.images.value
    assert (image.reference, image.id, image.arch, image.digests) == (
        "vllm/vllm:x", "sha256:0a", "arm64", ("vllm/vllm@sha256:0b",)
    )  # fmt: skip
    assert image.env == {"PATH": "/opt/env/bin:/usr/bin", "API_KEY": REMOVED}
    assert (image.argv, image.user) == (("vllm",), "app")


def test_no_secret_and_no_needless_field_leaves_the_door(serve: Serve) -> None:
    serve()
    for question in ("version", "info", "containers", f"container {ID}", "image vllm/vllm:x"):
        answer = door.ask(question)
        assert "sesame" not in answer
        assert not {"Created", "LogPath", "NetworkSettings", "Memory", "RootFS", "MinAPIVersion"} & set(
            _keys(json.loads(answer))
        )


def _keys(answer: Any) -> Iterator[str]:
    for value in answer if isinstance(answer, list) else answer.values() if isinstance(answer, dict) else ():
        yield from _keys(value)
    if isinstance(answer, dict):
        yield from answer


def test_what_the_engine_refuses_is_a_problem_in_its_own_words(serve: Serve) -> None:
    serve({"/containers/json": (500, {"message": "the engine is shutting down"})})
    docker = facts.docker(Live())
    assert docker.containers.problem == "the engine is shutting down"
    assert not docker.containers.absent
    assert docker.images.problem == "the engine is shutting down"
    assert docker.version.is_known


def test_a_container_that_cannot_be_inspected_leaves_the_list_unknown(serve: Serve) -> None:
    serve({f"/containers/{ID}/json": (500, {"message": "broken"})})
    containers = facts.docker(Live()).containers
    assert (containers.where, containers.problem) == ("docker inspect 4f4f4f4f4f4f", "broken")


def test_an_answer_of_another_form_is_not_understood(serve: Serve) -> None:
    serve(
        {
            "/info": (200, {"Runtimes": {}, "SecurityOptions": 7}),
            f"/containers/{ID}/json": (200, {**CONTAINER, "Id": 7}),
        }
    )
    docker = facts.docker(Live())
    assert docker.rootless.problem.startswith("not understood")
    assert docker.containers.problem.startswith("not understood")


def test_what_is_not_there_is_absent(serve: Serve) -> None:
    serve()
    for answer in (facts.inspect_image(Live(), "no/such:x"), facts.inspect_container(Live(), "nobody")):
        assert answer.absent


def test_no_socket(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/docker.sock")
    with pytest.raises(DoorClosed, match="Docker is not installed or not running") as closed:
        door.ask("version")
    assert closed.value.absent
    assert facts.docker(Live()).images.absent


def test_nobody_listens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "docker.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    with socket.socket(socket.AF_UNIX) as nobody:
        nobody.bind(path)
        with pytest.raises(
            DoorClosed, match=r"connection refused on .*/docker.sock \(is dockerd running\?\)"
        ) as closed:
            door.ask("version")
    assert not closed.value.absent


def test_an_engine_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "docker.sock")
    monkeypatch.setenv("DOCKER_HOST", f"unix://{path}")
    monkeypatch.setattr(door, "TIMEOUT", 0.2)
    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(path)
        silent.listen()
        with pytest.raises(DoorClosed, match=r"no answer on .* within 0\.2 s"):
            door.ask("version")


def test_a_socket_of_the_docker_group(monkeypatch: pytest.MonkeyPatch) -> None:
    with tempfile.TemporaryDirectory() as folder, engine(Path(folder), ANSWERS) as host:
        Path(folder).chmod(0o755)
        (Path(folder) / "docker.sock").chmod(0o600 if os.geteuid() == 0 else 0o000)
        monkeypatch.setenv("DOCKER_HOST", host)
        with (
            unprivileged(),
            pytest.raises(
                DoorClosed, match=r"permission denied on .* \(is this user in the docker group\?\)"
            ) as closed,
        ):
            door.ask("version")
    assert not closed.value.absent


def test_an_engine_elsewhere_is_not_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "ssh://me:sesame@spark-2")
    with pytest.raises(DoorClosed, match=r"DOCKER_HOST=ssh://\.\.\. is an engine on another machine") as closed:
        door.ask("version")
    assert not closed.value.absent
    assert "sesame" not in str(closed.value)


def test_the_socket_of_a_rootless_docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(door, "SOCKET", str(tmp_path / "no.sock"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path))
    with engine(tmp_path, ANSWERS):
        assert json.loads(door.ask("version"))["Version"] == "28.5.1"


def test_the_log_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [b"2026-11-24T15:24:41.1Z first\n", b"2026-11-24T15:24:42.1Z second\n"]
    answers = {
        "/version": (200, VERSION),
        "/containers/vllm/json": (200, {**CONTAINER, "Config": {"Tty": False}}),
        "/containers/vllm/logs": (200, frame(1, lines[0]) + frame(2, lines[1])),
    }
    with engine(tmp_path, answers) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        log = door.log("vllm", 1795533881.0)
        assert b"".join(iter(lambda: log.read(7), b"")) == b"".join(lines)
        log.close()
        with pytest.raises(DoorClosed, match="No such thing"):
            door.log("nowhere", None)


LOG = "/containers/vllm/logs"


def with_log(log: Chunks, *, terminal: bool) -> dict[str, tuple[int, Any]]:
    return {
        "/version": (200, VERSION),
        "/containers/vllm/json": (200, {**CONTAINER, "Config": {"Tty": terminal}}),
        LOG: (200, log),
    }


@pytest.mark.parametrize("terminal", [False, True])
def test_what_a_container_prints_is_there_as_it_comes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    def wire(text: bytes) -> bytes:
        return text if terminal else frame(1, text)

    chunks = Chunks(wire(b"first\n"))
    with engine(tmp_path, with_log(chunks, terminal=terminal)) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        log = door.log("vllm", 1795533881.5, follow=True)
        assert log.read(99) == b"first\n"
        chunks.put(wire(b"second\n"))
        assert log.read(99) == b"second\n"
        chunks.end()
        assert log.read(99) == b""
        log.stop()  # there is nothing to stop any more
        log.close()
    assert parse_qs(urlsplit(chunks.asked).query) == {
        "stdout": ["1"], "stderr": ["1"], "timestamps": ["1"], "follow": ["1"], "since": ["1795533881"],
    }  # fmt: skip


@pytest.mark.parametrize("terminal", [False, True])
def test_waiting_for_more_can_be_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool) -> None:
    chunks = Chunks()
    with engine(tmp_path, with_log(chunks, terminal=terminal)) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        log = door.log("vllm", None, follow=True)
        read: list[bytes] = []
        reader = threading.Thread(target=lambda: read.append(log.read(99)))
        reader.start()
        log.stop()
        reader.join(30)
        assert read == [b""]
        log.stop()  # twice is no harm
        log.close()
        chunks.end()


@pytest.mark.parametrize("terminal", [False, True])
def test_an_engine_that_goes_away_is_not_the_end_of_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: bool
) -> None:
    chunks = Chunks(b"x\n" if terminal else frame(1, b"x\n"), broken=True)
    chunks.end()
    with engine(tmp_path, with_log(chunks, terminal=terminal)) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        log = door.log("vllm", None)
        assert log.read(99) == b"x\n"
        with pytest.raises(OSError, match="the Docker engine"):
            log.read(99)
        log.close()


def test_a_log_that_the_engine_cannot_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said = "configured logging driver does not support reading"
    answers = {**with_log(Chunks(), terminal=False), LOG: (501, {"message": said})}
    with engine(tmp_path, answers) as host:
        monkeypatch.setenv("DOCKER_HOST", host)
        with pytest.raises(DoorClosed, match=said):
            door.log("vllm", None)
