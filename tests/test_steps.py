"""A fix that was written as a sentence, as words to read and commands to paste."""

from __future__ import annotations

import pytest

from sparkdoctor.signatures import mending
from sparkdoctor.steps import Step, steps
from tests.entries import signature


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("read it", [Step("read it", ())]),
        ("read it: docker logs <the container>", [Step("read it", ("docker logs <the container>",))]),
        ("do: sudo apt update; sudo apt upgrade", [Step("do", ("sudo apt update", "sudo apt upgrade"))]),
        ("see: sh; then docker ps", [Step("see: sh; then docker ps", ())]),
        ("see: docker ps; then stop it", [Step("see: docker ps; then stop it", ())]),
        ("see: docker ps must list it", [Step("see: docker ps must list it", ())]),
        ("see: docker ps (as root)", [Step("see: docker ps (as root)", ())]),
        ("see: docker exec x sh -c 'a; ls; b'", [Step("see", ("docker exec x sh -c 'a; ls; b'",))]),
        ("for it: modules-$(uname -r)", [Step("for it: modules-$(uname -r)", ())]),
        ("add it: sudo apt install x-$(uname -r)", [Step("add it", ("sudo apt install x-$(uname -r)",))]),
        ("1. look: docker ps; 2. or wait", [Step("1. look", ("docker ps",)), Step("2. or wait", ())]),
    ],
)
def test_steps(text: str, told: list[Step]) -> None:
    assert steps(text) == told


@pytest.mark.parametrize(
    ("fix", "do", "run"),
    [
        ("remove {path}", "remove a; b", ()),
        ("remove it: rm {path}", "remove it", ("rm 'a; b'",)),
        ("remove it: rm '{path}'", "remove it", ("rm 'a; b'",)),
        ("remove it: docker exec x sh -c 'rm {path}'", "remove it", ("docker exec x sh -c 'rm <path>'",)),
        ("1. see: ls {path}; 2. remove {path}", "1. see: ls 'a; b'; 2. remove a; b", ()),
    ],
)
def test_what_a_log_gives_does_not_leave_its_quotes(fix: str, do: str, run: tuple[str, ...]) -> None:
    entry = signature("a-fell", r"cannot open (?P<path>.{1,80})", matches=("cannot open a b",), fix=fix)
    made = mending(entry, {"path": "a; b"})
    assert made is not None
    assert (made.do, made.run) == (do, run)
