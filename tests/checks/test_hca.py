import pytest

from sparkdoctor.api import Certainty, Fact, Hca, Node, unread
from sparkdoctor.host import Host
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, only_finding, running, shell, through_snapshot

UNKNOWN = builtin_check("hca-unknown")
PARTLY = builtin_check("hca-partly-unknown")
EXCLUDED = builtin_check("hca-excluded")
NOT_ACTIVE = builtin_check("hca-not-active")
TWIN_DOWN = builtin_check("hca-twin-down")

BEST = 'NCCL_IB_HCA: "rocep1s0f0,roceP2p1s0f0"'


def named(text: str | None, host: Host | None = None, **env: str) -> Node:
    return healthy_node(host=host, spec=healthy_spec(env={"NCCL_IB_HCA": text, **env}))


def with_ports(names: str, host: Host | None = None, **changes: object) -> Host:
    """The healthy host with the ports of these HCAs changed."""
    machine = host or healthy_host()

    def edit(hca: Hca) -> Hca:
        if hca.name not in names.split():
            return hca
        return changed(hca, ports=Fact("ports", tuple(changed(port, **changes) for port in hca.ports.value)))

    return changed(machine, rdma__hcas=machine.rdma.hcas.map(lambda hcas: tuple(edit(hca) for hca in hcas)))


def unplugged(names: str, host: Host | None = None) -> Host:
    place = "/sys/class/infiniband/x/ports/1"
    return with_ports(names, host, state=Fact(f"{place}/state", "DOWN"), phys_state=Fact(place, "Disabled"))


CABLED = "rocep1s0f0 roceP2p1s0f0"


def test_the_recipe_passes_them() -> None:
    result = examine(UNKNOWN, healthy_node())
    assert [(seen.what, seen.value) for seen in result.seen] == [
        ("rocep1s0f0", "rocep1s0f0"),
        ("roceP2p1s0f0", "roceP2p1s0f0"),
    ]
    for check in (PARTLY, NOT_ACTIVE, TWIN_DOWN):
        assert examine(check, healthy_node()).status is Status.PASSED
        assert examine(check, running()).status is Status.PASSED
        assert examine(check, through_snapshot(healthy_node())).status is Status.PASSED


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("mlx5_0", "an HCA of this machine"),
        ("mlx5_0:1", "an HCA of this machine"),
        ("enp1s0f0np0", "rocep1s0f0, the HCA of interface enp1s0f0np0"),
        (" rocep1s0f0", "rocep1s0f0 without the blank"),
        ("rocep1s0f0:2", "rocep1s0f0:1"),
        ("rocep1s0f8", "rocep1s0f1 or rocep1s0f0"),
        ("ROCEP1S0F0", "rocep1s0f0: upper and lower case count"),
        ("=rocep1", "rocep1s0f1 or rocep1s0f0"),
    ],
)
def test_names_that_are_none(text: str, wanted: str) -> None:
    finding = only_finding(UNKNOWN, named(text))
    assert finding.message == f"NCCL_IB_HCA={text} names none of the HCAs of this machine"
    assert finding.seen[0].wanted == wanted
    assert finding.seen[1].value == "roceP2p1s0f0 roceP2p1s0f1 rocep1s0f0 rocep1s0f1"
    assert finding.fix.do == "in compose.yaml, under services.vllm.environment"
    assert finding.fix.edit == BEST
    assert finding.fix.run == ("docker compose up -d --force-recreate vllm",)


def test_names_that_are_none_of_a_running_process_and_a_snapshot() -> None:
    node = running(env={"NCCL_IB_HCA": "mlx5_0"})
    finding = only_finding(UNKNOWN, node)
    assert finding.seen[0].where == "/proc/4211/environ"
    assert finding.fix.do == "in /home/user/ds4/compose.yaml, under services.vllm.environment"
    assert only_finding(UNKNOWN, through_snapshot(node)) == finding
    assert only_finding(UNKNOWN, through_snapshot(named("mlx5_0"))).fix.edit == BEST
    assert only_finding(UNKNOWN, shell({"NCCL_IB_HCA": "mlx5_0"})).fix.run == (
        "export NCCL_IB_HCA=rocep1s0f0,roceP2p1s0f0",
    )


