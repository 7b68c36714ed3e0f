from __future__ import annotations

from pathlib import Path

import pytest

from sparkdoctor.api import Certainty, Check, Cluster, Fact, Host, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_pair, healthy_spec
from tests.checks.forms import failed, only_finding, running, shell, through_snapshot
from tests.checks.recipe import pair

WRONG = builtin_check("master-addr-wrong")
DIFFERS = builtin_check("master-addr-differs")
PORT = builtin_check("master-port-differs")


def named(rank: int, **hosts: tuple[str, ...]) -> Host:
    return changed(healthy_host(rank), network__hosts=Fact("/etc/hosts", hosts))


def test_an_address_that_nobody_has(tmp_path: Path) -> None:
    elsewhere = {"MASTER_ADDR": "192.168.0.77"}
    found = failed(*pair(tmp_path, head=elsewhere, worker=elsewhere).nodes)
    assert list(found) == ["master-addr-wrong"]
    assert found["master-addr-wrong"].on == ("spark-1",)
    finding = found["master-addr-wrong"].findings[0]
    assert finding.message == "MASTER_ADDR is 192.168.0.77, which spark-1, rank 0, does not hold"
    assert finding.seen[0].where == f"{tmp_path}/head.yaml:23 (MASTER_ADDR from {tmp_path}/head.env:3)"
    assert "192.168.0.8 (enp1s0f0np0)" in finding.seen[2].value
    assert finding.fix.do == f"in {tmp_path}/head.env, and the same on every other rank"
    assert finding.fix.edit == "MASTER_ADDR=192.168.0.8"  # the fastest link's


def test_the_workers_own_address(tmp_path: Path) -> None:
    found = failed(*pair(tmp_path, worker={"MASTER_ADDR": "192.168.0.9"}).nodes)
    assert list(found) == ["master-addr-wrong"]
    finding = found["master-addr-wrong"].findings[0]
    assert finding.message == "MASTER_ADDR is 192.168.0.9, which is an address of spark-2 itself, rank 1"
    assert finding.fix.certainty is Certainty.FILL_IN
    assert found["master-addr-wrong"].with_it == ("master-addr-differs",)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "127.0.1.1", "::1"])
def test_this_machine_means_another_on_each(tmp_path: Path, address: str) -> None:
    cluster = pair(tmp_path, head={"MASTER_ADDR": address}, worker={"MASTER_ADDR": address})
    found = failed(*cluster.nodes)
    assert list(found) == ["master-addr-wrong"]
    assert f"MASTER_ADDR is {address}, which every machine takes for itself" in {
        finding.message for node in cluster.nodes for finding in examine(WRONG, node).findings
    }


def test_an_address_of_the_heads_other_twin_will_do(tmp_path: Path) -> None:
    assert failed(*pair(tmp_path, worker={"MASTER_ADDR": "192.168.1.8"}).nodes) == {}


def test_the_worker_looks_elsewhere(tmp_path: Path) -> None:
    found = failed(*pair(tmp_path, worker={"MASTER_ADDR": "192.168.0.80"}).nodes)
    assert list(found) == ["master-addr-differs"]
    finding = found["master-addr-differs"].findings[0]
    assert finding.message == "spark-2 looks for rank 0 at 192.168.0.80, and rank 0 is at 192.168.0.8"
    assert [seen.where.rsplit("/", 1)[1] for seen in finding.seen] == ["head.env:3)", "worker.env:3)"]
    assert (finding.fix.do, finding.fix.edit) == (f"on spark-2, in {tmp_path}/worker.env", "MASTER_ADDR=192.168.0.8")


def test_files_alone_are_compared_word_for_word(tmp_path: Path) -> None:
    cluster = pair(tmp_path, worker={"MASTER_ADDR": "192.168.1.8"}, hosts=(None, None))
    assert examine(DIFFERS, cluster).status is Status.FAILED
    assert examine(WRONG, cluster.nodes[0]).status is Status.UNKNOWN


