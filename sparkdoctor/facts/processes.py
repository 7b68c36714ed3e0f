"""Processes of model servers, and what each of them may do and sees."""

from __future__ import annotations

import re

from sparkdoctor.fact import Fact, unread
from sparkdoctor.facts.nccl_conf import conf_files
from sparkdoctor.host import UNLIMITED, Data, Process
from sparkdoctor.system import System
from sparkdoctor.typed import convert


class Listed(Data, frozen=True):
    """A process as the door `processes` lists it."""

    pid: int
    name: str
    kind: str
    """`server`, `dockerd` or `containerd`."""
    container: str = ""


def listed(system: System) -> Fact[tuple[Listed, ...]]:
    """Model servers, dockerd and containerd, in pid order."""
    return system.processes().map(lambda answer: convert(answer, tuple[Listed, ...]))


def processes(system: System) -> Fact[tuple[Process, ...]]:
    """The model server processes that run here (vLLM, Ray, SGLang, torchrun)."""
    return listed(system).map(
        lambda everyone: tuple(_process(system, process) for process in everyone if process.kind == "server")
    )


def _process(system: System, process: Listed) -> Process:
    folder = f"/proc/{process.pid}"
    env = system.environ(process.pid)
    return Process(
        pid=process.pid,
        name=process.name,
        argv=system.cmdline(process.pid),
        env=env,
        memlock=soft_limit(system.read(f"{folder}/limits"), "Max locked memory"),
        capabilities=system.read(f"{folder}/status").map(parse_capabilities),
        container=process.container,
        cwd=system.link(f"{folder}/cwd"),
        exe=system.link(f"{folder}/exe"),
        shm=system.space(f"{folder}/root/dev/shm"),
        infiniband=seen_devices(system, f"{folder}/root"),
        nccl_conf=conf_files(system, f"{folder}/root", env),
    )


def soft_limit(text: Fact[str], name: str) -> Fact[int]:
    """The soft limit called `name` in a /proc/PID/limits, or UNLIMITED (proc_pid_limits(5))."""

    def parse(text: str) -> int:
        match = re.search(rf"^{name} +(unlimited|\d+) ", text, re.MULTILINE)
        if not match:
            raise ValueError(f"no line {name!r}")
        return UNLIMITED if match[1] == "unlimited" else int(match[1])

    return text.map(parse)


def parse_capabilities(text: str) -> int:
    """CapEff of a /proc/PID/status (proc_pid_status(5))."""
    match = re.search(r"^CapEff:\s*([0-9a-f]+)$", text, re.MULTILINE)
    if not match:
        raise ValueError("no line CapEff")
    return int(match[1], 16)


def seen_devices(system: System, root: str) -> Fact[tuple[str, ...]]:
    """The names in `root`/dev/infiniband. Known and empty when `root`/dev can be listed and has no such folder."""
    names = system.folder(f"{root}/dev/infiniband")
    if names.is_known or not names.absent:
        return names
    beside = system.folder(f"{root}/dev")
    if not beside.is_known:
        return unread(beside.where, beside.problem)
    return Fact(names.where, ())
