from __future__ import annotations

from pathlib import Path

import pytest

from sparkdoctor.api import Certainty, Check, Cluster, Fact, Node, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Result, Status, examine
from sparkdoctor.testing import changed, healthy_node, healthy_pair, healthy_spec
from tests.checks.forms import failed, only_finding, running, shell, through_snapshot
from tests.checks.recipe import pair

RANGE = builtin_check("rank-out-of-range")
DUPLICATE = builtin_check("rank-duplicate")
HEADLESS = builtin_check("rank-headless-wrong")
UNUSED = builtin_check("rank-variables-unused")


def wrong(cluster: Cluster) -> dict[str, Result]:
    return failed(*cluster.nodes)


def test_the_recipe_is_right(tmp_path: Path) -> None:
    assert wrong(pair(tmp_path)) == {}


def test_an_env_file_that_was_copied_whole(tmp_path: Path) -> None:
    found = wrong(pair(tmp_path, worker={"NODE_RANK": "0", "HEADLESS": ""}))
    assert list(found) == ["rank-duplicate"]
    (finding,) = found["rank-duplicate"].findings
    assert finding.message == "spark-1 and spark-2 both have node rank 0"
    assert [seen.where.split("/")[-1] for seen in finding.seen] == ["head.env:1)", "worker.env:1)"]
    assert all("yaml:21 (NODE_RANK from " in seen.where for seen in finding.seen)
    assert finding.fix.do == f"on spark-2, in {tmp_path}/worker.env"
    assert finding.fix.edit == "NODE_RANK=1"
    assert finding.fix.certainty is Certainty.EXACT


def test_two_workers_and_the_head_is_the_one_that_holds_master_addr(tmp_path: Path) -> None:
    found = wrong(pair(tmp_path, head={"NODE_RANK": "1"}))
    assert list(found) == ["rank-duplicate"]
    fix = found["rank-duplicate"].findings[0].fix
    assert (fix.do, fix.edit) == (f"on spark-1, in {tmp_path}/head.env", "NODE_RANK=0")


def test_which_is_wrong_is_a_guess_when_no_machine_was_looked_at(tmp_path: Path) -> None:
    cluster = pair(tmp_path, worker={"NODE_RANK": "0"}, hosts=(None, None))
    result = examine(DUPLICATE, cluster)
    assert result.findings[0].message == "head.env and worker.env both have node rank 0"
    assert result.findings[0].fix.certainty is Certainty.TRY


@pytest.mark.parametrize(("rank", "status"), [("1", Status.PASSED), ("2", Status.FAILED), ("-1", Status.FAILED)])
def test_numbers_that_exist(tmp_path: Path, rank: str, status: Status) -> None:
    assert examine(RANGE, pair(tmp_path, worker={"NODE_RANK": rank}).nodes[1]).status is status


def test_counting_from_one(tmp_path: Path) -> None:
    found = wrong(pair(tmp_path, worker={"NODE_RANK": "2"}))
    assert list(found) == ["rank-out-of-range"]
    finding = found["rank-out-of-range"].findings[0]
    assert finding.message == "node rank 2 is out of range: 2 nodes have ranks 0 to 1"
    assert finding.fix.edit == "NODE_RANK=1"


def test_a_rank_that_is_no_number(tmp_path: Path) -> None:
    result = examine(RANGE, pair(tmp_path, worker={"NODE_RANK": "one"}).nodes[1])
    assert result.status is Status.UNKNOWN
    assert "--node-rank is 'one', which is not a number" in result.reason


def test_a_worker_that_is_not_headless(tmp_path: Path) -> None:
    found = wrong(pair(tmp_path, worker={"HEADLESS": ""}))
    assert list(found) == ["rank-headless-wrong"]
    finding = found["rank-headless-wrong"].findings[0]
    assert finding.message == "rank 1 is not headless, so it starts an API server of its own"
    assert finding.fix.do == f"in {tmp_path}/worker.env"
    assert finding.fix.edit == "HEADLESS=1"
    assert finding.fix.run[0].startswith(
        f"docker compose -f {tmp_path}/worker.yaml --env-file {tmp_path}/worker.env up"
    )


def test_a_head_that_is_headless(tmp_path: Path) -> None:
    found = wrong(pair(tmp_path, head={"HEADLESS": "1"}))
    assert list(found) == ["rank-headless-wrong"]
    finding = found["rank-headless-wrong"].findings[0]
    assert finding.message == "rank 0 is headless, so nobody serves the API"
    assert finding.fix.edit == "HEADLESS="


def test_the_option_itself_is_mended_where_no_variable_fills_it() -> None:
    worker = healthy_node(1, spec=healthy_spec(1, flags={"--headless": None}, env={"HEADLESS": None}))
    fix = only_finding(HEADLESS, worker).fix
    assert (fix.do, fix.edit) == ("in compose.yaml, in the command of service vllm", "--headless")
    head = healthy_node(0, spec=healthy_spec(0, flags={"--headless": ""}, env={"HEADLESS": None}))
    assert only_finding(HEADLESS, head).fix.do == "remove --headless from the command (compose.yaml, service vllm)"


