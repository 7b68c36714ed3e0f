from __future__ import annotations

from typing import Any

import pytest

from sparkdoctor.api import Check, Fact, Host, Node, unread
from sparkdoctor.host import Process
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import container, failed, only_finding, running, shell, through_snapshot

HIGH = builtin_check("memory-utilization-too-high")
UNSET = builtin_check("memory-utilization-unset")
HEADROOM = builtin_check("memory-headroom-small")
CACHE = builtin_check("memory-held-by-cache")
EXHAUSTED = builtin_check("memory-exhausted")

GIB = 1 << 30


def machine(rank: int = 0, *, blocks: tuple[int, ...] | None = None, **gibibytes: float) -> Host:
    """The healthy machine with other figures of /proc/meminfo."""
    host = healthy_host(rank)
    values = {**host.memory.meminfo.value, **{name: int(amount * GIB) for name, amount in gibibytes.items()}}
    host = changed(host, memory__meminfo=Fact("/proc/meminfo", values))
    return changed(host, memory__free_blocks=Fact("/proc/buddyinfo", blocks)) if blocks is not None else host


def asking(utilization: str | None, host: Host | None = None, option: str = "--gpu-memory-utilization") -> Node:
    flags = {"--gpu-memory-utilization": None, option: utilization}
    return healthy_node(host=host, spec=healthy_spec(flags=flags))


def test_an_earlier_server_holds_memory() -> None:
    node = healthy_node(host=machine(MemAvailable=95.0))
    finding = only_finding(HIGH, node)
    assert finding.message == "vLLM will ask for 99.8 GiB of memory, and 95 GiB is available"
    assert [(seen.what, seen.value) for seen in finding.seen] == [
        ("--gpu-memory-utilization", "0.82"),
        ("MemTotal", "121.7 GiB"),
        ("vLLM asks for", "99.8 GiB (0.82 of MemTotal)"),
        ("MemAvailable", "95 GiB"),
    ]
    assert finding.fix.edit == "--gpu-memory-utilization 0.71"
    assert list(failed(node)) == ["memory-utilization-too-high"]


# The figures of vLLM's own message in an owner's report: 0.85 of 121.69 GiB against 101.3 to 102.2 GiB.
@pytest.mark.parametrize(("utilization", "status"), [("0.83", Status.PASSED), ("0.85", Status.FAILED)])
def test_what_one_fleet_met(utilization: str, status: Status) -> None:
    host = machine(MemTotal=121.69, MemAvailable=102.2)
    assert examine(HIGH, asking(utilization, host)).status is status


def test_the_alias_and_the_default_of_each_version() -> None:
    assert examine(HIGH, asking("0.97", option="--device-memory-utilization")).status is Status.FAILED
    finding = only_finding(UNSET, asking(None))
    assert finding.message == "--gpu-memory-utilization is not given, so vLLM takes 0.92 of 121.7 GiB"
    assert finding.seen[0].where == "default of vllm 0.21.1"
    assert finding.fix.edit == "--gpu-memory-utilization 0.82"
    host = healthy_host()
    old = changed(host, software=(changed(host.software[0], packages=Fact("x", {"vllm": "0.19.1"})),))
    assert "takes 0.9 of" in only_finding(UNSET, asking(None, old)).message
    unseen = changed(host, software=())
    assert only_finding(UNSET, asking(None, unseen)).seen[0].where == "default of vllm 0.20.0 and newer"


def test_not_given_is_one_finding() -> None:
    assert list(failed(asking(None))) == ["memory-utilization-unset"]
    tight = failed(asking(None, machine(MemAvailable=105.0)))
    assert list(tight) == ["memory-utilization-too-high"]


def test_little_is_left_for_the_rest() -> None:
    node = asking("0.91")
    finding = only_finding(HEADROOM, node)
    assert finding.message == "4.7 GiB of memory is left beside the 110.7 GiB that vLLM will take"
    assert finding.fix.edit == "--gpu-memory-utilization 0.88"
    assert list(failed(node)) == ["memory-headroom-small"]
    assert examine(HEADROOM, asking("0.88")).status is Status.PASSED


@pytest.mark.parametrize("value", ["0", "1.5", "-0.1", "most"])
def test_what_is_no_share(value: str) -> None:
    result = examine(HIGH, asking(value))
    assert result.status is Status.UNKNOWN
    assert value in result.reason


def test_when_no_share_will_do_room_must_be_made() -> None:
    assert only_finding(HIGH, healthy_node(host=machine(MemAvailable=40.0))).fix.run[0].startswith("ps -eo pid,rss")
    unread_argv = unread("/proc/77/cmdline", "Permission denied")
    alive = Process(77, "vllm", unread_argv, unread_argv, unread_argv, unread_argv)
    host = changed(machine(MemAvailable=40.0), processes=Fact("/proc", (alive,)))
    finding = only_finding(HIGH, healthy_node(host=host))
    assert finding.fix.run == ("kill 77",)
    assert finding.seen[-1].value == "vllm, process 77"
    other = changed(host, docker__containers=Fact("docker ps --all", (container(name="old", compose_service="old"),)))
    assert only_finding(HIGH, healthy_node(host=other)).fix.run == ("docker stop old",)


