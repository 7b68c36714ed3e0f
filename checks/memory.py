"""The unified memory of GB10: what a launch asks for, and what there is."""

from __future__ import annotations

import math
from typing import NamedTuple

from sparkdoctor.api import (
    CannotTell,
    Certainty,
    Fact,
    Finding,
    Fix,
    Found,
    Host,
    Node,
    Seen,
    Severity,
    check,
    size,
    skip,
)

from ._fix import set_flag
from ._software import within

FLAGS = ("gpu-memory-utilization", "device-memory-utilization")
"""One option and its alias (vllm/engine/arg_utils.py, 0.33.0); the first is everywhere."""

HEADROOM = 8 << 30
"""Bytes to leave beside what vLLM takes. Owners who left less report NVRM out-of-memory lines, then machines that
freeze (NVIDIA/open-gpu-kernel-modules issue 1358 and those it names)."""

ALMOST_NONE = 4 << 30
"""Bytes of MemAvailable below which owners' watchdogs stop the server before the machine stops answering (same place)."""

LARGE_ORDER = 9
"""The driver takes memory in blocks of 2 MiB: order 9 of 4 KiB pages."""
LARGE_MIN = 512 << 20
"""Bytes in such blocks: 0.49 GiB were left beside 7.1 GiB available when an owner's driver failed."""


class Wish(NamedTuple):
    """What the server will ask for, and what it will be compared with."""

    utilization: float
    seen: Seen
    given: bool
    total: int
    need: int
    available: int


@check("memory-utilization-too-high", after=("memory-exhausted",))
def utilization_too_high(node: Node) -> Found:
    """vLLM will ask for more memory than is available.

    ## Why it matters
    At start each worker multiplies the memory of the GPU by --gpu-memory-utilization and compares that
    with what is free. On GB10 GPU and CPU share one memory, so vLLM takes MemAvailable of the whole
    machine: page cache that can be dropped counts as free, other programs count as used. When it is
    less, the launch ends: `Free memory on device cuda:0 (101.3/121.69 GiB) on startup is less than
    desired GPU memory utilization (0.85, 103.44 GiB)`.

    ## How to fix it
    Stop what else holds memory (an earlier server, a desktop session, ollama), or ask for less: 0.80 to
    0.83 is what recipes for GB10 use. The two nodes may have different values.

    ## References
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/v1/worker/utils.py (request_memory)
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/utils/mem_utils.py (MemorySnapshot.measure)
    - https://docs.nvidia.com/dgx/dgx-spark/known-issues.html
    """
    wish = _wish(node)
    host = node.machine()
    if wish.need <= wish.available:
        yield from _arithmetic(wish, host)
        return
    yield Finding(
        f"vLLM will ask for {size(wish.need)} of memory, and {size(wish.available)} is available",
        (*_arithmetic(wish, host), *_held(host)),
        _less(node, wish),
    )


@check(
    "memory-utilization-unset",
    Severity.WARNING,
    after=("memory-utilization-too-high", "rank-variables-unused", "command-options-lost"),
)
def utilization_unset(node: Node) -> Found:
    """--gpu-memory-utilization is not given, on a machine whose GPU has no memory of its own.

    ## Why it matters
    vLLM's default, 0.92 (0.9 up to 0.19), is meant for a GPU with its own memory. Of GB10's it leaves 10 GiB
    for the system, the page cache, NCCL and every other program, and it starts only when nothing else
    runs. What fits today does not after a desktop login.

    ## How to fix it
    Give it: 0.80 to 0.83 is what recipes for GB10 use.

    ## References
    - https://docs.vllm.ai/en/stable/cli/serve.html
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/config/cache.py (gpu_memory_utilization)
    """
    wish = _wish(node)
    if wish.given:
        yield wish.seen
        return
    yield Finding(
        f"--gpu-memory-utilization is not given, so vLLM takes {wish.utilization} of {size(wish.total)}",
        tuple(_arithmetic(wish, node.machine())),
        set_flag(node, FLAGS[0], "0.82"),
    )