def test_load_balancing_outside_lets_every_node_serve() -> None:
    spec = healthy_spec(1, flags={"--headless": None, "--data-parallel-external-lb": ""})
    assert examine(HEADLESS, healthy_node(1, spec=spec)).status is Status.SKIPPED


def test_one_rank_alone(tmp_path: Path) -> None:
    worker = pair(tmp_path, worker={"HEADLESS": ""}).nodes[1]
    assert examine(HEADLESS, worker).status is Status.FAILED
    assert examine(DUPLICATE, Cluster((worker,))).status is Status.SKIPPED
    assert examine(DUPLICATE, Cluster((worker, Node("spark-1")))).status is Status.SKIPPED


def test_a_launch_of_one_machine() -> None:
    spec = healthy_spec(flags={"--nnodes": None, "--node-rank": None, "--master-addr": None, "--master-port": None})
    single = healthy_node(spec=spec)
    for check in (RANGE, HEADLESS):
        assert examine(check, single).status is Status.SKIPPED
    assert examine(DUPLICATE, Cluster((single, single))).status is Status.SKIPPED


@pytest.mark.parametrize("check", [RANGE, HEADLESS], ids=lambda check: check.name)
def test_what_could_not_be_read(check: Check) -> None:
    node = changed(healthy_node(), launch__flags=unread("compose.yaml:45", "its entrypoint is a script"))
    assert examine(check, node).status is Status.UNKNOWN
    assert examine(DUPLICATE, Cluster((node, healthy_node(1)))).status is Status.UNKNOWN


def test_variables_of_the_containers_shell_are_put_in() -> None:
    argv = (
        "vllm",
        "serve",
        "m",
        "--nnodes",
        "2",
        "--node-rank",
        "$NODE_RANK",
        "--master-addr",
        "${MASTER_ADDR:-10.0.0.8}",
    )
    node = healthy_node(spec=changed(healthy_spec(env={"NODE_RANK": "2"}), argv=Fact("compose.yaml:45", argv)))
    assert "node rank 2" in only_finding(RANGE, node).message
    unset = healthy_node(spec=changed(healthy_spec(env={"NODE_RANK": None}), argv=Fact("compose.yaml:45", argv)))
    result = examine(RANGE, unset)
    assert result.status is Status.UNKNOWN
    assert "'$NODE_RANK' needs NODE_RANK, which nothing sets" in result.reason


def test_options_that_a_comment_took_away(tmp_path: Path) -> None:
    """As in a published pair of compose files: a comment inside the folded command, options after it lost."""
    commented = ("        --tensor-parallel-size 2", "        # the pair\n        --tensor-parallel-size 2")
    cluster = pair(tmp_path, edit=commented)
    assert list(wrong(cluster)) == ["command-options-lost"]
    finding = examine(UNUSED, cluster.nodes[1]).findings[0]
    assert (
        finding.message == "NODE_RANK and MASTER_ADDR are set, and the command has none of the options that take them"
    )
    assert finding.seen[2].value == "--host --port --trust-remote-code"
    assert finding.fix.edit == "--nnodes <number of machines> --node-rank 1 --master-addr 192.168.0.8"
    assert finding.fix.certainty is Certainty.FILL_IN


def test_who_takes_the_variables() -> None:
    assert examine(UNUSED, healthy_node()).status is Status.PASSED
    ray = healthy_spec(
        flags={"--nnodes": None, "--node-rank": None, "--master-addr": None, "--distributed-executor-backend": "ray"}
    )
    assert examine(UNUSED, healthy_node(spec=ray)).status is Status.PASSED
    none = healthy_spec(env={"NODE_RANK": None, "MASTER_ADDR": ""})
    assert examine(UNUSED, healthy_node(spec=none)).status is Status.SKIPPED
    assert examine(UNUSED, shell({"NODE_RANK": "1"})).status is Status.SKIPPED
    dark = changed(healthy_node(), launch__env=unread("/proc/4211/environ", "Permission denied"))
    assert examine(UNUSED, dark).status is Status.UNKNOWN
    alone = running(argv=Fact("/proc/4211/cmdline", ("vllm", "serve", "m")))
    assert only_finding(UNUSED, through_snapshot(alone)) == only_finding(UNUSED, alone)


def test_variables_alone_count_for_a_script_of_the_image() -> None:
    node = shell({"NODE_RANK": "2", "NNODES": "2", "MASTER_ADDR": "192.168.0.8"})
    finding = only_finding(RANGE, node)
    assert finding.seen[0].where == "/proc/self/environ"
    assert finding.fix.run == ("export NODE_RANK=1",)


def test_a_running_process_and_a_snapshot() -> None:
    argv = ("vllm", "serve", "m", "-tp", "2", "-n", "2", "-r", "1", "--master-addr", "192.168.0.8")
    node = running(1, argv=Fact("/proc/4211/cmdline", argv))
    finding = only_finding(HEADLESS, node)
    assert finding.seen[1].where == "/proc/4211/cmdline"
    assert finding.fix.do == "in /home/user/ds4/compose.yaml, in the command of service vllm"
    assert only_finding(HEADLESS, through_snapshot(node)) == finding
    both = Cluster(tuple(through_snapshot(node) for node in healthy_pair().nodes))
    assert examine(DUPLICATE, both).status is Status.PASSED
