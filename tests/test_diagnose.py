"""Ranking, folding and judging, on signatures and checks made up for it."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.api import Check, Cluster, Finding, Fix, Found, Node, Severity, check
from sparkdoctor.diagnose import Diagnosis, Remedy, Verdict, diagnose
from sparkdoctor.groups import EVIDENCE, EVIDENCE_A_FILE, LATE, TRACEBACK
from sparkdoctor.logs.chronicle import Chronicle
from sparkdoctor.logs.match import Hit
from sparkdoctor.run import Status
from sparkdoctor.signatures import Knowledge, Role
from sparkdoctor.testing import healthy_node, healthy_pair
from tests.entries import cause, check_with, knowledge, signature

CHECKS = {name: check_with(name, Status.PASSED) for name in ("memlock-limited", "kernel-kho", "memory-used-up")}
KNOWN = knowledge(
    signature(
        "reg-mr", "reg mr", causes=("memlock-limited", "kernel-kho", "pool-empty"), explains=("unhandled-error",)
    ),
    signature("no-module", "no module", fix="install it"),
    signature("unhandled-error", "unhandled", Role.CONSEQUENCE, explains=("core-failed",)),
    signature("core-failed", "core failed", Role.CONSEQUENCE),
    signature("hangs-here", "hang", Role.SYMPTOM, causes=("kernel-kho", "memory-used-up")),
    signature("falls-back", "falls back", severity=Severity.WARNING, fix="x"),
    signature("good-to-know", "note", Role.SYMPTOM, severity=Severity.NOTE, fix="x"),
    cause("pool-empty", run=("free -h",)),
    checks=CHECKS,
)


def hit(name: str, line: int = 1, file: str = "head.log", count: int = 1, **captures: str) -> Hit:
    return Hit(name, file, line, f"text of {name} at {line}", captures, count=count)


def judged(*hits: Hit, cluster: Cluster | None = None, known: Knowledge = KNOWN, **outcomes: Status) -> list[Diagnosis]:
    checks: Mapping[str, Check] = CHECKS | {
        name.replace("_", "-"): check_with(name.replace("_", "-"), status) for name, status in outcomes.items()
    }
    return diagnose(hits, known, checks, cluster)


def names(diagnoses: list[Diagnosis]) -> list[str]:
    return [diagnosis.name for diagnosis in diagnoses]


def verdicts(diagnosis: Diagnosis) -> dict[str, str]:
    return {one.name: one.verdict.value for one in diagnosis.causes}


# One string, several causes: the facts decide.


def test_the_failing_check_confirms_its_cause_with_evidence_and_fix() -> None:
    (found,) = judged(hit("reg-mr"), cluster=healthy_pair(), memlock_limited=Status.FAILED)
    assert found.cause == "memlock-limited"
    first = found.causes[0]
    assert (first.verdict, first.on) == (Verdict.CONFIRMED, ("spark-1", "spark-2"))
    assert first.message == "memlock-limited is wrong on spark-1; memlock-limited is wrong on spark-2"
    assert [seen.value for seen in first.seen] == ["value on spark-1", "value on spark-2"]
    assert found.fixes == first.fixes


def logged(name: str, before: str, line: int = 1) -> Hit:
    text = f"{before}the line of {name}"
    return Hit(name, "head.log", line, text, {}, start=len(before), end=len(text))


@pytest.mark.parametrize(
    "before",
    [
        "(EngineCore pid=9) WARNING 06-11 01:28:01 [compilation.py:1396] ",
        "INFO 06-11 01:28:01 [x.py:7] ",
        "2026-06-11 01:28:01,123 - module - WARNING - ",
        "2026-06-11 01:28:01,123\tWARNING worker.py:1987 -- ",
    ],
)
def test_what_was_logged_as_a_warning_is_a_note_and_why_nothing_failed(before: str) -> None:
    (alone,) = judged(logged("reg-mr", before))
    first, second = judged(logged("reg-mr", before), hit("unhandled-error", 2))
    assert alone.severity is Severity.NOTE
    assert [(one.name, one.severity) for one in (first, second)] == [
        ("unhandled-error", Severity.ERROR),
        ("reg-mr", Severity.NOTE),
    ]


def test_what_was_logged_as_an_error_once_is_one() -> None:
    warned = logged("reg-mr", "WARNING 06-11 01:28:01 [x.py:7] ")
    (found,) = judged(warned, logged("reg-mr", "ERROR 06-11 01:28:02 [x.py:9] ", 2), hit("unhandled-error", 3))
    assert (found.name, found.severity, [one.name for one in found.follows]) == (
        "reg-mr",
        Severity.ERROR,
        ["unhandled-error"],
    )


def test_a_line_whose_sample_is_a_warning_is_an_error_all_the_same() -> None:
    sample = "WARNING 06-11 01:28:01 [x.py:7] only warned"
    known = knowledge(signature("only-warned", "only warned", fix="x", matches=(sample,)))
    found = Hit("only-warned", "head.log", 1, sample, {}, start=32, end=len(sample))
    assert judged(found, known=known)[0].severity is Severity.ERROR


def test_a_note_is_an_error_where_a_check_says_that_it_matters() -> None:
    known = knowledge(
        signature("no-device", "x", Role.SYMPTOM, severity=Severity.NOTE, causes=("memlock-limited",)), checks=CHECKS
    )
    (usual,) = judged(hit("no-device"), known=known)
    (found,) = judged(hit("no-device"), cluster=healthy_pair(), known=known, memlock_limited=Status.FAILED)
    assert (usual.severity, found.severity) == (Severity.NOTE, Severity.ERROR)


def test_an_error_does_not_hide_behind_the_note_that_explains_it() -> None:
    known = knowledge(
        signature("no-device", "x", severity=Severity.NOTE, explains=("over-tcp",), fix="x"),
        signature("over-tcp", "y", Role.SYMPTOM, fix="x"),
        signature("another-error", "z", Role.SYMPTOM, fix="x"),
    )
    found = judged(hit("no-device"), hit("over-tcp", 2), hit("another-error", 3), known=known)
    assert [(one.name, one.severity) for one in found] == [
        ("no-device", Severity.ERROR),
        ("another-error", Severity.ERROR),
    ]


def test_a_cause_that_is_confirmed_on_several_nodes_says_what_to_do_on_each() -> None:
    (found,) = judged(hit("reg-mr"), cluster=healthy_pair(), memlock_limited=Status.FAILED)
    assert [(one.fix.do, one.on) for one in found.fixes] == [
        ("mend memlock-limited on spark-1", ("spark-1",)),
        ("mend memlock-limited on spark-2", ("spark-2",)),
    ]


def test_what_is_the_same_on_several_nodes_is_said_once() -> None:
    @check("memlock-limited")
    def alike(node: Node) -> Found:
        """Wrong in two ways that one fix mends."""
        for way in ("one", "other"):
            yield Finding(f"wrong in {way} way", (), Fix("mend it", run=("mend",)))

    (found,) = diagnose([hit("reg-mr")], KNOWN, CHECKS | {"memlock-limited": alike}, healthy_pair())
    assert found.fixes == (Remedy(Fix("mend it", run=("mend",)), ("spark-1", "spark-2")),)


def test_a_confirmed_cause_stands_before_a_likelier_one() -> None:
    (found,) = judged(hit("reg-mr"), cluster=healthy_pair(), kernel_kho=Status.FAILED)
    assert list(verdicts(found).items()) == [
        ("kernel-kho", "confirmed"),
        ("pool-empty", "open"),
        ("memlock-limited", "ruled-out"),
    ]
    assert found.cause == "kernel-kho"


def test_a_passing_check_rules_out_with_the_value_that_does() -> None:
    (found,) = judged(hit("reg-mr"), cluster=healthy_pair())
    assert found.cause == "pool-empty"
    out = next(one for one in found.causes if one.name == "memlock-limited")
    assert (out.verdict, out.on, out.fixes, out.decide) == (Verdict.RULED_OUT, ("spark-1", "spark-2"), (), "")
    assert [seen.value for seen in out.seen] == ["value on spark-1", "value on spark-2"]
    (remedy,) = found.fixes
    assert (remedy.fix.do, remedy.fix.run, remedy.on) == ("mend pool-empty", ("free -h",), ())


def test_without_facts_every_cause_is_open_with_the_command_that_decides() -> None:
    (found,) = judged(hit("reg-mr"))
    assert verdicts(found) == {"memlock-limited": "open", "kernel-kho": "open", "pool-empty": "open"}
    assert [one.decide for one in found.causes] == [
        "sparkdoctor check --select memlock-limited",
        "sparkdoctor check --select kernel-kho",
        "look at pool-empty",
    ]
    assert found.cause == "memlock-limited"
    (remedy,) = found.fixes  # what the manual of the likeliest says
    assert (remedy.fix.do, remedy.fix.edit) == ("Mend the thing in the file", "thing: mended")


@pytest.mark.parametrize("status", [Status.UNKNOWN, Status.SKIPPED, Status.CRASHED])
def test_a_check_that_could_not_look_leaves_its_cause_open(status: Status) -> None:
    (found,) = judged(hit("reg-mr"), cluster=Cluster((healthy_node(),)), memlock_limited=status)
    first = found.causes[0]
    assert (first.name, first.verdict) == ("memlock-limited", Verdict.OPEN)
    assert first.message.startswith("spark-1: ")
    assert first.decide == "sparkdoctor check --select memlock-limited"


def test_passing_on_one_node_rules_nothing_out_when_the_other_could_not_be_seen() -> None:
    half = {"memlock-limited": check_with("memlock-limited", {"spark-1": Status.PASSED, "spark-2": Status.UNKNOWN})}
    (found,) = diagnose([hit("reg-mr")], KNOWN, CHECKS | half, healthy_pair())
    first = next(one for one in found.causes if one.name == "memlock-limited")
    assert (first.verdict, first.message) == (Verdict.OPEN, "spark-2: /proc: may not be read")
    assert [seen.value for seen in first.seen] == ["value on spark-1"]


def test_failing_on_one_node_confirms_for_that_node() -> None:
    half = {"memlock-limited": check_with("memlock-limited", {"spark-1": Status.PASSED, "spark-2": Status.FAILED})}
    (found,) = diagnose([hit("reg-mr")], KNOWN, CHECKS | half, healthy_pair())
    assert found.causes[0].on == ("spark-2",)
    assert [(one.fix.do, one.on) for one in found.fixes] == [("mend memlock-limited on spark-2", ("spark-2",))]


def test_all_causes_ruled_out_leaves_none() -> None:
    known = knowledge(signature("reg-mr", "reg mr", causes=("memlock-limited",)), checks=CHECKS)
    (found,) = judged(hit("reg-mr"), cluster=healthy_pair(), known=known)
    assert (found.cause, found.fixes) == (None, ())


def test_a_signature_without_causes_is_its_own() -> None:
    (found,) = judged(hit("no-module"))
    assert found.cause == "no-module"
    assert [one.fix.do for one in found.fixes] == ["install it"]


def test_captures_of_the_first_line_fill_the_words() -> None:
    entry = signature(
        "lib-missing", r"cannot open (?P<lib>\S+)", title="{lib} is missing", why="no {lib}", fix="install {lib}",
        matches=("cannot open libx.so",),
    )  # fmt: skip
    (found,) = judged(hit("lib-missing", lib="libx.so"), hit("lib-missing", 2, lib="liby.so"), known=knowledge(entry))
    assert (found.title, found.why) == ("libx.so is missing", "no libx.so")
    assert [one.fix.do for one in found.fixes] == ["install libx.so"]


# Causes first, what follows under them.


def test_what_is_explained_stands_under_its_cause_along_the_chain() -> None:
    (found,) = judged(hit("reg-mr", 3), hit("unhandled-error", 4), hit("core-failed", 9), hit("core-failed", 10))
    assert found.name == "reg-mr"
    assert [(one.name, one.count) for one in found.follows] == [("unhandled-error", 1), ("core-failed", 2)]


def test_a_consequence_that_no_one_declares_stands_under_the_first_cause() -> None:
    (found,) = judged(hit("no-module", 3), hit("core-failed", 9))
    assert [one.name for one in found.follows] == ["core-failed"]


def test_what_came_long_before_a_cause_in_the_same_log_does_not_follow_from_it() -> None:
    found = judged(hit("core-failed", 2), hit("no-module", 3 + TRACEBACK))
    assert names(found) == ["no-module", "core-failed"]
    found = judged(hit("unhandled-error", 2), hit("reg-mr", 3 + TRACEBACK))
    assert names(found) == ["reg-mr", "unhandled-error"]


def test_a_traceback_tells_what_it_broke_before_it_says_why() -> None:
    (found,) = judged(hit("core-failed", 47), hit("no-module", 107))
    assert [one.name for one in found.follows] == ["core-failed"]
    (found,) = judged(hit("core-failed", 1), hit("no-module", 1000), hit("core-failed", 1001))
    assert found.follows[0].count == 2


def test_the_loud_log_is_not_the_sick_one() -> None:
    (found,) = judged(hit("unhandled-error", 2, "head.log"), hit("reg-mr", 300, "worker.log"))
    assert (found.name, [one.name for one in found.follows]) == ("reg-mr", ["unhandled-error"])


def test_a_warning_does_not_explain_a_failure() -> None:
    found = judged(hit("falls-back", 1), hit("core-failed", 9))
    assert names(found) == ["core-failed", "falls-back"]


def test_symptoms_are_not_folded_unless_declared() -> None:
    assert names(judged(hit("hangs-here", 1), hit("no-module", 3))) == ["no-module", "hangs-here"]


def test_the_order_of_diagnoses() -> None:
    found = judged(
        hit("good-to-know", 1),
        hit("falls-back", 2),
        hit("hangs-here", 3),
        hit("reg-mr", 4),
        hit("no-module", 5),
    )
    assert names(found) == ["no-module", "reg-mr", "hangs-here", "falls-back", "good-to-know"]


def test_a_symptom_whose_cause_is_confirmed_stands_before_a_cause_with_none_left() -> None:
    known = knowledge(
        signature("reg-mr", "reg mr", causes=("memlock-limited",)),
        signature("hangs-here", "hang", Role.SYMPTOM, causes=("kernel-kho",)),
        checks=CHECKS,
    )
    hits = [hit("reg-mr", 1), hit("hangs-here", 2)]
    assert names(judged(*hits, known=known)) == ["reg-mr", "hangs-here"]
    found = judged(*hits, known=known, cluster=healthy_pair(), kernel_kho=Status.FAILED)
    assert names(found) == ["hangs-here", "reg-mr"]


# Several logs: the order of time, where the clocks allow it.


def timed(name: str, second: int, file: str, node: str, zone: str = "Z") -> Hit:
    minute, second = divmod(second, 60)
    text = f"2026-11-24T15:{minute:02}:{second:02}{zone} {node}:1:1 [0] {name}"
    return Hit(name, file, 1, text, {})


def test_the_first_in_time_stands_first_whatever_the_order_of_the_logs() -> None:
    late, early = timed("no-module", 30, "a.log", "spark-1"), timed("lib-gone", 10, "b.log", "spark-2")
    known = knowledge(signature("no-module", "no module", fix="x"), signature("lib-gone", "lib gone", fix="x"))
    for hits in ((late, early), (early, late)):
        found = judged(*hits, known=known)
        assert names(found) == ["lib-gone", "no-module"]
        assert [(line.node, line.time) for line in found[0].evidence] == [("spark-2", "2026-11-24 15:00:10+00:00")]


def test_a_consequence_long_before_a_cause_in_another_log_has_another_cause() -> None:
    cause_, result = timed("no-module", 400, "a.log", "spark-1"), timed("core-failed", 0, "b.log", "spark-2")
    assert names(judged(cause_, result)) == ["no-module", "core-failed"]
    in_time = timed("core-failed", 400 - int(LATE), "b.log", "spark-2")
    assert [one.name for one in judged(cause_, in_time)[0].follows] == ["core-failed"]


def test_zones_are_taken_into_account() -> None:
    cause_ = timed("no-module", 0, "a.log", "spark-1", "+01:00")
    result = Hit("core-failed", "b.log", 1, "2026-11-24T14:01:00Z core failed", {})
    assert [one.name for one in judged(cause_, result)[0].follows] == ["core-failed"]


def test_clocks_that_do_not_meet_are_not_compared() -> None:
    cause_ = timed("no-module", 0, "a.log", "spark-1")
    result = Hit("core-failed", "b.log", 1, "2026-11-24T09:01:00Z core failed", {})
    chronicle = Chronicle()
    found = diagnose(list(chronicle.following([result, cause_])), KNOWN, CHECKS, None, chronicle)
    assert [one.name for one in found[0].follows] == ["core-failed"]
    assert chronicle.remarks() == ["the times of b.log and a.log lie far apart and are not compared"]


def test_parts_of_a_rotated_log_are_one_log() -> None:
    found = judged(hit("core-failed", 5, "x.log.1"), hit("no-module", 1, "x.log"))
    assert names(found) == ["no-module", "core-failed"]


def test_the_last_line_is_kept_for_repeats() -> None:
    (found,) = judged(*(timed("no-module", second, "a.log", "spark-1") for second in (1, 2, 9)))
    assert found.last is not None
    assert (found.count, found.last.time) == (3, "2026-11-24 15:00:09+00:00")
    assert judged(hit("no-module"))[0].last is None


def test_a_fault_of_another_node_does_not_prove_a_cause() -> None:
    half = {"memlock-limited": check_with("memlock-limited", {"spark-1": Status.FAILED, "spark-2": Status.PASSED})}
    for writer, verdict in (
        ("spark-1", "confirmed"),
        ("spark-1.local", "confirmed"),
        ("spark-2", "open"),
        ("x", "confirmed"),
    ):
        (found,) = diagnose([timed("reg-mr", 1, "a.log", writer)], KNOWN, CHECKS | half, healthy_pair())
        assert verdicts(found)["memlock-limited"] == verdict, writer
    (found,) = diagnose([timed("reg-mr", 1, "a.log", "spark-2")], KNOWN, CHECKS | half, healthy_pair())
    message = next(one.message for one in found.causes if one.name == "memlock-limited")
    assert message.endswith("; but the line is of spark-2, for which that proves nothing")


def test_a_fault_at_either_end_proves_the_cause_of_a_line_about_a_connection() -> None:
    half = {"memlock-limited": check_with("memlock-limited", {"spark-1": Status.FAILED, "spark-2": Status.PASSED})}
    known = knowledge(signature("no-path", "x", causes=("memlock-limited",), both_ends=True), checks=CHECKS)
    (found,) = diagnose([timed("no-path", 1, "a.log", "spark-2")], known, CHECKS | half, healthy_pair())
    assert verdicts(found)["memlock-limited"] == "confirmed"


def test_a_rank_without_a_log_is_named() -> None:
    chronicle = Chronicle()
    chronicle.add(Hit("some-mark", "a.log", 1, "x", {"rank": "0", "ranks": "2"}))
    found = diagnose([hit("core-failed")], KNOWN, CHECKS, None, chronicle)
    assert found[0].missing is not None
    assert "; no line of rank 1 of 2 is among them:" in found[0].missing.statement


# Evidence.


def test_evidence_is_bounded_and_counted() -> None:
    hits = [hit("no-module", line, f"rank{rank}.log") for rank in range(20) for line in range(1, 50)]
    (found,) = judged(*hits, hit("no-module", 99, "rank0.log", count=1000))
    assert found.count == 20 * 49 + 1000
    assert len(found.evidence) == EVIDENCE
    assert [line.line for line in found.evidence if line.file == "rank0.log"] == list(range(1, EVIDENCE_A_FILE + 1))


# Where the cause is not in the files.


def test_only_consequences_say_that_the_cause_is_elsewhere() -> None:
    (found,) = judged(hit("core-failed"))
    assert found.missing is not None
    assert found.missing.statement.startswith(
        "these files show only consequences (core-failed); what failed first is not"
    )
    assert found.missing.get[0] == "docker logs --timestamps <container> > rank<N>.log 2>&1"


def test_only_symptoms_name_the_logs_of_the_nodes_at_hand() -> None:
    found = judged(hit("hangs-here"), hit("core-failed", 2), cluster=healthy_pair())
    assert found[0].missing is not None
    assert found[0].missing.statement.startswith("these files show only symptoms (hangs-here, core-failed)")
    assert found[0].missing.get[:2] == (
        "ssh spark-1 'docker compose -f compose.yaml logs --timestamps --no-color vllm' > spark-1.log 2>&1",
        "ssh spark-1 journalctl --dmesg --boot --no-pager > spark-1-kernel.log",
    )
    assert all(one.missing is None for one in found[1:])


def test_a_cause_or_a_confirmed_symptom_misses_nothing() -> None:
    assert judged(hit("reg-mr"))[0].missing is None
    assert judged(hit("hangs-here"), cluster=healthy_pair(), kernel_kho=Status.FAILED)[0].missing is None
    assert judged(hit("falls-back"))[0].missing is None
    assert judged() == []


# Each check is asked once, and the JSON keeps its keys.


def test_a_check_is_asked_once_for_all_signatures() -> None:
    asked: list[str] = []
    quiet = check_with("kernel-kho", Status.PASSED)

    def run(node: object) -> object:
        asked.append("asked")
        return quiet.run(node)

    counted = msgspec.structs.replace(quiet, run=run)
    diagnose([hit("reg-mr"), hit("hangs-here", 2)], KNOWN, CHECKS | {"kernel-kho": counted}, healthy_pair())
    assert len(asked) == 2  # once a node


def test_the_keys_of_the_json() -> None:
    found = judged(hit("reg-mr"), hit("core-failed", 3), cluster=healthy_pair())
    document = msgspec.json.decode(msgspec.json.encode(found[0]))
    assert set(document) >= {"name", "title", "role", "severity", "cause", "causes", "fixes", "evidence"}
    assert document["role"] == "cause"
    assert document["severity"] == "error"
    assert set(document["causes"][0]) >= {"name", "title", "verdict", "seen", "fixes", "decide"}
    assert {one["verdict"] for one in document["causes"]} == {"open", "ruled-out"}
    assert document["evidence"] == [
        {"file": "head.log", "line": 1, "text": "text of reg-mr at 1", "start": 0, "end": 0}
        | {"time": "", "at": None, "node": "", "rank": None, "process": ""}
    ]
    assert set(document["fixes"][0]) == {"fix", "on"}
    assert set(document["fixes"][0]["fix"]) == {"do", "edit", "run", "certainty", "cost"}
    assert set(document["causes"][1]["seen"][0]) == {"what", "value", "where", "wanted"}


HITS = st.lists(
    st.builds(
        hit,
        st.sampled_from(sorted(KNOWN.signatures)),
        st.integers(1, 9),
        st.sampled_from(["head.log", "worker.log"]),
        st.integers(1, 5),
    ),
    max_size=12,
)


@given(HITS, st.sampled_from(Status), st.booleans())
def test_every_hit_is_accounted_for_once(hits: list[Hit], status: Status, facts: bool) -> None:
    found = judged(*hits, cluster=healthy_pair() if facts else None, kernel_kho=status)
    told = {one.name: one.count for one in found} | {one.name: one.count for lead in found for one in lead.follows}
    assert told == {name: sum(h.count for h in hits if h.signature == name) for name in {h.signature for h in hits}}
    assert sum(1 + len(one.follows) for one in found) == len(told)
    severities = [one.severity for one in found]
    assert severities == sorted(severities, key=[Severity.ERROR, Severity.WARNING, Severity.NOTE].index)