def test_one_name_of_two() -> None:
    node = named("rocep1s0f0,roceP2p1s0f9")
    assert examine(UNKNOWN, node).status is Status.PASSED
    finding = only_finding(PARTLY, node)
    assert finding.message == "NCCL_IB_HCA names roceP2p1s0f9, which this machine does not have"
    assert finding.fix.edit == BEST
    assert "roceP2p1s0f" in finding.seen[0].wanted
    assert list(failed(node)) == ["hca-partly-unknown"]


def test_a_prefix_names_several() -> None:
    result = examine(UNKNOWN, named("rocep1"))
    assert [seen.value for seen in result.seen] == ["rocep1s0f0 rocep1s0f1"]


@pytest.mark.parametrize("text", [None, "", ","])
def test_a_list_that_names_nothing(text: str | None) -> None:
    for check in (UNKNOWN, PARTLY):
        assert examine(check, named(text)).status is Status.SKIPPED
    assert examine(NOT_ACTIVE, named(text)).status is Status.PASSED
    assert not failed(named(text))


@pytest.mark.parametrize("text", ["^", "^roce", "^rocep1,roceP2p1"])
def test_excluding_all(text: str) -> None:
    finding = only_finding(EXCLUDED, named(text))
    assert finding.message == f"NCCL_IB_HCA={text} excludes all HCAs of this machine"
    assert finding.fix.do.startswith("remove NCCL_IB_HCA (compose.yaml:")
    assert examine(UNKNOWN, named(text)).status is Status.SKIPPED
    assert list(failed(named(text))) == ["hca-excluded"]
    only_finding(EXCLUDED, through_snapshot(running(env={"NCCL_IB_HCA": text})))


def test_excluding_some() -> None:
    result = examine(EXCLUDED, named("^rocep1s0f1,roceP2p1s0f1"))
    assert result.status is Status.PASSED
    assert result.seen[0].value == "roceP2p1s0f0 rocep1s0f0"
    assert not failed(named("^rocep1s0f1,roceP2p1s0f1"))


def test_the_uncabled_ones_named_beside_do_no_harm() -> None:
    assert not failed(named("rocep1s0f0,rocep1s0f1,roceP2p1s0f0,roceP2p1s0f1"))


def test_only_uncabled_ones_named() -> None:
    finding = only_finding(NOT_ACTIVE, named("rocep1s0f1,roceP2p1s0f1"))
    assert finding.message == "NCCL_IB_HCA=rocep1s0f1,roceP2p1s0f1 takes no HCA with an ACTIVE port"
    assert [(seen.what, seen.value) for seen in finding.seen[:2]] == [
        ("roceP2p1s0f1 port 1", "DOWN, Disabled"),
        ("rocep1s0f1 port 1", "DOWN, Disabled"),
    ]
    assert finding.fix.edit == BEST
    assert list(failed(named("rocep1s0f1,roceP2p1s0f1"))) == ["hca-not-active"]
    assert only_finding(NOT_ACTIVE, through_snapshot(running(env={"NCCL_IB_HCA": "rocep1s0f1"}))).fix.edit == BEST


def test_no_cable_at_all() -> None:
    finding = only_finding(NOT_ACTIVE, named(None, unplugged(CABLED)))
    assert finding.message == "this machine has no HCA with an ACTIVE port"
    assert finding.fix.certainty is Certainty.TRY
    assert "enp1s0f0np0" in finding.fix.do
    assert list(failed(healthy_node(host=unplugged(CABLED)))) == ["hca-not-active"]


