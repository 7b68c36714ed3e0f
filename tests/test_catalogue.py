"""All knowledge as one text: `list --knowledge`, and docs/knowledge.md in Markdown."""

from __future__ import annotations

import json
import re

import pytest
from click.testing import CliRunner
from inline_snapshot import snapshot

from sparkdoctor.catalogue import CAUSES, catalogue, chapters, document, main, provenance
from sparkdoctor.cli import cli
from sparkdoctor.registry import load_registry
from sparkdoctor.run import Status
from sparkdoctor.signatures import Maturity, Role
from tests.entries import cause, check_with, knowledge, signature

CHECKS = {"memlock-limited": check_with("memlock-limited", Status.PASSED)}
KNOWN = knowledge(
    signature(
        "nccl-call-failed",
        r"Call to (?P<call>\w+) failed with error",
        title="{call} failed",
        why="The kernel refused {call} *at once*.",
        matches=("Call to ibv_reg_mr failed with error x", "Call to y failed with error"),
        causes=("memlock-limited", "pool-empty"),
        explains=("unhandled-error",),
        fix="1. stop <what runs>; 2. raise `<limit>`",
        edit="memlock: -1",
        run=("ulimit -l; echo {call}",),
        cost="restarts the model",
        seen_in=("NCCL 2.30.7",),
        versions="from 2.20",
        status=Maturity.NEW,
        refs=("https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/a.cc", "https://github.com/a/b/issues/7"),
    ),
    signature("unhandled-error", "unhandled", Role.CONSEQUENCE),
    cause("pool-empty", run=("free -h",)),
    cause("pool-wet"),
    checks=CHECKS,
)


def test_the_page() -> None:
    page = document(KNOWN, CHECKS, [*KNOWN.signatures, "pool-wet"])
    head, told = page.split("\n\n2 signatures", 1)
    assert head.startswith("<!-- Written by `make docs`")
    assert f"2 signatures{told}" == snapshot("""\
2 signatures and 3 causes: 1 that a check decides, 2 that a command does.

- [NCCL](#nccl): 1
- [unhandled](#unhandled): 1
- [Causes that a command decides](#causes-that-a-command-decides): 2

## NCCL

### nccl-call-failed

error, cause, new: \\<call\\> failed

The kernel refused \\<call\\> \\*at once\\*.

    Call to ibv_reg_mr failed with error x

1. A check of the tests: `sparkdoctor check --select memlock-limited`
2. title of pool-empty: pool-empty

To mend it:

1. stop \\<what runs\\>
2. raise `<limit>`

As lines and commands:

    memlock: -1
    ulimit -l; echo <call>

It costs: restarts the model

Explains: unhandled-error

Seen in NCCL 2.30.7 (from 2.20)

- source of NVIDIA/nccl at v2.30.7-1: <https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/a.cc>
- reported: <https://github.com/a/b/issues/7>

## unhandled

### unhandled-error

error, consequence: title of unhandled-error

why of unhandled-error

    unhandled

Follows from: nccl-call-failed

Seen in no named version

- manual: <https://example.org/source>

## Causes that a command decides

### pool-empty

title of pool-empty

why of pool-empty

To tell:

    look at pool-empty

To mend it: mend pool-empty

    free -h

Named by: nccl-call-failed

- manual: <https://example.org/cause>

### pool-wet

title of pool-wet

why of pool-wet

To tell:

    look at pool-wet

To mend it: mend pool-wet

Named by: \n\

- manual: <https://example.org/cause>
""")


def test_some_of_it_as_plain_text() -> None:
    told = "\n".join(catalogue(KNOWN, CHECKS, ["unhandled-error"]))
    assert "## nccl\n" not in told
    assert "Follows from: nccl-call-failed" in told
    told = "\n".join(catalogue(KNOWN, CHECKS, ["nccl-call-failed"]))
    assert "The kernel refused <call> *at once*." in told
    assert "### pool-empty" in told
    assert "### pool-wet" not in told


def test_a_family_that_no_chapter_names_has_its_own() -> None:
    assert [title for title, _ in chapters(KNOWN.signatures.values())] == ["NCCL", "unhandled"]


@pytest.mark.parametrize(
    ("ref", "kind"),
    [
        ("https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/debug.cc#L7", "source of NVIDIA/nccl at v2.30.7-1"),
        ("https://gitlab.com/a/b/-/blob/main/x", "source of a/b at main"),
        ("https://github.com/vllm-project/vllm/issues/1", "reported"),
        ("https://forums.developer.nvidia.com/t/a-b/1", "reported"),
        ("https://docs.docker.com/compose/", "manual"),
    ],
)
def test_what_an_address_stands_for(ref: str, kind: str) -> None:
    assert provenance(ref) == kind


def run(*arguments: str) -> tuple[int, str, str]:
    done = CliRunner().invoke(cli, ["list", "--knowledge", *arguments])
    return done.exit_code, done.stdout, done.stderr


def test_everything_is_told() -> None:
    code, out, _ = run()
    known = load_registry().knowledge
    assert code == 0
    assert sorted(re.findall("^### (.+)$", out, re.MULTILINE)) == sorted([*known.signatures, *known.causes])


def test_a_name_and_a_family() -> None:
    _, out, _ = run("port-in-use", "earlyoom")
    found = re.findall("^### (.+)$", out, re.MULTILINE)
    assert found[0] == "port-in-use"
    assert {name.split("-")[0] for name in found} == {"port", "earlyoom"}
    assert "`sparkdoctor check --select port-taken`" in out
    assert CAUSES in out


def test_as_json() -> None:
    _, out, _ = run("nccl-reg-mr-enomem", "other-rank-failed", "--json")
    told = json.loads(out)
    assert told["schema"] == "sparkdoctor.knowledge/1"
    assert [entry["name"] for entry in told["signatures"]] == ["nccl-reg-mr-enomem"]
    assert [entry["name"] for entry in told["causes"]] == ["other-rank-failed"]
    assert told["signatures"][0]["causes"][0] == "memlock-limited"
    assert told["signatures"][0]["origin"] == "built in"


def test_a_check_is_no_knowledge() -> None:
    code, out, error = run("memlock-limited")
    assert (code, out) == (2, "")
    assert error == "sparkdoctor: no signature or cause is named memlock-limited\n"


def test_the_page_is_written(tmp_path: object) -> None:
    path = f"{tmp_path}/knowledge.md"
    main(path)
    with open(path, encoding="utf-8") as file:
        assert file.read().count("\n### ") >= len(load_registry().knowledge.signatures)
