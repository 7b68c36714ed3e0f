"""For tests of checks, ours and a plugin's: a healthy pair as typed facts, and one check run on it.

    node = healthy_node(memlock=Fact("compose.yaml:9", 8 << 20))
    assert examine(my_check, node).status is Status.FAILED

The pair is made up after published outputs of DGX Spark owners (names, kernel, GID layout, sizes
are theirs; addresses are the write-up's); it is not a recording. Recorded machines are under
tests/machines.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from sparkdoctor.api import Cluster, Node
from sparkdoctor.fact import Fact, unread
from sparkdoctor.host import (
    UNLIMITED,
    Docker,
    Firewall,
    Gid,
    Gpu,
    Gpus,
    Hca,
    Host,
    Image,
    Interface,
    Limits,
    Listener,
    Machine,
    Memory,
    ModelCache,
    Mount,
    Network,
    Port,
    Pressure,
    Rdma,
    Route,
    Software,
    Space,
)
from sparkdoctor.launch.resolve import resolve
from sparkdoctor.launch.types import Spec
from sparkdoctor.run import Result, Status, examine

__all__ = ["Result", "Status", "changed", "examine", "healthy_host", "healthy_node", "healthy_pair", "healthy_spec"]

T = TypeVar("T")

IMAGE = "aidendle94/sparkrun-vllm-ds4-gb10:production-ready"
KIB = 1 << 10
GIB = 1 << 30


def changed(thing: T, **changes: Any) -> T:
    """A copy with fields replaced; `__` reaches into nested types: `memory__shm=Fact(...)`."""
    for path, value in changes.items():
        name, _, rest = path.partition("__")
        new = changed(getattr(thing, name), **{rest: value}) if rest else value
        thing = msgspec.structs.replace(thing, **{name: new})  # type: ignore[type-var]
    return thing


def healthy_host(rank: int = 0, **changes: Any) -> Host:
    """Rank 0 is spark-1 with 192.168.0.8 and 192.168.1.8, rank 1 spark-2 with .9; one cable in cage 0."""
    last = 8 + rank
    host = Host(
        taken="2026-11-24T12:00:00Z",
        machine=Machine(
            hostname=Fact("/proc/sys/kernel/hostname", f"spark-{rank + 1}"),
            arch=Fact("/proc/sys/kernel/arch", "aarch64"),
            kernel=Fact("/proc/sys/kernel/osrelease", "6.17.0-1021-nvidia"),
            cmdline=Fact("/proc/cmdline", "BOOT_IMAGE=/boot/vmlinuz-6.17.0-1021-nvidia root=UUID=0 ro quiet"),
            dmi=Fact(
                "/sys/class/dmi/id",
                {"sys_vendor": "NVIDIA", "product_name": "NVIDIA_DGX_Spark", "product_family": "DGX Spark"},
            ),
            dgx_release=Fact("/etc/dgx-release", {"DGX_NAME": "DGX Spark", "DGX_OTA_VERSION": "7.5.0"}),
            page_size=Fact("getconf PAGESIZE", 4096),
            boot_id=Fact("/proc/sys/kernel/random/boot_id", f"00000000-0000-0000-0000-00000000000{rank + 1}"),
            cpus=Fact("/sys/devices/system/cpu/online", 20),
        ),
        memory=Memory(
            meminfo=Fact(
                "/proc/meminfo",
                {
                    "MemTotal": 127_600_000 * KIB,
                    "MemFree": 118_000_000 * KIB,
                    "MemAvailable": 121_000_000 * KIB,
                    "Cached": 3_000_000 * KIB,
                    "SwapTotal": 16 * GIB,
                    "SwapFree": 16 * GIB,
                    "CmaTotal": 131_072 * KIB,
                    "CmaFree": 98_304 * KIB,
                },
            ),
            pressure=Fact("/proc/pressure/memory", Pressure(0.0, 0.0)),
            free_blocks=Fact("/proc/buddyinfo", (100, 90, 80, 70, 60, 50, 40, 30, 20, 10, 27_000)),
            shm=Fact("df /dev/shm", Space(63_800_000 * KIB, 63_800_000 * KIB)),
        ),
        limits=Limits(
            own=Fact("/proc/self/limits", UNLIMITED),
            dockerd=Fact("/proc/1201/limits (dockerd)", 8 << 20),
            nofile=Fact("/proc/self/limits", 500_000),
        ),
        network=Network(
            interfaces=Fact(
                "ip address",
                (
                    Interface("lo", 1, True, True, 65536, ("127.0.0.1/8", "::1/128"), loopback=True),
                    _interface("enP7s7", 2, f"10.0.0.{last}/24", 10_000, 1500),
                    _interface("enp1s0f0np0", 3, f"192.168.0.{last}/24", 200_000, 9000),
                    _interface("enp1s0f1np1", 4, "", 0, 1500),
                    _interface("enP2p1s0f0np0", 5, f"192.168.1.{last}/24", 200_000, 9000),
                    _interface("enP2p1s0f1np1", 6, "", 0, 1500),
                    Interface("docker0", 8, True, False, 1500, ("172.17.0.1/16",)),
                ),
            ),
            routes=Fact(
                "ip route",
                (
                    Route("default", "enP7s7", "10.0.0.1"),
                    Route("192.168.0.0/24", "enp1s0f0np0"),
                    Route("192.168.1.0/24", "enP2p1s0f0np0"),
                ),
            ),
            listening=Fact("/proc/net/tcp", (Listener(22, "0.0.0.0"), Listener(53, "127.0.0.53"))),
            hosts=Fact(
                "/etc/hosts",
                {"localhost": ("127.0.0.1",), "spark-1": ("192.168.0.8",), "spark-2": ("192.168.0.9",)},
            ),
            firewall=Fact("nft --json list ruleset", Firewall()),
            ephemeral=Fact("/proc/sys/net/ipv4/ip_local_port_range", (32768, 60999)),
        ),
        rdma=Rdma(
            hcas=Fact(
                "/sys/class/infiniband",
                (
                    _hca("roceP2p1s0f0", "enP2p1s0f0np0", "0002:01:00.0", f"c0a8:010{last:x}"),
                    _hca("roceP2p1s0f1", "enP2p1s0f1np1", "0002:01:00.1", ""),
                    _hca("rocep1s0f0", "enp1s0f0np0", "0000:01:00.0", f"c0a8:000{last:x}"),
                    _hca("rocep1s0f1", "enp1s0f1np1", "0000:01:00.1", ""),
                ),
            ),
            device_files=Fact("/dev/infiniband", ("rdma_cm", "uverbs0", "uverbs1", "uverbs2", "uverbs3")),
            verbs=unread("ibv_devices", "pyverbs is not installed", absent=True),
        ),
        gpus=Gpus(
            driver=Fact("NVML", "580.159.03"),
            cuda=Fact("NVML", "13.0"),
            devices=Fact("NVML", (_gpu(),)),
        ),
        docker=Docker(
            version=Fact("docker version", "28.5.1"),
            rootless=Fact("docker info", False),
            runtimes=Fact("docker info", ("io.containerd.runc.v2", "nvidia", "runc")),
            containers=Fact("docker ps --all", ()),
            images=Fact("docker image inspect", (Image(IMAGE, "sha256:0a", "arm64", (), {}, ()),)),
            default_ulimits=Fact("/etc/docker/daemon.json", {}),
            default_shm_size=Fact("Docker's default", 64 << 20),
        ),
        processes=Fact("/proc", ()),
        software=(
            Software(
                f"image:{IMAGE}",
                packages=Fact(
                    f"{IMAGE} /opt/env/lib/python3.12/site-packages",
                    {
                        "vllm": "0.21.1",
                        "torch": "2.11.0",
                        "flashinfer-python": "0.6.13",
                        "nvidia-cutlass-dsl": "4.5.2",
                        "nvidia-cutlass-dsl-libs-base": "4.5.2",
                        "quack-kernels": "0.5.0",
                        "b12x": "0.23.0",
                        "nvidia-nccl-cu13": "2.28.9",
                    },
                ),
                requires=Fact(
                    f"{IMAGE} vllm-0.21.1.dist-info/METADATA",
                    ("torch==2.11.0", "flashinfer-python==0.6.13", "nvidia-cutlass-dsl==4.5.2"),
                ),
                vllm_env=Fact(
                    f"{IMAGE} vllm/envs.py",
                    (
                        "VLLM_ALLOW_LONG_MAX_MODEL_LEN",
                        "VLLM_CACHE_ROOT",
                        "VLLM_NCCL_SO_PATH",
                        "VLLM_SPARSE_INDEXER_MAX_LOGITS_MB",
                        "VLLM_USE_B12X_MOE",
                    ),
                ),
                moe_backends=Fact(
                    f"{IMAGE} vllm/config/kernel.py", ("auto", "triton", "deep_gemm", "cutlass", "marlin", "humming")
                ),
            ),
        ),
        caches=(
            ModelCache(
                "/home/user/.cache/huggingface/hub",
                "deepseek-ai/DeepSeek-V4-Flash",
                missing=Fact("/home/user/.cache/huggingface/hub/models--deepseek-ai--DeepSeek-V4-Flash", ()),
                config=Fact(
                    "/home/user/.cache/huggingface/hub/models--deepseek-ai--DeepSeek-V4-Flash/snapshots/0/config.json",
                    {
                        "model_type": "deepseek_v4",
                        "quant_method": "fp8",
                        "fmt": "e4m3",
                        "expert_dtype": "fp4",
                        "n_routed_experts": "256",
                        "num_attention_heads": "64",
                    },
                ),
            ),
        ),
    )
    return changed(host, **changes)


def _interface(name: str, index: int, address: str, speed: int, mtu: int) -> Interface:
    where = f"/sys/class/net/{name}/speed"
    known = Fact(where, speed) if speed else unread(where, "Invalid argument")
    return Interface(name, index, True, bool(address), mtu, (address,) if address else (), speed=known)


def _hca(name: str, netdev: str, pci: str, tail: str) -> Hca:
    """`tail`: the IPv4 address as the last two groups of its GID; empty for a port without a cable."""
    port = f"/sys/class/infiniband/{name}/ports/1"
    link = "fe80:0000:0000:0000:4ebb:47ff:fe00:0001"
    mapped = f"0000:0000:0000:0000:0000:ffff:{tail}"
    table = [(0, link, "IB/RoCE v1"), (1, link, "RoCE v2")]
    if tail:
        table += [(2, mapped, "IB/RoCE v1"), (3, mapped, "RoCE v2")]
    gids = tuple(
        Gid(index, gid, Fact(f"{port}/gid_attrs/types/{index}", kind), Fact(f"{port}/gid_attrs/ndevs/{index}", netdev))
        for index, gid, kind in table
    )
    return Hca(
        name,
        ports=Fact(
            f"/sys/class/infiniband/{name}/ports",
            (
                Port(
                    1,
                    state=Fact(f"{port}/state", "ACTIVE" if tail else "DOWN"),
                    phys_state=Fact(f"{port}/phys_state", "LinkUp" if tail else "Disabled"),
                    link_layer=Fact(f"{port}/link_layer", "Ethernet"),
                    rate=Fact(f"{port}/rate", 200_000 if tail else 40_000),
                    gids=Fact(f"{port}/gids", gids),
                    gid_slots=Fact(f"{port}/gids", 255),
                ),
            ),
        ),
        pci=Fact(f"/sys/class/infiniband/{name}/device", pci),
        firmware=Fact(f"/sys/class/infiniband/{name}/fw_ver", "28.45.4028"),
        netdev=Fact(f"{port}/gid_attrs/ndevs/0", netdev),
        soft=Fact(f"/sys/class/infiniband/{name}/parent", False),
    )


def _gpu() -> Gpu:
    """GB10: NVML answers Not Supported to memory, power limit and fan, and that is normal."""
    unsupported = unread("NVML", "Not Supported")
    return Gpu(
        0,
        name=Fact("NVML", "NVIDIA GB10"),
        uuid=Fact("NVML", "GPU-00000000-0000-0000-0000-000000000000"),
        pci=Fact("NVML", "0000000F:01:00.0"),
        capability=Fact("NVML", (12, 1)),
        memory_total=unsupported,
        memory_free=unsupported,
        power_limit=unsupported,
        power_draw=Fact("NVML", 4_000),
        temperature=Fact("NVML", 38),
        fan=unsupported,
        sm_clock=Fact("NVML", 208),
        max_sm_clock=Fact("NVML", 3003),
        processes=Fact("NVML", ()),
    )


ENV = {
    "HF_HOME": "/cache/huggingface",
    "HF_HUB_OFFLINE": "1",
    "VLLM_CACHE_ROOT": "/cache/huggingface/vllm-cache",
    "VLLM_ALLOW_LONG_MAX_MODEL_LEN": "1",
    "VLLM_USE_B12X_MOE": "1",
    "VLLM_SPARSE_INDEXER_MAX_LOGITS_MB": "256",
    "TORCH_CUDA_ARCH_LIST": "12.1a",
    "FLASHINFER_CUDA_ARCH_LIST": "12.1a",
    "NCCL_NET": "IB",
    "NCCL_IB_DISABLE": "0",
    "NCCL_IB_HCA": "rocep1s0f0,roceP2p1s0f0",
    "NCCL_SOCKET_IFNAME": "enP7s7,enp1s0f0np0",
    "NCCL_IB_GID_INDEX": "3",
    "NCCL_CROSS_NIC": "1",
    "NCCL_CUMEM_ENABLE": "0",
    "NCCL_IGNORE_CPU_AFFINITY": "1",
    "NCCL_DEBUG": "WARN",
    "MASTER_ADDR": "192.168.0.8",
}
"""The environment of the write-up's recipe, less what differs between its ranks."""

