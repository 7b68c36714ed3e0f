"""The typed facts of one machine: plain data, frozen, JSON both ways.

Sizes are bytes, speeds Mb/s, times seconds unless a field says otherwise. The functions in
`sparkdoctor.facts` fill these types; checks read them.
"""

from __future__ import annotations

from typing import Any

import msgspec

from sparkdoctor.fact import Fact

UNLIMITED = -1
"""A resource limit that does not limit (RLIM_INFINITY)."""

DOCKER_SHM = 64 << 20
"""Bytes of /dev/shm in a container that does not ask (moby daemon/config/config.go, DefaultShmSize)."""


class Data(msgspec.Struct, frozen=True, omit_defaults=True):
    """Base of all facts types."""


class Space(Data, frozen=True):
    """A mounted file system: `size` and `free` in bytes."""

    size: int
    free: int


class Machine(Data, frozen=True):
    """What kind of box this is and which system runs on it."""

    hostname: Fact[str]
    arch: Fact[str]
    """`aarch64` on a Spark."""
    kernel: Fact[str]
    """The release, as in `uname -r`."""
    cmdline: Fact[str]
    """/proc/cmdline."""
    dmi: Fact[dict[str, str]]
    """sys_vendor, product_name, product_family, product_version, board_name, bios_version. No serial numbers."""
    dgx_release: Fact[dict[str, str]]
    """/etc/dgx-release, last value of each name. No serial numbers."""
    page_size: Fact[int]
    boot_id: Fact[str]
    cpus: Fact[int]
    nccl_conf: tuple[Fact[str], ...] = ()
    """Texts of the configuration files that an NCCL started from this shell reads, the winner first."""


class Pressure(Data, frozen=True):
    """/proc/pressure/memory: share of time, in percent, averaged over 10 seconds."""

    some_avg10: float
    full_avg10: float


class Memory(Data, frozen=True):
    meminfo: Fact[dict[str, int]]
    """/proc/meminfo in bytes; the HugePages_* counts stay counts."""
    pressure: Fact[Pressure]
    free_blocks: Fact[tuple[int, ...]]
    """/proc/buddyinfo: free blocks of order 0, 1, 2, ... summed over zones."""
    shm: Fact[Space]
    """/dev/shm of the host."""


class Process(Data, frozen=True):
    """A running process of a model server (vLLM, Ray, SGLang, torchrun)."""

    pid: int
    name: str
    argv: Fact[tuple[str, ...]]
    env: Fact[dict[str, str]]
    """Secrets removed."""
    memlock: Fact[int]
    """Soft RLIMIT_MEMLOCK in bytes, or UNLIMITED; /proc/PID/limits."""
    capabilities: Fact[int]
    """CapEff of /proc/PID/status, a bit mask (capabilities(7))."""
    container: str = ""
    """The id of the container it runs in, empty on the host."""
    cwd: Fact[str] = Fact("", problem="not read")
    exe: Fact[str] = Fact("", problem="not read")
    shm: Fact[Space] = Fact("", problem="not read")
    """/dev/shm as this process sees it (through /proc/PID/root)."""
    infiniband: Fact[tuple[str, ...]] = Fact("", problem="not read")
    """Names in /dev/infiniband as this process sees it."""
    nccl_conf: tuple[Fact[str], ...] = ()
    """Texts of the configuration files that its NCCL reads, the winner first."""


class Limits(Data, frozen=True):
    """Who may lock how much memory (RLIMIT_MEMLOCK, soft, bytes or UNLIMITED)."""

    own: Fact[int]
    dockerd: Fact[int]
    """What a container gets by default: it inherits the limit of containerd or dockerd."""
    nofile: Fact[int]


class Interface(Data, frozen=True):
    """A network interface."""

    name: str
    index: int
    up: bool
    """Administratively up (IFF_UP)."""
    running: bool
    """Has carrier (IFF_RUNNING)."""
    mtu: int
    addresses: tuple[str, ...] = ()
    """CIDR form, `192.168.0.8/24`, in the kernel's order, IPv4 first."""
    speed: Fact[int] = Fact("", problem="not read")
    """Mb/s, /sys/class/net/NAME/speed."""
    loopback: bool = False


class Route(Data, frozen=True):
    destination: str
    """CIDR form, `default` for the default route."""
    interface: str
    gateway: str = ""


class Listener(Data, frozen=True):
    """A TCP socket that waits for connections."""

    port: int
    address: str
    """`0.0.0.0` or `::` when it listens on every address."""


