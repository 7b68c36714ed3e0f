"""The Docker engine: its version, its containers and images, its daemon.json."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from sparkdoctor.fact import Fact, unread
from sparkdoctor.host import DOCKER_SHM, Container, Docker, Image, Mount
from sparkdoctor.system import System

DAEMON_JSON = "/etc/docker/daemon.json"


class Raw(msgspec.Struct, frozen=True, rename="pascal"):
    """Base of the parts of Engine API answers that are used; names are the API's."""


class Ulimit(Raw, frozen=True):
    name: str
    soft: int


class Device(Raw, frozen=True):
    path_in_container: str = ""


class DeviceRequest(Raw, frozen=True):
    driver: str = ""
    capabilities: list[list[str]] | None = None
    device_i_ds: list[str] | None = msgspec.field(default=None, name="DeviceIDs")


class HostConfig(Raw, frozen=True):
    ulimits: list[Ulimit] | None = None
    shm_size: int = 0
    ipc_mode: str = ""
    network_mode: str = ""
    privileged: bool = False
    cap_add: list[str] | None = None
    devices: list[Device] | None = None
    device_requests: list[DeviceRequest] | None = None
    runtime: str = ""


class Config(Raw, frozen=True):
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    user: str = ""
    image: str = ""
    labels: dict[str, str] | None = None


class State(Raw, frozen=True):
    running: bool = False
    pid: int = 0


class RawMount(Raw, frozen=True):
    source: str = ""
    destination: str = ""
    r_w: bool = msgspec.field(default=True, name="RW")


class RawContainer(Raw, frozen=True):
    """GET /containers/ID/json."""

    id: str
    name: str
    image: str
    state: State
    config: Config
    host_config: HostConfig
    mounts: list[RawMount] | None = None


class GraphDriver(Raw, frozen=True):
    name: str = ""
    data: dict[str, str] | None = None


class RawImage(Raw, frozen=True):
    """GET /images/REF/json."""

    id: str
    architecture: str
    repo_digests: list[str] | None = None
    config: Config | None = None
    graph_driver: GraphDriver | None = None


class Listed(Raw, frozen=True):
    """An element of GET /containers/json?all=1."""

    id: str
    state: str


class Version(Raw, frozen=True):
    version: str


class Info(Raw, frozen=True):
    runtimes: dict[str, Any] | None = None
    security_options: list[str] | None = None


def docker(system: System, wanted: Iterable[str] = ()) -> Docker:
    """The engine, all containers, and the images that `wanted` or a running container names."""
    info = system.docker("info").map(lambda answer: msgspec.convert(answer, Info))
    containers = _containers(system)
    settings = _daemon_json(system)
    return Docker(
        version=system.docker("version").map(lambda answer: msgspec.convert(answer, Version).version),
        rootless=info.map(lambda info: any("name=rootless" in option for option in info.security_options or ())),
        runtimes=info.map(lambda info: tuple(sorted(info.runtimes or ()))),
        containers=containers,
        images=_images(system, wanted, containers),
        default_ulimits=settings.map(parse_default_ulimits),
        default_shm_size=_default_shm_size(settings),
    )


def _containers(system: System) -> Fact[tuple[Container, ...]]:
    listed = system.docker("containers").map(lambda answer: msgspec.convert(answer, list[Listed]))
    if not listed.is_known:
        return unread(listed.where, listed.problem, absent=listed.absent)
    found = []
    for each in sorted(listed.value, key=lambda each: each.state != "running"):
        container = inspect_container(system, each.id)
        if container.absent:
            continue  # removed since it was listed
        if not container.is_known:
            return unread(container.where, container.problem)
        found.append(container.value)
    return Fact(listed.where, tuple(found))


def inspect_container(system: System, identity: str) -> Fact[Container]:
    """One container by id or name; absent when there is none."""
    where = f"docker inspect {identity[:12]}"
    raw = system.docker(f"container {identity}").at(where).map(lambda answer: msgspec.convert(answer, RawContainer))
    return raw.map(lambda raw: _container(raw))


