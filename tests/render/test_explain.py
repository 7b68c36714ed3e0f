"""What a person reads: causes first, evidence as it was logged, nothing interpreted and nothing that a terminal acts on."""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from inline_snapshot import snapshot
from msgspec.structs import replace

from sparkdoctor.api import Certainty, Fix, Seen, Severity
from sparkdoctor.diagnose import Candidate, Diagnosis, Follower, Missing, Remedy, Verdict
from sparkdoctor.explaining import Answer
from sparkdoctor.logs.scan import Ending, Line
from sparkdoctor.render.console import make_console, write
from sparkdoctor.render.explain import render_explain
from sparkdoctor.run import Exit
from sparkdoctor.signatures import Role

MEMLOCK = Candidate(
    "memlock-limited",
    "The container may lock only part of its memory.",
    Verdict.CONFIRMED,
    "the container may lock only 8 MiB of memory",
    ("spark-2",),
    (Seen("memlock", "8 MiB", "compose.yaml:12", wanted="unlimited"),),
    (
        Remedy(
            Fix(
                "in worker/compose.yaml, under services.vllm",
                "ulimits:\n  memlock: -1",
                ("docker compose up -d --force-recreate",),
                cost="restarts the model",
            ),
            ("spark-2",),
        ),
    ),
    "",
)
KHO = Candidate(
    "kernel-cma-from-kho",
    "A kernel that gives Kexec HandOver memory back as CMA.",
    Verdict.RULED_OUT,
    "",
    ("spark-1", "spark-2"),
    (Seen("CmaFree", "96 MiB", "/proc/meminfo"), Seen("CmaTotal", "128 MiB", "/proc/meminfo")) * 2,
    (),
    "",
)
POOL = Candidate(
    "memory-exhausted",
    "The unified memory is used up.",
    Verdict.OPEN,
    "spark-2: /proc/meminfo: may not be read",
    (),
    (),
    (Remedy(Fix("lower --gpu-memory-utilization", certainty=Certainty.TRY)),),
    "sparkdoctor check --select memory-exhausted",
)
WARN = "spark-2:312:455 [0] misc/ibvwrap.cc:218 NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory"


def diagnosis(**changes: Any) -> Diagnosis:
    values: dict[str, Any] = {
        "name": "nccl-reg-mr-enomem",
        "title": "NCCL could not pin memory for the NIC",
        "role": Role.CAUSE,
        "severity": Severity.ERROR,
        "cause": "memlock-limited",
        "why": "ibv_reg_mr_iova2 pins the buffers that the NIC reads and writes.\nThe kernel refused.\n\nA second paragraph.",
        "causes": (MEMLOCK, POOL, KHO),
        "fixes": MEMLOCK.fixes,
        "evidence": (Line("worker.log", 212, WARN), Line("worker.log", 214, WARN)),
        "count": 6,
        "follows": (
            Follower("nccl-unhandled-system-error", "NCCL stopped", 3, (Line("worker.log", 230, "unhandled"),)),
            Follower("vllm-core-failed", "the engine did not start", 12, (Line("head.log", 99, "Engine core"),)),
        ),
        "refs": ("https://github.com/NVIDIA/nccl", "https://man7.org"),
    }
    return Diagnosis(**(values | changes))


def answer(*diagnoses: Diagnosis, endings: Sequence[Ending] = ()) -> Answer:
    facts = "judged by the facts of spark-1, spark-2"
    return Answer(diagnoses, ("head.log", "worker.log"), tuple(endings), 47, facts, (), (), Exit.OK)


def shown(given: Answer, width: int = 100, verbose: bool = False, color: bool = False) -> str:
    stream = io.StringIO()
    write(make_console("always" if color else "never", stream), render_explain(given, width, verbose=verbose))
    return stream.getvalue()


