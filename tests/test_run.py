"""What becomes of a check: statuses, consequences, exit codes."""

from __future__ import annotations

import pytest

from sparkdoctor.api import Cluster, Finding, Fix, Found, Node, Seen, Severity, check, size, skip
from sparkdoctor.fact import CannotTell, Fact, unread
from sparkdoctor.run import Exit, Result, Status, examine, exit_code, run_checks
from sparkdoctor.testing import healthy_pair

SAW = Seen("thing", "7", "/proc/thing")
WRONG = Finding("the thing is 7", (SAW,), Fix("make it 8"))


@check("thing-right")
def right(node: Node) -> Found:
    """It is right."""
    yield SAW


@check("thing-wrong")
def wrong(node: Node) -> Found:
    """It is wrong."""
    yield WRONG


@check("thing-late", after=("thing-wrong",))
def late(node: Node) -> Found:
    """Wrong because something else is."""
    yield Finding("the other thing is 7 too", (SAW,), Fix("as above"))


@check("thing-unreadable")
def unreadable(node: Node) -> Found:
    """It cannot be read."""
    yield Seen("thing", unread("/proc/thing", "Permission denied").value, "/proc/thing")


@check("thing-found-then-unreadable")
def found_then_unreadable(node: Node) -> Found:
    """A finding comes first."""
    yield WRONG
    raise CannotTell("/proc/thing", "Permission denied")


@check("thing-nowhere")
def nowhere(node: Node) -> Found:
    """There is none."""
    if node.launch is None:
        skip("no thing here")
    yield SAW


@check("thing-broken")
def broken(node: Node) -> Found:
    """It has a bug."""
    yield SAW
    raise ZeroDivisionError("by zero")


@check("thing-silent")
def silent(node: Node) -> Found:
    """It looks at nothing."""
    yield from ()


@check("pair-counted", Severity.WARNING)
def counted(cluster: Cluster) -> Found:
    """Counts."""
    yield Seen("nodes", str(len(cluster.nodes)), "the cluster")


@pytest.mark.parametrize(
    ("which", "status", "reason"),
    [
        (right, Status.PASSED, ""),
        (wrong, Status.FAILED, ""),
        (unreadable, Status.UNKNOWN, "/proc/thing: Permission denied"),
        (found_then_unreadable, Status.FAILED, "/proc/thing: Permission denied"),
        (nowhere, Status.SKIPPED, "no thing here"),
        (broken, Status.CRASHED, "ZeroDivisionError: by zero"),
        (silent, Status.CRASHED, "the check yielded nothing, so it cannot say what it saw"),
    ],
)
def test_how_a_check_ends(which: object, status: Status, reason: str) -> None:
    result = examine(which, Node("spark-1"))  # type: ignore[arg-type]
    assert (result.status, result.reason) == (status, reason)
    assert bool(result.trace) == (which is broken)


def test_a_node_check_runs_on_every_node_and_a_cluster_check_once() -> None:
    results = run_checks([right, counted], healthy_pair())
    assert [(r.check, r.on) for r in results] == [
        ("thing-right", ("spark-1",)),
        ("thing-right", ("spark-2",)),
        ("pair-counted", ("spark-1", "spark-2")),
    ]


def test_a_consequence_is_named_by_its_cause_on_the_same_node() -> None:
    results = run_checks([wrong, late], healthy_pair())
    assert [(r.check, r.with_it) for r in results if r.on == ("spark-1",)] == [
        ("thing-wrong", ("thing-late",)),
        ("thing-late", ()),
    ]
    assert run_checks([late], healthy_pair())[0].with_it == ()


def result(status: Status, severity: Severity = Severity.ERROR) -> Result:
    return Result("thing-x", severity, ("spark-1",), status)


PASSED, FAILED, SKIPPED = result(Status.PASSED), result(Status.FAILED), result(Status.SKIPPED)
UNKNOWN, CRASHED = result(Status.UNKNOWN), result(Status.CRASHED)
WARNED, UNKNOWN_WARNING = result(Status.FAILED, Severity.WARNING), result(Status.UNKNOWN, Severity.WARNING)


@pytest.mark.parametrize(
    ("results", "code"),
    [
        ([PASSED, SKIPPED], Exit.OK),
        ([PASSED, WARNED], Exit.OK),
        ([PASSED, UNKNOWN_WARNING], Exit.OK),
        ([FAILED, CRASHED, UNKNOWN], Exit.FOUND),
        ([PASSED, CRASHED, UNKNOWN], Exit.USAGE),
        ([PASSED, UNKNOWN], Exit.UNKNOWN),
        ([SKIPPED], Exit.UNKNOWN),
        ([], Exit.UNKNOWN),
    ],
)
def test_exit_code(results: list[Result], code: Exit) -> None:
    assert exit_code(results) is code


def test_options_of_the_exit_code() -> None:
    assert exit_code([PASSED, WARNED], fail_on=Severity.WARNING) is Exit.FOUND
    assert exit_code([PASSED, UNKNOWN_WARNING], fail_on=Severity.WARNING) is Exit.UNKNOWN
    assert exit_code([PASSED, UNKNOWN], allow_unknown=True) is Exit.OK
    assert exit_code([PASSED, CRASHED], allow_unknown=True) is Exit.USAGE
    assert exit_code([PASSED], incomplete=True) is Exit.UNKNOWN


def test_what_only_root_may_see_does_not_count() -> None:
    @check("filter-drops", needs_root=True)
    def hidden(node: Node) -> Found:
        """It is behind a door."""
        yield Seen("rules", str(unread("nft list ruleset", "only root may read it").value), "")

    (result, _) = run_checks([hidden], healthy_pair())
    assert result.status is Status.UNKNOWN
    assert exit_code([PASSED, result]) is Exit.OK
    assert exit_code([result]) is Exit.UNKNOWN, "nothing was looked at"


@pytest.mark.parametrize(
    ("name", "function", "reason"),
    [
        ("Thing", right.run, "lower-case words"),
        ("thing", right.run, "lower-case words"),
        ("thing-x", lambda node: (), "no docstring"),
    ],
)
def test_a_check_that_is_not_one_is_refused(name: str, function: object, reason: str) -> None:
    with pytest.raises(TypeError, match=reason):
        check(name)(function)  # type: ignore[arg-type]


def test_a_check_must_say_what_it_looks_at() -> None:
    def strange(host: int) -> Found:
        """It takes a number."""
        yield SAW

    with pytest.raises(TypeError, match="annotated Node or Cluster"):
        check("thing-strange")(strange)


@pytest.mark.parametrize(
    ("count", "text"),
    [(-1, "unlimited"), (0, "0 B"), (65536, "64 KiB"), (8 << 20, "8 MiB"), (1536 << 20, "1.5 GiB"), (1 << 41, "2 TiB")],
)
def test_sizes(count: int, text: str) -> None:
    assert size(count) == text


def test_a_fact_keeps_its_problem_through_changes() -> None:
    assert Fact("a", "7").map(int) == Fact("a", 7)
    broken = Fact("a", "x").map(int)
    assert broken.problem.startswith("not understood: ")
    with pytest.raises(CannotTell, match="/proc/x: Permission denied"):
        _ = unread("/proc/x", "Permission denied").map(int).value