@check(
    "memory-headroom-small",
    Severity.WARNING,
    after=("memory-utilization-too-high", "memory-utilization-unset", "rank-variables-unused"),
)
def headroom_small(node: Node) -> Found:
    """Little memory is left beside what vLLM takes.

    ## Why it matters
    Once it serves, vLLM holds its share. Loading weights, NCCL, CUDA graphs, long prompts and everything
    else on the machine live on the rest; when that is gone the driver cannot allocate (`NVRM: ...
    NV_ERR_NO_MEMORY`), and machines have stopped answering.

    ## How to fix it
    Ask for less, in steps of 0.01, and watch MemAvailable after the longest prompt: 8 GiB should be left.

    ## References
    - https://github.com/NVIDIA/open-gpu-kernel-modules/issues/1358
    - https://docs.nvidia.com/dgx/dgx-spark/known-issues.html
    """
    wish = _wish(node)
    left = wish.available - wish.need
    seen = Seen(
        "left beside vLLM", size(max(left, 0)), node.machine().memory.meminfo.where, wanted=f"at least {size(HEADROOM)}"
    )
    if left >= HEADROOM:
        yield seen
        return
    yield Finding(
        f"{size(max(left, 0))} of memory is left beside the {size(wish.need)} that vLLM will take",
        (seen, *_arithmetic(wish, node.machine())),
        _less(node, wish),
    )


@check("memory-held-by-cache", Severity.WARNING, after=("memory-exhausted",))
def held_by_cache(node: Node) -> Found:
    """The page cache holds nearly all free memory.

    ## Why it matters
    Reading or copying a model leaves it in the page cache. vLLM counts that as available, but the GPU driver
    wants whole blocks of 2 MiB and does not make the kernel give the cache back, so its allocations
    can fail although there seems to be room.

    ## How to fix it
    Drop the cache right before the launch; it fills again by itself, and nothing is lost.

    ## References
    - https://docs.nvidia.com/dgx/dgx-spark/known-issues.html
    - https://docs.kernel.org/admin-guide/sysctl/vm.html#drop-caches
    """
    host = node.machine()
    _unified(host)
    if node.launch is not None and node.launch.seen and node.launch.spec.kind != "shell":
        skip("the launch runs, so it has its memory")
    meminfo = host.memory.meminfo
    values = meminfo.value
    if "Cached" not in values or "MemFree" not in values:
        raise CannotTell(meminfo.where, "it has no MemFree or no Cached")
    free, cached = values["MemFree"], values["Cached"]
    seen = (
        Seen("MemFree", size(free), meminfo.where, wanted=f"at least {size(ALMOST_NONE)}"),
        Seen("Cached", size(cached), meminfo.where),
    )
    if free >= ALMOST_NONE or cached < 20 << 30:
        yield from seen
        return
    yield Finding(
        f"{size(free)} of memory is free, and the page cache holds {size(cached)}",
        (*seen, *_large(host)),
        Fix("drop the page cache right before the launch", run=(DROP,), cost="needs root"),
    )


@check("memory-exhausted")
def exhausted(node: Node) -> Found:
    """Almost no memory is left on this machine.

    ## Why it matters
    Registering a buffer with the HCA pins its pages, which may need others; without any it fails as with a
    small memlock: `Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory`. The GPU
    driver fails likewise, even earlier, as it wants blocks of 2 MiB. Then the kernel kills programs,
    seldom the one that holds the memory: memory of the GPU does not count for its process.

    ## How to fix it
    Stop what holds it (an earlier server is the usual one), and give the server less:
    --gpu-memory-utilization lower by 0.02.

    ## References
    - https://github.com/NVIDIA/open-gpu-kernel-modules/issues/1358
    - https://docs.kernel.org/filesystems/proc.html#meminfo
    - https://docs.kernel.org/core-api/pin_user_pages.html
    """
    host = node.machine()
    available = _meminfo(host, "MemAvailable")
    seen = Seen("MemAvailable", size(available), host.memory.meminfo.where, wanted=f"at least {size(ALMOST_NONE)}")
    large = _large(host)
    if available < ALMOST_NONE:
        message = f"{size(available)} of memory is available on {node.name}"
    elif available < 2 * HEADROOM and _large_bytes(host) < LARGE_MIN:
        message = f"{size(_large_bytes(host))} is free in blocks of 2 MiB, of {size(available)} of memory available"
    else:
        yield seen
        yield from large
        return
    pressure = host.memory.pressure
    stalls = [Seen("stalled on memory", f"{pressure.value.full_avg10} %", pressure.where)] if pressure.is_known else []
    yield Finding(message, (seen, *large, *stalls, *_held(host)), _stop(host))


DROP = "sudo sh -c 'sync; echo 3 > /proc/sys/vm/drop_caches'"


def _wish(node: Node) -> Wish:
    """Raises Skip for a launch that runs or will replace one that does: what is free now is not what it will find."""
    launch = node.launched()
    flags = launch.flags.value
    if not flags:
        skip("the command line shows no vLLM option")
    host = node.machine()
    _unified(host)
    if launch.seen and launch.spec.kind != "shell":
        skip("the launch runs, so it has its memory")
    for container in host.docker.containers.value if host.docker.containers.is_known else ():
        if container.running and container.compose_file and container.compose_service == launch.spec.service:
            skip(f"container {container.name} of this service runs and gives its memory back when it is replaced")
    given = next((flags[name] for name in FLAGS if name in flags), None)
    utilization, seen = _given(given) if given is not None else _default(node)
    total = _meminfo(host, "MemTotal")
    need = math.ceil(total * utilization)
    return Wish(utilization, seen, given is not None, total, need, _meminfo(host, "MemAvailable"))