def test_a_cause_with_all_verdicts() -> None:
    assert shown(answer(diagnosis())) == snapshot("""\
cause[nccl-reg-mr-enomem] NCCL could not pin memory for the NIC
  --> worker.log:212 and 5 more
   | …isc/ibvwrap.cc:218 NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory
   why: ibv_reg_mr_iova2 pins the buffers that the NIC reads and writes. The kernel refused.
        A second paragraph.
   confirmed: memlock-limited  the container may lock only 8 MiB of memory  spark-2
      | memlock  8 MiB  (wants unlimited)  compose.yaml:12
   open: memory-exhausted: The unified memory is used up.
        spark-2: /proc/meminfo: may not be read
        to decide: sparkdoctor check --select memory-exhausted
   ruled out: kernel-cma-from-kho  CmaFree 96 MiB (/proc/meminfo); CmaTotal 128 MiB (/proc/meminfo)  spark-1, spark-2
   fix: in worker/compose.yaml, under services.vllm:
          ulimits:
            memlock: -1
        then:
          docker compose up -d --force-recreate
        (restarts the model)
   see: https://github.com/NVIDIA/nccl
   follows: 15 lines in 2 files (NCCL stopped; the engine did not start); -v shows them

1 diagnosis; judged by the facts of spark-1, spark-2
Why and how, at length: sparkdoctor explain memlock-limited
""")


def test_verbose_shows_every_line() -> None:
    assert shown(answer(diagnosis()), verbose=True) == snapshot("""\
cause[nccl-reg-mr-enomem] NCCL could not pin memory for the NIC
  --> worker.log:212
   | …isc/ibvwrap.cc:218 NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory
  --> worker.log:214 and 4 more
   | …isc/ibvwrap.cc:218 NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory
   why: ibv_reg_mr_iova2 pins the buffers that the NIC reads and writes. The kernel refused.
        A second paragraph.
   confirmed: memlock-limited  the container may lock only 8 MiB of memory  spark-2
      | memlock  8 MiB  (wants unlimited)  compose.yaml:12
   open: memory-exhausted: The unified memory is used up.
        spark-2: /proc/meminfo: may not be read
        to decide: sparkdoctor check --select memory-exhausted
   ruled out: kernel-cma-from-kho  CmaFree 96 MiB (/proc/meminfo); CmaTotal 128 MiB (/proc/meminfo)  spark-1, spark-2
   fix: in worker/compose.yaml, under services.vllm:
          ulimits:
            memlock: -1
        then:
          docker compose up -d --force-recreate
        (restarts the model)
   see: https://github.com/NVIDIA/nccl
   see: https://man7.org
follows[nccl-unhandled-system-error] NCCL stopped
  --> worker.log:230 and 2 more
   | unhandled
follows[vllm-core-failed] the engine did not start
  --> head.log:99 and 11 more
   | Engine core

1 diagnosis; judged by the facts of spark-1, spark-2
Why and how, at length: sparkdoctor explain memlock-limited
""")


def test_one_fix_with_commands_of_each_node() -> None:
    """As `check` shows the same fix on several nodes."""
    fixes = tuple(
        Remedy(Fix("make the limit infinite", run=(f"set {node}", "restart"), cost="restarts it"), (node,))
        for node in ("spark-1", "spark-2")
    )
    text = shown(answer(diagnosis(fixes=fixes, causes=(replace(MEMLOCK, fixes=fixes),))))
    assert text[text.index("   fix") : text.index("   see")] == snapshot("""\
   fix: make the limit infinite:
        then on spark-1:
          set spark-1
          restart
        then on spark-2:
          set spark-2
          restart
        (restarts it)
""")


def test_another_fix_on_each_node() -> None:
    fixes = (
        Remedy(Fix("in head/compose.yaml, under services.vllm", "ulimits:\n  memlock: -1"), ("spark-1",)),
        Remedy(Fix("start it with another option", run=("docker run ...",)), ("spark-2", "spark-3")),
    )
    text = shown(answer(diagnosis(fixes=fixes, causes=(replace(MEMLOCK, fixes=fixes),))))
    assert text[text.index("   fix") : text.index("   see")] == snapshot("""\
   fix on spark-1: in head/compose.yaml, under services.vllm:
          ulimits:
            memlock: -1
   fix on spark-2, spark-3: start it with another option:
          docker run ...
""")


