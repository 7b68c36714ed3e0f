"""pyverbs is not on PyPI for every machine, so its two names that matter are made up here; tests/lab has the real one."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from sparkdoctor.facts.rdma import rdma
from sparkdoctor.system import Live


class PyverbsError(Exception):
    pass


def install(monkeypatch: pytest.MonkeyPatch, get_device_list: Any) -> None:
    package, device, errors = ModuleType("pyverbs"), ModuleType("pyverbs.device"), ModuleType("pyverbs.pyverbs_error")
    vars(device)["get_device_list"] = get_device_list
    vars(errors)["PyverbsError"] = PyverbsError
    vars(package).update(device=device, __path__=[])
    for module in (package, device, errors):
        monkeypatch.setitem(sys.modules, module.__name__, module)


def test_devices_in_the_librarys_order(monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch, lambda: [SimpleNamespace(name=b"rocep1s0f1"), SimpleNamespace(name=b"rocep1s0f0")])
    assert rdma(Live()).verbs.value == ("rocep1s0f1", "rocep1s0f0")


def test_a_library_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails() -> None:
        raise PyverbsError("Failed to get device list")

    install(monkeypatch, fails)
    verbs = rdma(Live()).verbs
    assert (verbs.problem, verbs.absent) == ("Failed to get device list", False)


def test_no_pyverbs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pyverbs", None)
    verbs = rdma(Live()).verbs
    assert verbs.absent
    assert verbs.problem.startswith("pyverbs is not installed")
