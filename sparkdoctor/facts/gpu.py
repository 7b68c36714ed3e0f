"""GPUs, as NVML tells them. What the hardware does not support is a fact with that problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import msgspec

from sparkdoctor.fact import Fact, unread
from sparkdoctor.host import Data, Gpu, GpuProcess, Gpus
from sparkdoctor.system import System
from sparkdoctor.typed import convert

T = TypeVar("T")


class Answer(msgspec.Struct, frozen=True):
    """One NVML call: its value, or NVML's own words for why there is none."""

    value: str | int | list[int] | None = None
    problem: str = ""


class RawProcess(Data, frozen=True):
    pid: int
    name: Answer
    memory: Answer


class RawGpu(Data, frozen=True):
    """A GPU as the door `nvml` tells it; the names are the fields of sparkdoctor.host.Gpu."""

    answers: dict[str, Answer]
    processes: list[RawProcess] | str
    """A text is the problem."""


class Raw(Data, frozen=True):
    driver: Answer
    cuda: Answer
    devices: list[RawGpu] | str
    """A text is the problem."""


def gpus(system: System) -> Gpus:
    """Driver, CUDA version and every GPU."""
    raw = system.nvml().map(lambda answer: convert(answer, Raw))
    if not raw.is_known:
        missing = unread(raw.where, raw.problem, absent=raw.absent)
        return Gpus(driver=missing, cuda=missing, devices=missing)
    devices = raw.value.devices
    return Gpus(
        driver=_fact(raw.value.driver, str),
        cuda=_fact(raw.value.cuda, str),
        devices=unread("NVML", devices)
        if isinstance(devices, str)
        else Fact("NVML", tuple(_gpu(index, device) for index, device in enumerate(devices))),
    )


def _gpu(index: int, raw: RawGpu) -> Gpu:
    def text(name: str) -> Fact[str]:
        return _fact(raw.answers.get(name), str)

    def number(name: str) -> Fact[int]:
        return _fact(raw.answers.get(name), _int)

    return Gpu(
        index=index,
        name=text("name"),
        uuid=text("uuid"),
        pci=text("pci"),
        capability=_fact(raw.answers.get("capability"), _pair),
        memory_total=number("memory_total"),
        memory_free=number("memory_free"),
        power_limit=number("power_limit"),
        power_draw=number("power_draw"),
        temperature=number("temperature"),
        fan=number("fan"),
        sm_clock=number("sm_clock"),
        max_sm_clock=number("max_sm_clock"),
        processes=unread("NVML", raw.processes)
        if isinstance(raw.processes, str)
        else Fact(
            "NVML",
            tuple(GpuProcess(each.pid, _fact(each.name, str), _fact(each.memory, _int)) for each in raw.processes),
        ),
    )


def _fact(answer: Answer | None, convert: Callable[[object], T]) -> Fact[T]:
    if answer is None:
        return unread("NVML", "not asked")
    if answer.value is None:
        return unread("NVML", answer.problem or "no answer")
    return Fact("NVML", answer.value).map(convert)


def _int(value: object) -> int:
    return convert(value, int)


def _pair(value: object) -> tuple[int, int]:
    return convert(value, tuple[int, int])