def _container(raw: RawContainer) -> Container:
    host, config, labels = raw.host_config, raw.config, raw.config.labels or {}
    env = split_env(config.env)
    name = raw.name.lstrip("/")
    return Container(
        id=raw.id,
        name=name,
        running=raw.state.running,
        pid=raw.state.pid,
        image=config.image,
        image_id=raw.image,
        env=Fact(f"docker inspect {name}", env),
        argv=(*(config.entrypoint or ()), *(config.cmd or ())),
        ulimits={limit.name: limit.soft for limit in host.ulimits or ()},
        shm_size=host.shm_size,
        ipc=host.ipc_mode,
        network_mode=host.network_mode,
        privileged=host.privileged,
        cap_add=tuple(host.cap_add or ()),
        devices=tuple(device.path_in_container for device in host.devices or ()),
        gpus=_has_gpus(host, env),
        mounts=tuple(Mount(mount.source, mount.destination, not mount.r_w) for mount in raw.mounts or ()),
        user=config.user,
        compose_file=labels.get("com.docker.compose.project.config_files", ""),
        compose_service=labels.get("com.docker.compose.service", ""),
    )


def _has_gpus(host: HostConfig, env: Mapping[str, str]) -> bool:
    """--gpus, a CDI device of NVIDIA's, or NVIDIA's runtime with a device named in the environment."""
    for request in host.device_requests or ():
        if any("gpu" in capabilities for capabilities in request.capabilities or ()):
            return True
        if request.driver == "cdi" and any(name.startswith("nvidia.com/gpu") for name in request.device_i_ds or ()):
            return True
    return host.runtime == "nvidia" and env.get("NVIDIA_VISIBLE_DEVICES", "void") not in ("", "void", "none")


def _images(system: System, wanted: Iterable[str], containers: Fact[tuple[Container, ...]]) -> Fact[tuple[Image, ...]]:
    if not containers.is_known:
        return unread(containers.where, containers.problem, absent=containers.absent)
    names = [*wanted, *(container.image for container in containers.value if container.running)]
    found = []
    for reference in dict.fromkeys(names):
        raw = inspect_image(system, reference)
        if raw.absent:
            continue
        if not raw.is_known:
            return unread(raw.where, raw.problem)
        found.append(_image(reference, raw.value))
    return Fact("docker image inspect", tuple(found))


def inspect_image(system: System, reference: str) -> Fact[RawImage]:
    """One local image by reference or id; absent when it is not here."""
    return system.docker(f"image {reference}").map(lambda answer: msgspec.convert(answer, RawImage))


def _image(reference: str, raw: RawImage) -> Image:
    config = raw.config or Config()
    return Image(
        reference=reference,
        id=raw.id,
        arch=raw.architecture,
        digests=tuple(raw.repo_digests or ()),
        env=split_env(config.env),
        argv=(*(config.entrypoint or ()), *(config.cmd or ())),
        user=config.user,
    )


def split_env(pairs: Iterable[str] | None) -> dict[str, str]:
    """NAME=VALUE pairs as a mapping; a pair without `=` has no value and is left out."""
    return {name: value for name, equals, value in (pair.partition("=") for pair in pairs or ()) if equals}


def _daemon_json(system: System) -> Fact[dict[str, Any]]:
    """The settings of dockerd; a missing file sets nothing."""
    text = system.read(DAEMON_JSON)
    if text.absent:
        return Fact(f"{DAEMON_JSON} (there is none)", {})
    return text.map(lambda text: msgspec.json.decode(text or "{}", type=dict[str, Any]))


def parse_default_ulimits(settings: Mapping[str, Any]) -> dict[str, int]:
    """`default-ulimits`: {"memlock": {"Name": "memlock", "Soft": -1, "Hard": -1}}."""
    limits = msgspec.convert(settings.get("default-ulimits") or {}, dict[str, dict[str, Any]])
    return {name: int(limit["Soft"]) for name, limit in limits.items() if "Soft" in limit}


def _default_shm_size(settings: Fact[dict[str, Any]]) -> Fact[int]:
    if settings.is_known and "default-shm-size" not in settings.value:
        return Fact("Docker's default", DOCKER_SHM)
    return settings.map(lambda settings: parse_size(settings["default-shm-size"]))


def parse_size(size: object) -> int:
    """Bytes of a number or a text such as `64M` or `1.5g`; units are binary (docker/go-units, RAMInBytes)."""
    if isinstance(size, int):
        return size
    text = str(size).strip().lower()
    number = text.rstrip("bki mgtp")
    unit = text[len(number) :].strip().removesuffix("b").removesuffix("i")
    if unit not in ("", "k", "m", "g", "t", "p"):
        raise ValueError(f"not a size: {size!r}")
    return int(float(number) * (1 << (10 * ("kmgtp".index(unit) + 1) if unit else 0)))
