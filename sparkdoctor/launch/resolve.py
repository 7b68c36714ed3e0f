"""From what a launch says to what one rank of it will see on its machine.

Values win in the order process, container, launch file, image default, daemon default, host;
each resolved fact names the place that won and, in `over`, the places that lost.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sparkdoctor.fact import CannotTell, Fact, unread
from sparkdoctor.host import DOCKER_SHM, UNLIMITED, Container, Host, Image, Mount, Software
from sparkdoctor.launch.argv import unwrapped
from sparkdoctor.launch.flags import vllm_flags
from sparkdoctor.launch.nccl_conf import joined
from sparkdoctor.launch.types import Launch, Spec


def resolve(spec: Spec, host: Host | None) -> Launch:
    """What one rank of `spec` sees on `host`. Without a host only what the spec itself decides is known."""
    image = _image(spec, host)
    env = joined(_env(spec, image), spec.nccl_conf)
    argv, places, env = _command(spec, image, env)
    return Launch(
        spec=spec,
        seen=spec.kind != "compose",
        env=env,
        memlock=_memlock(spec, host, image),
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
    """The image's variables under those of the launch, less what the launch takes away."""
    if spec.kind != "compose" or image is None or not spec.env.is_known:
        return spec.env
    place = f"docker image inspect {image.reference}"
    env = {name: Fact(place, value) for name, value in image.env.items() if name not in spec.unset}
    for name, fact in spec.env.value.items():
        env[name] = Fact(fact.where, fact.known, fact.problem, over=(*fact.over, place)) if name in env else fact
    return Fact(spec.env.where, env)


def _command(
    spec: Spec, image: Image | None, env: Fact[dict[str, Fact[str]]]
) -> tuple[Fact[tuple[str, ...]], tuple[str, ...], Fact[dict[str, Fact[str]]]]:
    """The server's words, their places, and the environment after the shell around it.

    The reader of launch files has already taken shells off; what Docker or the kernel tells has them.
    """
    argv = spec.argv
    if argv.is_known and not argv.value and image is not None:
        argv = Fact(f"docker image inspect {image.reference}", image.argv)
    elif spec.kind == "compose":
        return argv, spec.places, env
    if not argv.is_known or not env.is_known:
        return argv, (), env
    line = unwrapped(argv.value, argv.where, {name: fact.value for name, fact in env.value.items() if fact.is_known})
    changed = dict(env.value)
    for name, fact in line.env.items():
        before = changed.pop(name, None)
        if fact is not None:
            changed[name] = Fact(fact.where, fact.known, fact.problem, over=_places(before))
    return Fact(argv.where, line.words), (), Fact(env.where, changed)


def _places(*facts: Fact[Any] | None) -> tuple[str, ...]:
    """Where facts that lost were read, each with those it beat itself."""
    return tuple(place for fact in facts if fact is not None for place in (fact.where, *fact.over))


def _said(fact: Fact[bool] | None) -> bool:
    return fact is not None and fact.is_known and fact.value


def _rootful(spec: Spec, host: Host | None, image: Image | None) -> bool:
    """Whether capabilities given to the container count against the kernel's own limits.

    They do not for a user other than root, nor in a user namespace (rootless Docker): the
    kernel asks for CAP_IPC_LOCK in the initial one (ib_umem_get, drivers/infiniband/core/umem.c).
    """
    if spec.user is not None and spec.user.is_known and spec.user.value:
        user = spec.user.value
    else:
        user = image.user if image is not None else ""
    rootless = host is not None and _said(host.docker.rootless)
    return user.split(":")[0] in ("", "0", "root") and not rootless


def _memlock(spec: Spec, host: Host | None, image: Image | None) -> Fact[int]:
    asked = spec.memlock
    if spec.kind in ("compose", "container") and _rootful(spec, host, image):
        if spec.privileged is not None and _said(spec.privileged):
            place = f"{spec.privileged.where} (privileged, so the limit does not count)"
            return Fact(place, UNLIMITED, over=_places(asked))
        caps = spec.cap_add.value if spec.cap_add is not None and spec.cap_add.is_known else ()
        if spec.cap_add is not None and {"IPC_LOCK", "ALL"} & {cap.upper().removeprefix("CAP_") for cap in caps}:
            place = f"{spec.cap_add.where} (IPC_LOCK, so the limit does not count)"
            return Fact(place, UNLIMITED, over=_places(asked))
    if asked is not None:
        lost = _daemon_memlock(host) if host is not None and spec.kind == "compose" else None
        return Fact(asked.where, asked.known, asked.problem, asked.absent, over=(*asked.over, *_places(lost)))
    if host is None:
        return unread(spec.source, _not_looked_at(spec, "sets no ulimits.memlock"))
    if not _contained(spec):
        return host.limits.own
    silent = f"{spec.title} sets no ulimits.memlock"
    default = _daemon_memlock(host)
    if default is None:
        return host.limits.dockerd.at(f"{host.limits.dockerd.where}; {silent}")
    return Fact(f"{default.where}; {silent}", default.known, default.problem, over=_places(host.limits.dockerd))


