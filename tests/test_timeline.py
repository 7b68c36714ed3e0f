"""The decisive lines of all logs in the order of time, from the files to what a person reads."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Literal, cast

import pytest
from inline_snapshot import snapshot

from sparkdoctor import explaining
from sparkdoctor.ask import Ask
from sparkdoctor.explaining import Answer
from sparkdoctor.logs.times import parse_since
from sparkdoctor.render.console import make_console, write
from sparkdoctor.render.explain import render_explain
from sparkdoctor.render.timeline import render_timeline
from sparkdoctor.snapshot import Snapshot, to_json
from sparkdoctor.system import DoorClosed, Log, Recorded
from sparkdoctor.testing import healthy_host, healthy_spec

# The worker's clock is half a minute behind; the lines are those of NCCL 2.30 and vLLM 0.32.
HEAD = """\
(Worker_TP0 pid=311) INFO 11-23 15:14:52 [parallel_state.py:2350] rank 0 in world size 2 is assigned as DP rank 0, PP rank 0
spark-1:312:455 [0] NCCL INFO cudaDriverVersion 13000
(Worker_TP0 pid=311) ERROR 11-23 15:15:00 RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)
"""
WORKER = """\
(Worker_TP1 pid=312) INFO 11-23 15:14:22 [parallel_state.py:2350] rank 1 in world size 2 is assigned as DP rank 0, PP rank 0
[2026-11-23 15:14:29] spark-2:312:455 [0] misc/ibvwrap.cc:218 (wrap_ibv_reg_mr_iova2) NCCL WARN Call to \
ibv_reg_mr_iova2 failed with error Cannot allocate memory
(Worker_TP1 pid=312) RuntimeError: NCCL error: unhandled system error (run with NCCL_DEBUG=INFO for details)
"""


@pytest.fixture
def logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "head.log").write_text(HEAD)
    (tmp_path / "logs" / "worker.log").write_text(WORKER)
    return tmp_path / "logs"


def answer(*what: str) -> Answer:
    return explaining.explain(what, (), ask=Ask(machine_only=True), system=Recorded(""), environ={}, here=False)


def timeline(given: Answer) -> str:
    stream = io.StringIO()
    write(make_console("never", stream), render_timeline(given.moments, given.clocks, 120))
    return stream.getvalue()


def test_the_sick_rank_stands_first_although_its_clock_is_behind(logs: Path) -> None:
    given = answer("logs")
    assert timeline(given) == snapshot("""\
timeline, from 2026-11-23 15:14:29
+0.000 s  spark-2, rank 1  logs/worker.log:2  cause[nccl-reg-mr-enomem] NCCL could not pin memory for the NIC
+0.000 s  spark-2, rank 1  logs/worker.log:3  follows[nccl-unhandled-system-error] NCCL stopped because a call to the system or to the NIC failed
+1.000 s  spark-1, rank 0  logs/head.log:3    follows[nccl-unhandled-system-error] NCCL stopped because a call to the system or to the NIC failed
  the clock of logs/worker.log is 30.0 s behind that of logs/head.log, by 1 event that both log (vllm-ranks-assigned)
""")
    evidence = given.diagnoses[0].evidence[0]
    assert (evidence.node, evidence.rank, evidence.process) == ("spark-2", 1, "312")
    assert '"timeline"' in explaining.answer_json(given)


def test_the_last_words_of_the_quiet_rank_are_shown(logs: Path) -> None:
    (logs / "worker.log").write_text("spark-2:1:1 [0] NCCL INFO x\nsomething unheard of failed\n")
    given = answer("logs")
    assert [one.file for one in given.unexplained] == ["logs/worker.log"]
    stream = io.StringIO()
    write(make_console("never", stream), render_explain(given, 120))
    assert "something unheard of failed" in stream.getvalue()


def test_a_rank_that_is_not_there_is_asked_for(logs: Path) -> None:
    (logs / "worker.log").unlink()
    (logs / "head.log").write_text(HEAD.replace("2350] rank 0", "1906] world_size=2 rank=0 local_rank=0 "
                                                "distributed_init_method=tcp://192.0.2.1:1 backend=nccl"))  # fmt: skip
    missing = answer("logs").diagnoses[0].missing
    assert missing is not None
    assert "no line of rank 1 of 2 is among them" in missing.statement


def test_without_times(logs: Path) -> None:
    (logs / "head.log").unlink()
    (logs / "worker.log").write_text(WORKER.split("] ", 2)[2])
    given = answer("logs")
    assert {moment.offset for moment in given.moments} == {None}
    assert timeline(given).startswith("timeline: no line has a time\n?  ")
    (logs / "worker.log").write_text("nothing\n")
    assert timeline(answer("logs")) == "no known line, so no moments to tell\n"


class WithLogs(Recorded):
    """A recording has no logs of containers; this one has one of each."""

    def log(self, kind: Literal["container", "unit"], name: str, since: float | None, *, follow: bool = False) -> Log:
        if name == "gone":
            raise DoorClosed("No such container: gone", absent=True)
        return cast(Log, io.BytesIO((f"2026-11-23T15:14:29Z {kind}\n" + WORKER).encode()))


def test_containers_and_units_are_read_beside_files(logs: Path) -> None:
    (logs / "node.json").write_text(to_json(Snapshot(healthy_host(), (healthy_spec(),))))
    given = explaining.explain(
        (str(logs / "head.log"),), (str(logs / "node.json"),), ask=Ask(containers=("vllm", "gone")), system=WithLogs(""),
        environ={}, here=False, units=("vllm.service",),
    )  # fmt: skip
    assert given.files[1:] == ("container:vllm", "unit:vllm.service")
    assert {line.file for line in given.diagnoses[0].evidence} == {"container:vllm", "unit:vllm.service"}
    assert given.unread == ("container:gone: No such container: gone",)


def test_since_leaves_out_what_was_before(logs: Path) -> None:
    def names(since: str) -> list[str]:
        given = explaining.explain(
            ("logs",), (), ask=Ask(machine_only=True), system=Recorded(""), environ={}, here=False,
            since=parse_since(since, 0.0),
        )  # fmt: skip
        return [diagnosis.name for diagnosis in given.diagnoses]

    assert names("2026-11-23 15:00:00") == ["nccl-reg-mr-enomem"]
    assert names("2026-11-23 15:14:59.500") == ["nccl-unhandled-system-error"]
    assert names("2026-11-23 16:00:00") == []
