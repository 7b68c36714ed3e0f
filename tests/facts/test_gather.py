from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest

from sparkdoctor.fact import Fact
from sparkdoctor.facts import CachedModel, Wanted, gather
from sparkdoctor.facts import rdma as rdma_module
from sparkdoctor.facts.gather import Once
from sparkdoctor.host import Host
from sparkdoctor.system import Door, Live, Recorded, Recording, System
from tests.recordings import machine

MODEL = CachedModel("/home/user/.cache/huggingface/hub", "deepseek-ai/DeepSeek-V4-Flash")
WANTED = Wanted(models=(MODEL,), images=("aidendle94/sparkrun-vllm-ds4-gb10:production-ready",))


def problems(host: Host) -> Iterator[tuple[str, str]]:
    """Every fact of a host that has a problem: where it lies in the host, and the problem."""

    def walk(value: Any, path: str) -> Iterator[tuple[str, str]]:
        if isinstance(value, dict) and "problem" in value:
            yield path, value["problem"]
        elif isinstance(value, dict):
            for name, inner in value.items():
                yield from walk(inner, f"{path}.{name}" if path else name)
        elif isinstance(value, list | tuple):
            for at, inner in enumerate(value):
                yield from walk(inner, f"{path}[{at}]")

    return walk(msgspec.to_builtins(host), "")


def test_this_machine_as_it_is() -> None:
    """Whatever it has; nothing of ours may break over it."""
    ended: list[str] = []
    host = gather(Live(), done=lambda name, seconds: ended.append(name))
    assert sorted(ended) == sorted(
        ["docker", "gpu", "limits", "machine", "memory", "network", "processes", "rdma", "software"]
    )
    assert host.taken.endswith("Z")
    assert not [path for path, problem in problems(host) if "bug" in problem or "not read" in problem]
    assert msgspec.json.decode(msgspec.json.encode(host), type=Host) == host


def test_what_was_recorded_here_gathers_to_the_same_facts() -> None:
    recording = Recording(Live())
    heard = gather(recording, WANTED)
    again = gather(Recorded(recording.text()), WANTED)
    assert msgspec.structs.replace(again, taken="") == msgspec.structs.replace(heard, taken="")


@pytest.mark.parametrize("name", ["spark-1", "spark-2", "spark-kho", "no-rdma", "gpu-h100"])
def test_every_question_is_recorded(name: str) -> None:
    host = gather(machine(name), WANTED if name != "gpu-h100" else None)
    assert not [path for path, problem in problems(host) if problem in ("not recorded", "not read") or "bug" in problem]


class Hangs(System):
    """A recorded machine one of whose doors never answers."""

    def __init__(self, system: System, hanging: Door) -> None:
        self.system = system
        self.hanging = hanging
        self.released = threading.Event()

    def ask(self, door: Door, subject: str) -> Fact[str]:
        if door == self.hanging:
            self.released.wait()
        return self.system.ask(door, subject)


def test_a_probe_that_hangs_is_named_and_does_not_keep_the_rest() -> None:
    system = Hangs(machine("spark-1"), "nvml")
    slow: dict[str, float] = {}
    try:
        host = gather(system, WANTED, done=slow.__setitem__, patience=0.5)
    finally:
        system.released.set()
    for fact in (host.gpus.driver, host.gpus.cuda, host.gpus.devices):
        assert fact.where == "gpu"
        assert fact.problem.startswith("no answer within")
        assert not fact.absent
    assert slow["gpu"] >= 0.5
    assert host.rdma.hcas.is_known
    assert host.software[0].packages.is_known


def test_a_hanging_engine_leaves_what_hangs_on_it_unknown() -> None:
    system = Hangs(machine("spark-1"), "docker")
    try:
        host = gather(system, WANTED, patience=0.5)
    finally:
        system.released.set()
    assert host.docker.containers.problem.startswith("no answer within")
    (software,) = host.software
    assert software.key == f"image:{WANTED.images[0]}"
    assert software.packages.problem.startswith("no answer within")
    assert host.caches[0].missing.is_known


def test_a_bug_of_ours_is_a_problem_that_says_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(system: System) -> None:
        raise KeyError("x")

    monkeypatch.setattr(rdma_module, "rdma", broken)
    host = gather(machine("spark-1"))
    assert host.rdma.hcas.problem.startswith("the rdma probe of sparkdoctor has a bug: KeyError: 'x' (test_gather.py:")
    assert not host.rdma.hcas.absent
    assert host.machine.hostname.value == "spark-1"


def test_every_question_is_asked_once() -> None:
    class Counts(System):
        def __init__(self) -> None:
            self.asked: list[tuple[Door, str]] = []

        def ask(self, door: Door, subject: str) -> Fact[str]:
            self.asked.append((door, subject))
            return machine_.ask(door, subject)

    machine_ = machine("spark-1")
    counts = Counts()
    gather(counts, WANTED)
    assert len(counts.asked) == len(set(counts.asked))
    assert ("processes", "all") in counts.asked


def test_who_asks_the_same_hears_of_the_same_bug() -> None:
    class Broken(System):
        def ask(self, door: Door, subject: str) -> Fact[str]:
            raise RuntimeError("once")

    once = Once(Broken())
    for _ in range(2):
        with pytest.raises(RuntimeError, match="once"):
            once.ask("file", "/x")
