import pytest

from sparkdoctor.api import Certainty, Fact, Interface, Node, unread
from sparkdoctor.host import Host
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import failed, of_version, only_finding, running, shell, through_snapshot

UNKNOWN = builtin_check("ifname-unknown")
DOWN = builtin_check("ifname-down")
UNADDRESSED = builtin_check("ifname-unaddressed")
EXCLUDED = builtin_check("ifname-excluded")
IGNORED = builtin_check("ifname-ignored")
FAULTS = (UNKNOWN, DOWN, UNADDRESSED, EXCLUDED)

NCCL, GLOO, TP = "NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME"


def told(host: Host | None = None, **env: str | None) -> Node:
    return healthy_node(host=host, spec=healthy_spec(env=env))


def with_interface(name: str, **changes: object) -> Host:
    host = healthy_host()
    edited = tuple(changed(one, **changes) if one.name == name else one for one in host.network.interfaces.value)
    return changed(host, network__interfaces=Fact("ip address", edited))


def test_the_recipe_passes_them() -> None:
    for node in (healthy_node(), running(), through_snapshot(running()), through_snapshot(healthy_node())):
        for check in FAULTS:
            result = examine(check, node)
            assert result.status is Status.PASSED
            assert result.seen[0].value == "enP7s7,enp1s0f0np0 gives enP7s7 enp1s0f0np0"
        assert examine(IGNORED, node).status is Status.PASSED


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("eth0", "an interface of this machine"),
        ("rocep1s0f0", "enp1s0f0np0, the interface of HCA rocep1s0f0"),
        ("enp1s0f0np1", "enp1s0f1np1 or enp1s0f0np0"),
        ("=en", "an interface of this machine"),
        ("eth0,eth1", "an interface of this machine"),
        (" enP7s7", "enP7s7"),
    ],
)
def test_a_name_that_is_none(text: str, wanted: str) -> None:
    node = told(NCCL_SOCKET_IFNAME=text)
    finding = only_finding(UNKNOWN, node)
    assert finding.message == f"{NCCL}={text} names no interface of this machine"
    assert finding.seen[0].wanted.startswith(wanted)
    assert "enP2p1s0f0np0" in finding.seen[1].value
    assert finding.fix.edit == f'{NCCL}: "enp1s0f0np0"'  # holds the subnet of MASTER_ADDR
    assert list(failed(node)) == ["ifname-unknown"]


def test_a_name_that_is_none_of_a_process_a_snapshot_and_a_shell() -> None:
    node = running(env={NCCL: "eth0"})
    finding = only_finding(UNKNOWN, node)
    assert finding.seen[0].where == "/proc/4211/environ"
    assert only_finding(UNKNOWN, through_snapshot(node)) == finding
    in_shell = only_finding(UNKNOWN, shell({NCCL: "eth0", "NCCL_NET": "IB"}))
    assert in_shell.fix.certainty is Certainty.FILL_IN  # no MASTER_ADDR says which
    assert in_shell.fix.run == ("export NCCL_SOCKET_IFNAME='<one of enP7s7, enp1s0f0np0, enP2p1s0f0np0>'",)


def test_one_good_name_is_enough_for_nccl() -> None:
    node = told(NCCL_SOCKET_IFNAME="eth0,enp1s0f0np0")
    for check in FAULTS:
        assert examine(check, node).status is Status.PASSED
    finding = only_finding(IGNORED, node)
    assert finding.message == f"{NCCL} names eth0, which is no interface of this machine, so NCCL uses enp1s0f0np0"
    assert finding.fix.edit == f'{NCCL}: "enp1s0f0np0"'
    assert list(failed(node)) == ["ifname-ignored"]


def test_gloo_wants_every_name_whole() -> None:
    assert not failed(told(GLOO_SOCKET_IFNAME="enP7s7,enp1s0f0np0"))
    finding = only_finding(UNKNOWN, told(GLOO_SOCKET_IFNAME="enP7s7,eth0"))
    assert finding.message == f"{GLOO} names eth0, which is no interface of this machine"
    assert finding.fix.edit == f'{GLOO}: "enp1s0f0np0"'
    assert list(failed(told(GLOO_SOCKET_IFNAME="enp1s0f0"))) == ["ifname-unknown"]
    assert only_finding(DOWN, told(GLOO_SOCKET_IFNAME="enp1s0f1np1")).message == f"enp1s0f1np1 of {GLOO} is down"
    bare = with_interface("enP7s7", addresses=())
    assert "enP7s7" in only_finding(UNADDRESSED, told(bare, GLOO_SOCKET_IFNAME="enP7s7")).message


def test_both_variables_wrong() -> None:
    result = examine(UNKNOWN, told(NCCL_SOCKET_IFNAME="eth0", GLOO_SOCKET_IFNAME="eth0"))
    assert [finding.seen[0].what for finding in result.findings] == [NCCL, GLOO]


def test_tensorpipe_only_warns() -> None:
    finding = only_finding(IGNORED, told(TP_SOCKET_IFNAME="eth0"))
    assert finding.message == f"{TP} names eth0, which is no interface of this machine"
    assert finding.fix.do.startswith(f"remove {TP} (compose.yaml:")
    assert list(failed(told(TP_SOCKET_IFNAME="eth0"))) == ["ifname-ignored"]
    assert not failed(told(TP_SOCKET_IFNAME="enp1s0f0np0"))


