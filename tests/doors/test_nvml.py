"""The NVML door with a made-up library, for a GB10 cannot be here: the answers are those that owners published.

tests/machines/gpu-h100.ttar is what a real library answered; tests/gpu asks one again.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, NoReturn

import pynvml
import pytest

from sparkdoctor.doors import nvml as door
from sparkdoctor.facts.gpu import gpus
from sparkdoctor.system import DoorClosed, Live
from tests.recordings import files, machine, problem


def refuses(code: int) -> Callable[..., NoReturn]:
    def call(*_: Any) -> NoReturn:
        raise pynvml.NVMLError(code)

    return call


GB10: dict[str, Any] = {
    "Init": lambda: None,
    "Shutdown": lambda: None,
    "SystemGetDriverVersion": lambda: "580.159.03",
    "SystemGetCudaDriverVersion_v2": lambda: 13000,
    "SystemGetProcessName": lambda pid: f"VLLM::Worker_TP{pid}",
    "DeviceGetCount": lambda: 1,
    "DeviceGetHandleByIndex": lambda index: index,
    "DeviceGetName": lambda gpu: "NVIDIA GB10",
    "DeviceGetUUID": lambda gpu: "GPU-0",
    "DeviceGetPciInfo": lambda gpu: SimpleNamespace(busId="0000000F:01:00.0"),
    "DeviceGetCudaComputeCapability": lambda gpu: (12, 1),
    "DeviceGetMemoryInfo": refuses(pynvml.NVML_ERROR_NOT_SUPPORTED),
    "DeviceGetPowerManagementLimit": refuses(pynvml.NVML_ERROR_NOT_SUPPORTED),
    "DeviceGetPowerUsage": lambda gpu: 4000,
    "DeviceGetTemperatureV": lambda gpu, sensor: 38,
    "DeviceGetFanSpeed": refuses(pynvml.NVML_ERROR_NOT_SUPPORTED),
    "DeviceGetClockInfo": lambda gpu, clock: 208,
    "DeviceGetMaxClockInfo": lambda gpu, clock: 3003,
    "DeviceGetComputeRunningProcesses": lambda gpu: [
        SimpleNamespace(pid=0, usedGpuMemory=96581 << 20),
        SimpleNamespace(pid=1, usedGpuMemory=None),
    ],
}

Library = Callable[..., None]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    def replace(**changes: Any) -> None:
        for name, call in {**GB10, **changes}.items():
            monkeypatch.setattr(pynvml, f"nvml{name}", call)

    return replace


def test_what_a_gb10_does_not_support_is_a_fact(library: Library) -> None:
    library()
    found = gpus(Live())
    assert (found.driver.value, found.cuda.value) == ("580.159.03", "13.0")
    (gpu,) = found.devices.value
    assert (gpu.name.value, gpu.pci.value, gpu.capability.value) == ("NVIDIA GB10", "0000000F:01:00.0", (12, 1))
    for fact in (gpu.memory_total, gpu.memory_free, gpu.power_limit, gpu.fan):
        assert (fact.where, fact.problem, fact.absent) == ("NVML", "Not Supported", False)
    assert (gpu.power_draw.value, gpu.temperature.value, gpu.sm_clock.value, gpu.max_sm_clock.value) == (
        4000,
        38,
        208,
        3003,
    )
    first, second = gpu.processes.value
    assert (first.pid, first.name.value, first.memory.value) == (0, "VLLM::Worker_TP0", 96581 << 20)
    assert second.memory.problem == "not available"


@pytest.mark.parametrize(
    ("code", "said", "absent"),
    [
        (pynvml.NVML_ERROR_LIBRARY_NOT_FOUND, "libnvidia-ml.so.1 is not installed", True),
        (pynvml.NVML_ERROR_DRIVER_NOT_LOADED, "the NVIDIA driver is installed and not loaded", False),
        (pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH, "the driver was updated and the machine not rebooted", False),
        (pynvml.NVML_ERROR_UNKNOWN, "Unknown Error", False),
    ],
)
def test_a_library_that_does_not_start(library: Library, code: int, said: str, absent: bool) -> None:
    library(Init=refuses(code))
    with pytest.raises(DoorClosed, match=said) as closed:
        door.ask()
    assert closed.value.absent == absent
    found = gpus(Live())
    assert said in found.devices.problem
    assert found.driver.absent == absent


def test_a_gpu_that_fell_off_the_bus_does_not_hide_the_driver(library: Library) -> None:
    library(DeviceGetHandleByIndex=refuses(pynvml.NVML_ERROR_GPU_IS_LOST))
    found = gpus(Live())
    assert found.driver.value == "580.159.03"
    (gpu,) = found.devices.value
    assert gpu.name.problem == "GPU is lost"
    assert gpu.memory_total.problem == "GPU is lost"
    assert gpu.processes.problem == "GPU is lost"


def test_devices_that_cannot_be_counted(library: Library) -> None:
    library(
        DeviceGetCount=refuses(pynvml.NVML_ERROR_UNKNOWN), SystemGetDriverVersion=refuses(pynvml.NVML_ERROR_UNKNOWN)
    )
    found = gpus(Live())
    assert found.devices.problem == "Unknown Error"
    assert found.driver.problem == "Unknown Error"
    assert found.cuda.value == "13.0"


def test_processes_that_may_not_be_listed(library: Library) -> None:
    library(DeviceGetComputeRunningProcesses=refuses(pynvml.NVML_ERROR_NO_PERMISSION))
    assert gpus(Live()).devices.value[0].processes.problem == "Insufficient Permissions"


def test_the_library_is_shut_down_also_after_an_error(library: Library) -> None:
    ended = []
    library(Shutdown=lambda: ended.append(1), DeviceGetName=lambda gpu: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        door.ask()
    assert ended == [1]


def test_what_a_real_library_answered() -> None:
    """An H100, recorded."""
    (gpu,) = gpus(machine("gpu-h100")).devices.value
    assert gpu.name.value == "NVIDIA H100 80GB HBM3"
    assert gpu.memory_total.value == 85_520_809_984
    assert gpu.power_limit.value == 700_000
    assert gpu.fan.problem == "Not Supported"


def test_answers_of_another_form() -> None:
    assert gpus(files({"nvml devices": "{}"})).driver.problem.startswith("not understood: ")
    assert gpus(files({"nvml devices": problem("no")})).devices.problem == "no"
    odd = '{"driver": {"value": 7}, "cuda": {}, "devices": [{"answers": {"capability": {"value": [1]}}, "processes": []}]}'
    found = gpus(files({"nvml devices": odd}))
    (gpu,) = found.devices.value
    assert found.cuda.problem == "no answer"
    assert gpu.capability.problem.startswith("not understood")
    assert gpu.name.problem == "not asked"