def _given(fact: Fact[str]) -> tuple[float, Seen]:
    try:
        utilization = float(fact.value)
    except ValueError:
        raise CannotTell(fact.where, f"--gpu-memory-utilization is {fact.value!r}, which is not a number") from None
    if not 0 < utilization <= 1:
        raise CannotTell(fact.where, f"--gpu-memory-utilization is {fact.value}, and vLLM takes 0 to 1")
    return utilization, Seen("--gpu-memory-utilization", fact.value, fact.where)


def _default(node: Node) -> tuple[float, Seen]:
    """0.92 since 0.20.0, 0.9 before (vllm/config/cache.py of both); of an unknown version the newer."""
    software = node.launched().software
    version = software.packages.value.get("vllm") if software is not None and software.packages.is_known else None
    old = version is not None and within(version, "<0.20.0")
    whose = f"vllm {version}" if version is not None else "vllm 0.20.0 and newer"
    return (0.9 if old else 0.92), Seen("--gpu-memory-utilization", f"{0.9 if old else 0.92}", f"default of {whose}")


def _unified(host: Host) -> None:
    """Raises Skip when the GPU has memory of its own: then vLLM asks the GPU what is free."""
    devices = host.gpus.devices
    if not devices.value:
        skip(f"this machine has no GPU ({devices.where})")
    capability = devices.value[0].capability
    if capability.value != (12, 1):
        skip(f"the GPU is no GB10, so it has memory of its own ({capability.where})")


def _meminfo(host: Host, name: str) -> int:
    meminfo = host.memory.meminfo
    if name not in meminfo.value:
        raise CannotTell(meminfo.where, f"it has no {name}")
    return meminfo.value[name]


def _arithmetic(wish: Wish, host: Host) -> tuple[Seen, ...]:
    meminfo = host.memory.meminfo.where
    return (
        wish.seen,
        Seen("MemTotal", size(wish.total), meminfo),
        Seen("vLLM asks for", f"{size(wish.need)} ({wish.utilization} of MemTotal)", wish.seen.where),
        Seen("MemAvailable", size(wish.available), meminfo, wanted=f"at least {size(wish.need)}"),
    )


def _held(host: Host) -> tuple[Seen, ...]:
    """Model servers that run on the machine: they are what holds memory, mostly."""
    servers = host.processes.value if host.processes.is_known else ()
    return tuple(
        Seen("runs here", f"{process.name}, process {process.pid}", host.processes.where) for process in servers[:4]
    )


def _large_bytes(host: Host) -> int:
    blocks, page = host.memory.free_blocks, host.machine.page_size
    order = LARGE_ORDER - int(math.log2(page.value // 4096))
    return sum(count * (page.value << at) for at, count in enumerate(blocks.value) if at >= order)


def _large(host: Host) -> tuple[Seen, ...]:
    if not host.memory.free_blocks.is_known or not host.machine.page_size.is_known:
        return ()
    return (Seen("free in blocks of 2 MiB", size(_large_bytes(host)), host.memory.free_blocks.where),)


def _less(node: Node, wish: Wish) -> Fix:
    """The largest utilization that leaves the headroom; where that is no use, room has to be made."""
    fits = math.floor((wish.available - HEADROOM) / wish.total * 100) / 100
    if fits < 0.5:
        return _stop(node.machine())
    return set_flag(node, FLAGS[0], f"{fits:.2f}", certainty=Certainty.TRY)


def _stop(host: Host) -> Fix:
    containers = host.docker.containers.value if host.docker.containers.is_known else ()
    running = [container.name for container in containers if container.running and container.gpus]
    if running:
        return Fix(
            "stop what else runs on the GPU, if it is not wanted",
            run=(f"docker stop {' '.join(running)}",),
            certainty=Certainty.TRY,
        )
    servers = [str(process.pid) for process in host.processes.value] if host.processes.is_known else []
    if servers:
        return Fix(
            "stop the model server that runs, if it is not wanted",
            run=(f"kill {' '.join(servers)}",),
            certainty=Certainty.TRY,
        )
    return Fix(
        "see who holds the memory, stop it, and drop the page cache",
        run=(
            "ps -eo pid,rss,comm --sort=-rss | head",
            "nvidia-smi --query-compute-apps=pid,used_memory,name --format=csv",
            DROP,
        ),
        certainty=Certainty.TRY,
        cost="needs root",
    )