def test_down() -> None:
    finding = only_finding(DOWN, told(NCCL_SOCKET_IFNAME="enp1s0f1np1"))
    assert finding.message == f"enp1s0f1np1 of {NCCL} is down"
    assert finding.seen[1].value == "up, no carrier, no address"
    assert finding.fix.edit == f'{NCCL}: "enp1s0f0np0"'
    assert list(failed(told(NCCL_SOCKET_IFNAME="enp1s0f1np1"))) == ["ifname-down"]
    assert only_finding(DOWN, through_snapshot(told(NCCL_SOCKET_IFNAME="enp1s0f1np1"))) == finding


def test_set_down() -> None:
    host = with_interface("enP7s7", up=False, running=False)
    finding = only_finding(DOWN, told(host, NCCL_SOCKET_IFNAME="enP7s7"))
    assert finding.fix.run == ("sudo ip link set dev enP7s7 up",)
    assert finding.fix.cost == "needs root"
    assert only_finding(DOWN, running(env={NCCL: "enP7s7"}, host=host)).fix == finding.fix


def test_nccl_before_2_28_3_takes_an_interface_that_is_down() -> None:
    host = with_interface("enP7s7", running=False)
    assert examine(DOWN, healthy_node(host=host)).status is Status.PASSED
    finding = only_finding(DOWN, of_version(healthy_node(host=host), "2.27.7"))
    assert finding.message == f"enP7s7 of {NCCL} is down"
    assert examine(DOWN, of_version(healthy_node(host=host), "2.28.3")).status is Status.PASSED


def test_without_address() -> None:
    host = with_interface("enP7s7", addresses=())
    node = told(host, NCCL_SOCKET_IFNAME="enP7s7")
    finding = only_finding(UNADDRESSED, node)
    assert finding.message == f"enP7s7 of {NCCL} has no address that the peer can use"
    assert finding.fix.edit == f'{NCCL}: "enp1s0f0np0"'
    assert list(failed(node)) == ["ifname-unaddressed"]
    assert only_finding(UNADDRESSED, through_snapshot(node)) == finding


def test_a_link_local_address_is_none_to_the_peer() -> None:
    host = with_interface("enP7s7", addresses=("fe80::4ebb:47ff:fe00:1/64",))
    for variable in (NCCL, GLOO):
        node = told(host, **{variable: "enP7s7"})
        assert f"enP7s7 of {variable} has no address" in only_finding(UNADDRESSED, node).message


def test_a_zeroconf_address_is_one() -> None:
    host = with_interface("enP7s7", addresses=("169.254.3.4/16",))
    assert not failed(told(host, NCCL_SOCKET_IFNAME="enP7s7"))


def test_the_head_may_be_an_option_instead_of_a_variable() -> None:
    node = healthy_node(spec=healthy_spec(env={NCCL: "eth0", "MASTER_ADDR": None}))
    assert only_finding(UNKNOWN, node).fix.edit == f'{NCCL}: "enp1s0f0np0"'


def test_without_address_of_the_family() -> None:
    node = told(NCCL_SOCKET_IFNAME="enP7s7", NCCL_SOCKET_FAMILY="AF_INET6")
    assert "has no address of AF_INET6" in only_finding(UNADDRESSED, node).message


@pytest.mark.parametrize("text", ["^en,lo,docker", "^,"])
def test_excluding_all(text: str) -> None:
    node = told(NCCL_SOCKET_IFNAME=text)
    finding = only_finding(EXCLUDED, node)
    assert finding.message == f"{NCCL}={text} excludes all interfaces of this machine"
    assert list(failed(node)) == ["ifname-excluded"]
    assert not failed(told(NCCL_SOCKET_IFNAME="^lo,docker"))


def test_a_fault_is_reported_once() -> None:
    node = told(NCCL_SOCKET_IFNAME="eth0")
    for check in (DOWN, UNADDRESSED, EXCLUDED, IGNORED):
        assert examine(check, node).status is Status.SKIPPED


@pytest.mark.parametrize("text", [None, "", "^"])
def test_nothing_named(text: str | None) -> None:
    for check in (*FAULTS, IGNORED):
        assert examine(check, told(NCCL_SOCKET_IFNAME=text)).status is Status.SKIPPED


def test_unreadable() -> None:
    host = changed(healthy_host(), network__interfaces=unread("ip address", "netlink: Operation not permitted"))
    for check in (*FAULTS, IGNORED):
        result = examine(check, healthy_node(host=host))
        assert (result.status, result.reason) == (Status.UNKNOWN, "ip address: netlink: Operation not permitted")
    elsewhere = Node("spark-9", None, healthy_node().launch)
    assert examine(UNKNOWN, elsewhere).status is Status.UNKNOWN


def test_a_container_with_interfaces_of_its_own() -> None:
    for check in (*FAULTS, IGNORED):
        result = examine(check, healthy_node(spec=healthy_spec(network_mode=None)))
        assert result.status is Status.UNKNOWN
        assert "interfaces of its own" in result.reason


def test_one_rank_needs_none() -> None:
    alone = {"--nnodes": None, "--tensor-parallel-size": None, "--node-rank": None}
    node = healthy_node(spec=healthy_spec(env={NCCL: "eth0"}, flags=alone))
    assert examine(UNKNOWN, node).status is Status.SKIPPED


def test_an_interface_without_a_name_of_its_own_is_not_proposed() -> None:
    bridge = Interface("br-0a1b", 9, True, True, 1500, ("192.168.0.77/24",))
    host = healthy_host()
    host = changed(host, network__interfaces=Fact("ip address", (*host.network.interfaces.value, bridge)))
    finding = only_finding(UNKNOWN, told(host, NCCL_SOCKET_IFNAME="eth0"))
    assert finding.fix.edit == f'{NCCL}: "enp1s0f0np0"'
