"""Classes of failures, told without a signature: each is told, and what looks alike is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.logs.match import Matcher
from sparkdoctor.logs.scan import Logs
from sparkdoctor.logs.sign import Sign, Weight
from sparkdoctor.logs.signs import first_sign

LOGS = Path(__file__).parent


def sign_of(text: str) -> Sign | None:
    return first_sign((number, line) for number, line in enumerate(text.split("\n"), 1))


def told(text: str) -> Sign:
    sign = sign_of(text)
    assert sign is not None
    return sign


KINDS = {
    "[1.2] NVRM: Xid (PCI:000f:01:00): 31, pid=9, name=python3, Ch 0000000b": "xid",
    "kernel: Out of memory: Killed process 4711 (python3) total-vm:1kB": "out-of-memory",
    "[  1.000000] BUG: unable to handle page fault for address: ffff": "kernel",
    "INFO: task vllm:77 blocked for more than 122 seconds.": "kernel",
    "python3[123]: segfault at 10 ip 00007f sp 00007f error 4 in libnccl.so.2[7f00+1000]": "segfault",
    "terminate called after throwing an instance of 'c10::Error'": "abort",
    "free(): invalid pointer": "abort",
    "double free or corruption (!prev)": "abort",
    "a.out: x.cc:12: int main(): Assertion `n > 0' failed.": "assertion",
    "/src/ggml.c:77: GGML_ASSERT(a == b) failed": "assertion",
    "Fatal Python error: Segmentation fault": "crash",
    "Segmentation fault (core dumped)": "crash",
    "!!!!!!! Segfault encountered !!!!!!!": "crash",
    "thread 'main' panicked at src/main.rs:4:5:": "panic",
    "thread 'tokio' (77) panicked at src/main.rs:4:5:": "panic",
    "x.cu:12 Test NCCL failure common.cu:958 'unhandled system error (run with NCCL_DEBUG=INFO for details)'": "nccl",
    "ncclSystemError: System call (e.g. socket, malloc) or external library call failed": "nccl",
    "CUDA error: an illegal memory access was encountered": "cuda",
    "cublas failed: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`": "cuda",
    "spark-1:7:9 [0] misc/ibvwrap.cc:1 NCCL WARN Call to ibv_create_qp failed": "nccl-warning",
    "ibv_create_qp failed with errno 12": "verbs",
    "Error response from daemon: unknown or invalid runtime name: nvidia": "docker",
    "nvidia-container-cli: initialization error: nvml error: driver not loaded": "docker",
    "yaml: line 7: mapping values are not allowed in this context": "configuration",
    "vllm: error: unrecognized arguments: --swap-space 4": "usage",
    "error: unexpected argument '--foo' found": "usage",
    "/entry.sh: line 3: vllm: command not found": "command",
    'exec: "vllm": executable file not found in $PATH: unknown': "command",
    "exec /usr/bin/python3: exec format error": "command",
    "subprocess died with <Signals.SIGKILL: 9>.": "signal",
    "worker killed by signal 11": "signal",
    "vllm-1 exited with code 137": "exit",
    "  exitcode  : -9 (pid: 77)": "exit",
    "systemd[1]: vllm.service: Main process exited, code=exited, status=203/EXEC": "exit",
    "/bin/run: line 7:    77 Killed                  python3 serve.py": "killed",
    "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-11-24T10:00:00 DUE TO TIME LIMIT ***": "slurm",
    "RuntimeError: nobody knows this": "exception",
    "python3: error while loading shared libraries: libodd.so.1: cannot open shared object file": "library",
    "python3: symbol lookup error: /a/b.so: undefined symbol: odd": "library",
    "nvcc fatal   : Unsupported gpu architecture 'compute_999'": "build",
    "ninja: build stopped: subcommand failed.": "build",
    "cat: /sys/x: No such file or directory": "errno",
    "(Worker pid=7) ERROR 11-24 10:00:00 [x.py:7] it went wrong": "error",
}


@pytest.mark.parametrize("line", KINDS, ids=lambda line: KINDS[line])
@pytest.mark.parametrize("prefix", ["", "vllm-1  | ", "2026-11-24T10:00:00Z ", "[rank1]: "])
def test_a_line_of_each_class(line: str, prefix: str) -> None:
    sign = told(f"started\n{prefix}{line}\n")
    assert (sign.kind, sign.line) == (KINDS[line], 2)
    assert sign.text[sign.start : sign.end]


@pytest.mark.parametrize(
    "line",
    [
        "INFO error rate 0, 0 failures",
        "vllm-1 exited with code 0",
        "3 errors: none of them now",
        "exitcode: 0",
        "systemd[1]: a.service: Main process exited, code=exited, status=0/SUCCESS",
        'INFO:     172.17.0.1:4 - "GET /nothing HTTP/1.1" 404 Not Found',
        'INFO:     172.17.0.1:4 - "POST /v1/chat/completions HTTP/1.1" 400 Bad Request',
        "spark-1:7:7 [0] NCCL INFO NET/Plugin: Could not find: libnccl-net.so",
        "spark-1:7:7 [0] NCCL INFO cudaDriverVersion 13000, no CUDA error",
        "Kernel command line: panic=30",
        "skilled workers; Killed Bill is a film we like",
        "0 warnings, the segfault of last week is fixed",
        "loading the class ValueError of module x",
        "2026-11-24 10:00:00 WARNING nothing to see",
        "the option --exit-code is new",
        '    raise RuntimeError(f"NCCL error: {error_str}")',
        '(VllmWorkerProcess pid=91) ERROR 07-28 23:29:37 x.py:226]     raise RuntimeError(f"NCCL error: {error_str}")',
        '(Worker_TP1 pid=91)   File "/x/cuda.py", line 7, in cudaErrorNotReady',
    ],
)
def test_what_is_no_failure(line: str) -> None:
    assert sign_of(f"a\n{line}\nb") is None


@pytest.mark.parametrize(
    ("line", "mild"),
    [
        ("WARNING 11-24 10:00:00 [x.py:7] CUDA error: out of memory, trying again", True),
        ("ERROR 11-24 10:00:00 [x.py:7] CUDA error: out of memory", False),
        ("chrome[123]: segfault at 10 ip 0 sp 0 error 4 in libc.so.6[7f00+1000]", True),
        ("VLLM::Worker[123]: segfault at 10 ip 0 sp 0 error 4 in libc.so.6[7f00+1000]", False),
        ("spark-1:7:9 [0] x.cc:1 NCCL WARN Could not find real path of rocep1s0f0", True),
    ],
)
def test_what_may_be_harmless(line: str, mild: bool) -> None:
    assert told(line).mild is mild


TRACEBACK = """\
Traceback (most recent call last):
  File "/usr/lib/python3.12/site-packages/vllm/engine.py", line 12, in start
    self.load(
    ^^^^^^^^^^
  File "/usr/lib/python3.12/json/decoder.py", line 355, in raw_decode
    raise error
KeyError: 'weight'
"""
CHAINED = f"""\
{TRACEBACK}
During handling of the above exception, another exception occurred:

Traceback (most recent call last):
  File "/app/serve.py", line 3, in <module>
    main()
RuntimeError: could not start
"""


def test_the_first_exception_of_a_chain_is_the_beginning() -> None:
    sign = told(f"INFO started\n{CHAINED}")
    assert (sign.kind, sign.since, sign.line) == ("python", 2, 8)
    assert sign.said["type"] == "KeyError"
    assert sign.said["message"] == "'weight'"
    assert sign.said["path"].endswith("vllm/engine.py")
    assert (sign.said["at"], sign.said["function"], sign.said["package"]) == ("12", "start", "vllm")
    assert (sign.said["last"], sign.said["last_line"]) == ("RuntimeError: could not start", "15")
    assert not sign.mild


@pytest.mark.parametrize(
    "prefix",
    [
        "(Worker_TP1 pid=377) ERROR 11-24 10:00:00 [multiproc.py:77] ",
        "vllm-1  | (EngineCore_DP0 pid=9) ERROR 11-24 10:00:00 [core.py:7] ",
        "[rank3]: ",
        "2026-11-24T10:00:00.123456Z ",
        "[default1]:[rank1]: ",
    ],
)
def test_a_traceback_behind_prefixes(prefix: str) -> None:
    other = "(Worker_TP0 pid=376) ERROR 11-24 10:00:00 [multiproc.py:77] something else\n"
    lines = [prefix + line for line in CHAINED.split("\n")]
    sign = told(f"\n{other}".join(lines) if "pid=377" in prefix else "\n".join(lines))
    assert (sign.kind, sign.said["type"], sign.said["function"]) == ("python", "KeyError", "start")
    assert sign.text.endswith("KeyError: 'weight'")


def test_a_message_in_one_line_of_the_journal() -> None:
    sign = told("Nov 24 10:00:00 spark-1 vllm[7]: " + TRACEBACK.replace("\n", "\r"))
    assert (sign.kind, sign.line, sign.said["type"]) == ("python", 1, "KeyError")


def test_sglang_logs_a_traceback_as_one_message() -> None:
    head = "[2026-11-24 10:00:00 TP1] Scheduler hit an exception: "
    other = "[2026-11-24 10:00:00 TP0] Load weight begin. avail mem=77 GB\n"
    sign = told(f"{other}{head}{CHAINED}\n{other}[2026-11-24 10:00:01] Received sigquit from a child process.")
    assert (sign.kind, sign.line, sign.said["type"]) == ("python", 8, "KeyError")
    assert sign.said["last"] == "RuntimeError: could not start"
    assert not sign.mild


def test_the_line_that_says_more_counts() -> None:
    sign = told(
        "/src/ggml-cuda.cu:106: CUDA error\nCUDA error: an illegal memory access was encountered\n  current device: 0"
    )
    assert (sign.since, sign.line) == (1, 2)
    assert told("/src/fattn.cu:579: fatal error").kind == "assertion"
    assert told("mpirun noticed that process rank 1 exited on signal 9 (Killed).").kind == "signal"


def test_tracebacks_of_loguru_and_rich() -> None:
    loguru = """\
2026-11-24 10:00:00.123 | ERROR    | odd:main:12 - it went wrong
Traceback (most recent call last):

  File "/app/serve.py", line 3, in <module>
    main()
    └ <function main at 0x7f>
> File "/app/odd.py", line 7, in main
    raise ValueError("odd")

ValueError: odd
"""
    sign = told(loguru)
    assert (sign.kind, sign.line, sign.said["path"], sign.said["at"]) == ("python", 10, "/app/odd.py", "7")
    rich = """\
╭─────────── Traceback (most recent call last) ───────────╮
│ /app/serve.py:3 in main                                 │
│                                                         │
│    1 def main():                                        │
│ ❱  3     raise ValueError("odd")                        │
╰─────────────────────────────────────────────────────────╯
ValueError: odd
"""
    sign = told(rich)
    assert (sign.kind, sign.line, sign.said["path"], sign.said["function"]) == ("python", 7, "/app/serve.py", "main")


def test_a_message_goes_on() -> None:
    text = TRACEBACK.replace(
        "KeyError: 'weight'", "pydantic.ValidationError: 1 error for Config\n  Value error, too long"
    )
    assert told(text).said["message"] == "1 error for Config Value error, too long"


def test_what_follows_from_something_else_is_not_the_beginning() -> None:
    dead = TRACEBACK.replace("KeyError: 'weight'", "vllm.EngineDeadError: EngineCore died")
    assert told(dead).weight is Weight.FOLLOWS
    assert told(f"{dead}{TRACEBACK}").said["type"] == "KeyError"
    assert told(f"vllm-1 exited with code 1\n{TRACEBACK}").kind == "python"
    assert told(f"worker died (exit code: -9)\n{TRACEBACK}").said["exit"] == "-9"
    assert told(f"{TRACEBACK}vllm-1 exited with code 1").kind == "python"
    assert told("vllm-1 exited with code 143\nvllm-2 exited with code 3").said["exit"] == "3"


def test_a_log_that_goes_on_well_has_no_beginning_of_a_failure() -> None:
    assert sign_of(f"{TRACEBACK}INFO:     Application startup complete.") is None
    assert (
        sign_of(f"{TRACEBACK}INFO 1 [loggers.py:7] Avg generation throughput: 12.3 tokens/s, Running: 1 reqs") is None
    )
    assert told(f"INFO:     Application startup complete.\n{TRACEBACK}").line == 8


def test_what_was_caught_or_stopped_is_mild() -> None:
    calm = "(Worker pid=7) INFO 11-24 10:00:00 [x.py:7] all is well\n"
    behind = "".join(f"(Worker pid=7) ERROR 11-24 10:00:00 [x.py:7] {line}\n" for line in TRACEBACK.splitlines())
    assert told(f"{behind}{calm * 20}").mild
    assert not told(f"{behind}{calm * 3}").mild
    assert told(f"WARNING:root:could not do it\n{TRACEBACK}one\ntwo\nthree\nfour").mild
    assert not told(f"WARNING:root:could not do it\n{TRACEBACK}").mild
    assert told(f"(Worker pid=7) WARNING 11-24 10:00:00 [x.py:7] could not do it\n{TRACEBACK}{calm * 3}").mild
    assert told(f"Exception ignored in: <function f>\n{TRACEBACK}").mild
    assert told(f"INFO:     Shutting down\n{TRACEBACK}").mild
    assert told(TRACEBACK.replace("KeyError: 'weight'", "asyncio.exceptions.CancelledError")).mild
    assert told(TRACEBACK.replace("KeyError: 'weight'", "KeyboardInterrupt")).mild
    # Nothing comes after a Xid, however calm the other lines are.
    assert not told(f"NVRM: Xid (PCI:000f:01:00): 79, gone\n{calm * 30}").mild


def test_the_journal_of_a_machine_has_failures_of_anybody() -> None:
    names = ("kernel", "systemd[1]", "sshd[70]", "cron[71]", "snapd[72]")
    lines = [f"Nov 24 10:00:0{number} spark-1 {name}: all is well" for number, name in enumerate(names)]
    journal = "\n".join(lines) + "\n"
    for tag, mild in (("networkd-dispatcher[77]", True), ("vllm[77]", False), ("dockerd[77]", False)):
        behind = "".join(f"Nov 24 10:00:09 spark-1 {tag}: {line}\n" for line in TRACEBACK.splitlines())
        assert told(journal + behind).mild is mild
        assert not told(behind).mild
    ended = "Nov 24 10:00:09 spark-1 systemd[1]: {}.service: Main process exited, code=exited, status=1/FAILURE"
    assert told(journal + ended.format("motd-news")).mild
    assert not told(journal + ended.format("vllm-head")).mild


def test_the_last_warning_of_nccl_before_it_gave_up() -> None:
    warned = (
        "spark-1:7:9 [0] a.cc:1 NCCL WARN Could not find real path of x\n"
        "spark-1:7:9 [0] b.cc:2 NCCL WARN something is odd here\n"
    )
    gave_up = "spark-1:7:9 [0] NCCL INFO b.cc:12 -> 2\n"
    assert told(warned).mild
    assert told(warned + gave_up).line == 2
    assert not told(warned + gave_up).mild
    raised = TRACEBACK.replace("KeyError: 'weight'", "torch.distributed.DistBackendError: NCCL error in: x.cpp:7")
    sign = told(warned + raised)
    assert (sign.kind, sign.line, sign.weight) == ("nccl-warning", 2, Weight.BEGINS)


def test_what_an_uncaught_exception_of_cpp_says() -> None:
    sign = told(
        "terminate called after throwing an instance of 'std::bad_alloc'\n  what():  std::bad_alloc\nAborted (core dumped)"
    )
    assert (sign.kind, sign.said["type"], sign.said["message"]) == ("abort", "std::bad_alloc", "std::bad_alloc")


def test_a_line_of_source_is_no_failure() -> None:
    found = told(
        '    raise RuntimeError(f"NCCL error: {error_str}")\nRuntimeError: NCCL error: invalid usage (run with NCCL_DEBUG=WARN for details)'
    )
    assert found.line == 2


def test_an_exception_that_was_pasted_with_an_indentation_is_one() -> None:
    for before in ("  ", "> ", "▎ ", "\t"):
        assert told(f"{before}OddError: nobody knows it").said["message"] == "nobody knows it"
    assert sign_of("  OddError") is None


def test_what_is_printed_on_the_way_out_is_not_going_on() -> None:
    down = "(EngineCore pid=7) INFO 06-14 03:10:12 [core.py:1301] [shutdown] EngineCore: exiting busy loop\n" * 20
    news = 'INFO:     127.0.0.1:47816 - "GET /health HTTP/1.1" 503 Service Unavailable\n'
    assert not told(news + TRACEBACK + "\n" + down).mild
    assert told(news + TRACEBACK + "\n" + "(EngineCore pid=7) INFO 06-14 03:10:12 [x.py:7] step\n" * 20).mild


@pytest.mark.parametrize("path", sorted((LOGS / "healthy").glob("*.log")), ids=lambda path: path.stem)
def test_no_healthy_log_has_a_grave_sign(path: Path) -> None:
    several = Logs([str(path)], Matcher([]))
    list(several.hits())
    (ending,) = several.endings
    assert ending.sign is None or ending.sign.mild


PIECES = st.sampled_from(
    [*KINDS, *CHAINED.split("\n"), "(Worker pid=7) ERROR 11-24 10:00:00 [x.py:7] ", "  + ", "| ", "\t", "", "^C"]
)


@given(st.lists(st.one_of(PIECES, st.text(max_size=60), st.builds(str.__add__, PIECES, PIECES)), max_size=40))
def test_any_text_is_read(lines: list[str]) -> None:
    sign = sign_of("\n".join(lines))
    assert sign is None or (1 <= sign.since <= sign.line and 0 <= sign.start <= sign.end <= len(sign.text))


@pytest.mark.parametrize(
    "line",
    ["a" * 100_000, " " * 100_000, "Error: " * 20_000, "x:" * 50_000, "exit code " * 10_000, "a.b." * 30_000,
     "failed to " * 10_000 + "ibv_", "Assertion `" * 10_000, "(" * 50_000, '"POST /' * 20_000, "\r" * 50_000,
     "Error: x\r" * 10_000, 'File "' * 20_000, "NCCL INFO x -> " * 9000, "oom-kill:" * 10_000, "Oops: " * 20_000],
    ids=lambda line: repr(line[:8]),
)  # fmt: skip
def test_lines_made_to_take_long_are_read(line: str) -> None:
    sign_of("\n".join(["Traceback (most recent call last):", line, line, f"Error: {line}"]))