def test_several_things_to_do_on_the_same_nodes() -> None:
    on = ("spark-1", "spark-2")
    fixes = (Remedy(Fix("do one thing"), on), Remedy(Fix("do another"), on))
    text = shown(answer(diagnosis(fixes=fixes, causes=(replace(MEMLOCK, fixes=fixes),))))
    assert text[text.index("   fix") : text.index("   see")] == snapshot("""\
   fix: do one thing
   fix: do another
""")


def test_without_facts() -> None:
    given = diagnosis(causes=(POOL,), cause="memory-exhausted", fixes=POOL.fixes, follows=())
    assert shown(answer(given)) == snapshot("""\
cause[nccl-reg-mr-enomem] NCCL could not pin memory for the NIC
  --> worker.log:212 and 5 more
   | …isc/ibvwrap.cc:218 NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory
   why: ibv_reg_mr_iova2 pins the buffers that the NIC reads and writes. The kernel refused.
        A second paragraph.
   open: memory-exhausted: The unified memory is used up.
        spark-2: /proc/meminfo: may not be read
        to decide: sparkdoctor check --select memory-exhausted
   if it is memory-exhausted:
   try: lower --gpu-memory-utilization
   see: https://github.com/NVIDIA/nccl

1 diagnosis; judged by the facts of spark-1, spark-2
Why and how, at length: sparkdoctor explain memory-exhausted
""")


def test_no_cause_left() -> None:
    given = diagnosis(causes=(KHO,), cause=None, fixes=(), follows=(), why="It failed.")
    assert shown(answer(given)) == snapshot("""\
cause[nccl-reg-mr-enomem] NCCL could not pin memory for the NIC
  --> worker.log:212 and 5 more
   | …isc/ibvwrap.cc:218 NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory
   why: It failed.
   ruled out: kernel-cma-from-kho  CmaFree 96 MiB (/proc/meminfo); CmaTotal 128 MiB (/proc/meminfo)  spark-1, spark-2
   no cause that is known for this line is left
   see: https://github.com/NVIDIA/nccl

1 diagnosis; judged by the facts of spark-1, spark-2
Why and how, at length: sparkdoctor explain nccl-reg-mr-enomem
""")


def test_a_symptom_is_brief_beside_a_cause_and_whole_without() -> None:
    symptom = diagnosis(
        name="vllm-hangs",
        title="vLLM waits",
        role=Role.SYMPTOM,
        causes=(),
        follows=(),
        cause="vllm-hangs",
        fixes=(Remedy(Fix("wait")),),
    )
    assert "why:" not in shown(answer(diagnosis(), symptom)).split("symptom[vllm-hangs]")[1]
    assert "fix: wait" in shown(answer(symptom))
    assert "fix: wait" in shown(answer(diagnosis(), symptom), verbose=True)


def test_what_is_missing() -> None:
    given = diagnosis(
        name="vllm-core-failed", title="the engine did not start", role=Role.CONSEQUENCE, causes=(), fixes=(), follows=(),
        cause="vllm-core-failed", missing=Missing("these files show only consequences", ("docker logs <container>",)),
    )  # fmt: skip
    assert shown(answer(given)) == snapshot("""\
consequence[vllm-core-failed] the engine did not start
  --> worker.log:212 and 5 more
   | …isc/ibvwrap.cc:218 NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory
   why: ibv_reg_mr_iova2 pins the buffers that the NIC reads and writes. The kernel refused.
        A second paragraph.
   see: https://github.com/NVIDIA/nccl
   missing: these files show only consequences
          docker logs <container>

1 diagnosis
Why and how, at length: sparkdoctor explain vllm-core-failed
""")


