"""From what a launch says to what one rank of it will see on its machine.

Values win in the order process, container, launch file, image default, daemon default, host;
each resolved fact names the place that won and, in `over`, the places that lost.
"""

from __future__ import annotations

from sparkdoctor.fact import Fact, unread
from sparkdoctor.host import DOCKER_SHM, UNLIMITED, Container, Host, Image, Software
from sparkdoctor.launch.flags import vllm_flags
from sparkdoctor.launch.types import Launch, Spec


def resolve(spec: Spec, host: Host | None) -> Launch:
    """What one rank of `spec` sees on `host`. Without a host only what the spec itself decides is known."""
    image = _image(spec, host)
    argv, places = spec.argv, spec.places
    if argv.is_known and not argv.value and image is not None:
        argv, places = Fact(f"docker image inspect {image.reference}", image.argv), ()
    return Launch(
        spec=spec,
        seen=spec.kind != "compose",
        env=_env(spec, image),
        memlock=_memlock(spec, host),
        shm=_shm(spec, host),
        infiniband=_infiniband(spec, host),
        host_network=_host_network(spec),
        flags=vllm_flags(argv, places),
        software=_software(spec, host, image),
    )


def _contained(spec: Spec) -> bool:
    return spec.kind in ("compose", "container") or bool(spec.container)


def _not_looked_at(spec: Spec, what: str) -> str:
    return f"{spec.title} {what}, and the machine it will run on was not looked at"


def _image(spec: Spec, host: Host | None) -> Image | None:
    if spec.image is None or not spec.image.is_known or host is None or not host.docker.images.is_known:
        return None
    wanted = spec.image.value
    return next((image for image in host.docker.images.value if wanted in (image.reference, image.id)), None)


def _env(spec: Spec, image: Image | None) -> Fact[dict[str, Fact[str]]]:
    if spec.kind != "compose" or image is None or not spec.env.is_known:
        return spec.env
    place = f"docker image inspect {image.reference}"
    env = {name: Fact(place, value) for name, value in image.env.items()}
    for name, fact in spec.env.value.items():
        env[name] = Fact(fact.where, fact.known, fact.problem, over=(*fact.over, place)) if name in env else fact
    return Fact(spec.env.where, env)


def _rootful(spec: Spec, host: Host | None) -> bool:
    """Whether capabilities given to the container count against the kernel's own limits.

    They do not for a user other than root, nor in a user namespace (rootless Docker): the
    kernel asks for CAP_IPC_LOCK in the initial one (ib_umem_get, drivers/infiniband/core/umem.c).
    """
    user = spec.user.value.split(":")[0] if spec.user is not None and spec.user.is_known else "root"
    rootless = host is not None and host.docker.rootless.is_known and host.docker.rootless.value
    return user in ("", "0", "root") and not rootless


def _memlock(spec: Spec, host: Host | None) -> Fact[int]:
    asked = spec.memlock
    over = (asked.where,) if asked is not None else ()
    if _contained(spec) and spec.kind != "process" and _rootful(spec, host):
        if spec.privileged is not None and spec.privileged.is_known and spec.privileged.value:
            return Fact(f"{spec.privileged.where} (privileged, so the limit does not count)", UNLIMITED, over=over)
        caps = spec.cap_add.value if spec.cap_add is not None and spec.cap_add.is_known else ()
        if spec.cap_add is not None and {"IPC_LOCK", "ALL"} & {cap.upper().removeprefix("CAP_") for cap in caps}:
            return Fact(f"{spec.cap_add.where} (IPC_LOCK, so the limit does not count)", UNLIMITED, over=over)
    if asked is not None:
        return asked
    if host is None:
        return unread(spec.source, _not_looked_at(spec, "sets no ulimits.memlock"))
    if not _contained(spec):
        return host.limits.own
    silent = f"{spec.title} sets no ulimits.memlock"
    defaults = host.docker.default_ulimits
    if defaults.is_known and "memlock" in defaults.value:
        return Fact(f"{defaults.where}; {silent}", defaults.value["memlock"])
    return host.limits.dockerd.at(f"{host.limits.dockerd.where}; {silent}")