ARGV = (
    "/usr/local/bin/dsv4-vllm-entrypoint serve deepseek-ai/DeepSeek-V4-Flash --host 0.0.0.0 --port 8000"
    " --tensor-parallel-size 2 --pipeline-parallel-size 1 --kv-cache-dtype fp8 --max-model-len 1000000"
    " --gpu-memory-utilization 0.82 --distributed-executor-backend mp --nnodes 2"
    " --master-addr 192.168.0.8 --master-port 25000"
)


def healthy_spec(
    rank: int = 0,
    *,
    env: Mapping[str, str | None] | None = None,
    flags: Mapping[str, str | None] | None = None,
    **changes: Any,
) -> Spec:
    """The write-up's recipe for one rank. `env` and `flags` (`"--port": "80"`) override, None removes."""
    values: dict[str, str | None] = {**ENV, "NODE_RANK": str(rank), "HEADLESS": "1" if rank else "", **(env or {})}
    lines = {name: at for at, name in enumerate(values, 20)}
    words = [*ARGV.split(), "--node-rank", str(rank), *(["--headless"] if rank else [])]
    spec = Spec(
        kind="compose",
        title="compose.yaml (service vllm)",
        source="compose.yaml",
        service="vllm",
        env=Fact(
            "compose.yaml:19",
            {name: Fact(f"compose.yaml:{lines[name]}", value) for name, value in values.items() if value is not None},
        ),
        argv=Fact("compose.yaml:45", tuple(_edited(words, flags or {}))),
        image=Fact("compose.yaml:4", IMAGE),
        memlock=Fact("compose.yaml:9", UNLIMITED),
        shm_size=Fact("compose.yaml:7", 64 * GIB),
        ipc=Fact("compose.yaml:6", "host"),
        network_mode=Fact("compose.yaml:5", "host"),
        gpus=Fact("compose.yaml:11", True),
        devices=Fact("compose.yaml:13", ("/dev/infiniband",)),
        mounts=Fact("compose.yaml:15", (Mount("/home/user/.cache/huggingface", "/cache/huggingface"),)),
    )
    return changed(spec, **changes)


def _edited(words: list[str], flags: Mapping[str, str | None]) -> Iterable[str]:
    for option, value in flags.items():
        if option in words:
            at = words.index(option)
            has_value = at + 1 < len(words) and not words[at + 1].startswith("--")
            del words[at : at + 1 + has_value]
        if value is not None:
            words += [option, value] if value else [option]
    return words


def healthy_node(rank: int = 0, *, host: Host | None = None, spec: Spec | None = None, **launch: Any) -> Node:
    """One healthy rank; `launch` replaces fields of what it will see: `memlock=Fact(...)`."""
    machine = host or healthy_host(rank)
    return Node(machine.name, machine, changed(resolve(spec or healthy_spec(rank), machine), **launch))


def healthy_pair(first: Node | None = None, second: Node | None = None) -> Cluster:
    return Cluster((first or healthy_node(0), second or healthy_node(1)))