def test_a_name_is_looked_up_in_the_machines_own_hosts_file(tmp_path: Path) -> None:
    both = {"MASTER_ADDR": "spark-1"}

    def found(head: Host, worker: Host) -> list[str]:
        return list(failed(*pair(tmp_path, head=both, worker=both, hosts=(head, worker)).nodes))

    good = named(1, **{"spark-1": ("192.168.0.8",)})
    # Debian's own line on the head serves the store, which listens on every address; Gloo it does not.
    assert found(named(0, **{"spark-1": ("127.0.1.1",)}), good) == ["hostname-is-loopback"]
    assert found(named(0, **{"spark-1": ("192.168.0.8",)}), named(1, **{"spark-1": ("127.0.1.1",)})) == [
        "master-addr-wrong"
    ]
    assert found(named(0, **{"spark-1": ("192.168.0.77",)}), good) == ["master-addr-wrong"]


def test_a_name_that_only_dns_knows(tmp_path: Path) -> None:
    result = examine(WRONG, pair(tmp_path, worker={"MASTER_ADDR": "head.lan"}).nodes[1])
    assert result.status is Status.UNKNOWN
    assert result.reason == "/etc/hosts: head.lan is not in it; what DNS answers was not asked"


def test_no_address_at_all() -> None:
    flags: dict[str, str | None] = {"--master-addr": None}
    head = healthy_node(0, spec=healthy_spec(0, flags=flags, env={"MASTER_ADDR": None}))
    worker = healthy_node(1, spec=healthy_spec(1, flags=flags, env={"MASTER_ADDR": None}))
    assert examine(WRONG, head).status is Status.PASSED  # its store listens on every address
    finding = only_finding(WRONG, worker)
    assert finding.message == "rank 1 is given no MASTER_ADDR, so it looks for rank 0 on spark-2 itself"
    assert finding.fix.edit == "--master-addr '<address of the head>'"


def test_a_network_of_its_own_has_other_addresses() -> None:
    node = healthy_node(spec=changed(healthy_spec(), network_mode=Fact("compose.yaml:5", "cx7-macvlan")))
    assert examine(WRONG, node).status is Status.SKIPPED


def test_ports(tmp_path: Path) -> None:
    cluster = pair(tmp_path, worker_edit=("--master-port 25000", "--master-port 25001"))
    found = failed(*cluster.nodes)
    assert list(found) == ["master-port-differs"]
    finding = found["master-port-differs"].findings[0]
    assert finding.message == "the master port is 25000 on spark-1 and 25001 on spark-2"
    assert finding.fix.do == f"on spark-2, in {tmp_path}/worker.yaml, in the command of service vllm"
    assert finding.fix.edit == "--master-port 25000"
    default = pair(
        tmp_path, edit=("--master-port 25000", ""), worker_edit=("--node-rank", "--master-port 29501 --node-rank")
    )
    assert examine(PORT, default).status is Status.PASSED


@pytest.mark.parametrize("check", [DIFFERS, PORT], ids=lambda check: check.name)
def test_pairs_that_pass_or_cannot_be_compared(check: Check) -> None:
    assert examine(check, healthy_pair()).status is Status.PASSED
    assert examine(check, Cluster((healthy_node(),))).status is Status.SKIPPED
    dark = changed(healthy_node(1), launch__flags=unread("compose.yaml:45", "its entrypoint is a script"))
    assert examine(check, healthy_pair(second=dark)).status is Status.UNKNOWN
    assert examine(check, Cluster(tuple(map(through_snapshot, healthy_pair().nodes)))).status is Status.PASSED


def test_addresses_that_could_not_be_read() -> None:
    blind = changed(healthy_host(), network__interfaces=unread("ip address", "Operation not permitted"))
    result = examine(WRONG, healthy_node(host=blind))
    assert result.status is Status.UNKNOWN
    assert "Operation not permitted" in result.reason


def test_a_running_process_a_shell_and_a_snapshot() -> None:
    argv = ("vllm", "serve", "m", "-tp", "2", "-n", "2", "-r", "0", "--master-addr", "192.168.0.9")
    node = running(argv=Fact("/proc/4211/cmdline", argv))
    finding = only_finding(WRONG, node)
    assert finding.seen[0].where == "/proc/4211/cmdline"
    assert only_finding(WRONG, through_snapshot(node)) == finding
    exported = shell({"NODE_RANK": "0", "MASTER_ADDR": "10.0.0.77"})
    assert only_finding(WRONG, exported).fix.run == ("export MASTER_ADDR=192.168.0.8",)