class Rule(Data, frozen=True):
    handle: int
    statements: tuple[Any, ...]
    """As libnftables-json(5) writes them, counters left out."""
    text: str = ""
    """As iptables-save writes it, for a rule that iptables made."""


class Chain(Data, frozen=True):
    """A chain of nftables. `hook` is empty for one that is only jumped to."""

    family: str
    """`ip`, `ip6`, `inet`, `netdev`, `bridge`, `arp`."""
    table: str
    name: str
    rules: tuple[Rule, ...] = ()
    type: str = ""
    """`filter`, `nat`, `route`."""
    hook: str = ""
    """`ingress`, `prerouting`, `input`, `forward`, `output`, `postrouting`, `egress`."""
    priority: int = 0
    policy: str = "accept"
    devices: tuple[str, ...] = ()
    """The interfaces of an ingress or egress hook."""


class NamedSet(Data, frozen=True):
    """A named set or map of nftables; an element of a map is a pair of key and value."""

    family: str
    table: str
    name: str
    elements: tuple[Any, ...] = ()
    """As libnftables-json(5) writes them."""


class Firewall(Data, frozen=True):
    """The packet filter of a network namespace. Known and without chains: it lets everything through."""

    chains: tuple[Chain, ...] = ()
    sets: tuple[NamedSet, ...] = ()


class Network(Data, frozen=True):
    interfaces: Fact[tuple[Interface, ...]]
    """In ifindex order."""
    routes: Fact[tuple[Route, ...]]
    listening: Fact[tuple[Listener, ...]] = Fact("", problem="not read")
    """TCP sockets in state LISTEN, /proc/net/tcp and /proc/net/tcp6; in port order."""
    hosts: Fact[dict[str, tuple[str, ...]]] = Fact("", problem="not read")
    """/etc/hosts: name to addresses, in the file's order."""
    firewall: Fact[Firewall] = Fact("", problem="not read")
    ephemeral: Fact[tuple[int, int]] = Fact("", problem="not read")
    """First and last port that the kernel gives to who asks for none, net.ipv4.ip_local_port_range."""


class Gid(Data, frozen=True):
    """One entry of a port's GID table. Empty slots are left out."""

    index: int
    gid: str
    """Eight groups of four hex digits, as sysfs prints it."""
    type: Fact[str]
    """`RoCE v2`, `IB/RoCE v1` or `IB`."""
    netdev: Fact[str]


class Port(Data, frozen=True):
    """One port of an HCA."""

    number: int
    state: Fact[str]
    """`ACTIVE`, `DOWN`, `INIT`, `ARMED`."""
    phys_state: Fact[str]
    """`LinkUp`, `Disabled`, `Polling`."""
    link_layer: Fact[str]
    """`Ethernet` or `InfiniBand`."""
    rate: Fact[int]
    """Mb/s."""
    gids: Fact[tuple[Gid, ...]]
    gid_slots: Fact[int] = Fact("", problem="not read")
    """Length of the GID table, empty slots counted (gid_tbl_len of ibv_query_port(3))."""


class Hca(Data, frozen=True):
    """One RDMA device (/sys/class/infiniband/NAME)."""

    name: str
    ports: Fact[tuple[Port, ...]]
    pci: Fact[str]
    """PCI address, `0000:01:00.0`; a soft-RoCE device has none."""
    firmware: Fact[str]
    netdev: Fact[str]
    """The network interface of port 1."""
    soft: Fact[bool] = Fact("", problem="not read")
    """Whether the kernel speaks RoCE for it (rdma_rxe): its packets pass the host's firewall, those of a card do not."""


class Rdma(Data, frozen=True):
    hcas: Fact[tuple[Hca, ...]]
    """In name order. Known and empty: this machine has no RDMA device."""
    device_files: Fact[tuple[str, ...]]
    """Names in /dev/infiniband. Known and empty: the folder is missing."""
    verbs: Fact[tuple[str, ...]]
    """The devices that libibverbs lists (pyverbs)."""


class GpuProcess(Data, frozen=True):
    pid: int
    name: Fact[str]
    memory: Fact[int]
    """Bytes."""


class Gpu(Data, frozen=True):
    """One GPU as NVML tells it. What GB10 does not support is a fact with that problem."""

    index: int
    name: Fact[str]
    uuid: Fact[str]
    pci: Fact[str]
    capability: Fact[tuple[int, int]]
    memory_total: Fact[int]
    memory_free: Fact[int]
    power_limit: Fact[int]
    """Milliwatts."""
    power_draw: Fact[int]
    """Milliwatts."""
    temperature: Fact[int]
    """Degrees Celsius."""
    fan: Fact[int]
    """Percent."""
    sm_clock: Fact[int]
    """MHz."""
    max_sm_clock: Fact[int]
    """MHz."""
    processes: Fact[tuple[GpuProcess, ...]]


