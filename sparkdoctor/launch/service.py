"""The settings of one compose service that a rank will notice, as typed facts.

Short and long forms follow the Compose specification (05-services.md) and compose-go v2.13.0
(transform/, format/volume.go, types/bytes.go, loader/interpolate.go for strings where a number or
boolean is wanted).
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterator

from sparkdoctor.fact import Fact, unread
from sparkdoctor.host import UNLIMITED, Mount
from sparkdoctor.launch.merge import volume_parts
from sparkdoctor.launch.tree import Listing, Node, Scalar, Table, kind, path_of, want_string, want_table, want_text
from sparkdoctor.launch.types import LaunchError, Remark
from sparkdoctor.nearest import nearest

_SIZE = re.compile(r"(?P<number>\d+(?:\.\d*)?|\.\d+) ?(?:(?P<unit>[kmgtp])(?:i?b)?|b)?", re.IGNORECASE)
_POWERS = {"k": 10, "m": 20, "g": 30, "t": 40, "p": 50}
_CDI = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*/[A-Za-z][A-Za-z0-9_-]*=[A-Za-z0-9][A-Za-z0-9_.:-]*")
"""`vendor.com/class=name`; container-orchestrated-devices/container-device-interface pkg/parser."""
_TRUE = {"true", "y", "yes", "on"}
_FALSE = {"false", "n", "no", "off"}
_GPU = {"gpu", "nvidia", "compute"}


KEYS = frozenset({
    "annotations", "attach", "blkio_config", "build", "cap_add", "cap_drop", "cgroup", "cgroup_parent",
    "command", "configs", "container_name", "cpu_count", "cpu_percent", "cpu_period", "cpu_quota",
    "cpu_rt_period", "cpu_rt_runtime", "cpu_shares", "cpus", "cpuset", "credential_spec", "depends_on",
    "deploy", "develop", "device_cgroup_rules", "devices", "dns", "dns_opt", "dns_search", "domainname",
    "entrypoint", "env_file", "environment", "expose", "extends", "external_links", "extra_hosts", "gpus",
    "group_add", "healthcheck", "hostname", "image", "init", "ipc", "isolation", "label_file", "labels",
    "links", "logging", "mac_address", "mem_limit", "mem_reservation", "mem_swappiness", "memswap_limit",
    "models", "network_mode", "networks", "oom_kill_disable", "oom_score_adj", "pid", "pids_limit", "platform",
    "ports", "post_start", "pre_start", "pre_stop", "privileged", "profiles", "provider", "pull_policy",
    "pull_refresh_after", "read_only", "restart", "runtime", "scale", "secrets", "security_opt", "shm_size",
    "stdin_open", "stop_grace_period", "stop_signal", "storage_opt", "sysctls", "tmpfs", "tty", "ulimits",
    "use_api_socket", "user", "userns_mode", "uts", "volumes", "volumes_from", "working_dir",
})  # fmt: skip
"""What a service may say (schema/compose-spec.json of compose-go v2.13.0), besides `x-...`."""


SHM_TMPFS = Mount("tmpfs", "/dev/shm")


def unknown_keys(service: Table) -> tuple[Remark, ...]:
    """Docker Compose refuses a key that it does not know; a newer one than ours may know it."""
    remarks = []
    for key, value in service.items.items():
        if key not in KEYS and not key.startswith("x-"):
            near = nearest(key, KEYS, 1)
            hint = f"; the nearest is `{near[0]}`" if near else ""
            remarks.append(Remark(value.where, f"`{key}` is no key of a service that docker compose 5.3 knows{hint}"))
    return tuple(remarks)


def text(service: Table, key: str) -> Fact[str] | None:
    node = service.get(key)
    if node is None:
        return None
    scalar = want_string(node, key)
    return Fact(scalar.where, scalar.text, over=scalar.over)


def boolean(service: Table, key: str) -> Fact[bool] | None:
    node = service.get(key)
    if node is None:
        return None
    scalar = want_text(node, key)
    word = scalar.text.lower()
    if word not in _TRUE | _FALSE:
        raise LaunchError(scalar.where, f"`{key}` must be true or false, and this is `{scalar.text}`")
    return Fact(scalar.where, word in _TRUE, over=scalar.over)


def texts(service: Table, key: str) -> Fact[tuple[str, ...]] | None:
    node = service.get(key)
    if node is None:
        return None
    return Fact(node.where, tuple(want_string(item, key).text for item in _list(node, key)))


def memlock(service: Table) -> Fact[int] | None:
    """The soft limit of `ulimits.memlock` in bytes, or UNLIMITED."""
    limits = service.get("ulimits")
    if limits is None:
        return None
    node = want_table(limits, "ulimits").get("memlock")
    what = "ulimits.memlock"
    if isinstance(node, Table):
        both = node
        for key in ("hard", "soft"):
            node = both.get(key)
            if node is None:
                raise LaunchError(both.where, f"`{what}` has no `{key}`; docker compose wants both")
        what = f"{what}.soft"
    if node is None:
        return None
    scalar = want_text(node, what)
    try:
        count = int(str(scalar.value))
    except ValueError:
        raise LaunchError(
            scalar.where, f"`{what}` must be a number of bytes or -1, and this is `{scalar.text}`"
        ) from None
    return Fact(scalar.where, UNLIMITED if count < 0 else count, over=scalar.over)


def shm_size(service: Table) -> Fact[int] | None:
    """Bytes; None also for 0, with which Docker uses its default."""
    if (tmpfs := _shm_tmpfs(service)) is not None:
        return tmpfs
    node = service.get("shm_size")
    if node is None:
        return None
    scalar = want_text(node, "shm_size")
    count = size(scalar)
    return Fact(scalar.where, count, over=scalar.over) if count else None


def size(scalar: Scalar) -> int:
    """Bytes of `64gb`, `1.5 GiB`, `67108864`: powers of 1024 (docker/go-units RAMInBytes). Raises LaunchError."""
    match = _SIZE.fullmatch(scalar.text)
    if match is None:
        raise LaunchError(scalar.where, f"`{scalar.text}` is no size; write it like `64gb`")
    count = float(match["number"]) * (1 << _POWERS[match["unit"].lower()] if match["unit"] else 1)
    if count >= 1 << 63:
        raise LaunchError(scalar.where, f"`{scalar.text[:40]}` is more bytes than 64 bits can count")
    return int(count)


def devices(service: Table) -> Fact[tuple[str, ...]] | None:
    """Device paths in the container; CDI names are no paths."""
    node = service.get("devices")
    if node is None:
        return None
    return Fact(node.where, tuple(path for _, path in _device_paths(node) if not _CDI.fullmatch(path)))


def gpus(service: Table) -> Fact[bool] | None:
    """Whether the service asks for GPUs, in any of the ways there are; None when it does not speak of them."""
    node = service.get("gpus")
    if isinstance(node, Scalar):
        if node.text != "all":
            raise LaunchError(node.where, f"`gpus` must be `all` or a list, and this is `{node.text}`")
        return Fact(node.where, True)
    if isinstance(node, Listing) and node.items:
        return Fact(node.where, any(_wanted(item) for item in node.items))
    if (asked := next(_reservations(service), None)) is not None:
        return Fact(asked.where, _wanted(asked))
    runtime = service.get("runtime")
    if isinstance(runtime, Scalar) and runtime.text == "nvidia":
        return Fact(runtime.where, True)
    listed = service.get("devices")
    for item, path in _device_paths(listed) if listed is not None else ():
        if _CDI.fullmatch(path) and path.startswith("nvidia.com/gpu="):
            return Fact(item.where, True)
    return None


def mounts(service: Table, home: str) -> Fact[tuple[Mount, ...]] | None:
    """Bind mounts with an absolute source, volumes by name, `tmpfs` for a tmpfs."""
    node = service.get("volumes")
    found = [_mount(item, home) for item in _list(node, "volumes")] if node is not None else []
    found += [Mount("tmpfs", _clean(item.text.split(":")[0])) for item in _tmpfs(service)]
    where = node or service.get("tmpfs")
    return Fact(where.where, tuple(found)) if where is not None else None


def extra_hosts(service: Table) -> Fact[dict[str, tuple[str, ...]]] | None:
    """Name to addresses, of `NAME=ADDRESS`, the older `NAME:ADDRESS` or a mapping (types/hostList.go of compose-go)."""
    node = service.get("extra_hosts")
    if node is None:
        return None
    found: dict[str, tuple[str, ...]] = {}
    if isinstance(node, Table):
        for name, value in node.items.items():
            listed = value.items if isinstance(value, Listing) else (value,)
            found[name] = tuple(want_text(item, "extra_hosts").text.strip("[]") for item in listed)
    else:
        for item in _list(node, "extra_hosts"):
            entry = want_string(item, "extra_hosts")
            name, sign, address = entry.text.partition("=" if "=" in entry.text else ":")
            if not sign:
                raise LaunchError(entry.where, f"`{entry.text}` is no host; write it like `name=192.168.0.8`")
            found[name] = (*found.get(name, ()), address.strip("[]"))
    return Fact(node.where, found) if found else None


def _list(node: Node, what: str) -> tuple[Node, ...]:
    if isinstance(node, Listing):
        return node.items
    raise LaunchError(node.where, f"`{what}` must be a list, and this is {kind(node)}")


def _tmpfs(service: Table) -> tuple[Scalar, ...]:
    """`tmpfs`, which may also be a single text."""
    node = service.get("tmpfs")
    if node is None:
        return ()
    return tuple(want_string(item, "tmpfs") for item in (node.items if isinstance(node, Listing) else (node,)))


def _device_paths(node: Node) -> Iterator[tuple[Node, str]]:
    for item in _list(node, "devices"):
        if isinstance(item, Table):
            target = item.get("target") or item.get("source")
            if target is None:
                raise LaunchError(item.where, "this device has neither `source` nor `target`")
            yield item, want_text(target, "devices.target").text
        else:
            entry = want_string(item, "devices").text
            parts = entry.split(":")
            if len(parts) > 3 and not _CDI.fullmatch(entry):
                raise LaunchError(item.where, f"`{entry}` is no device; write it like `/dev/on-host:/dev/inside:rwm`")
            yield item, entry if _CDI.fullmatch(entry) or len(parts) == 1 else parts[1]


def _reservations(service: Table) -> Iterator[Table]:
    node: Node | None = service
    for key in ("deploy", "resources", "reservations", "devices"):
        node = node.get(key) if isinstance(node, Table) else None
    for item in node.items if isinstance(node, Listing) else ():
        if isinstance(item, Table):
            driver, capabilities = item.get("driver"), item.get("capabilities")
            asked = (
                {scalar.text for scalar in capabilities.items if isinstance(scalar, Scalar)}
                if isinstance(capabilities, Listing)
                else set()
            )
            if asked & _GPU or (isinstance(driver, Scalar) and driver.text == "nvidia"):
                yield item


def _wanted(item: Node) -> bool:
    """A device request without `count` asks for all."""
    count = item.get("count") if isinstance(item, Table) else None
    return not (isinstance(count, Scalar) and count.text == "0")


def _mount(item: Node, home: str) -> Mount:
    if isinstance(item, Scalar):
        source, target, options = _split_volume(want_string(item, "volumes"))
        return Mount(_source(item, source, home) if source else "", _clean(target), "ro" in options.split(","))
    table = want_table(item, "volumes")
    goal, how, origin = (table.get(key) for key in ("target", "type", "source"))
    if goal is None or how is None:
        raise LaunchError(table.where, f"this volume has no `{'type' if how is None else 'target'}`")
    into = _clean(want_string(goal, "volumes.target").text)
    kind_of = want_string(how, "volumes.type").text
    if kind_of == "tmpfs":
        return Mount("tmpfs", into)
    if kind_of == "bind" and origin is None:
        raise LaunchError(table.where, "this bind mount has no `source`")
    name = want_string(origin, "volumes.source") if origin is not None else None
    path = "" if name is None else path_of(name, home) if kind_of == "bind" else name.text
    only = boolean(table, "read_only")
    return Mount(path, into, only.value if only is not None else False)


def _split_volume(item: Scalar) -> tuple[str, str, str]:
    parts = volume_parts(item.text)
    if "" in parts or len(parts) > 3:
        why = f" ({item.remarks[0].text})" if item.remarks else "; write it like `/on/host:/in/container:ro`"
        raise LaunchError(item.where, f"`{item.text}` is no volume{why}")
    if len(parts) == 1:
        return "", parts[0], ""
    return parts[0], parts[1], parts[2] if len(parts) == 3 else ""


def _source(item: Scalar, source: str, home: str) -> str:
    if not source.startswith((".", "/", "~")):
        return source
    return path_of(Scalar(file=item.file, line=item.line, folder=item.folder, value=source), home)


def _clean(target: str) -> str:
    return posixpath.normpath(target) if target else target


def _shm_tmpfs(service: Table) -> Fact[int] | None:
    """The size of a tmpfs that the service itself mounts at /dev/shm."""
    volumes = service.get("volumes")
    for item in volumes.items if isinstance(volumes, Listing) else ():
        if isinstance(item, Table) and _mount(item, "") == SHM_TMPFS:
            options = item.get("tmpfs")
            asked = options.get("size") if isinstance(options, Table) else None
            return Fact(asked.where, size(asked)) if isinstance(asked, Scalar) else _half_of_memory(item)
    for item in _tmpfs(service):
        path, _, words = item.text.partition(":")
        if _clean(path) == SHM_TMPFS.target:
            asked_words = [word[5:] for word in words.split(",") if word.startswith("size=")]
            if not asked_words or "%" in asked_words[-1]:
                return _half_of_memory(item)
            return Fact(item.where, size(Scalar(file=item.file, line=item.line, value=asked_words[-1])))
    return None


def _half_of_memory(item: Node) -> Fact[int]:
    return unread(item.where, "a tmpfs with no size of its own gets a share of the machine's memory (tmpfs(5))")
