"""Make real launch failures on a machine with one NVIDIA GPU and PyTorch: one log a case.

    python tests/gpu/produce_logs.py FOLDER [CASE...]

The logs kept in tests/logs/gpu-*.log were made by this script. It is not a test: it needs a
GPU, which the machines that run the tests do not have.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import threading
from pathlib import Path

RANK = """
import datetime, os, sys
import torch, torch.distributed as dist
rank = int(os.environ["RANK"])
torch.cuda.set_device(0)
dist.init_process_group("nccl", timeout=datetime.timedelta(seconds=int(os.environ.get("WAIT", "20"))))
x = torch.ones(1 << 20, device="cuda")
dist.all_reduce(x)
torch.cuda.synchronize()
print("rank", rank, "sum", x[0].item(), flush=True)
dist.destroy_process_group()
"""

LEAVES = """
import datetime, os
import torch.distributed as dist
dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=20))
os._exit(0)
"""

OOM = """
import torch
parts = []
while True:
    parts.append(torch.empty(8 << 30, dtype=torch.uint8, device="cuda"))
"""

NO_GPU = """
import torch
torch.zeros(1, device="cuda")
"""

BAD_ORDINAL = """
import torch
torch.cuda.set_device(7)
"""

LIMIT = 40.0
"""Seconds after which a case that hangs is killed; its log then ends with exit codes [-9]."""

Case = tuple[list[str], dict[str, str], int]
"""The programs to start, one a rank, what is set for all of them, and the world size."""

CASES: dict[str, Case] = {
    "one-rank-without-rdma": ([RANK], {}, 1),
    "socket-ifname-wrong": ([RANK], {"NCCL_SOCKET_IFNAME": "enp1s0f0np0"}, 1),
    "net-ib-without-devices": ([RANK], {"NCCL_NET": "IB"}, 1),
    "net-unknown-name": ([RANK], {"NCCL_NET": "RoCE"}, 1),
    "two-ranks-one-gpu": ([RANK, RANK], {}, 2),
    "peer-missing": ([RANK], {"WAIT": "10"}, 2),
    "peer-leaves": ([RANK, LEAVES], {"WAIT": "15"}, 2),
    "master-port-in-use": ([RANK], {"PORT_TAKEN": "yes"}, 1),
    "master-addr-unresolvable": ([RANK], {"MASTER_ADDR": "spark-9.invalid", "WAIT": "8"}, 2),
    "cuda-oom": ([OOM], {}, 1),
    "no-visible-gpu": ([NO_GPU], {"CUDA_VISIBLE_DEVICES": ""}, 1),
    "gpu-ordinal-wrong": ([BAD_ORDINAL], {}, 1),
}


def run(case: Case, port: int) -> str:
    """The log of all ranks together, in the order of their lines' arrival, then the exit codes."""
    programs, settings, world = case
    env = {
        **os.environ,
        "NCCL_DEBUG": "INFO",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(world),
        **settings,
    }
    holder = None
    if "PORT_TAKEN" in settings:
        holder = socket.socket()
        holder.bind(("0.0.0.0", port))
        holder.listen()
    read, write = os.pipe()
    ranks = [
        subprocess.Popen([sys.executable, "-c", program], env={**env, "RANK": str(rank)}, stdout=write, stderr=write)
        for rank, program in enumerate(programs)
    ]
    os.close(write)

    def give_up() -> None:
        for rank in ranks:
            rank.kill()

    watch = threading.Timer(LIMIT, give_up)
    watch.start()
    with os.fdopen(read, "rb") as pipe:
        log = pipe.read().decode("utf-8", "replace")
    codes = [rank.wait() for rank in ranks]
    watch.cancel()
    if holder is not None:
        holder.close()
    return f"{log}exit codes {codes}\n"


def main(folder: Path, only: list[str]) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number, (name, case) in enumerate(CASES.items()):
        if only and name not in only:
            continue
        log = run(case, 25000 + number)
        (folder / f"{name}.log").write_text(log)
        print(f"=== {name}: {len(log.splitlines())} lines; {log.splitlines()[-1]}", flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
