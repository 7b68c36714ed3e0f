"""All facts of a machine, gathered at once: every source in a thread of its own."""

from __future__ import annotations

import datetime
import threading
import time
import traceback
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import PurePath
from typing import Generic, TypeVar

import msgspec

from sparkdoctor.fact import Fact, unread
from sparkdoctor.facts import docker, gpu, limits, machine, memory, models, network, processes, rdma, software
from sparkdoctor.facts.wanted import Wanted
from sparkdoctor.host import Docker, Gpus, Host, Limits, Machine, Memory, ModelCache, Network, Rdma
from sparkdoctor.system import Door, System

T = TypeVar("T")
Done = Callable[[str, float], None]

PATIENCE = 30.0
"""Seconds after which a probe that has not answered is given up: a wedged driver or a dead network
file system must not keep the rest from being judged."""


def gather(
    system: System, wanted: Wanted | None = None, *, done: Done | None = None, patience: float = PATIENCE
) -> Host:
    """The facts of `system`. Raises nothing that the machine is to blame for.

    `done(name, seconds)` is called as each probe ends, from the probe's own thread, and for one
    that was given up, from this one. Facts of a probe that did not answer within `patience`
    seconds, or that met a bug of ours, say so as their problem.
    """
    wanted = wanted or Wanted()
    asked = Once(system)
    taken = datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds").replace("+00:00", "Z")

    def start(name: str, ask: Callable[[System], T], unanswered: Callable[[str], T]) -> _Probe[T]:
        return _Probe(name, lambda: ask(asked), unanswered, done)

    def group(name: str, kind: type[T], ask: Callable[[System], T]) -> _Probe[T]:
        return start(name, ask, lambda problem: _all_unread(kind, name, problem))

    a_machine = group("machine", Machine, machine.machine)
    a_memory = group("memory", Memory, memory.memory)
    a_limits = group("limits", Limits, limits.limits)
    a_network = group("network", Network, network.network)
    an_rdma = group("rdma", Rdma, rdma.rdma)
    a_gpus = group("gpu", Gpus, gpu.gpus)
    a_docker = group("docker", Docker, lambda system: docker.docker(system, wanted.images))
    the_processes = start("processes", processes.processes, lambda problem: unread("/proc", problem))
    the_software = start(
        "software",
        lambda system: software.software(system, wanted),
        lambda problem: tuple(software.not_seen(key, key, problem) for key in software.keys(wanted)),
    )
    the_caches = [
        start(
            f"model {model.model}",
            lambda system, model=model: models.cache(system, model),  # type: ignore[misc]
            lambda problem, model=model: ModelCache(model.hub, model.model, unread(model.hub, problem)),  # type: ignore[misc]
        )
        for model in wanted.models
    ]
    until = time.monotonic() + patience
    return Host(
        taken=taken,
        machine=a_machine.result(until),
        memory=a_memory.result(until),
        limits=a_limits.result(until),
        network=a_network.result(until),
        rdma=an_rdma.result(until),
        gpus=a_gpus.result(until),
        docker=a_docker.result(until),
        processes=the_processes.result(until),
        software=the_software.result(until),
        caches=tuple(cache.result(until) for cache in the_caches),
    )


class _Probe(Generic[T]):
    """One function in a thread. The thread is a daemon: one that hangs does not keep us alive."""

    def __init__(self, name: str, ask: Callable[[], T], unanswered: Callable[[str], T], done: Done | None) -> None:
        self._name = name
        self._ask = ask
        self._unanswered = unanswered
        self._done = done
        self._answer: T | None = None
        self._lock = threading.Lock()
        self._ended = False
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._work, name=f"probe {name}", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        try:
            self._answer = self._ask()
        except Exception as bug:  # noqa: BLE001 - the other probes' facts are still worth having; this one's say what happened
            self._answer = self._unanswered(_bug(self._name, bug))
        self._end()

    def _end(self) -> None:
        with self._lock:
            first, self._ended = not self._ended, True
        if first and self._done is not None:
            self._done(self._name, time.monotonic() - self._started)

    def result(self, until: float) -> T:
        """What it found; what could not be found when it takes longer than to the time `until`."""
        self._thread.join(max(0.0, until - time.monotonic()))
        if self._answer is not None:
            return self._answer
        self._end()
        return self._unanswered(f"no answer within {time.monotonic() - self._started:.0f} s")


def _bug(name: str, bug: Exception) -> str:
    frame = traceback.extract_tb(bug.__traceback__)[-1]
    place = f"{PurePath(frame.filename).name}:{frame.lineno}"
    return f"the {name} probe of sparkdoctor has a bug: {type(bug).__name__}: {bug} ({place}); it is worth a report"


def _all_unread(kind: type[T], name: str, problem: str) -> T:
    """A facts type of which every fact has this problem."""
    return kind(**{field.name: unread(name, problem) for field in msgspec.structs.fields(kind)})  # type: ignore[arg-type]


class Once(System):
    """Asks another System each question once, so that all probes judge the same answer."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._lock = threading.Lock()
        self._answers: dict[tuple[Door, str], Future[Fact[str]]] = {}

    def ask(self, door: Door, subject: str) -> Fact[str]:
        with self._lock:
            first = (door, subject) not in self._answers
            answer = self._answers.setdefault((door, subject), Future())
        if first:
            try:
                answer.set_result(self._system.ask(door, subject))
            except BaseException as error:  # noqa: BLE001 - whoever asked the same must hear of it too
                answer.set_exception(error)
        return answer.result()
