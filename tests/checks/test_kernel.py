from sparkdoctor.api import Certainty, Fact, Node, unread
from sparkdoctor.host import Host
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, only_finding, running, through_snapshot

CHECK = builtin_check("kernel-cma-from-kho")


def with_cma(total: int | None, free: int | None, cmdline: str = "quiet") -> Host:
    """The healthy host with these sizes in MiB. The faulty figures are those of NVIDIA/NV-Kernels pull request 591."""
    meminfo = dict(healthy_host().memory.meminfo.value)
    for name, value in (("CmaTotal", total), ("CmaFree", free)):
        meminfo.pop(name)
        if value is not None:
            meminfo[name] = value << 20
    return changed(
        healthy_host(),
        memory__meminfo=Fact("/proc/meminfo", meminfo),
        machine__kernel=Fact("/proc/sys/kernel/osrelease", "7.0.0-1019-nvidia"),
        machine__cmdline=Fact("/proc/cmdline", cmdline),
    )


KHO = with_cma(0, 9700)


def test_cma_that_its_owner_counts() -> None:
    for node in (healthy_node(), running(), through_snapshot(healthy_node())):
        result = examine(CHECK, node)
        assert result.status is Status.PASSED
        assert result.seen[0].value == "96 MiB, 128 MiB"
    assert examine(CHECK, healthy_node(host=with_cma(128, 128))).status is Status.PASSED
    assert examine(CHECK, healthy_node(host=with_cma(0, 0, "kho=off"))).status is Status.PASSED


def test_cma_that_nobody_counts() -> None:
    node = healthy_node(host=KHO)
    finding = only_finding(CHECK, node)
    assert finding.message == "9.5 GiB of memory is free as CMA that the kernel does not own (CmaTotal 0 B)"
    assert [(seen.what, seen.value) for seen in finding.seen[1:3]] == [
        ("kernel", "7.0.0-1019-nvidia"),
        ("kho=", "not set"),
    ]
    assert "kho=off" in finding.fix.edit
    assert finding.fix.certainty is Certainty.TRY
    assert finding.fix.cost == "needs root and a reboot of this machine"
    assert list(failed(node)) == ["kernel-cma-from-kho"]


def test_a_running_process_and_a_snapshot() -> None:
    assert only_finding(CHECK, running(host=KHO)) == only_finding(CHECK, through_snapshot(running(host=KHO)))


def test_little_is_enough() -> None:
    assert examine(CHECK, healthy_node(host=with_cma(32, 33))).status is Status.FAILED


def test_unreadable() -> None:
    host = changed(healthy_host(), memory__meminfo=unread("/proc/meminfo", "Permission denied"))
    result = examine(CHECK, healthy_node(host=host))
    assert (result.status, result.reason) == (Status.UNKNOWN, "/proc/meminfo: Permission denied")
    assert examine(CHECK, Node("spark-9", None, healthy_node().launch)).status is Status.UNKNOWN


def test_nothing_to_look_at() -> None:
    assert examine(CHECK, healthy_node(host=with_cma(None, None))).status is Status.SKIPPED
    assert examine(CHECK, healthy_node(host=with_cma(128, None))).status is Status.SKIPPED
    tcp = healthy_node(host=KHO, spec=healthy_spec(env={"NCCL_NET": "Socket"}))
    assert examine(CHECK, tcp).status is Status.SKIPPED
