import pytest

from sparkdoctor.api import Certainty, Fact, Node, unread
from sparkdoctor.host import Host
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, only_finding, running, shell, through_snapshot

DISABLED = builtin_check("rdma-disabled")
IGNORED = builtin_check("rdma-disable-ignored")
TRANSPORT = builtin_check("rdma-transport-unknown")
HARDWARE = builtin_check("rdma-hardware-missing")


def told(host: Host | None = None, **env: str | None) -> Node:
    return healthy_node(host=host, spec=healthy_spec(env=env))


def without_hcas(rank: int = 0) -> Host:
    return changed(
        healthy_host(rank), rdma__hcas=Fact("/sys/class/infiniband", ()), rdma__device_files=Fact("/dev/infiniband", ())
    )


def test_the_recipe_passes_them() -> None:
    for node in (healthy_node(), running(), through_snapshot(running()), through_snapshot(healthy_node())):
        for check in (DISABLED, IGNORED, TRANSPORT, HARDWARE):
            assert examine(check, node).status is Status.PASSED


@pytest.mark.parametrize("text", ["1", "2", "0x1", "-1", "1x"])
def test_rdma_turned_off_and_asked_for(text: str) -> None:
    node = told(NCCL_IB_DISABLE=text)
    finding = only_finding(DISABLED, node)
    assert finding.message == f"NCCL_IB_DISABLE={text} turns RDMA off, and NCCL_NET=IB asks for it, with 2 HCAs ACTIVE"
    assert finding.seen[1].value == "roceP2p1s0f0 rocep1s0f0"
    assert finding.fix.edit == 'NCCL_IB_DISABLE: "0"'
    assert list(failed(node)) == ["rdma-disabled"]


def test_rdma_turned_off_in_silence() -> None:
    node = told(NCCL_IB_DISABLE="1", NCCL_NET=None)
    assert only_finding(DISABLED, node).message == "NCCL_IB_DISABLE=1 turns RDMA off, with 2 HCAs ACTIVE"
    assert list(failed(node)) == ["rdma-disabled"]
    live = running(env={"NCCL_IB_DISABLE": "1", "NCCL_NET": None})
    assert only_finding(DISABLED, live).fix.do == "in /home/user/ds4/compose.yaml, under services.vllm.environment"
    assert only_finding(DISABLED, through_snapshot(live)) == only_finding(DISABLED, live)


@pytest.mark.parametrize("text", ["Socket", "socket"])
def test_tcp_chosen_by_name(text: str) -> None:
    node = told(NCCL_NET=text)
    finding = only_finding(DISABLED, node)
    assert finding.message == f"NCCL_NET={text} chooses TCP, with 2 HCAs ACTIVE"
    assert finding.fix.edit == 'NCCL_NET: "IB"'
    assert list(failed(node)) == ["rdma-disabled"]


def test_tcp_is_right_where_no_hca_is_active() -> None:
    assert examine(DISABLED, told(without_hcas(), NCCL_NET="Socket")).status is Status.SKIPPED
    tcp: dict[str, str | None] = {"NCCL_NET": "Socket", "NCCL_IB_DISABLE": "1", "NCCL_IB_HCA": None}
    other = healthy_node(1, host=without_hcas(1), spec=healthy_spec(1, env=tcp))
    assert not failed(told(without_hcas(), **tcp), other)


@pytest.mark.parametrize("text", ["true", "yes", "TRUE", "on", "'1'"])
def test_a_word_does_not_disable(text: str) -> None:
    node = told(NCCL_IB_DISABLE=text)
    finding = only_finding(IGNORED, node)
    assert finding.message == f"NCCL reads NCCL_IB_DISABLE={text} as 0, so RDMA stays on"
    assert finding.fix.certainty is Certainty.FILL_IN
    assert list(failed(node)) == ["rdma-disable-ignored"]
    assert only_finding(IGNORED, through_snapshot(running(env={"NCCL_IB_DISABLE": text}))).message == finding.message


def test_a_variable_that_is_not_set_is_not_judged() -> None:
    assert examine(IGNORED, told(NCCL_IB_DISABLE="")).status is Status.SKIPPED
    assert examine(IGNORED, told(NCCL_IB_DISABLE=None)).status is Status.SKIPPED


@pytest.mark.parametrize("text", ["0", "false", "no", " 0", "Off"])
def test_words_that_mean_what_nccl_reads(text: str) -> None:
    assert not failed(told(NCCL_IB_DISABLE=text))


@pytest.mark.parametrize("text", ["RoCE", "ib0", "IB ", "rdma"])
def test_a_transport_of_another_name(text: str) -> None:
    node = told(NCCL_NET=text)
    finding = only_finding(TRANSPORT, node)
    assert finding.message == f"NCCL_NET={text} is none of NCCL's transports"
    assert finding.fix.edit == 'NCCL_NET: "IB"'
    assert list(failed(node)) == ["rdma-transport-unknown"]
    assert only_finding(TRANSPORT, through_snapshot(running(env={"NCCL_NET": text}))).message == finding.message


def test_an_empty_name_is_a_name() -> None:
    assert (
        only_finding(TRANSPORT, told(NCCL_NET="")).message
        == "NCCL_NET is set to nothing, which is none of NCCL's transports"
    )
    assert list(failed(told(NCCL_NET=""))) == ["rdma-transport-unknown"]


def test_a_plugin_may_have_the_name() -> None:
    assert examine(TRANSPORT, told(NCCL_NET="IBext_v9")).status is Status.UNKNOWN
    assert examine(TRANSPORT, told(NCCL_NET="mine", NCCL_NET_PLUGIN="mine")).status is Status.UNKNOWN
    assert examine(TRANSPORT, told(NCCL_NET="mine", NCCL_NET_PLUGIN="none")).status is Status.FAILED
    assert examine(TRANSPORT, told(NCCL_NET=None)).status is Status.SKIPPED


def test_rdma_asked_for_without_hardware() -> None:
    node = told(without_hcas())
    finding = only_finding(HARDWARE, node)
    assert finding.message == "NCCL_NET=IB asks for RDMA, and this machine has no HCA"
    assert finding.fix.certainty is Certainty.TRY
    assert finding.fix.cost == "needs root and a reboot"
    assert list(failed(node)) == ["rdma-hardware-missing"]
    assert only_finding(HARDWARE, through_snapshot(running(host=without_hcas()))).message == finding.message
    assert only_finding(HARDWARE, shell({"NCCL_IB_HCA": "mlx5_0"}, host=without_hcas())).seen[0].what == "NCCL_IB_HCA"


def test_several_ranks_over_tcp_need_no_hca() -> None:
    silent = {"NCCL_NET": None, "NCCL_IB_HCA": None, "NCCL_IB_GID_INDEX": None}
    assert examine(HARDWARE, told(without_hcas(), **silent)).status is Status.SKIPPED


def test_unreadable() -> None:
    host = changed(healthy_host(), rdma__hcas=unread("/sys/class/infiniband", "Permission denied"))
    for check in (DISABLED, HARDWARE):
        result = examine(check, healthy_node(host=host))
        assert (result.status, result.reason) == (Status.UNKNOWN, "/sys/class/infiniband: Permission denied")
    no_env = healthy_node(env=unread("/proc/4211/environ", "Permission denied"))
    for check in (DISABLED, IGNORED, TRANSPORT, HARDWARE):
        assert examine(check, no_env).status is Status.UNKNOWN
