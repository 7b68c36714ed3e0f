from sparkdoctor.api import Fact, Finding, Node, unread
from sparkdoctor.launch.resolve import resolve
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, only_finding, running, shell, through_snapshot

CHECK = builtin_check("infiniband-device-missing")


def only(node: Node) -> Finding:
    return only_finding(CHECK, node)


def predicted(**spec: object) -> Node:
    return healthy_node(spec=healthy_spec(**spec))  # type: ignore[arg-type]


def test_the_recipe_passes_it() -> None:
    result = examine(CHECK, healthy_node())
    assert result.status is Status.PASSED
    assert result.seen[0].value == "uverbs0 uverbs1 uverbs2 uverbs3"


def test_a_launch_file_without_devices() -> None:
    finding = only(predicted(devices=None))
    assert finding.message == (
        "the rank gets no /dev/infiniband/uverbs*, so it cannot use roceP2p1s0f0, roceP2p1s0f1, rocep1s0f0, rocep1s0f1"
    )
    assert finding.fix.edit == "devices:\n  - /dev/infiniband:/dev/infiniband"
    assert finding.fix.run == ("docker compose up -d --force-recreate vllm",)


def test_privileged_sees_every_device() -> None:
    assert examine(CHECK, predicted(devices=None, privileged=Fact("compose.yaml:8", True))).status is Status.PASSED


def test_a_machine_with_hcas_but_without_their_files() -> None:
    bare = changed(healthy_host(), rdma__device_files=Fact("/dev/infiniband", ()))
    only(healthy_node(host=bare))
    assert only(shell({"NCCL_NET": "IB"}, host=bare)).fix.run == ("sudo modprobe ib_uverbs",)


def test_a_running_process() -> None:
    finding = only(running(infiniband=Fact("/proc/4211/root/dev/infiniband", ("rdma_cm",))))
    assert finding.seen[0].value == "rdma_cm"
    assert finding.fix.do == "in /home/user/ds4/compose.yaml, under services.vllm"
    assert examine(CHECK, running()).status is Status.PASSED


def test_a_snapshot() -> None:
    only(through_snapshot(predicted(devices=None)))
    assert examine(CHECK, through_snapshot(running())).status is Status.PASSED


def test_unreadable() -> None:
    unreadable = unread("/proc/4211/root/dev/infiniband", "Permission denied")
    assert examine(CHECK, running(infiniband=unreadable)).status is Status.UNKNOWN
    nothing_known = Node("spark-9", None, resolve(healthy_spec(devices=None), None))
    assert examine(CHECK, nothing_known).status is Status.UNKNOWN
    no_sysfs = changed(healthy_host(), rdma__hcas=unread("/sys/class/infiniband", "Permission denied"))
    assert examine(CHECK, healthy_node(host=no_sysfs, infiniband=Fact("compose.yaml", ()))).status is Status.UNKNOWN


def test_a_machine_without_hcas_has_nothing_to_pass() -> None:
    bare = changed(healthy_host(), rdma__hcas=Fact("/sys/class/infiniband", ()), rdma__device_files=Fact("/dev", ()))
    assert examine(CHECK, healthy_node(host=bare)).status is Status.SKIPPED


def test_tcp_needs_none() -> None:
    assert examine(CHECK, predicted(devices=None, env={"NCCL_NET": "Socket"})).status is Status.SKIPPED


def test_the_fault_alone() -> None:
    assert list(failed(predicted(devices=None))) == ["infiniband-device-missing"]
