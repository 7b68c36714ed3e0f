"""Which processes here are model servers, dockerd or containerd, and in which container they run."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Sequence

import psutil

TITLES = ("VLLM::", "ray::", "sglang::")
"""What vLLM, Ray and SGLang call their workers (setproctitle)."""

PROGRAMS = frozenset({"vllm", "ray", "raylet", "gcs_server", "sglang", "torchrun"})
MODULES = ("vllm", "sglang", "ray", "torch.distributed.run", "torch.distributed.launch")
DAEMONS = frozenset({"dockerd", "containerd"})

CONTAINER = re.compile(r"[/-]([0-9a-f]{64})(?:\.scope)?(?:/|$)", re.MULTILINE)
"""In /proc/PID/cgroup: `/docker/ID`, `docker-ID.scope`, `libpod-ID.scope`, `cri-containerd-ID.scope`."""


def ask() -> str:
    """A JSON list of {pid, name, kind, container}, in pid order; kind is server, dockerd or containerd.

    A process that ends while it is looked at is left out; so is this one.
    """
    found = []
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                kind = classify(process.name(), process.cmdline())
                if kind and process.pid != os.getpid():
                    entry = {"pid": process.pid, "name": process.name(), "kind": kind, "container": ""}
                    found.append({**entry, "container": _container(process.pid)})
        except (psutil.NoSuchProcess, ProcessLookupError, FileNotFoundError):
            continue
    return json.dumps(sorted(found, key=lambda entry: int(str(entry["pid"]))))


def classify(name: str, argv: Sequence[str]) -> str:
    """`server`, `dockerd`, `containerd`, or empty for a process of no interest."""
    if name in DAEMONS:
        return name
    words = list(argv)
    if not words:
        return "server" if name.startswith(TITLES) else ""
    if words[0].startswith(TITLES):
        return "server"
    program = os.path.basename(words[0])
    if re.fullmatch(r"python[0-9.]*", program):
        words = words[1:]
        while words and words[0].startswith("-") and words[0] not in ("-m", "-c"):
            words = words[2:] if words[0] in ("-W", "-X") else words[1:]
        if words[:1] == ["-m"]:
            module = words[1] if len(words) > 1 else ""
            return "server" if module in MODULES or module.startswith(tuple(f"{name}." for name in MODULES)) else ""
        program = os.path.basename(words[0]) if words else ""
    return "server" if program in PROGRAMS else ""


def _container(pid: int) -> str:
    with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
        ids = CONTAINER.findall(file.read())
    return ids[-1] if ids else ""
