"""NVML (nvidia-ml-py): every call by itself, its value or NVML's own words.

On a GB10 several calls answer Not Supported, because GPU and CPU share one memory and one power
budget. That is what the hardware is like, so it is an answer and not a failure of this door.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pynvml as nvml

from sparkdoctor.secrets import clean_text
from sparkdoctor.system import DoorClosed

Answer = dict[str, Any]


def ask() -> str:
    """JSON: `driver`, `cuda` and `devices`. Raises DoorClosed where there is no driver.

    An answer is {"value": ...} or {"problem": ...}. A device has `answers`, named like the
    fields of sparkdoctor.host.Gpu (bytes, milliwatts, MHz, degrees Celsius, percent), and
    `processes` with pid, name and memory. In place of a list, a text is the problem.
    """
    try:
        nvml.nvmlInit()
    except nvml.NVMLError as error:
        raise _closed(error) from None
    try:
        answer = {"driver": _tried(_driver), "cuda": _tried(_cuda), "devices": _devices()}
    finally:
        nvml.nvmlShutdown()
    return json.dumps(answer)


def _closed(error: Any) -> DoorClosed:
    match error.value:
        case nvml.NVML_ERROR_LIBRARY_NOT_FOUND:
            return DoorClosed("libnvidia-ml.so.1 is not installed, so there is no NVIDIA driver here", absent=True)
        case nvml.NVML_ERROR_DRIVER_NOT_LOADED:
            return DoorClosed("the NVIDIA driver is installed and not loaded (the kernel has no module nvidia)")
        case nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH:
            return DoorClosed("driver and library versions differ: the driver was updated and the machine not rebooted")
    return DoorClosed(str(error))


def _tried(call: Callable[[], Any]) -> Answer:
    try:
        return {"value": call()}
    except nvml.NVMLError as error:
        return {"problem": str(error)}


def _driver() -> str:
    return str(nvml.nvmlSystemGetDriverVersion())


def _cuda() -> str:
    version = nvml.nvmlSystemGetCudaDriverVersion_v2()  # 13000 is 13.0 (nvml.h, NVML_CUDA_DRIVER_VERSION_MAJOR)
    return f"{version // 1000}.{version % 1000 // 10}"


def _devices() -> list[Any] | str:
    try:
        count = nvml.nvmlDeviceGetCount()
    except nvml.NVMLError as error:
        return str(error)
    return [_device(index) for index in range(count)]


def _device(index: int) -> Answer:
    try:
        gpu = nvml.nvmlDeviceGetHandleByIndex(index)
    except nvml.NVMLError as error:  # it fell off the bus, say
        return {"answers": {name: {"problem": str(error)} for name in _calls(None)}, "processes": str(error)}
    return {"answers": {name: _tried(call) for name, call in _calls(gpu).items()}, "processes": _processes(gpu)}


def _calls(gpu: Any) -> dict[str, Callable[[], Any]]:
    return {
        "name": lambda: nvml.nvmlDeviceGetName(gpu),
        "uuid": lambda: nvml.nvmlDeviceGetUUID(gpu),
        "pci": lambda: nvml.nvmlDeviceGetPciInfo(gpu).busId,
        "capability": lambda: list(nvml.nvmlDeviceGetCudaComputeCapability(gpu)),
        "memory_total": lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).total,
        "memory_free": lambda: nvml.nvmlDeviceGetMemoryInfo(gpu).free,
        "power_limit": lambda: nvml.nvmlDeviceGetPowerManagementLimit(gpu),
        "power_draw": lambda: nvml.nvmlDeviceGetPowerUsage(gpu),
        "temperature": lambda: nvml.nvmlDeviceGetTemperatureV(gpu, nvml.NVML_TEMPERATURE_GPU),
        "fan": lambda: nvml.nvmlDeviceGetFanSpeed(gpu),
        "sm_clock": lambda: nvml.nvmlDeviceGetClockInfo(gpu, nvml.NVML_CLOCK_SM),
        "max_sm_clock": lambda: nvml.nvmlDeviceGetMaxClockInfo(gpu, nvml.NVML_CLOCK_SM),
    }


def _processes(gpu: Any) -> list[Answer] | str:
    try:
        running = nvml.nvmlDeviceGetComputeRunningProcesses(gpu)
    except nvml.NVMLError as error:
        return str(error)
    return [
        {
            "pid": process.pid,
            "name": _tried(lambda pid=process.pid: clean_text(nvml.nvmlSystemGetProcessName(pid))),  # type: ignore[misc]
            "memory": {"problem": "not available"}
            if process.usedGpuMemory is None
            else {"value": process.usedGpuMemory},
        }
        for process in running
    ]
