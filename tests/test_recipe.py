"""The write-up's recipe on a recorded healthy pair: no error; each single fault put into it gives exactly its finding.

The recorded machines are put together from published outputs (see their first lines): no GB10 is at hand.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from sparkdoctor.ask import Ask
from sparkdoctor.look import look, take_snapshot
from sparkdoctor.registry import load_checks
from sparkdoctor.run import Result, Status, run_checks
from sparkdoctor.snapshot import Snapshot, to_json
from sparkdoctor.system import Live, Recorded

ROOT = Path(__file__).resolve().parents[1]
RANKS = ((1, "head.env"), (2, "worker.env"))

Edit = Callable[[Path], None]


def machine(number: int, edit: Callable[[str], str] = lambda text: text) -> Recorded:
    name = f"spark-{number}.ttar"
    return Recorded(edit((ROOT / "tests/machines" / name).read_text()), name)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(ROOT / "examples/dual-spark", tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def judged(place: Path, machines: dict[int, Recorded]) -> list[Result]:
    """Both ranks, each collected on its own recorded machine, judged together: the way of `check --from`."""
    names = []
    for number, env_file in RANKS:
        ask = Ask(files=("compose.yaml",), env_files=(env_file,))
        snapshot: Snapshot = take_snapshot(ask, machines.get(number) or machine(number), {})
        names.append(f"spark-{number}.json")
        (place / names[-1]).write_text(to_json(snapshot))
    found = look(Ask(targets=tuple(names)), Live(), {})
    checks = load_checks().by_name
    return [result for cluster in found.clusters for result in run_checks(checks.values(), cluster)]


def told(results: list[Result]) -> set[str]:
    """The names of what is reported by itself: consequences stand under their cause."""
    under = {(name, node) for result in results for name in result.with_it for node in result.on}
    return {
        result.check
        for result in results
        if result.status is Status.FAILED and not all((result.check, node) in under for node in result.on)
    }


def test_the_recipe_on_a_healthy_pair(place: Path) -> None:
    results = judged(place, {})
    assert told(results) == set()
    assert not [result for result in results if result.status in (Status.UNKNOWN, Status.CRASHED)]
    passed = {result.check for result in results if result.status is Status.PASSED}
    assert {"memlock-limited", "gid-not-roce-v2", "hca-unknown", "cutlass-dsl-mismatch", "rank-duplicate"} <= passed


def in_compose(old: str, new: str) -> Edit:
    def edit(place: Path) -> None:
        path = place / "compose.yaml"
        text = path.read_text()
        assert len(re.findall(old, text)) == 1, old
        path.write_text(re.sub(old, new, text))

    return edit


def in_env(name: str, old: str, new: str) -> Edit:
    def edit(place: Path) -> None:
        path = place / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new))

    return edit


def in_both_env(old: str, new: str) -> Edit:
    def edit(place: Path) -> None:
        for _, name in RANKS:
            in_env(name, old, new)(place)

    return edit


LAUNCH_FAULTS: dict[str, tuple[Edit, set[str]]] = {
    "no ulimits": (in_compose(r"    ulimits:\n      memlock: -1\n      stack: 67108864\n", ""), {"memlock-limited"}),
    "memlock finite": (in_compose("memlock: -1", "memlock: 67108864"), {"memlock-limited"}),
    "shm private, no size": (
        in_compose('    ipc: host\n    shm_size: "64gb"\n', ""),
        {"shm-too-small"},
    ),
    "shm private and large": (in_compose("    ipc: host\n", ""), set()),
    "HCA that does not exist": (in_compose("rocep1s0f0,roceP2p1s0f0", "mlx5_0,mlx5_1"), {"hca-unknown"}),
    "HCA without a cable": (in_compose("rocep1s0f0,roceP2p1s0f0", "rocep1s0f1,roceP2p1s0f1"), {"hca-not-active"}),
    "GID RoCE v1": (in_compose('NCCL_IB_GID_INDEX: "3"', 'NCCL_IB_GID_INDEX: "2"'), {"gid-not-roce-v2"}),
    "GID slot empty": (in_compose('NCCL_IB_GID_INDEX: "3"', 'NCCL_IB_GID_INDEX: "9"'), {"gid-not-roce-v2"}),
    "interface that does not exist": (in_compose("enP7s7,enp1s0f0np0", "eth0"), {"ifname-unknown"}),
    "interface without carrier": (in_compose("enP7s7,enp1s0f0np0", "enp1s0f1np1"), {"ifname-down"}),
    "no /dev/infiniband": (
        in_compose("    devices:\n      - /dev/infiniband:/dev/infiniband\n", ""),
        {"infiniband-device-missing"},
    ),
    "IB disabled": (in_compose('NCCL_IB_DISABLE: "0"', 'NCCL_IB_DISABLE: "1"'), {"rdma-disabled"}),
    "NCCL_NET unknown": (in_compose("NCCL_NET: IB", "NCCL_NET: RoCE"), {"rdma-transport-unknown"}),
    "NCCL_NET sockets": (in_compose("NCCL_NET: IB", "NCCL_NET: Socket"), {"rdma-disabled"}),
    "torch arch list": (in_compose('TORCH_CUDA_ARCH_LIST: "12.1a"\n      FL', 'TORCH_CUDA_ARCH_LIST: "9.0"\n      FL'), {"arch-list-without-gb10"}),
    "FP4 kernels for FP8 weights": (
        in_compose("--kv-cache-dtype fp8", "--kv-cache-dtype fp8 --quantization mxfp4"),
        {"marlin-fp4-with-fp8"},
    ),
    "FP4 Marlin image": (
        in_compose("aidendle94/sparkrun-vllm-ds4-gb10:production-ready", "lmxxf/vllm-deepseek-v4-dgx-spark"),
        {"marlin-fp4-image"},
    ),
    "same rank twice": (in_env("worker.env", "NODE_RANK=1", "NODE_RANK=0"), {"rank-duplicate"}),
    "worker not headless": (in_env("worker.env", "HEADLESS=1", "HEADLESS="), {"rank-headless-wrong"}),
    "head headless": (in_env("head.env", "HEADLESS=", "HEADLESS=1"), {"rank-headless-wrong"}),
    "MASTER_ADDR differs": (in_env("worker.env", "192.168.0.8", "192.168.0.7"), {"master-addr-differs"}),
    "MASTER_ADDR of the worker": (
        in_both_env("192.168.0.8", "192.168.0.9"),
        {"master-addr-wrong"},
    ),
    "three nodes for two ranks": (in_compose("--nnodes 2", "--nnodes 3"), {"tp-size-wrong"}),
    "TP larger than the pair": (in_compose("--tensor-parallel-size 2", "--tensor-parallel-size 4"), {"tp-size-wrong"}),
    "API port is the master port": (in_compose("--port 8000", "--port 25000"), {"port-clash"}),
    "utilization": (
        in_compose("--gpu-memory-utilization 0.82", "--gpu-memory-utilization 0.99"),
        {"memory-utilization-too-high"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", LAUNCH_FAULTS)
def test_a_single_fault_in_the_launch_gives_exactly_its_finding(place: Path, fault: str) -> None:
    edit, expected = LAUNCH_FAULTS[fault]
    edit(place)
    assert told(judged(place, {})) == expected


def on_line(old: str, new: str, count: int | None = None) -> Callable[[str], str]:
    def edit(text: str) -> str:
        found = text.count(old)
        assert found == count if count is not None else found
        return text.replace(old, new)

    return edit


MACHINE_FAULTS: dict[str, tuple[tuple[int, ...], Callable[[str], str], set[str]]] = {
    "DSL too old for FlashInfer": (
        (1, 2),
        lambda text: re.sub(r"nvidia_cutlass_dsl([a-z_]*)-4\.5\.2", r"nvidia_cutlass_dsl\1-4.4.2", text)
        .replace("Name: nvidia-cutlass-dsl\nVersion: 4.5.2", "Name: nvidia-cutlass-dsl\nVersion: 4.4.2")
        .replace("Name: nvidia-cutlass-dsl-libs-base\nVersion: 4.5.2", "Name: nvidia-cutlass-dsl-libs-base\nVersion: 4.4.2"),
        {"cutlass-dsl-mismatch"},
    ),
    "image without b12x": ((1, 2), on_line('"VLLM_USE_B12X_MOE"', '"VLLM_SOMETHING_ELSE"'), {"b12x-unknown-to-vllm"}),
    "CMA given back by KHO": (
        (2,),
        lambda text: re.sub(r"(?m)^CmaFree: .*$", "CmaFree:         9437184 kB", text),
        {"kernel-cma-from-kho"},
    ),
    "memory in use": (
        (2,),
        lambda text: re.sub(r"(?m)^MemAvailable: .*$", "MemAvailable:   61457280 kB", text),
        {"memory-utilization-too-high"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("fault", MACHINE_FAULTS)
def test_a_single_fault_of_the_machines_gives_exactly_its_finding(place: Path, fault: str) -> None:
    numbers, edit, expected = MACHINE_FAULTS[fault]
    assert (
        edit((ROOT / "tests/machines/spark-2.ttar").read_text()) != (ROOT / "tests/machines/spark-2.ttar").read_text()
    )
    results = judged(place, {number: machine(number, edit) for number in numbers})
    assert told(results) == expected


def test_an_incomplete_model_on_one_machine(place: Path) -> None:
    def without_a_shard(text: str) -> str:
        lines = text.split("\n")
        at = next(i for i, line in enumerate(lines) if line.startswith("Path: ") and line.endswith(".safetensors"))
        end = next(i for i in range(at + 1, len(lines)) if lines[i].startswith(("Path:", "Directory:", "# ttar")))
        gone = [lines[at], "Absent: No such file or directory"]
        return "\n".join(lines[:at] + gone + lines[end:])

    results = judged(place, {2: machine(2, without_a_shard)})
    assert told(results) == {"hf-cache-incomplete"}
