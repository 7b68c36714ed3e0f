from __future__ import annotations

from pathlib import Path

from sparkdoctor.api import Fact, Node, unread
from sparkdoctor.host import Listener
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import container, failed, only_finding, running, shell, through_snapshot
from tests.checks.recipe import pair

CLASH = builtin_check("port-clash")
TAKEN = builtin_check("port-taken")


def listening(*ports: int, rank: int = 0) -> Node:
    host = changed(
        healthy_host(rank), network__listening=Fact("/proc/net/tcp", tuple(Listener(port, "0.0.0.0") for port in ports))
    )
    return healthy_node(rank, host=host)


def test_one_port_for_two_things(tmp_path: Path) -> None:
    found = failed(*pair(tmp_path, edit=("--master-port 25000", "--master-port 8000")).nodes)
    assert list(found) == ["port-clash"]
    assert found["port-clash"].on == ("spark-1",)
    finding = found["port-clash"].findings[0]
    assert finding.message == "the API and the master port are both 8000"
    assert finding.fix.edit == "--master-port 29501"


def test_defaults_clash_too() -> None:
    node = healthy_node(spec=healthy_spec(flags={"--master-port": None, "--port": "29501"}))
    finding = only_finding(CLASH, node)
    assert finding.seen[1].where == "compose.yaml (service vllm), vLLM's default"
    assert finding.fix.edit == "--master-port 29502"


def test_a_worker_opens_neither() -> None:
    assert examine(CLASH, healthy_node(1)).status is Status.SKIPPED
    assert examine(TAKEN, listening(8000, 25000, rank=1)).status is Status.SKIPPED


def test_an_earlier_server_still_runs() -> None:
    node = listening(22, 25000)
    finding = only_finding(TAKEN, node)
    assert finding.message == "port 25000, the master port of this rank, is taken on spark-1"
    assert finding.seen[1].value == "0.0.0.0:25000"
    assert finding.fix.do == "stop what listens on 25000, or give every rank `--master-port 25001`; to see what it is"
    assert finding.fix.run == ("sudo ss -ltnp 'sport = :25000'",)
    assert list(failed(node)) == ["port-taken"]


def test_the_port_of_the_api() -> None:
    assert "or give the server `--port 8001`" in only_finding(TAKEN, listening(8000)).fix.do


def test_what_compose_will_replace_is_not_counted() -> None:
    node = listening(8000, 25000)
    assert node.host is not None
    host = changed(node.host, docker__containers=Fact("docker ps --all", (container(),)))
    result = examine(TAKEN, healthy_node(host=host))
    assert result.status is Status.SKIPPED
    assert "container vllm-1 of this service runs and will be replaced" in result.reason
    other = changed(node.host, docker__containers=Fact("docker ps --all", (container(compose_service="other"),)))
    assert examine(TAKEN, healthy_node(host=other)).status is Status.FAILED


def test_a_network_of_its_own_has_other_ports() -> None:
    spec = changed(healthy_spec(), network_mode=None)
    assert examine(TAKEN, healthy_node(host=listening(8000).host, spec=spec)).status is Status.SKIPPED


def test_ports_that_could_not_be_read_or_are_not_said() -> None:
    blind = changed(healthy_host(), network__listening=unread("/proc/net/tcp", "Permission denied"))
    assert examine(TAKEN, healthy_node(host=blind)).status is Status.UNKNOWN
    dark = changed(healthy_node(), launch__flags=unread("compose.yaml:45", "its entrypoint is a script"))
    assert examine(CLASH, dark).status is Status.UNKNOWN
    assert examine(TAKEN, dark).status is Status.UNKNOWN
    assert examine(CLASH, shell({"NCCL_NET": "IB"})).status is Status.SKIPPED


def test_a_running_process_and_a_snapshot() -> None:
    assert examine(TAKEN, running()).status is Status.SKIPPED
    argv = ("vllm", "serve", "m", "-tp", "2", "-n", "2", "--port", "29501")
    node = running(argv=Fact("/proc/4211/cmdline", argv))
    assert only_finding(CLASH, through_snapshot(node)) == only_finding(CLASH, node)
    assert only_finding(TAKEN, through_snapshot(listening(8000))) == only_finding(TAKEN, listening(8000))
    assert examine(TAKEN, healthy_node()).status is Status.PASSED
