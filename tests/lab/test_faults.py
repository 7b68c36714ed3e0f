"""Every fault of the matrix: NCCL really fails, `check` finds it, `explain` names it, the printed fix mends it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from sparkdoctor.api import Finding
from sparkdoctor.diagnose import Verdict
from sparkdoctor.library import Result, Status
from tests.lab import facts
from tests.lab.docker import load, start_engine
from tests.lab.faults import FAULTS, Fault
from tests.lab.follow import follow
from tests.lab.guest import User
from tests.lab.judge import Nodes, diagnose, judge, problems
from tests.lab.launch import Launch
from tests.lab.nccl import IMPATIENT, Rank
from tests.lab.pair import RAILS, Pair

LOOKED_AT = (
    "firewall-drops-peer", "firewall-drops-roce",
    "gid-index-differs", "gid-not-roce-v2", "hca-not-active", "hca-twin-down", "hca-unknown", "ifname-unknown",
    "infiniband-device-missing", "master-addr-wrong", "memlock-limited", "network-not-host", "rdma-disabled",
    "shm-too-small",
)  # fmt: skip
"""Checks that must have seen what they look at. Others ask for a GPU or for vLLM, which no guest has."""


@pytest.fixture(scope="module")
def nodes(running_pair: Pair) -> Iterator[Nodes]:
    """Both with a Docker engine and sparkdoctor."""
    facts.install(running_pair)
    with ThreadPoolExecutor() as both:
        list(both.map(start_engine, running_pair))
    with closing(Nodes(running_pair)) as ready:
        yield ready


@pytest.fixture
def keep(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """Where a test's logs and snapshots go: $SPARKDOCTOR_LAB_KEEP/TEST, or pytest's folder."""
    base = os.environ.get("SPARKDOCTOR_LAB_KEEP")
    if not base:
        return tmp_path
    folder = Path(base) / re.sub(r"\W+", "-", request.node.name).strip("-")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.mark.parametrize("contained", [False, True], ids=["processes", "containers"])
def test_a_sound_launch_works_and_nothing_is_found(pair: Pair, nodes: Nodes, keep: Path, contained: bool) -> None:
    launch = Launch()
    launch.write(pair)
    _assert_works(launch.run(pair, contained=contained))
    results = judge(nodes.collect(keep))
    assert problems(results) == []
    passed = {result.check for result in results if result.status is Status.PASSED}
    assert set(LOOKED_AT) - passed == set()


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_fault(pair: Pair, nodes: Nodes, keep: Path, fault: Fault, request: pytest.FixtureRequest) -> None:
    if fault.release:
        request.addfinalizer(lambda: load(list(pair)[fault.on[0]]))
    launch = _break(pair, fault)
    ranks = launch.run(pair, contained=fault.contained)
    snapshots = nodes.collect(keep, _shell(fault, launch))
    answer = diagnose(ranks, snapshots, keep)

    _assert_fails(ranks, fault)

    found = problems(judge(snapshots))
    assert {result.check for result in found} == ({fault.check} if fault.check else set())
    named = {list(pair)[rank].name for rank in fault.on} if fault.check else set()
    assert _nodes(found) == named or (named and _nodes(found) == {guest.name for guest in pair} and _of_both(found))

    if fault.signature:
        (diagnosis,) = (one for one in answer.diagnoses if one.name == fault.signature)
        assert answer.diagnoses[0] == diagnosis, "something else is called the first cause"
        if fault.check:
            verdicts = {cause.name: cause.verdict for cause in diagnosis.causes}
            assert verdicts[fault.check] is Verdict.CONFIRMED

    for result in found:
        for finding in result.findings:
            follow(finding.fix, result.on, fault.answers, pair, launch)
    _undo(pair, fault, launch)
    launch.write(pair)
    _assert_works(launch.run(pair, contained=fault.contained))
    fixed = keep / "fixed"
    fixed.mkdir(exist_ok=True)
    assert problems(judge(nodes.collect(fixed, _shell(fault, launch)))) == []


def _break(pair: Pair, fault: Fault) -> Launch:
    launch = Launch(user=fault.user, absent=fault.absent)
    for rank in (0, 1):
        launch.changed(rank, environment=fault.common)
    for rank in fault.on:
        launch.changed(rank, environment=fault.env, **fault.service)
        for option, value in fault.options.items():
            words = launch.services[rank]["command"]
            words[words.index(option) + 1] = value
        if fault.inject:
            list(pair)[rank].run(fault.inject)
        if fault.release:
            load(list(pair)[rank], fault.release)
    for nic in fault.unplug:
        pair.cable(nic, plugged=False)
    launch.write(pair)
    return launch


def _undo(pair: Pair, fault: Fault, launch: Launch) -> None:
    for service in launch.services:
        for name in IMPATIENT:  # a busy machine that emulates two others may need more retries than that
            service["environment"].pop(name, None)
    if fault.undo == "plug":
        for nic in fault.unplug:
            pair.cable(nic, plugged=True)
        pair.wait_for_ports()
    elif fault.undo == "start":
        launch.absent = ()
    elif fault.undo:
        for rank in fault.on:
            list(pair)[rank].run(fault.undo)


def _shell(fault: Fault, launch: Launch) -> tuple[User, dict[str, str]] | None:
    return (fault.user, launch.services[0]["environment"]) if fault.user else None


def _nodes(found: Sequence[Result]) -> set[str]:
    """The nodes that findings are about: a check of both says in the fix which one is meant."""

    def of(result: Result, finding: Finding) -> Sequence[str]:
        named = re.match(r"on (spark-0\d), ", finding.fix.do)
        return [named[1]] if named else result.on

    return {name for result in found for finding in result.findings for name in of(result, finding)}


def _of_both(found: Sequence[Result]) -> bool:
    """Whether all are findings of checks that compare the nodes, and blame neither."""
    return all(len(result.on) == 2 for result in found)


def _assert_works(ranks: Sequence[Rank]) -> None:
    for rank in ranks:
        assert rank.failure == "", rank.log + rank.noise
        assert rank.outcome["net"] == "IB"
        assert [device["name"] for device in rank.outcome["devices"]] == list(RAILS)
        assert rank.outcome["bytes"] >= 2 << 16


def _assert_fails(ranks: Sequence[Rank], fault: Fault) -> None:
    """Ranks fail, or go on over what the fault leaves them, and one of the logs says what is expected."""
    if fault.works:
        _assert_works(ranks)
    elif fault.falls_back:
        assert [rank.failure for rank in ranks] == ["", ""]
        assert {rank.outcome["net"] for rank in ranks} == {fault.falls_back}
        assert all(len(rank.outcome["devices"]) < len(RAILS) for rank in ranks) or fault.falls_back == "Socket"
    else:
        assert any(rank.failure for rank in ranks)
    said = "\n".join(text for rank in ranks for text in (rank.failure, rank.log))
    assert re.search(fault.nccl, said), said
