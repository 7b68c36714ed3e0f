"""The tables of codes: complete, unambiguous, and found by number, name and text."""

from __future__ import annotations

import ast
import errno
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from sparkdoctor.codes import Code, by_name, cuda, exits, libraries, nccl, verbs, xid

TABLES = {
    "cuda": (cuda.CUDA, 134),
    "xid": (xid.XID, 176),
    "nccl": (nccl.NCCL, 8),
    "wc": (verbs.WC_STATUS, 24),
    "event": (verbs.EVENTS, 21),
    "cublas": (libraries.CUBLAS, 9),
    "cudnn": (libraries.CUDNN, 12),
    "signal": (exits.SIGNALS, 18),
    "exit": (exits.EXITS, 37),
}


@pytest.mark.parametrize("name", TABLES)
def test_every_entry_says_something_once(name: str) -> None:
    codes, count = TABLES[name]
    assert len(codes) == count
    names = [one for code in codes.values() for one in code.name.split()]
    if name in {"cuda", "nccl", "wc", "event", "cublas", "cudnn", "signal"}:
        assert len(names) == len(set(names))
    for number, code in codes.items():
        assert code.number == number
        assert code.name
        assert code.meaning
        assert not code.meaning.endswith(".")
        assert not code.advice.endswith(".")


def test_there_is_no_gap_in_the_xids() -> None:
    assert sorted(xid.XID) == list(range(1, 177))
    assert xid.XID[31].name == "ROBUST_CHANNEL_FIFO_ERROR_MMU_ERR_FLT"
    assert xid.XID[79].name == "ROBUST_CHANNEL_GPU_HAS_FALLEN_OFF_THE_BUS"
    assert xid.XID[119].name == "GSP_RPC_TIMEOUT"
    assert set(xid.XID) >= xid.FOLLOW | xid.QUIET


def test_cuda_is_found_by_both_names_and_by_what_is_printed() -> None:
    assert cuda.named("cudaErrorIllegalAddress") == cuda.named("CUDA_ERROR_ILLEGAL_ADDRESS") == cuda.CUDA[700]
    assert cuda.said("an illegal memory access was encountered\nCUDA kernel errors might be") == cuda.CUDA[700]
    assert cuda.said("no kernel image is available for execution on the device") == cuda.CUDA[209]
    assert cuda.said("invalid device ordinal") == cuda.CUDA[101]
    assert cuda.said("device kernel image is invalid") == cuda.CUDA[200]
    assert cuda.said("something else") is None
    assert cuda.named("cudaErrorOfNobody") is None


def test_the_header_of_cuda_agrees_where_there_is_one() -> None:
    header = Path("/usr/local/cuda-13.0/include/cuda.h")
    if not header.exists():
        pytest.skip("no CUDA 13.0 here")
    names = {
        line.split("=")[0].strip(): int(line.split("=")[1].strip(" ,"))
        for line in header.read_text().splitlines()
        if line.strip().startswith("CUDA_ERROR_") and line.count("=") == 1
    }
    assert names == {
        name: code.number for name, code in by_name(cuda.CUDA.values()).items() if name.startswith("CUDA_")
    }


def test_nccl_and_verbs_are_found_by_name_and_text() -> None:
    assert nccl.named("ncclSystemError") == nccl.said("unhandled system error (run with") == nccl.NCCL[2]
    assert nccl.said("fine") is None
    assert verbs.named("IBV_WC_RETRY_EXC_ERR") == verbs.said("transport retry counter exceeded") == verbs.WC_STATUS[12]
    assert verbs.named("IBV_EVENT_PORT_ERR") == verbs.EVENTS[10]
    assert verbs.named("IBV_WC_NOTHING") is verbs.said("nothing") is None


def test_a_longer_name_of_cudnn_counts_as_its_class() -> None:
    code = libraries.named("CUDNN_STATUS_BAD_PARAM_NULL_POINTER")
    assert code is not None
    assert code.number == 2000
    assert libraries.named("CUBLAS_STATUS_ALLOC_FAILED") == libraries.CUBLAS[3]
    assert libraries.named("CUBLAS_STATUS_NOTHING") is None


@pytest.mark.parametrize(
    ("number", "name"),
    [(134, "SIGABRT"), (135, "SIGBUS"), (136, "SIGFPE"), (137, "SIGKILL"), (139, "SIGSEGV"), (143, "SIGTERM"),
     (-6, "SIGABRT"), (-9, "SIGKILL"), (-11, "SIGSEGV"), (125, "docker"), (126, "not executable"), (127, "not found"),
     (203, "EXEC"), (1, "failure"), (42, "failure"), (164, "failure")],
)  # fmt: skip
def test_exit_codes(number: int, name: str) -> None:
    code = exits.exited(number)
    assert (code.number, code.name) == (number, name)
    assert code.meaning


def test_signals_have_the_numbers_of_linux() -> None:
    assert {code.name: number for number, code in exits.SIGNALS.items()} == {
        code.name: int(getattr(signal, code.name)) for code in exits.SIGNALS.values()
    }
    assert exits.signalled("SIGKILL") == exits.signalled("9") == exits.SIGNALS[9]
    assert exits.signalled("SIGNOTHING") is None


def test_errno_is_found_by_number_name_and_text() -> None:
    told = exits.errno_of(98)
    assert told == exits.errno_named("EADDRINUSE") == exits.errno_said("Address already in use")
    assert told is not None
    assert told.advice
    assert exits.errno_of(100_000) is exits.errno_named("ENOTHING") is exits.errno_said("fine") is None
    known = {number: exits.errno_of(number) for number in errno.errorcode}
    assert sum(bool(code and code.advice) for code in known.values()) == len(exits._ERRNO)


def test_tables_are_loaded_only_when_they_are_needed() -> None:
    code = "import sys, sparkdoctor.explaining; print([name for name in sys.modules if 'sparkdoctor.codes' in name])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_tables_know_nothing_else_of_sparkdoctor() -> None:
    folder = Path(exits.__file__).parent
    for path in folder.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("sparkdoctor"):
                assert node.module == "sparkdoctor.codes"


def test_a_table_without_advice() -> None:
    assert by_name([Code(1, "a b", "c")]) == {"a": Code(1, "a b", "c"), "b": Code(1, "a b", "c")}