@pytest.mark.parametrize("check", [HIGH, UNSET, HEADROOM], ids=lambda check: check.name)
def test_a_launch_that_runs_has_its_memory(check: Check) -> None:
    full = machine(MemAvailable=9.0)
    assert examine(check, running(host=full)).status is Status.SKIPPED
    host = changed(full, docker__containers=Fact("docker ps --all", (container(),)))
    result = examine(check, healthy_node(host=host))
    assert result.status is Status.SKIPPED
    assert "gives its memory back when it is replaced" in result.reason


@pytest.mark.parametrize("check", [HIGH, UNSET, HEADROOM, CACHE], ids=lambda check: check.name)
def test_other_gpus_and_what_could_not_be_read(check: Check) -> None:
    host = healthy_host()
    gpu = host.gpus.devices.value[0]

    def node(**changes: Any) -> Node:
        return healthy_node(host=changed(host, **changes))

    assert examine(check, healthy_node()).status is Status.PASSED
    h100 = changed(gpu, capability=Fact("NVML", (9, 0)))
    assert examine(check, node(gpus__devices=Fact("NVML", (h100,)))).status is Status.SKIPPED
    assert examine(check, node(gpus__devices=Fact("NVML", ()))).status is Status.SKIPPED
    assert examine(check, node(gpus__devices=unread("NVML", "no driver"))).status is Status.UNKNOWN
    assert examine(check, node(memory__meminfo=unread("/proc/meminfo", "Permission denied"))).status is Status.UNKNOWN
    assert examine(check, node(memory__meminfo=Fact("/proc/meminfo", {}))).status in (Status.UNKNOWN, Status.PASSED)
    assert examine(check, changed(healthy_node(), host=None)).status is Status.UNKNOWN


def test_the_page_cache_after_a_download() -> None:
    node = healthy_node(host=machine(MemFree=1.5, Cached=110.0))
    finding = only_finding(CACHE, node)
    assert finding.message == "1.5 GiB of memory is free, and the page cache holds 110 GiB"
    assert finding.fix.run == ("sudo sh -c 'sync; echo 3 > /proc/sys/vm/drop_caches'",)
    assert list(failed(node)) == ["memory-held-by-cache"]
    assert examine(CACHE, running(host=machine(MemFree=1.5, Cached=110.0))).status is Status.SKIPPED


@pytest.mark.parametrize(
    ("available", "large", "status"),
    [(3.9, 10_000, Status.FAILED), (4.1, 10_000, Status.PASSED), (7.1, 125, Status.FAILED), (60.0, 0, Status.PASSED)],
)
def test_what_is_almost_none(available: float, large: int, status: Status) -> None:
    blocks = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, large)  # of 4 MiB each
    host = machine(MemAvailable=available, blocks=blocks)
    assert examine(EXHAUSTED, running(host=host)).status is status


def test_nothing_is_left() -> None:
    node = healthy_node(host=machine(MemAvailable=1.0))
    finding = only_finding(EXHAUSTED, node)
    assert finding.message == "1 GiB of memory is available on spark-1"
    assert list(failed(node)) == ["memory-exhausted"]
    few = only_finding(
        EXHAUSTED, healthy_node(host=machine(MemAvailable=7.1, blocks=(9, 0, 0, 0, 0, 0, 0, 0, 0, 100, 30)))
    )
    assert few.message == "320 MiB is free in blocks of 2 MiB, of 7.1 GiB of memory available"
    assert few.seen[1].where == "/proc/buddyinfo"


def test_pages_of_64_kib_make_other_orders() -> None:
    host = changed(machine(MemAvailable=7.1, blocks=(0, 0, 0, 0, 0, 300)), machine__page_size=Fact("getconf", 65536))
    assert examine(EXHAUSTED, Node("spark-1", host)).status is Status.PASSED  # 300 blocks of 2 MiB


def test_a_machine_without_a_launch_and_one_that_was_not_read() -> None:
    assert examine(EXHAUSTED, Node("spark-1", healthy_host())).status is Status.PASSED
    assert examine(EXHAUSTED, Node("spark-1")).status is Status.UNKNOWN
    none = changed(healthy_host(), memory__meminfo=unread("/proc/meminfo", "Permission denied"))
    assert examine(EXHAUSTED, Node("spark-1", none)).status is Status.UNKNOWN
    blocks = changed(machine(MemAvailable=7.1), memory__free_blocks=unread("/proc/buddyinfo", "Permission denied"))
    assert examine(EXHAUSTED, Node("spark-1", blocks)).status is Status.UNKNOWN


def test_snapshots_and_a_shell() -> None:
    for check, node in (
        (HIGH, healthy_node(host=machine(MemAvailable=95.0))),
        (CACHE, healthy_node(host=machine(MemFree=1.5, Cached=110.0))),
        (EXHAUSTED, running(host=machine(MemAvailable=1.0))),
    ):
        assert only_finding(check, through_snapshot(node)) == only_finding(check, node)
    assert examine(HIGH, shell({"NCCL_NET": "IB"})).status is Status.SKIPPED
