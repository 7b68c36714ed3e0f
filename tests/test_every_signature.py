"""Over all knowledge that ships: samples, neighbours, healthy logs, references, manuals, rendering."""

from __future__ import annotations

import io
from functools import cache
from pathlib import Path

import pytest

from sparkdoctor.api import Severity
from sparkdoctor.diagnose import diagnose
from sparkdoctor.explaining import Answer
from sparkdoctor.logs.match import Matcher
from sparkdoctor.logs.read import read_log
from sparkdoctor.manual import manual
from sparkdoctor.patterns import STEPS, worst_steps
from sparkdoctor.registry import Registry, load_registry
from sparkdoctor.render.clean import printable
from sparkdoctor.render.console import make_console, write
from sparkdoctor.render.explain import render_explain
from sparkdoctor.run import Exit
from sparkdoctor.signatures import Role, Signature

LOGS = Path(__file__).parent / "logs"
HEALTHY = sorted((LOGS / "healthy").glob("*.log"))


@cache
def registry() -> Registry:
    return load_registry()


@cache
def matcher() -> Matcher:
    return Matcher(registry().knowledge.signatures.values())


def found(data: bytes) -> set[str]:
    return {hit.signature for hit in matcher().scan(read_log("-", io.BytesIO(data)), "x.log")}


def every() -> list[Signature]:
    return list(registry().knowledge.signatures.values())


def test_there_are_enough() -> None:
    assert len(every()) >= 40
    assert {signature.role for signature in every()} == set(Role)


def test_every_sample_is_found_and_every_near_miss_is_not() -> None:
    for signature in every():
        for sample in signature.matches:
            assert signature.name in found(sample.encode())
        for sample in signature.ignores:
            assert signature.name not in found(sample.encode())


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"vllm-1  | 2026-11-23T15:14:29.123456789Z ", b"\r"),
        (b"\x1b[1;36m(Worker_TP1 pid=312)\x1b[0m ERROR 11-23 15:14:29 [multiproc_executor.py:866] ", b"\x1b[0m"),
        (b"Nov 23 15:14:29 spark-2 docker[1201]: ", b""),
        (b"Loading: 50%|##   |\r", b""),
        (b"x" * 3000 + b" ", b" " + b"y" * 3000),
    ],
    ids=["compose", "vllm in colour", "journal", "after a progress bar", "in a long line"],
)
def test_every_sample_is_found_in_the_forms_logs_have(before: bytes, after: bytes) -> None:
    missed = [
        signature.name
        for signature in every()
        if not any(signature.name in found(before + sample.encode() + after + b"\n") for sample in signature.matches)
    ]
    assert missed == []


def test_no_sample_is_another_signature_unless_it_is_declared() -> None:
    """Two diagnoses for one line would tell two stories; `explains` makes them one."""
    clashes = [
        (signature.name, name, sample)
        for signature in every()
        for sample in signature.matches
        for name in found(sample.encode()) - {signature.name}
        if name not in signature.explains and signature.name not in registry().knowledge.signatures[name].explains
    ]
    assert clashes == []


def test_there_are_healthy_logs() -> None:
    assert len(HEALTHY) >= 4


@pytest.mark.parametrize("path", HEALTHY, ids=lambda path: path.name)
def test_nothing_but_notes_matches_a_healthy_log(path: Path) -> None:
    """A note says that a line which looks like trouble is none."""
    hits = list(matcher().scan(read_log(str(path)), path.name))
    signatures = registry().knowledge.signatures
    alarms = [hit for hit in hits if signatures[hit.signature].severity is not Severity.NOTE]
    assert [(hit.signature, hit.line, hit.text) for hit in alarms] == []


def test_one_rank_that_ran_well_without_rdma_has_no_error() -> None:
    """NCCL says there that it has no RDMA device, which is worth a warning between two nodes."""
    path = LOGS / "gpu" / "one-rank-without-rdma.log"
    hits = list(matcher().scan(read_log(str(path)), path.name))
    signatures = registry().knowledge.signatures
    assert {hit.signature for hit in hits if signatures[hit.signature].severity is Severity.ERROR} == set()


def test_every_pattern_is_bounded() -> None:
    assert [signature.name for signature in every() if worst_steps(signature.match) > STEPS] == []


def test_every_name_states_the_bad_thing() -> None:
    names = [*registry().knowledge.signatures, *registry().knowledge.causes]
    assert [name for name in names if name.startswith(("no-", "check-", "use-", "set-")) or name.endswith("-ok")] == []


def test_every_cause_is_named_by_a_signature() -> None:
    named = {name for signature in every() for name in signature.causes}
    assert [name for name in registry().knowledge.causes if name not in named] == []


def test_every_name_has_a_manual() -> None:
    for name in (*registry().knowledge.signatures, *registry().knowledge.causes):
        text = manual(name, registry().checks.by_name, registry().knowledge)
        assert text.startswith(name)
        assert "## References" in text
        if name in registry().knowledge.causes or registry().knowledge.signatures[name].fix:
            assert "## How to fix it" in text


def test_every_sample_comes_out_of_the_renderer_as_it_went_in() -> None:
    for signature in every():
        for sample in signature.matches:
            hits = [
                hit
                for hit in matcher().scan(read_log("-", io.BytesIO(sample.encode())), "x.log")
                if hit.signature == signature.name
            ]
            diagnoses = diagnose(hits, registry().knowledge, registry().checks.by_name, None)
            answer = Answer(tuple(diagnoses), ("x.log",), (), 1, "", (), (), Exit.OK)
            stream = io.StringIO()
            write(make_console("never", stream), render_explain(answer, 5000))
            assert f"   | {printable(sample.strip())}\n" in stream.getvalue()