class Gpus(Data, frozen=True):
    driver: Fact[str]
    cuda: Fact[str]
    """The newest CUDA version that the driver supports, `13.0`."""
    devices: Fact[tuple[Gpu, ...]]


class Mount(Data, frozen=True):
    """A bind mount or volume of a container."""

    source: str
    target: str
    read_only: bool = False


class Container(Data, frozen=True):
    """A container as `docker inspect` tells it."""

    id: str
    name: str
    running: bool
    pid: int
    image: str
    """The reference it was created from."""
    image_id: str
    env: Fact[dict[str, str]]
    """Image and container values together; secrets removed."""
    argv: tuple[str, ...]
    """Entrypoint and command."""
    ulimits: dict[str, int]
    """Soft limits that were asked for, bytes or UNLIMITED; only those set."""
    shm_size: int
    ipc: str
    network_mode: str
    privileged: bool
    cap_add: tuple[str, ...]
    devices: tuple[str, ...]
    """Paths in the container."""
    gpus: bool
    mounts: tuple[Mount, ...]
    user: str = ""
    compose_file: str = ""
    """com.docker.compose.project.config_files, empty when not made by compose."""
    compose_service: str = ""
    hostname: str = ""
    extra_hosts: dict[str, tuple[str, ...]] = msgspec.field(default_factory=dict)
    """Name to addresses. Where there are some, its /etc/hosts has nothing of the machine's."""


class Image(Data, frozen=True):
    """A local image as `docker image inspect` tells it."""

    reference: str
    """As the launch or container names it."""
    id: str
    arch: str
    """`arm64` for a Spark."""
    digests: tuple[str, ...]
    """RepoDigests."""
    env: dict[str, str]
    argv: tuple[str, ...]
    """Entrypoint and command."""
    user: str = ""


class Docker(Data, frozen=True):
    version: Fact[str]
    rootless: Fact[bool]
    runtimes: Fact[tuple[str, ...]]
    containers: Fact[tuple[Container, ...]]
    """Running ones first."""
    images: Fact[tuple[Image, ...]]
    """Those that a launch or a running container names; one that is not there is left out."""
    default_ulimits: Fact[dict[str, int]]
    """default-ulimits of /etc/docker/daemon.json."""
    default_shm_size: Fact[int]
    """default-shm-size of /etc/docker/daemon.json, else Docker's 64 MiB."""


class Software(Data, frozen=True):
    """One Python environment: what is installed in it, without importing any of it."""

    key: str
    """`container:ID`, `image:REF` or `prefix:PATH`."""
    packages: Fact[dict[str, str]]
    """Distribution name (normalised, PEP 503) to version, for the packages that matter."""
    requires: Fact[tuple[str, ...]]
    """Requires-Dist of the distribution vllm, as written."""
    vllm_env: Fact[tuple[str, ...]]
    """The VLLM_* names that the vllm/envs.py of this environment knows."""
    moe_backends: Fact[tuple[str, ...]] = Fact("", problem="not read")
    """The values that `--moe-backend` takes: the Literal MoEBackend of its vllm/config/kernel.py."""


class ModelCache(Data, frozen=True):
    """Whether a model lies complete in a Hugging Face cache."""

    hub: str
    """The hub folder on this machine, `/home/user/.cache/huggingface/hub`."""
    model: str
    """`deepseek-ai/DeepSeek-V4-Flash`."""
    missing: Fact[tuple[str, ...]]
    """What is not there (files, a snapshot, the model's folder). Known and empty: complete."""
    config: Fact[dict[str, str]] = Fact("", problem="not read")
    """quant_method, weight dtype and the like out of config.json, those that are there."""


class Host(Data, frozen=True):
    """All facts of one machine at one time."""

    taken: str
    """ISO 8601, UTC."""
    machine: Machine
    memory: Memory
    limits: Limits
    network: Network
    rdma: Rdma
    gpus: Gpus
    docker: Docker
    processes: Fact[tuple[Process, ...]]
    software: tuple[Software, ...] = ()
    caches: tuple[ModelCache, ...] = ()

    @property
    def name(self) -> str:
        return self.machine.hostname.value if self.machine.hostname.is_known else "this machine"
