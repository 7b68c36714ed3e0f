from sparkdoctor.api import Fact, Node, unread
from sparkdoctor.host import Container
from sparkdoctor.launch.resolve import resolve
from sparkdoctor.launch.seen import of_container
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import container, failed, only_finding, running, through_snapshot

CHECK = builtin_check("network-not-host")


def in_container(made: Container) -> Node:
    host = changed(healthy_host(), docker__containers=Fact("docker ps --all", (made,)))
    argv = healthy_spec().argv.value
    return Node(host.name, host, resolve(of_container(changed(made, argv=argv)), host))


def test_the_recipe_passes_it() -> None:
    for node in (healthy_node(), running(), through_snapshot(running()), in_container(container())):
        assert examine(CHECK, node).status is Status.PASSED


def test_dockers_default() -> None:
    node = healthy_node(spec=healthy_spec(network_mode=None))
    finding = only_finding(CHECK, node)
    assert finding.message == "the container has a network of its own, which the other machine cannot reach"
    assert finding.fix.edit == "network_mode: host"
    assert list(failed(node)) == ["network-not-host"]
    assert only_finding(CHECK, through_snapshot(node)) == finding


def test_a_container_that_runs() -> None:
    finding = only_finding(CHECK, in_container(container(network_mode="bridge")))
    assert finding.seen[0].where == "docker inspect vllm-1"
    assert finding.fix.do == "in /home/user/ds4/compose.yaml, under services.vllm"
    by_hand = in_container(container(network_mode="bridge", compose_file=""))
    assert only_finding(CHECK, by_hand).fix.edit == "--network=host"


def test_another_network_is_not_guessed() -> None:
    result = examine(CHECK, in_container(container(network_mode="macvlan0")))
    assert result.status is Status.UNKNOWN
    assert "macvlan0" in result.reason


def test_unreadable() -> None:
    unset = healthy_spec(network_mode=unread("compose.yaml:5", "${NETWORK:?} is not set"))
    assert examine(CHECK, healthy_node(spec=unset)).status is Status.UNKNOWN


def test_one_rank_may_have_its_own() -> None:
    alone = {"--nnodes": None, "--tensor-parallel-size": None, "--node-rank": None}
    node = healthy_node(spec=healthy_spec(network_mode=None, flags=alone))
    assert examine(CHECK, node).status is Status.SKIPPED
