"""Signatures and logs for benchmarks: as many as wanted, the same each time, with failures planted in the logs.

The logs look like what a pair of ranks writes with NCCL_DEBUG=INFO and NCCL_DEBUG_SUBSYS=COLL: a launch, then serving,
at the end a failure. Most lines match nothing, many nearly do. The vocabulary is real, the sentences are made up.
"""

# ruff: noqa: SIM905 -- lists of words are read more easily as text

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from itertools import count, islice
from pathlib import Path

from sparkdoctor.patterns import refusal
from sparkdoctor.registry import load_registry
from sparkdoctor.signatures import Role, Signature

UNIT = 32 << 20
"""Bytes of a log that are made up; a longer one repeats them, with other numbers on the planted lines only."""

MODULES = "vllm torch flashinfer cutlass triton nccl deep_gemm transformers safetensors xgrammar uvicorn pydantic zmq ray".split()
PARTS = (
    "attention worker executor engine distributed model_loader scheduler cache_engine fused_moe pynccl custom_ops platform"
    " sampler backend graph parser registry allocator transport bootstrap proxy tuner rdma verbs dmabuf"
).split()
ERRORS = (
    "RuntimeError ValueError KeyError ImportError AttributeError AssertionError OSError PermissionError TimeoutError"
    " ConnectionError OutOfResources InductorError SafetensorError"
).split()
DOINGS = (
    "failed to allocate|failed to initialize|could not load|cannot open|timed out waiting for|refusing to use|mismatch in"
    "|unsupported|corrupted|exceeded limit of|unable to resolve|lost connection to|retries exhausted for|version conflict for"
).split("|")
THINGS = (
    "shared memory segment|queue pair|completion queue|memory region|GID entry|kernel image|workspace buffer|KV cache block"
    "|weight shard|tokenizer file|expert map|tensor map|stream capture|process group|rendezvous key|broadcast handle"
    "|page table|locked memory|file descriptor|device plugin|socket interface|peer mapping|driver symbol|link state"
).split("|")
SOURCES = "loggers.py:118 gpu_model_runner.py:2602 core.py:77 multiproc_executor.py:597 shm_broadcast.py:466".split()


class Planted:
    """A signature with a line that it matches."""

    def __init__(self, signature: Signature, line: str) -> None:
        self.signature = signature
        self.line = line


def signatures(number: int) -> list[Planted]:
    """The shipped signatures first, then made-up ones of the same kinds."""
    shipped = [Planted(signature, signature.matches[0]) for signature in load_registry().knowledge.signatures.values()]
    return [*islice(shipped, number), *_made_up(max(0, number - len(shipped)))]


def _made_up(number: int) -> Iterator[Planted]:
    chance = random.Random(4)
    ordinary = lines(random.Random(5))
    alike = (line for line in lines(random.Random(6)) if " WARNING " in line or " ERROR " in line)
    taken: set[str] = set()
    serial = count()
    while len(taken) < number:
        pattern, line = _pattern(chance)
        if pattern in taken or refusal(pattern):
            continue
        taken.add(pattern)
        assert re.search(pattern, line), (pattern, line)
        near = [next(other for other in others if not re.search(pattern, other)) for others in (ordinary, alike)]
        yield Planted(
            Signature(
                f"made-up-{next(serial)}", "made up", pattern, Role.SYMPTOM, "It is made up.", ("https://example.org",),
                (line,), tuple(near), fix="none",
            ),
            line,
        )  # fmt: skip


def _pattern(chance: random.Random) -> tuple[str, str]:
    error, module, part = chance.choice(ERRORS), chance.choice(MODULES), chance.choice(PARTS)
    doing, thing, other = chance.choice(DOINGS), chance.choice(THINGS), chance.choice(THINGS)
    tail = chance.choice(("", f" for rank {chance.randrange(8)}", f" (code {chance.randrange(1000)})", ", giving up"))
    kind = chance.random()
    if kind < 0.45:
        line = chance.choice(
            (f"{error}: {module}.{part}: {doing} {thing}{tail}", f"{module}/{part}: {doing} {thing} of {other}")
        )
        return re.escape(line), line
    if kind < 0.7:
        line = f"{module}.{part}: {doing} {thing} {chance.randrange(99)} of {chance.randrange(99)}{tail}"
        return re.sub(r"(?<= )\d+(?= of )|(?<= of )\d+", r"\\d{1,9}", re.escape(line).replace(r"\ ", " ")), line
    if kind < 0.85:
        line = f"[{part}.cc:{chance.randrange(2000)}] {doing} {thing} after some words, {other}"
        return rf"{part}\.cc:\d{{1,5}}\] {doing} {thing} .{{0,80}}, {other}", line
    others = chance.sample(DOINGS, 3)
    line = f"{module}.{part}: {others[0]} {thing}{tail}"
    return rf"{module}\.{part}: (?:{'|'.join(others)}) {thing}{re.escape(tail)}", line


