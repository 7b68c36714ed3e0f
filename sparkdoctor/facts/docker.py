"""The Docker engine: its version, its containers and images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from sparkdoctor.fact import Fact, unread
from sparkdoctor.facts import daemon
from sparkdoctor.host import Container, Docker, Image, Mount
from sparkdoctor.system import System
from sparkdoctor.typed import convert


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
    extra_hosts: list[str] | None = None
    """`NAME:ADDRESS`."""


class Config(Raw, frozen=True):
    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    user: str = ""
    hostname: str = ""
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
    info = system.docker("info").map(lambda answer: convert(answer, Info))
    containers = _containers(system)
    rootless = info.map(lambda info: any("name=rootless" in option for option in info.security_options or ()))
    settings = daemon.settings(system, rootless)
    return Docker(
        version=system.docker("version").map(lambda answer: convert(answer, Version).version),
        rootless=rootless,
        runtimes=info.map(lambda info: tuple(sorted(info.runtimes or ()))),
        containers=containers,
        images=_images(system, wanted, containers),
        default_ulimits=settings.map(lambda settings: settings.ulimits),
        default_shm_size=settings.map(lambda settings: settings.shm_size),
    )


def _containers(system: System) -> Fact[tuple[Container, ...]]:
    listed = system.docker("containers").map(lambda answer: convert(answer, list[Listed]))
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
    raw = system.docker(f"container {identity}").at(where).map(lambda answer: convert(answer, RawContainer))
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
        hostname=config.hostname,
        extra_hosts=split_hosts(host.extra_hosts or ()),
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
    return system.docker(f"image {reference}").map(lambda answer: convert(answer, RawImage))


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


def split_hosts(pairs: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """NAME:ADDRESS pairs as a mapping; a name may come several times."""
    found: dict[str, tuple[str, ...]] = {}
    for name, _, address in (pair.partition(":") for pair in pairs):
        found[name] = (*found.get(name, ()), address)
    return found
