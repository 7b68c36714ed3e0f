"""Spec: what a launch says as written. Launch: what one rank of it will see on its machine."""

from __future__ import annotations

from typing import Literal

from sparkdoctor.fact import Fact
from sparkdoctor.host import Data, Mount, Software

Kind = Literal["compose", "container", "process", "shell"]


class LaunchError(Exception):
    """A launch file that cannot be used; one line, `file:line: what is wrong`."""

    def __init__(self, where: str, problem: str) -> None:
        super().__init__(f"{where}: {problem}" if where else problem)
        self.where = where
        self.problem = problem


class Remark(Data, frozen=True):
    """Something the reader of a launch file wants said: a blank variable, an unknown key."""

    where: str
    text: str
    blank: str = ""
    """The variable that is not set anywhere, for a remark of that kind."""
    lost: tuple[str, ...] = ()
    """The options of the server that a shell comment swallows, for a remark of that kind."""


class Spec(Data, frozen=True):
    """A launch as written in its source; a field is None where the source says nothing.

    For `compose` every `where` is `file:line`; for `container` it is `docker inspect NAME`,
    for `process` the /proc path, for `shell` this process's own environment.
    """

    kind: Kind
    title: str
    """For the header: `compose.yaml (service vllm)`."""
    source: str
    """The file to edit, the container's name, the pid."""
    env: Fact[dict[str, Fact[str]]]
    """A defined-empty variable is a known empty string. A value that cannot be known (its
    env_file is missing, say) is a fact with that problem."""
    argv: Fact[tuple[str, ...]]
    """The words of the server's command line, shell wrappers (`bash -lc`, `exec`) undone."""
    places: tuple[str, ...] = ()
    """Where each word of `argv` is written; empty when all are at the one place of `argv`."""
    unset: tuple[str, ...] = ()
    """Variables of the image that the container will not have (`environment: [NAME]` without a value)."""
    service: str = ""
    env_file: str = ""
    """The .env file whose values went in, empty when none."""
    image: Fact[str] | None = None
    memlock: Fact[int] | None = None
    """Soft limit asked for, bytes or UNLIMITED."""
    shm_size: Fact[int] | None = None
    ipc: Fact[str] | None = None
    network_mode: Fact[str] | None = None
    privileged: Fact[bool] | None = None
    cap_add: Fact[tuple[str, ...]] | None = None
    user: Fact[str] | None = None
    hostname: Fact[str] | None = None
    """What the container calls itself; None where the source does not say."""
    extra_hosts: Fact[dict[str, tuple[str, ...]]] | None = None
    """Name to addresses. Where it is given, the container's /etc/hosts has nothing of the machine's."""
    devices: Fact[tuple[str, ...]] | None = None
    """Device paths inside the container."""
    gpus: Fact[bool] | None = None
    mounts: Fact[tuple[Mount, ...]] | None = None
    remarks: tuple[Remark, ...] = ()
    nccl_conf: tuple[Fact[str], ...] = ()
    """Texts of the configuration files that its NCCL reads, the winner first. Not known, and so
    empty, for a container that is not running."""
    container: str = ""
    """Container id, for a container and for a process in one."""
    pid: int = 0


class Launch(Data, frozen=True):
    """What one rank will see (`seen` False: predicted) or sees (`seen` True).

    Every fact's `where` names the place that won and its `over` the places that lost.
    """

    spec: Spec
    seen: bool
    env: Fact[dict[str, Fact[str]]]
    memlock: Fact[int]
    """Bytes it may lock; UNLIMITED also when CAP_IPC_LOCK makes the limit moot."""
    shm: Fact[int]
    """Size in bytes of the /dev/shm it sees."""
    infiniband: Fact[tuple[str, ...]]
    """Names it sees in /dev/infiniband; known and empty when it sees none."""
    host_network: Fact[bool]
    """Whether it sees the machine's own network interfaces."""
    flags: Fact[dict[str, Fact[str]]]
    """vLLM options by long name without dashes: `tensor-parallel-size` -> `2`; a switch is
    an empty string. The model is `model`."""
    software: Software | None = None
    """None: nothing is known of the Python environment it will run in."""


class CachedModel(Data, frozen=True):
    """A model and where it should lie."""

    hub: str
    """The hub folder on this machine (`$HF_HOME/hub` seen from outside a container)."""
    model: str
    """`deepseek-ai/DeepSeek-V4-Flash`, or the absolute path of a folder on this machine."""
    revision: str = "main"
    """A branch, tag or commit."""