def test_nothing_known() -> None:
    endings = [
        Ending(
            "head.log", (Line("head.log", 98, "RuntimeError: [rank0] boom"), Line("head.log", 99, "Error: x")), True
        ),
        Ending("worker.log", (Line("worker.log", 7, "INFO waiting"),), False),
    ]
    assert shown(answer(endings=endings)) == snapshot("""\
none of the 47 known signatures explains how head.log, worker.log end
the last lines that look like errors, head.log:
    98 | RuntimeError: [rank0] boom
    99 | Error: x
no line looks like an error; the last ones, worker.log:
     7 | INFO waiting
a failure that is not known yet is worth a report, with these lines
""")


def test_only_a_warning_still_shows_how_the_log_ends() -> None:
    given = diagnosis(severity=Severity.WARNING, follows=())
    endings = [
        Ending("head.log", (Line("head.log", 98, "RuntimeError: boom"),), True),
        Ending("worker.log", (Line("worker.log", 7, "INFO waiting"),), False),
    ]
    text = shown(answer(given, endings=endings))
    assert text.startswith("warning[nccl-reg-mr-enomem]")
    assert "none of the 47 known signatures explains how head.log ends" in text
    assert "INFO waiting" not in text


def test_the_message_stays_when_a_line_is_cut() -> None:
    text = shown(answer(diagnosis(evidence=(Line("a.log", 1, "x" * 300 + " failed with error 12"),))), width=80)
    (line,) = [line for line in text.splitlines() if line.startswith("   | ")]
    assert len(line) == 80
    assert line.startswith("   | …xxx")
    assert line.endswith(" failed with error 12")


def test_what_matched_stays_when_a_line_is_cut() -> None:
    text = "ERROR " + "a" * 200 + " torch.OutOfMemoryError: " + "b" * 200
    start = text.index("torch")
    far = Line("a.log", 1, text, start, start + 22)
    near = Line("b.log", 1, text[190:], 10, 20)
    lines = [line for line in shown(answer(diagnosis(evidence=(far, near))), width=80).splitlines() if "| " in line]
    assert lines[0] == "   | …torch.OutOfMemoryError: " + "b" * 49 + "…"
    assert lines[1] == "   | " + text[190 : 190 + 74] + "…"
    assert len(lines[0]) == len(lines[1]) == 80


HOSTILE = st.text(st.characters(codec="utf-8"), max_size=40) | st.sampled_from(
    [
        "[rank0]: Traceback",
        "[bold red]x[/]",
        "[/x]",
        "\x1b[2J\x1b]0;owned\x07",
        "a\rb",
        "\x9b31m",
        "\u202egnp.exe",
        "x\ny",
        ":smile:",
    ]
)


@given(HOSTILE, HOSTILE, HOSTILE, st.integers(20, 200), st.booleans())
def test_nothing_of_a_log_reaches_the_terminal_but_text(
    one: str, two: str, three: str, width: int, verbose: bool
) -> None:
    given = diagnosis(
        title=f"title {one}", why=two, evidence=(Line(three, 1, one), Line(two, 2, three)),
        causes=(Candidate("memlock-limited", one, Verdict.OPEN, two, (three,), (), (Remedy(Fix(one, two, (three,)), (two,)),), one), MEMLOCK),
        fixes=(Remedy(Fix(three, one, (two,)), (one,)), Remedy(Fix(three, two), (three,))), follows=(Follower("x-y", two, 2, (Line(one, 3, two),)),),
        missing=Missing(one, (two,)), refs=(three,),
    )  # fmt: skip
    endings = [Ending(one, (Line(one, 4, two),), True)]
    for text in (shown(answer(given, endings=endings), width, verbose), shown(answer(endings=endings), width)):
        for char in text:
            assert char == "\n" or unicodedata.category(char) not in ("Cc", "Cf", "Cs", "Zl", "Zp")


@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=60))
def test_log_text_comes_out_as_it_went_in(text: str) -> None:
    assert f"   | {text}\n" in shown(answer(diagnosis(evidence=(Line("a.log", 1, text),))))


def test_colours_are_styles_around_the_same_text() -> None:
    colored = shown(answer(diagnosis()), color=True)
    assert "\x1b[1;31mcause[nccl-reg-mr-enomem]\x1b[0m" in colored
