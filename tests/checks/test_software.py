from __future__ import annotations

import pytest

from sparkdoctor.api import Check, Cluster, Fact, Node, unread
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_pair, healthy_spec
from tests.checks.forms import failed, running, through_snapshot

DIFFERS = builtin_check("software-differs")
DRIFTS = builtin_check("software-drifts")


def worker(**versions: str | None) -> Node:
    """The healthy worker with other packages; `_` stands for `-`, None takes a package away."""
    host = healthy_host(1)
    software = host.software[0]
    packages = {**software.packages.value, **{name.replace("_", "-"): v for name, v in versions.items()}}
    known = Fact(software.packages.where, {name: v for name, v in packages.items() if v is not None})
    software = changed(software, packages=known, requires=Fact("METADATA", ()))
    return healthy_node(1, host=changed(host, software=(software,)))


def test_another_nccl() -> None:
    node = worker(nvidia_nccl_cu13="2.27.7")
    found = failed(healthy_node(), node)
    assert list(found) == ["software-differs"]
    finding = found["software-differs"].findings[0]
    assert finding.message == "nvidia-nccl-cu13 is 2.28.9 on spark-1 and 2.27.7 on spark-2"
    assert [seen.value for seen in finding.seen] == ["2.28.9", "2.27.7"]
    assert finding.fix.run == (
        "ssh spark-1 docker save aidendle94/sparkrun-vllm-ds4-gb10:production-ready | docker load",
        "docker compose up -d --force-recreate vllm",
    )


def test_another_vllm_and_none() -> None:
    assert (
        "vllm is 0.21.1 on spark-1 and 0.22.0 on spark-2"
        in examine(DIFFERS, pair(worker(vllm="0.22.0"))).findings[0].message
    )
    assert "not installed on spark-2" in examine(DIFFERS, pair(worker(vllm=None))).findings[0].message


def pair(second: Node) -> Cluster:
    return healthy_pair(second=second)


def test_other_kernels() -> None:
    found = failed(healthy_node(), worker(torch="2.11.0+cu130"))
    assert list(found) == ["software-drifts"]
    assert found["software-drifts"].severity.value == "warning"
    assert examine(DIFFERS, pair(worker(torch="2.12.0"))).status is Status.PASSED
    assert examine(DRIFTS, pair(worker(pillow="13.0.0"))).status is Status.PASSED


@pytest.mark.parametrize("check", [DIFFERS, DRIFTS], ids=lambda check: check.name)
def test_pairs_that_pass_or_cannot_be_compared(check: Check) -> None:
    assert examine(check, healthy_pair()).status is Status.PASSED
    assert examine(check, Cluster((healthy_node(),))).status is Status.SKIPPED
    blind = healthy_node(1, host=changed(healthy_host(1), software=()))
    assert examine(check, pair(blind)).status is Status.UNKNOWN
    shut = changed(healthy_host(1).software[0], packages=unread("site-packages", "Permission denied"))
    assert (
        examine(check, pair(healthy_node(1, host=changed(healthy_host(1), software=(shut,))))).status is Status.UNKNOWN
    )
    files_only = changed(healthy_node(1), host=None, launch__software=None)
    assert examine(check, pair(files_only)).status is Status.UNKNOWN


def test_environments_without_any_of_them() -> None:
    bare = [
        healthy_node(
            rank,
            host=changed(
                healthy_host(rank), software=(changed(healthy_host().software[0], packages=Fact("x", {"numpy": "2"})),)
            ),
        )
        for rank in range(2)
    ]
    assert examine(DIFFERS, Cluster(tuple(bare))).status is Status.UNKNOWN


def test_running_ranks_and_snapshots() -> None:
    packages = Fact("vllm-1", {"vllm": "0.21.1", "nvidia-nccl-cu13": "2.27.7"})
    software = changed(healthy_host().software[0], key="container:4f1d2c3b4a59", packages=packages)
    cluster = Cluster((healthy_node(), running(1, host=changed(healthy_host(1), software=(software,)))))
    finding = examine(DIFFERS, cluster).findings[0]
    assert finding.seen[1].where == "vllm-1"
    assert examine(DIFFERS, Cluster(tuple(map(through_snapshot, cluster.nodes)))).findings[0] == finding


def test_without_an_image_there_is_no_image_to_copy() -> None:
    plain = [
        changed(node, launch__spec=changed(healthy_spec(), image=None))
        for node in (healthy_node(), worker(vllm="0.22.0"))
    ]
    assert examine(DIFFERS, Cluster(tuple(plain))).findings[0].fix.do == "on spark-2, install what spark-1 has"