def _shm(spec: Spec, host: Host | None) -> Fact[int]:
    asked = spec.shm_size
    over = (asked.where,) if asked is not None else ()
    mine = f"/dev/shm of {host.name if host else 'its machine'}"

    def of_host(place: str) -> Fact[int]:
        if host is None:
            return unread(place, _not_looked_at(spec, "uses the machine's own /dev/shm"))
        size = host.memory.shm.map(lambda space: space.size)
        return Fact(f"{mine}; {place}", size.known, size.problem, over=over)

    if spec.kind == "process":
        return asked if asked is not None else unread(spec.title, "/dev/shm of the process was not looked at")
    if not _contained(spec):
        return of_host("the process runs on the host")
    if spec.mounts is not None and spec.mounts.is_known:
        for mount in spec.mounts.value:
            if mount.target.rstrip("/") == "/dev/shm" and mount.source.rstrip("/") == "/dev/shm":
                return of_host(f"{spec.mounts.where} mounts it")
    if spec.ipc is not None:
        if not spec.ipc.is_known:
            return unread(spec.ipc.where, spec.ipc.problem)
        mode = spec.ipc.value
        if mode == "host":
            return of_host(f"ipc: host, {spec.ipc.where}")
        if mode.startswith(("container:", "service:")):
            return unread(spec.ipc.where, f"/dev/shm is that of {mode}, which was not looked at")
    if asked is not None:
        return asked
    silent = f"{spec.title} sets neither shm_size nor ipc: host"
    if host is None:
        return Fact(f"{silent}; Docker's default", DOCKER_SHM)
    return host.docker.default_shm_size.at(f"{silent}; {host.docker.default_shm_size.where}")


def _infiniband(spec: Spec, host: Host | None) -> Fact[tuple[str, ...]]:
    given = _given_device(spec)
    if given is not None and not given.is_known:
        return unread(given.where, given.problem)
    if given is not None and not given.value:
        return Fact(given.where, ())
    if spec.kind == "process" and spec.devices is not None:
        return spec.devices
    if host is None:
        return unread(spec.source, _not_looked_at(spec, "passes /dev/infiniband"))
    files = host.rdma.device_files
    return files.at(f"{files.where}; {given.where}") if given is not None else files


def _given_device(spec: Spec) -> Fact[bool] | None:
    """Whether the container is given /dev/infiniband; None when the rank is in no container."""
    if not _contained(spec) or spec.kind == "process":
        return None
    if spec.privileged is not None and (not spec.privileged.is_known or spec.privileged.value):
        return spec.privileged.map(lambda _: True)
    if spec.devices is not None:
        return spec.devices.map(lambda paths: any(path.rstrip("/").startswith("/dev/infiniband") for path in paths))
    return Fact(f"{spec.title} passes no device", False)


def _host_network(spec: Spec) -> Fact[bool]:
    if spec.kind == "shell" or (spec.kind == "process" and not spec.container):
        return Fact(spec.title, True)
    if spec.network_mode is None:
        return Fact(f"{spec.title} sets no network_mode", False)
    return spec.network_mode.map(lambda mode: mode == "host")


def _software(spec: Spec, host: Host | None, image: Image | None) -> Software | None:
    if host is None:
        return None
    keys = [f"container:{spec.container}"] if spec.container else []
    if spec.image is not None and spec.image.is_known:
        keys.append(f"image:{spec.image.value}")
    if image is not None:
        keys.append(f"image:{image.id}")
    found = {software.key: software for software in host.software}
    if not _contained(spec):
        return next((software for key, software in found.items() if key.startswith("prefix:")), None)
    return next((found[key] for key in keys if key in found), _same_image(keys, host, image))


def _same_image(keys: list[str], host: Host, image: Image | None) -> Software | None:
    """The software of a running container made from the same image: what is in one is in the other."""
    containers: tuple[Container, ...] = host.docker.containers.value if host.docker.containers.is_known else ()
    same = {
        f"container:{container.id}"
        for container in containers
        if f"image:{container.image}" in keys or (image is not None and container.image_id == image.id)
    }
    return next((software for software in host.software if software.key in same), None)
