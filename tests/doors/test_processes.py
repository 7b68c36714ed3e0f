from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from sparkdoctor.doors.processes import CONTAINER, ask, classify

ID = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "line",
    [
        "vllm serve m",
        "/opt/env/bin/python3.12 /opt/env/bin/vllm serve m",
        "python -m vllm.entrypoints.openai.api_server --model m",
        "python -X faulthandler -W ignore -m vllm.entrypoints.cli.main serve m",
        "python3 -u -m sglang.launch_server",
        "/usr/bin/python3 /usr/local/bin/torchrun --nproc-per-node 1 x.py",
        "python -m torch.distributed.run x.py",
        "/usr/local/lib/python3.12/dist-packages/ray/core/src/ray/raylet/raylet --raylet_socket_name=x",
        "/x/ray/core/src/ray/gcs/gcs_server",
        "VLLM::EngineCore",
        "VLLM::Worker_TP0",
        "ray::RayWorkerWrapper",
        "sglang::scheduler_TP0",
    ],
)
def test_model_servers(line: str) -> None:
    assert classify("x", line.split(" ")) == "server"


@pytest.mark.parametrize(
    "line",
    [
        "vim vllm", "docker run vllm/vllm serve", "bash -lc vllm", "python -m pip install vllm", "python -m vllmx", "python",
        "python -c vllm", "grep ray", "sparkdoctor check", "/opt/vllm/nginx", "python -m", "tail -f vllm.log",
    ],
)  # fmt: skip
def test_other_processes(line: str) -> None:
    assert classify("x", line.split(" ")) == ""


def test_daemons_and_processes_without_words() -> None:
    assert classify("dockerd", ["/usr/bin/dockerd", "-H", "fd://"]) == "dockerd"
    assert classify("containerd", ["/usr/bin/containerd"]) == "containerd"
    assert classify("containerd-shim-runc-v2", ["/usr/bin/containerd-shim-runc-v2"]) == ""
    assert classify("kworker/0:1", []) == ""
    assert classify("VLLM::EngineCor", []) == "server"


@pytest.mark.parametrize(
    ("cgroup", "found"),
    [
        (f"0::/system.slice/docker-{ID}.scope\n", [ID]),
        (f"12:memory:/docker/{ID}\n0::/docker/{ID}\n", [ID, ID]),
        (f"0::/user.slice/user-1000.slice/user@1000.service/user.slice/libpod-{ID}.scope/container\n", [ID]),
        (f"0::/kubepods.slice/kubepods-burstable.slice/cri-containerd-{ID}.scope\n", [ID]),
        (f"0::/kubepods/besteffort/pod1/{ID}\n", [ID]),
        ("0::/user.slice/user-1000.slice/session-2.scope\n", []),
        ("0::/\n", []),
    ],
)
def test_the_container_of_a_process(cgroup: str, found: list[str]) -> None:
    assert CONTAINER.findall(cgroup) == found


def test_a_server_that_runs_here_is_listed() -> None:
    """A process that calls itself vllm, since no real one can run here; it is on the host, so in no container."""
    argv = ["vllm", "-c", "import sys; print(flush=True); sys.stdin.read()"]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, executable=sys.executable, stdin=pipe, stdout=pipe) as process:
        assert process.stdout is not None
        process.stdout.readline()
        found = {entry["pid"]: entry for entry in json.loads(ask())}
        process.communicate(b"")
    assert found[process.pid]["kind"] == "server"
    assert os.getpid() not in found
    assert list(found) == sorted(found)