def lines(chance: random.Random) -> Iterator[str]:
    """Without end: what a rank that serves writes."""
    pick, below = chance.choice, chance.randrange
    for number in count():
        at = f"11-24 {number // 3600 % 24:02}:{number // 60 % 60:02}:{number % 60:02}"
        stamp = f"[2026-{at}]"
        kind = below(100)
        host, pid = pick(("spark-1", "spark-2")), 377
        worker = f"(Worker_TP{below(2)} pid={pid})"
        if kind < 55:
            yield (
                f"{stamp} {host}:{pid}:{pid + below(90)} [0] NCCL INFO {pick(('AllReduce', 'AllGather', 'ReduceScatter'))}:"
                f" opCount {number:x} sendbuff {below(1 << 44):#x} recvbuff {below(1 << 44):#x} acc (nil) count {below(1 << 24)}"
                f" datatype 9 op 0 root 0 comm {below(1 << 44):#x} [nranks=2] stream {below(1 << 44):#x}"
            )
        elif kind < 62:
            yield (
                f"(APIServer pid=1) INFO {at} [loggers.py:127] Engine 000: Avg prompt throughput: {below(2500)}.{below(10)} tokens/s,"
                f" Avg generation throughput: {below(60)}.{below(10)} tokens/s, Running: {below(7)} reqs, Waiting: {below(4)} reqs,"
                f" GPU KV cache usage: {below(100)}.{below(10)}%, Prefix cache hit rate: {below(100)}.{below(10)}%"
            )
        elif kind < 72:
            yield (
                f'(APIServer pid=1) INFO:     192.168.0.{below(255)}:{below(65536)} - "POST /v1/chat/completions HTTP/1.1"'
                f" {pick((200, 200, 200, 400, 500))}"
            )
        elif kind < 82:
            yield (
                f"{worker} DEBUG {at} [scheduler.py:501] step {number}: num_scheduled_tokens={below(8192)}, running={below(7)},"
                f" waiting={below(5)}, preempted={below(2)}, blocks free={below(90000)} of 90000, request ids=[chatcmpl-{below(1 << 32):08x}]"
            )
        elif kind < 90:
            yield f"{stamp} {host}:{pid}:{pid + below(90)} [0] NCCL INFO proxy progress: {below(16)} active ops, {below(999)} idle"
        elif kind < 95:
            yield f"{worker} WARNING {at} [{pick(SOURCES)}] {pick(MODULES)}.{pick(PARTS)}: {pick(DOINGS)} {below(9)} of {pick(THINGS)}s, retrying"
        elif kind < 98:
            yield f"{worker} ERROR {at} [{pick(SOURCES)}] {pick(ERRORS)}: request {below(1 << 20)} was cancelled by the client"
        elif kind < 99:
            yield ""
        else:
            bar = (
                f"Loading shards: {done:3}% Completed | {done}/163 [00:{done % 60:02}<00:10,  1.{done:02}s/it]"
                for done in range(24)
            )
            yield f"{worker} " + "\r".join(bar)


def launch(chance: random.Random, rank: int) -> Iterator[str]:
    """What a rank writes before it serves."""
    node = f"spark-{rank + 1}"
    vllm = f"(Worker_TP{rank} pid=377) INFO 11-24 00:00:0{rank}"
    yield "(APIServer pid=1) INFO 11-24 00:00:00 [api_server.py:1896] vLLM API server version 0.32.0"
    yield f"{vllm} [parallel_state.py:1134] world_size=2 rank={rank} local_rank=0 distributed_init_method=tcp://192.168.0.1:29501 backend=nccl"
    yield f"{vllm} [pynccl.py:70] vLLM is using nccl==2.30.7"
    for comm in range(3):
        head = f"[2026-11-24 00:00:0{comm}] {node}:377:{400 + comm} [0] NCCL INFO"
        yield f"{head} Bootstrap: Using enp1s0f0np0:192.168.0.{rank + 1}<0>"
        yield f"{head} NCCL_IB_HCA set to rocep1s0f0,roceP2p1s0f0"
        yield f"{head} NET/IB : Using [0]rocep1s0f0:1/RoCE [1]roceP2p1s0f0:1/RoCE [RO]; OOB enp1s0f0np0:192.168.0.{rank + 1}<0>"
        yield f"{head} Using network IB"
        for channel in range(16):
            yield f"{head} Channel {channel:02}/0 : {rank}[0] -> {1 - rank}[0] [send] via NET/IB/{channel % 2}"
    yield f"{vllm} [gpu_model_runner.py:2602] Starting to load model deepseek-ai/DeepSeek-V4-Flash..."
    yield f"{vllm} [default_loader.py:314] Loading weights took {chance.randrange(60, 300)}.5 seconds"
    yield f"{vllm} [gpu_model_runner.py:2653] Model loading took 75.8 GiB memory and 210.1 seconds"


def write_log(path: Path, size: int, rank: int, planted: list[Planted], plant: int) -> None:
    """A log of about this many bytes with `plant` planted lines, the last ones at its end."""
    chance = random.Random(100 + rank)
    unit: list[bytes] = []
    length = 0
    for line in lines(chance):
        unit.append(line.encode())
        length += len(unit[-1]) + 1
        if length >= min(UNIT, size):
            break
    repeats = max(1, round(size / length))
    with open(path, "wb") as file:
        file.write("".join(f"{line}\n" for line in launch(chance, rank)).encode())
        for repeat in range(repeats):
            share = plant * (repeat + 1) // repeats - plant * repeat // repeats
            places = sorted(chance.sample(range(len(unit)), share - 1)) if share else []
            text, before = [], 0
            for place in places:
                text += [*unit[before:place], _line(chance, planted)]
                before = place
            text += [*unit[before:], *([_line(chance, planted)] if share else [])]
            file.write(b"\n".join(text) + b"\n")


def _line(chance: random.Random, planted: list[Planted]) -> bytes:
    return (
        f"(Worker_TP{chance.randrange(2)} pid=377) ERROR 11-24 12:00:00 [x.py:1] {chance.choice(planted).line}".encode()
    )
