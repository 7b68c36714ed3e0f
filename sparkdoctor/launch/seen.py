"""Launches that already run: a container, a process, or what this shell would start."""

from __future__ import annotations

from sparkdoctor.fact import Fact
from sparkdoctor.host import UNLIMITED, Container, Host, Process
from sparkdoctor.launch.types import Spec

CAP_IPC_LOCK = 1 << 14
"""linux/capability.h: who has it may lock memory past RLIMIT_MEMLOCK."""


def of_container(container: Container) -> Spec:
    """A container's own settings. A process in it says more (see `of_process`)."""
    place = f"docker inspect {container.name}"
    return Spec(
        kind="container",
        title=f"container {container.name}",
        source=container.name,
        service=container.compose_service,
        container=container.id,
        env=container.env.map(lambda env: {name: Fact(place, value) for name, value in env.items()}),
        argv=Fact(place, container.argv),
        image=Fact(place, container.image),
        memlock=Fact(place, container.ulimits["memlock"]) if "memlock" in container.ulimits else None,
        shm_size=Fact(place, container.shm_size),
        ipc=Fact(place, container.ipc),
        network_mode=Fact(place, container.network_mode),
        privileged=Fact(place, container.privileged),
        cap_add=Fact(place, container.cap_add),
        user=Fact(place, container.user),
        hostname=Fact(place, container.hostname) if container.hostname else None,
        extra_hosts=Fact(place, container.extra_hosts) if container.extra_hosts else None,
        devices=Fact(place, container.devices),
        gpus=Fact(place, container.gpus),
        mounts=Fact(place, container.mounts),
    )


def of_process(process: Process, container: Container | None) -> Spec:
    """What a running rank sees, out of its own /proc entry; `container` is the one it runs in."""
    place = f"/proc/{process.pid}"
    inspected = of_container(container) if container else None
    memlock = process.memlock
    if process.capabilities.is_known and process.capabilities.value & CAP_IPC_LOCK:
        memlock = Fact(f"{place}/status (CAP_IPC_LOCK, so the limit does not count)", UNLIMITED, over=(memlock.where,))
    inside = f" in container {container.name}" if container else ""
    return Spec(
        kind="process",
        title=f"process {process.pid} ({process.name}{inside})",
        source=str(process.pid),
        pid=process.pid,
        service=container.compose_service if container else "",
        container=process.container,
        env=process.env.map(lambda env: {name: Fact(f"{place}/environ", value) for name, value in env.items()}),
        argv=process.argv,
        image=Fact(f"docker inspect {container.name}", container.image) if container else None,
        memlock=memlock,
        shm_size=process.shm.map(lambda space: space.size),
        devices=process.infiniband,
        nccl_conf=process.nccl_conf,
        network_mode=Fact(f"docker inspect {container.name}", container.network_mode) if container else None,
        ipc=Fact(f"docker inspect {container.name}", container.ipc) if container else None,
        mounts=Fact(f"docker inspect {container.name}", container.mounts) if container else None,
        hostname=inspected.hostname if inspected else None,
        extra_hosts=inspected.extra_hosts if inspected else None,
    )


def of_shell(env: Fact[dict[str, str]], memlock: Fact[int], nccl_conf: tuple[Fact[str], ...] = ()) -> Spec:
    """What a server started from this shell would see."""
    return Spec(
        kind="shell",
        title="this shell",
        source="this shell",
        env=env.map(lambda values: {name: Fact(env.where, value) for name, value in values.items()}),
        argv=Fact("this shell", ()),
        memlock=memlock,
        nccl_conf=nccl_conf,
    )


def running(host: Host) -> tuple[Spec, ...]:
    """The ranks that run on `host`: one Spec a server, its oldest process standing for it.

    vLLM's workers inherit environment and limits from the process that starts them, so the
    others would say the same again. A running container with no visible server process (its
    /proc entries may not be read) stands for itself.
    """
    containers = {c.id: c for c in host.docker.containers.value} if host.docker.containers.is_known else {}
    specs: dict[str, Spec] = {}
    for process in sorted(host.processes.value, key=lambda p: p.pid) if host.processes.is_known else ():
        if serves(process):
            key = process.container or f"pid {process.pid}"
            parents = [spec for spec in specs.values() if not process.container and not spec.container]
            if key not in specs and not parents:
                specs[key] = of_process(process, containers.get(process.container))
    for container in containers.values():
        if container.running and container.gpus and container.id not in specs:
            specs[container.id] = of_container(container)
    return tuple(specs.values())


def serves(process: Process) -> bool:
    """Whether this process is a model server's, as opposed to dockerd or a shell."""
    words = " ".join(process.argv.value).lower() if process.argv.is_known else ""
    name = process.name.lower()
    return any(word in name or word in words for word in ("vllm", "sglang", "torchrun", "raylet", "ray::"))