def test_an_hca_whose_interface_is_not_known() -> None:
    host = unplugged(CABLED)
    hcas = tuple(changed(hca, netdev=unread("ndevs", "Invalid argument")) for hca in host.rdma.hcas.value)
    node = healthy_node(host=changed(host, rdma__hcas=Fact("/sys/class/infiniband", hcas)))
    assert only_finding(NOT_ACTIVE, node).fix.do.startswith("push the cable of roceP2p1s0f0 in again")


def test_an_interface_that_is_set_down() -> None:
    host = unplugged(CABLED)
    interfaces = tuple(
        changed(one, up=False, running=False) if one.name == "enP2p1s0f0np0" else one
        for one in host.network.interfaces.value
    )
    finding = only_finding(
        NOT_ACTIVE, healthy_node(host=changed(host, network__interfaces=Fact("ip address", interfaces)))
    )
    assert finding.fix.run == ("sudo ip link set dev enP2p1s0f0np0 up",)
    assert finding.fix.certainty is Certainty.EXACT
    assert finding.fix.cost == "needs root"


def test_one_twin_down() -> None:
    node = healthy_node(host=unplugged("roceP2p1s0f0"))
    finding = only_finding(TWIN_DOWN, node)
    assert finding.message == "roceP2p1s0f0 is DOWN while its twin rocep1s0f0 is ACTIVE"
    assert "enP2p1s0f0np0" in finding.fix.do
    assert examine(NOT_ACTIVE, node).status is Status.PASSED
    assert list(failed(node)) == ["hca-twin-down"]
    assert only_finding(TWIN_DOWN, through_snapshot(node)) == finding


def test_a_twin_that_is_not_named_may_be_down() -> None:
    node = named("rocep1s0f0", unplugged("roceP2p1s0f0"))
    assert examine(TWIN_DOWN, node).status is Status.SKIPPED


def test_twins_without_pci_go_by_their_names() -> None:
    host = unplugged("roceP2p1s0f0")
    soft = tuple(changed(hca, pci=unread("device", "no PCI device", absent=True)) for hca in host.rdma.hcas.value)
    node = healthy_node(host=changed(host, rdma__hcas=Fact("/sys/class/infiniband", soft)))
    assert only_finding(TWIN_DOWN, node).message == "roceP2p1s0f0 is DOWN while its twin rocep1s0f0 is ACTIVE"


def test_unreadable() -> None:
    no_sysfs = changed(healthy_host(), rdma__hcas=unread("/sys/class/infiniband", "Permission denied"))
    no_state = with_ports(
        "rocep1s0f0", state=unread("/sys/class/infiniband/rocep1s0f0/ports/1/state", "Permission denied")
    )
    for check in (UNKNOWN, PARTLY, NOT_ACTIVE, TWIN_DOWN):
        result = examine(check, healthy_node(host=no_sysfs))
        assert (result.status, result.reason) == (Status.UNKNOWN, "/sys/class/infiniband: Permission denied")
    assert examine(EXCLUDED, named("^x", no_sysfs)).status is Status.UNKNOWN
    for check in (NOT_ACTIVE, TWIN_DOWN):
        assert examine(check, healthy_node(host=no_state)).status is Status.UNKNOWN
    spec = healthy_spec(env={"NCCL_IB_HCA": None})
    unset = {**spec.env.value, "NCCL_IB_HCA": unread("worker.env", "No such file or directory")}
    node = healthy_node(spec=changed(spec, env=Fact("compose.yaml:19", unset)))
    for check in (UNKNOWN, PARTLY, EXCLUDED, NOT_ACTIVE):
        assert examine(check, node).status is Status.UNKNOWN


def test_a_machine_without_hcas_is_another_matter() -> None:
    bare = changed(healthy_host(), rdma__hcas=Fact("/sys/class/infiniband", ()))
    for check in (UNKNOWN, PARTLY, NOT_ACTIVE, TWIN_DOWN):
        assert examine(check, healthy_node(host=bare)).status is Status.SKIPPED


def test_the_fault_alone() -> None:
    assert list(failed(named("mlx5_0"))) == ["hca-unknown"]
    assert list(failed(named("enp1s0f0np0"))) == ["hca-unknown"]
