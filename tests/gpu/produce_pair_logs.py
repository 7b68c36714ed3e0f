"""Make real failures between two ranks on a machine with two NVIDIA GPUs and PyTorch: a log for each rank.

    python tests/gpu/produce_pair_logs.py FOLDER [--other-nccl LIBNCCL] [CASE...]

The logs kept in tests/logs/gpu-pair were made by this script as root, twice: with NCCL_DEBUG=INFO and with WARN. It is
not a test: it needs GPUs, which the machines that run the tests do not have. /dev/shm is remounted for some cases and
put back after them. What the environment says of NVLink multicast is left as it is.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

RANK = """
import datetime, os, signal, time
import torch, torch.distributed as dist
rank = int(os.environ["RANK"])
does = os.environ.get("DOES", "")
torch.cuda.set_device(rank)
wait = datetime.timedelta(seconds=int(os.environ.get("WAIT", "20")))
dist.init_process_group("nccl", timeout=wait)
x = torch.ones(64 << 20, device="cuda")
print("rank", rank, "torch", torch.__version__, "NCCL", torch.cuda.nccl.version(), flush=True)
dist.all_reduce(x)
torch.cuda.synchronize()
print("rank", rank, "first sum", x[0].item(), flush=True)
start, rounds = time.perf_counter(), 20
for step in range(rounds):
    if step == 10 and does == "dies":
        os.kill(os.getpid(), signal.SIGKILL)
    if step == 10 and does == "raises":
        raise ValueError("bad sample in the batch")
    if step == 10 and does == "late":
        time.sleep(40)
    if step == 10 and does == "other order":
        dist.broadcast(x, 0)
    if step == 10 and does == "other size":
        x = torch.ones(1 << 10, device="cuda")
    dist.all_reduce(x)
    if step == 10 and does == "this order":
        dist.broadcast(x, 0)
torch.cuda.synchronize()
took = (time.perf_counter() - start) / rounds
print(f"rank {rank} busbw {x.numel() * x.element_size() / took / 1e9:.1f} GB/s", flush=True)  # 2 ranks: factor 1
dist.destroy_process_group()
"""

LIMIT = 60.0
"""Seconds after which ranks that hang are killed; the log then ends with exit code -9."""

POSIX_SHM = {"NCCL_P2P_DISABLE": "1", "NCCL_CUMEM_ENABLE": "0", "NCCL_CUMEM_HOST_ENABLE": "0"}
"""Makes NCCL exchange data over files in /dev/shm."""
OTHER = "the other libnccl"


@dataclass(frozen=True)
class Case:
    both: Mapping[str, str] = field(default_factory=dict)
    second: Mapping[str, str] = field(default_factory=dict)
    """Set for rank 1 only."""
    first: Mapping[str, str] = field(default_factory=dict)
    shm: str = ""
    """Size to which /dev/shm is mounted anew, or `full`."""
    memlock: int | None = None
    """Bytes that the ranks may lock."""


CASES: dict[str, Case] = {
    "healthy": Case(),
    "healthy-over-shm": Case(both={"NCCL_P2P_DISABLE": "1"}),
    "healthy-cumem-off": Case(both={"NCCL_CUMEM_ENABLE": "0"}),
    "healthy-cumem-on": Case(both={"NCCL_CUMEM_ENABLE": "1"}),
    "healthy-over-sockets": Case(both={"NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1"}),
    "memlock-tiny": Case(both={"NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1"}, memlock=64 << 10),
    "shm-64m": Case(both=POSIX_SHM, shm="64m"),
    "shm-1m": Case(both=POSIX_SHM, shm="1m"),
    "shm-1m-cumem": Case(both={"NCCL_P2P_DISABLE": "1"}, shm="1m"),
    "shm-full": Case(both=POSIX_SHM, shm="full"),
    "rank-killed": Case(both={"WAIT": "15"}, second={"DOES": "dies"}),
    "rank-raises": Case(both={"WAIT": "15"}, second={"DOES": "raises"}),
    "rank-late": Case(both={"WAIT": "10"}, second={"DOES": "late"}),
    "other-order": Case(both={"WAIT": "10"}, second={"DOES": "other order"}, first={"DOES": "this order"}),
    "other-size": Case(both={"WAIT": "10"}, second={"DOES": "other size"}),
    "other-nccl": Case(both={"WAIT": "15"}, second={"LD_PRELOAD": OTHER}),
    "ifname-wrong-on-one": Case(both={"WAIT": "15"}, second={"NCCL_SOCKET_IFNAME": "enp1s0f0np0"}),
    "net-ib-on-one": Case(both={"WAIT": "15"}, second={"NCCL_NET": "IB"}),
    "ib-disabled-on-one": Case(both={"WAIT": "15"}, second={"NCCL_IB_DISABLE": "1"}),
    "p2p-disabled-on-one": Case(both={"WAIT": "15"}, second={"NCCL_P2P_DISABLE": "1", "NCCL_SHM_DISABLE": "1"}),
    "master-addr-wrong-on-one": Case(both={"WAIT": "15"}, second={"MASTER_ADDR": "192.0.2.1"}),
    "master-port-wrong-on-one": Case(both={"WAIT": "15"}, second={"MASTER_PORT": "23999"}),
}


def run(case: Case, port: int, level: str, other: str) -> tuple[str, str]:
    """The two ranks' logs, each with its exit code in its last line."""
    ranks = []
    for number, own in enumerate((case.first, case.second)):
        env = {
            **os.environ,
            "NCCL_DEBUG": level,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            "WORLD_SIZE": "2",
            "RANK": str(number),
            "LOCAL_RANK": str(number),
            **case.both,
            **{name: other if text == OTHER else text for name, text in own.items()},
        }
        limit = [] if case.memlock is None else ["prlimit", f"--memlock={case.memlock}:{case.memlock}"]
        command = [*limit, sys.executable, "-c", RANK]
        ranks.append(
            subprocess.Popen(
                command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace"
            )
        )
    with ThreadPoolExecutor() as both:
        first, second = both.map(_finished, ranks)
    return first, second


