"""What is said of failures that no signature names."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from sparkdoctor import explaining
from sparkdoctor.api import Severity
from sparkdoctor.ask import Ask
from sparkdoctor.general import _CLASSES, conclude
from sparkdoctor.logs.chronicle import Chronicle
from sparkdoctor.logs.match import Matcher
from sparkdoctor.logs.scan import Logs
from sparkdoctor.logs.sign import Sign, Weight
from sparkdoctor.logs.signs import _RULES
from sparkdoctor.render.live import Teller
from sparkdoctor.run import Exit
from sparkdoctor.signatures import Role
from sparkdoctor.system import Recorded
from sparkdoctor.unnamed import General
from tests.logs.test_signs import KINDS

LOGS = Path(__file__).parent / "logs"
HEALTHY = sorted((LOGS / "healthy").glob("*.log"))


def concluded(*paths: Path, since: float | None = None) -> list[General]:
    """As if there were no signature at all."""
    logs = Logs([str(path) for path in paths], Matcher([]))
    list(logs.hits())
    return conclude(logs.endings, (), Chronicle(), since)


def of(tmp_path: Path, text: str) -> General:
    (tmp_path / "a.log").write_text(f"started\n{text}\n")
    (found,) = concluded(tmp_path / "a.log")
    return found


def explained(*paths: Path, since: float | None = None) -> explaining.Answer:
    return explaining.explain(
        [str(path) for path in paths], (), ask=Ask(machine_only=True), system=Recorded(""), environ={}, here=False,
        since=since,
    )  # fmt: skip


@pytest.mark.parametrize("line", KINDS, ids=lambda line: KINDS[line])
def test_every_class_has_something_to_say(tmp_path: Path, line: str) -> None:
    found = of(tmp_path, line)
    assert found.name.startswith("unknown-")
    assert found.general
    assert found.severity is not Severity.ERROR
    assert found.cause is None
    assert found.causes == ()
    assert 0 < len(found.title) <= 160
    assert found.why.endswith(".")
    assert [(one.line, one.text) for one in found.evidence] == [(2, line)]
    (remedy,) = found.fixes
    assert remedy.fix.do
    assert remedy.fix.run


def test_every_kind_of_sign_has_words() -> None:
    assert {rule.kind for rule in _RULES} | {"python", "exception", "errno", "error"} == set(_CLASSES)


@pytest.mark.parametrize(
    ("line", "name", "words"),
    [
        ("vllm-1 exited with code 137", "unknown-exit-137", ["SIGKILL", "OOM killer"]),
        ("worker died (exit code: -9)", "unknown-exit-137", ["exit code -9", "SIGKILL"]),
        ("vllm-1 exited with code 139", "unknown-exit-139", ["SIGSEGV"]),
        ("vllm-1 exited with code 134", "unknown-exit-134", ["SIGABRT"]),
        ("a died with <Signals.SIGKILL: 9>.", "unknown-exit-137", ["SIGKILL"]),
        ("vllm-1 exited with code 127", "unknown-exit-127", ["not found"]),
        ("vllm-1 exited with code 3", "unknown-exit-3", ["exit code 3"]),
        ("a.service: Main process exited, code=exited, status=203/EXEC", "unknown-exit-203", ["ExecStart="]),
        ("a.service: Main process exited, code=killed, status=9/KILL", "unknown-exit-137", ["SIGKILL"]),
        ("Segmentation fault (core dumped)", "unknown-exit-139", ["SIGSEGV"]),
        ("Killed", "unknown-exit-137", ["SIGKILL"]),
        ("NVRM: Xid (PCI:000f:01:00): 79, gone", "unknown-xid-79", ["does not answer on its bus", "power cycle"]),
        ("NVRM: Xid (PCI:000f:01:00): 45, pid=7", "unknown-xid-45", ["It follows another error"]),
        ("NVRM: Xid (PCI:000f:01:00): 999, odd", "unknown-xid-999", ["not in NVIDIA's catalog"]),
        ("CUDA error: misaligned address", "unknown-cuda-error", ["cudaErrorMisalignedAddress", "later call"]),
        ("CUDA error 719 at ggml-cuda.cu:8021: odd", "unknown-cuda-error", ["cudaErrorLaunchFailure"]),
        ("h:1:2 [0] init.cc:1 Cuda failure 2 'out of memory'", "unknown-cuda-error", ["cudaErrorMemoryAllocation"]),
        ("mpirun noticed that process rank 1 exited on signal 9 (Killed).", "unknown-exit-137", ["SIGKILL"]),
        ('time="1" level=fatal msg="it is odd"', "unknown-error-line", ["calls an error"]),
        ("x: CUDA_ERROR_INVALID_PTX", "unknown-cuda-error", ["could not be compiled"]),
        ("cuBLAS: CUBLAS_STATUS_ALLOC_FAILED", "unknown-cuda-error", ["could not get memory"]),
        ("ncclRemoteError: a", "unknown-nccl-error", ["another rank failed or left"]),
        ("NCCL error in: x.cpp:9, unhandled system error (run", "unknown-nccl-error", ["ncclSystemError"]),
        ("h:1:2 [0] NCCL WARN Call to ibv_modify_qp failed with 61 No data available, on", "unknown-nccl-error", ["ENODATA"]),
        ("h:1:2 [0] NCCL WARN NET/IB: Got completion from peer with status=IBV_WC_RNR_RETRY_EXC_ERR(13) opcode", "unknown-nccl-error", ["no receive buffer"]),
        ("h:1:2 [0] NCCL WARN NET/IB: Got completion from peer 1 with status=12 opcode=1", "unknown-nccl-error", ["did not acknowledge"]),
        ("ibv_create_cq failed with errno 12", "unknown-rdma-error", ["ENOMEM"]),
        ("bind: Address already in use", "unknown-system-error", ["EADDRINUSE", "ss -ltnp"]),
        ("OSError: [Errno 98] Address already in use", "unknown-python-error", ["EADDRINUSE"]),
        ("ModuleNotFoundError: No module named 'flash_attn.ops'", "unknown-python-error", ["flash_attn"]),
        ("slurmstepd: error: *** JOB 7 CANCELLED AT 1 DUE TO TIMEOUT ***", "unknown-slurm-failure", ["time limit"]),
        ("terminate called after throwing an instance of 'c10::Error'\n  what():  CUDA error: out of memory", "unknown-native-crash", ["c10::Error: CUDA error: out of memory", "cudaErrorMemoryAllocation"]),
    ],
)  # fmt: skip
def test_what_codes_mean(tmp_path: Path, line: str, name: str, words: list[str]) -> None:
    found = of(tmp_path, line)
    assert found.name == name
    said = f"{found.title} {found.why} {' '.join(found.fixes[0].fix.run)} {found.fixes[0].fix.do}"
    for word in words:
        assert word in said


# Logs in which the line that a signature names is found without it, too: path, class, line.
FOUND = [line.split() for line in (LOGS / "signs.txt").read_text().splitlines()]


@pytest.mark.parametrize(("name", "kind", "line"), FOUND)
def test_without_signatures_the_beginning_is_still_found(name: str, kind: str, line: str) -> None:
    logs = Logs([str(LOGS / name)], Matcher([]))
    list(logs.hits())
    sign = logs.endings[0].sign
    assert sign is not None
    assert (sign.kind, sign.line) == (kind, int(line))


def test_there_are_many_of_them() -> None:
    assert len(FOUND) >= 40


@pytest.mark.parametrize("path", HEALTHY, ids=lambda path: path.stem)
def test_nothing_but_notes_on_a_healthy_log(path: Path) -> None:
    assert all(one.severity is Severity.NOTE for one in concluded(path))
    assert all(one.severity is Severity.NOTE for one in explained(path).diagnoses)


def test_where_a_traceback_was_written(tmp_path: Path) -> None:
    path = tmp_path / "rank1.log"
    tag = "2026-11-24T10:00:00Z (Worker_TP1 pid=7) ERROR 11-24 10:00:00 [x.py:7] "
    lines = [
        "Traceback (most recent call last):",
        '  File "/a/b.py", line 3, in go',
        "    x()",
        "OddError: nobody knows it",
    ]
    path.write_text("".join(f"{tag}{line}\n" for line in lines))
    (found,) = explained(path).diagnoses
    assert (found.name, found.title) == ("unknown-python-error", "OddError: nobody knows it")
    assert found.severity is Severity.WARNING
    (line,) = found.evidence
    assert (line.line, line.rank, line.process) == (4, 1, "Worker_TP1")
    assert line.time.startswith("10:00:00") or "10:00:00" in line.time
    assert "/a/b.py:3 in go" in found.why


def test_a_name_that_a_package_lacks_leads_to_that_package(tmp_path: Path) -> None:
    found = of(tmp_path, "ImportError: cannot import name 'KVFP4QuantizeUtil' from 'sglang.srt.layers' (/a/b.py)")
    (remedy,) = found.fixes
    assert remedy.fix.run == ("python3 -m pip show sglang",)


def test_it_is_not_known_so_the_exit_code_says_nothing_is(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("started\nvllm-1 exited with code 159\n")
    answer = explained(path)
    assert answer.code is Exit.FOUND
    assert answer.known == ()
    document = json.loads(explaining.answer_json(answer))
    assert document["exit"] == 1
    assert document["diagnoses"][0]["name"] == "unknown-exit-159"
    assert document["diagnoses"][0]["general"] is True
    assert document["unknown"][0]["sign"]["kind"] == "exit"
    assert answer.moments[0].line.line == 2


def test_logs_of_one_failure_are_one_diagnosis(tmp_path: Path) -> None:
    for rank in range(6):
        (tmp_path / f"rank{rank}.log").write_text("OddError: nobody knows it\n")
    (tmp_path / "rank7.log").write_text("vllm.EngineDeadError: EngineCore died\n")
    found = concluded(*sorted(tmp_path.glob("*.log")))
    assert [(one.name, one.count, one.role) for one in found] == [
        ("unknown-python-error", 6, Role.SYMPTOM),
        ("unknown-python-error", 1, Role.CONSEQUENCE),
    ]


def test_what_is_known_needs_nothing_general() -> None:
    for path in (LOGS / "cases").glob("*/*.log"):
        answer = explained(path)
        if any(one.severity is Severity.ERROR and one.role is Role.CAUSE for one in answer.known):
            assert answer.known == answer.diagnoses


def test_a_line_that_is_known_to_be_usual_is_known(tmp_path: Path) -> None:
    log = tmp_path / "x.log"
    log.write_text("Error response from daemon: No such container: vllm\n")
    answer = explained(log)
    assert answer.diagnoses
    assert not any(isinstance(one, General) for one in answer.diagnoses)


def test_what_came_before_only_consequences_stands_first(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    tag = "(EngineCore pid=9) ERROR 11-24 10:00:00 [core.py:7] "
    odd = f'{tag}Traceback (most recent call last):\n{tag}  File "/a/b.py", line 3, in go\n{tag}OddError: nobody knows it\n'
    end = "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}\n"
    path.write_text(odd + end)
    answer = explained(path)
    assert [isinstance(one, General) for one in answer.diagnoses] == [True, False]
    assert answer.code is Exit.OK
    path.write_text(end + odd)
    assert not any(isinstance(one, General) for one in explained(path).diagnoses)


def test_a_warning_that_is_known_hides_no_failure_that_is_not(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    tag = "(EngineCore pid=9) ERROR 11-24 10:00:00 [core.py:7] "
    path.write_text(
        "(EngineCore pid=9) WARNING 11-24 09:59:58 [compilation.py:1396] CUDAGraphMode.FULL is not supported with"
        " FlashInferBackend backend (support: AttentionCGSupport.UNIFORM_BATCH); setting cudagraph_mode=PIECEWISE\n"
        f'{tag}Traceback (most recent call last):\n{tag}  File "/a/b.py", line 3, in go\n{tag}OddError: nobody knows it\n'
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    assert [one.name for one in explained(path).diagnoses] == [
        "unknown-python-error",
        "vllm-engine-failed",
        "vllm-graph-mode-unsupported",
    ]


def test_a_name_that_cannot_be_imported_tells_of_which_package(tmp_path: Path) -> None:
    found = of(tmp_path, "ImportError: cannot import name 'Odd' from 'thing.part' (/a/thing/part.py)\n")
    assert found.fixes[0].fix.run == ("python3 -m pip show thing",)


def test_the_rank_of_which_nothing_is_known_may_be_the_sick_one(tmp_path: Path) -> None:
    sick = tmp_path / "rank1.log"
    sick.write_text('Traceback (most recent call last):\n  File "/a/b.py", line 3, in go\nOddError: nobody knows it\n')
    loud = LOGS / "cases" / "gloo-peer-died" / "rank0.log"
    answer = explained(loud, sick)
    (general,) = [one for one in answer.diagnoses if isinstance(one, General)]
    assert general.evidence[0].file == str(sick)
    assert len(answer.known) == len(explained(loud).known) > 0


def test_a_rank_that_only_waited_stands_behind_what_the_other_one_raised() -> None:
    answer = explained(*sorted((LOGS / "gpu-pair").glob("rank-raises.info.rank?.log")))
    first, second = answer.diagnoses[:2]
    assert (first.title, first.evidence[0].rank) == ("ValueError: bad sample in the batch", 1)
    assert (second.name, second.missing) == ("torch-watchdog-timeout", None)


def test_what_was_not_said_while_following_is_said_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text(
        "(EngineCore pid=9) OddError: nobody knows it\n"
        "(APIServer pid=1) RuntimeError: Engine core initialization failed. See root cause above.\n"
    )
    stream = io.StringIO()
    Teller(stream, "never", as_json=False, verbose=False).end(explained(path), said=True, summary=False)
    assert "unknown-python-error" in stream.getvalue()


def test_what_was_logged_before_does_not_count(tmp_path: Path) -> None:
    path = tmp_path / "a.log"
    path.write_text("2026-11-24T10:00:00Z OddError: nobody knows it\n")
    assert [one.name for one in explained(path, since=1795514400.0).diagnoses] == ["unknown-python-error"]
    assert explained(path, since=1795514401.0).diagnoses == ()


def test_a_part_of_a_large_log_counts_its_lines_from_the_beginning() -> None:
    sign = Sign("exit", 7, "exited with code 3", 0, 18, {"exit": "3"}, Weight.FOLLOWS, False, 6, 8)
    from sparkdoctor.logs.scan import Ending

    moved = Ending("a", (), True, sign).moved(100).sign
    assert moved is not None
    assert (moved.since, moved.line, moved.until) == (106, 107, 108)