def _daemon_memlock(host: Host) -> Fact[int] | None:
    """`default-ulimits.memlock` of the daemon's settings, None when they set none."""
    limits = host.docker.default_ulimits
    if limits.is_known and "memlock" not in limits.value:
        return None
    return limits.map(lambda known: known["memlock"])


def _shm(spec: Spec, host: Host | None) -> Fact[int]:
    asked = spec.shm_size

    def of_host(place: str, *lost: Fact[Any] | None) -> Fact[int]:
        if host is None:
            return unread(place, _not_looked_at(spec, "uses the machine's own /dev/shm"))
        size = host.memory.shm.map(lambda space: space.size)
        return Fact(f"/dev/shm of {host.name}; {place}", size.known, size.problem, size.absent, over=_places(*lost))

    if spec.kind == "process":
        return asked if asked is not None else unread(spec.title, "/dev/shm of the process was not looked at")
    if not _contained(spec):
        return of_host("the process runs on the host")
    if (mount := _mount_at("/dev/shm", spec)) is not None and spec.mounts is not None:
        if mount.source.rstrip("/") == "/dev/shm":
            return of_host(f"{spec.mounts.where} mounts it", asked, spec.ipc)
        if mount.source != "tmpfs":
            return unread(spec.mounts.where, f"/dev/shm is {mount.source or 'a volume'}, whose size was not looked at")
        if asked is not None:
            return asked
    if spec.ipc is not None:
        if not spec.ipc.is_known:
            return unread(spec.ipc.where, spec.ipc.problem)
        mode = spec.ipc.value
        if mode == "host":
            return of_host(f"ipc: host, {spec.ipc.where}", asked)
        if mode.startswith(("container:", "service:")):
            return unread(spec.ipc.where, f"/dev/shm is that of {mode}, which was not looked at")
        if mode == "none":
            return Fact(f"{spec.ipc.where} (ipc: none mounts no /dev/shm)", 0, over=_places(asked))
    if asked is not None:
        return asked
    silent = f"{spec.title} sets neither shm_size nor ipc: host"
    if host is None:
        return Fact(f"{silent}; Docker's default", DOCKER_SHM)
    default = host.docker.default_shm_size
    return default.at(f"{default.where}; {silent}")


def _mount_at(target: str, spec: Spec) -> Mount | None:
    mounts = spec.mounts.value if spec.mounts is not None and spec.mounts.is_known else ()
    return next((mount for mount in mounts if mount.target.rstrip("/") == target), None)


DEVICES = "/dev/infiniband"


def _infiniband(spec: Spec, host: Host | None) -> Fact[tuple[str, ...]]:
    if spec.kind == "process" and spec.devices is not None:
        return spec.devices
    if not _contained(spec) or spec.kind == "process":
        return (
            host.rdma.device_files if host is not None else unread(spec.source, _not_looked_at(spec, "needs devices"))
        )
    if spec.privileged is not None and not spec.privileged.is_known:
        return unread(spec.privileged.where, spec.privileged.problem)
    if spec.devices is not None and not spec.devices.is_known:
        return unread(spec.devices.where, spec.devices.problem)
    if spec.privileged is not None and _said(spec.privileged):
        return _of_host(spec, host, spec.privileged.where, None)
    passed = [path.rstrip("/") for path in spec.devices.value] if spec.devices is not None else []
    if spec.devices is not None and DEVICES in passed:
        return _of_host(spec, host, spec.devices.where, None)
    single = [path.removeprefix(f"{DEVICES}/") for path in passed if path.startswith(f"{DEVICES}/")]
    if spec.devices is not None and single:
        return _of_host(spec, host, spec.devices.where, single)
    for target in (DEVICES, "/dev"):
        if _mount_at(target, spec) is not None and spec.mounts is not None:
            return unread(
                spec.mounts.where,
                f"{target} is mounted but no device is passed, so opening one depends on the container's device rules",
            )
    return Fact(spec.devices.where if spec.devices is not None else f"{spec.title} passes no device", ())


def _of_host(spec: Spec, host: Host | None, place: str, names: Sequence[str] | None) -> Fact[tuple[str, ...]]:
    """The machine's device files, all or those named, as the container is given them at `place`."""
    if host is None:
        return unread(place, _not_looked_at(spec, f"passes {DEVICES}"))
    files = host.rdma.device_files
    if names is not None:
        files = files.map(lambda there: tuple(name for name in there if name in names))
    return files.at(f"{files.where}; {place}")


def _host_network(spec: Spec) -> Fact[bool]:
    if spec.kind == "shell" or (spec.kind == "process" and not spec.container):
        return Fact(spec.title, True)
    if spec.network_mode is None:
        return Fact(f"{spec.title} sets no network_mode", False)
    return spec.network_mode.map(_is_host_network)


def _is_host_network(mode: str) -> bool:
    if mode.startswith(("service:", "container:")):
        raise CannotTell("", f"the network is that of {mode}, which was not looked at")
    return mode == "host"


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
