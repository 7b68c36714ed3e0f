"""`explain NAME`: the manual of checks, signatures and causes, and near misses."""

from __future__ import annotations

from typing import Any

import pytest
from inline_snapshot import snapshot

from sparkdoctor.manual import NoSuchName, advice, manual, section
from sparkdoctor.run import Status
from sparkdoctor.signatures import Role
from tests.entries import cause, check_with, knowledge, signature

CHECKS = {"memlock-limited": check_with("memlock-limited", Status.PASSED)}
KNOWN = knowledge(
    signature(
        "reg-mr-failed",
        r"Call to (?P<call>\w+) failed with error",
        title="{call} failed",
        why="The kernel refused {call}.",
        matches=("Call to ibv_reg_mr failed with error x",),
        causes=("memlock-limited", "pool-empty"),
        explains=("unhandled-error",),
        seen_in=("NCCL 2.30.7",),
    ),
    signature("unhandled-error", "unhandled", Role.CONSEQUENCE),
    cause("pool-empty", run=("free -h",)),
    checks=CHECKS,
)


def test_a_check() -> None:
    assert manual("memlock-limited", CHECKS, KNOWN) == snapshot("""\
memlock-limited (error, looks at one node)

A check of the tests.

## Why it matters
It does not.

## How to fix it
Mend the thing in
the file:

    thing: mended

Then start again.
""")


def test_a_signature() -> None:
    assert manual("reg-mr-failed", CHECKS, KNOWN) == snapshot("""\
reg-mr-failed (error, a line of a log: cause)

<call> failed

The kernel refused <call>.

## A line like
    Call to ibv_reg_mr failed with error x

## Possible causes, most likely first
- memlock-limited: A check of the tests.
  to decide: sparkdoctor check --select memlock-limited
- pool-empty: title of pool-empty
  to decide: look at pool-empty

## Explains
- unhandled-error

## Seen in
- NCCL 2.30.7

## References
- https://example.org/source
""")


def test_a_consequence() -> None:
    assert manual("unhandled-error", CHECKS, KNOWN) == snapshot("""\
unhandled-error (error, a line of a log: consequence)

title of unhandled-error

why of unhandled-error

## A line like
    unhandled

## Follows from
- reg-mr-failed

## References
- https://example.org/source
""")


def test_a_cause() -> None:
    assert manual("pool-empty", CHECKS, KNOWN) == snapshot("""\
pool-empty (a cause that no check can see)

title of pool-empty

why of pool-empty

## How to tell
    look at pool-empty

## How to fix it
mend pool-empty
    free -h

## Lines of logs it may cause
- reg-mr-failed

## References
- https://example.org/cause
""")


def test_a_fix_with_lines_commands_and_its_cost() -> None:
    more: dict[str, Any] = {
        "fix": "let {call} pin in compose.yaml",
        "edit": "ulimits:\n  memlock: -1",
        "run": ("docker logs {call}",),
        "cost": "restarts the model",
    }
    known = knowledge(
        signature("a-fell", r"Call to (?P<call>\w+) failed", matches=("Call to x failed",), causes=("b-fell",), **more),
        cause("b-fell", edit="a: 1", run=("b --now",), cost="needs root"),
    )
    assert (
        "let <call> pin in compose.yaml\n    ulimits:\n      memlock: -1\n    docker logs <call>\n(restarts"
        in manual("a-fell", {}, known)
    )
    assert "mend b-fell\n    a: 1\n    b --now\n(needs root)\n" in manual("b-fell", {}, known)


def test_near_misses() -> None:
    with pytest.raises(NoSuchName) as caught:
        manual("memlock-limit", CHECKS, KNOWN)
    assert caught.value.nearest[0] == "memlock-limited"
    assert str(caught.value) == "no check, signature or cause is called memlock-limit; the nearest are memlock-limited"
    with pytest.raises(NoSuchName, match=r"is called zzz$"):
        manual("zzz", CHECKS, KNOWN)


def test_sections_of_a_manual() -> None:
    docs = CHECKS["memlock-limited"].docs
    assert section(docs, "Why it matters") == "It does not."
    assert section(docs, "References") == ""


def test_advice_of_a_check_that_could_not_look() -> None:
    fix = advice(CHECKS["memlock-limited"])
    assert (fix.do, fix.edit) == ("Mend the thing in the file", "thing: mended")