def _finished(rank: subprocess.Popen[str]) -> str:
    try:
        log, _ = rank.communicate(timeout=LIMIT)
    except subprocess.TimeoutExpired:
        rank.kill()
        log, _ = rank.communicate()
    return f"{log}exit code {rank.returncode}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("cases", nargs="*")
    parser.add_argument("--other-nccl", default="")
    given = parser.parse_args()
    given.folder.mkdir(parents=True, exist_ok=True)
    chosen = {name: case for name, case in CASES.items() if not given.cases or name in given.cases}
    if not given.other_nccl:
        chosen.pop("other-nccl", None)

    def make(name: str, level: str, port: int) -> None:
        logs = run(chosen[name], port, level, given.other_nccl)
        for number, log in enumerate(logs):
            (given.folder / f"{name}.{level.lower()}.rank{number}.log").write_text(log)
        print(f"=== {name} {level}: {[log.splitlines()[-1] for log in logs]}", flush=True)

    jobs = [(name, level) for name in chosen for level in ("INFO", "WARN")]
    with ThreadPoolExecutor(3) as several:
        for number, (name, level) in enumerate(jobs):
            if not chosen[name].shm and not name.startswith("healthy"):
                several.submit(make, name, level, 24000 + number)
    for number, (name, level) in enumerate(jobs):
        size = chosen[name].shm
        if not size and not name.startswith("healthy"):
            continue
        if size:
            for left in Path("/dev/shm").glob("nccl-*"):  # of ranks that failed
                left.unlink()
            subprocess.run(["mount", "-o", f"remount,size={'16m' if size == 'full' else size}", "/dev/shm"], check=True)
            if size == "full":
                subprocess.run("head -c 17m /dev/zero > /dev/shm/filler", shell=True, check=False)
        started = time.monotonic()
        make(name, level, 24500 + number)
        print(f"    {time.monotonic() - started:.0f} s")
        if size:
            Path("/dev/shm/filler").unlink(missing_ok=True)
            subprocess.run(["mount", "-o", "remount,size=50%", "/dev/shm"], check=True)


if __name__ == "__main__":
    main()
