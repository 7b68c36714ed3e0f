"""Logs inside other files: every form gives the same lines, at the lines of its own file.

The journal's forms are real output of journalctl 252 (tests/logs/README.md). Docker's and the
container runtime's are written after the programs' own source, as they can only be had from a running engine.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.logs.forms import LONGEST, unwrapped
from sparkdoctor.logs.origin import prefix_of
from sparkdoctor.logs.read import read_log

FORMS = Path(__file__).parent / "forms"
WARN = "[2026-11-24 15:24:42] spark-2:312:455 [0] misc/ibvwrap.cc:218 NCCL WARN Call to ibv_reg_mr_iova2 failed"


def text_of(data: bytes, size: int = 1 << 18) -> bytes:
    return b"".join(unwrapped(data[at : at + size] for at in range(0, len(data), size)))


def lines_of(data: bytes, size: int = 1 << 18) -> dict[int, str]:
    """The lines that are not blank, by number."""
    found = enumerate(text_of(data, size).decode(errors="replace").split("\n"), 1)
    return {number: line for number, line in found if line.strip()}


@pytest.mark.parametrize("size", [1, 7, 100, 1 << 18])
@pytest.mark.parametrize("form", ["export", "json"])
def test_the_journal_reads_as_journalctl_prints_it(form: str, size: int) -> None:
    data = (FORMS / f"journal.{form}").read_bytes()
    lines = list(lines_of(data, size).values())
    assert len(lines) == 4
    assert lines[0].startswith("2026-11-24T16:39:06.965525Z vm vllm[15876]: (Worker_TP1 pid=312) INFO 11-24 15:24:41 [")
    assert lines[1].startswith("2026-11-24T16:39:06.970884Z vm vllm[15876]: [2026-11-24 15:24:42] spark-2:312:455 [0] ")
    assert lines[2].split("\r")[1:] == ['  File "x.py", line 1', "RuntimeError: NCCL error: unhandled system error"]
    assert lines[3].endswith("\x1b[31mred\x1b[0m café �")


def test_a_file_of_the_journal_is_read_although_its_coloured_messages_are_binary() -> None:
    """Each has its length before it, in eight bytes of which most are NUL."""
    path = FORMS / "journal.export"
    assert path.read_bytes().count(0) > 7
    (block,) = read_log(str(path))
    assert block.data.count(b"NCCL WARN Call to ibv_reg_mr_iova2 failed") == 1
    assert "red café" in block.data.decode(errors="replace")


@pytest.mark.parametrize("form", ["export", "json"])
def test_a_line_of_the_journal_stands_where_its_message_is(form: str) -> None:
    data = (FORMS / f"journal.{form}").read_bytes()
    raw = data.split(b"\n")
    for number, line in lines_of(data).items():
        assert b"MESSAGE" in raw[number - 1], (number, line)
    assert text_of(data).count(b"\n") == data.count(b"\n")


@pytest.mark.parametrize("form", ["short", "short-iso", "short-precise", "short-unix"])
def test_the_printed_journal_stays_as_it_is(form: str) -> None:
    data = (FORMS / f"journal.{form}").read_bytes()
    assert text_of(data) == data
    second = prefix_of(data.decode().split("\n")[1])
    assert (second.node, second.process, len(second.stamps)) == ("vm", "vllm", 2)


def docker(log: str, stream: str = "stderr", second: int = 42) -> str:
    """As moby's jsonlog.JSONLog.MarshalJSONBuf orders it."""
    return json.dumps({"log": log, "stream": stream, "time": f"2026-11-24T14:24:{second}.123456789Z"}) + "\n"


def test_docker_json_file() -> None:
    data = (docker("first\n") + docker('say "x" <y> & é\r\n') + docker(f"{WARN}\n")).encode()
    assert list(lines_of(data).values()) == [
        "2026-11-24T14:24:42.123456789Z first",
        '2026-11-24T14:24:42.123456789Z say "x" <y> & é\r',
        f"2026-11-24T14:24:42.123456789Z {WARN}",
    ]


@pytest.mark.parametrize("size", [3, 1 << 18])
def test_parts_of_one_line_are_joined_for_each_stream(size: int) -> None:
    data = docker("one, ") + docker("other, ", "stdout", 43) + docker("two\n", second=44) + docker("end\n", "stdout")
    assert lines_of(data.encode(), size) == {
        3: "2026-11-24T14:24:42.123456789Z one, two",
        4: "2026-11-24T14:24:43.123456789Z other, end",
    }


def test_a_line_without_its_end_is_not_lost() -> None:
    assert list(lines_of(docker("cut").encode()).values()) == ["2026-11-24T14:24:42.123456789Z cut"]


def test_a_damaged_entry_comes_out_as_it_is() -> None:
    data = (docker("a\n") + '{"log":"b\\n","stre' + "\n" + docker("c\n")).encode()
    assert list(lines_of(data).values())[1] == '{"log":"b\\n","stre'


def test_container_runtime_of_kubernetes() -> None:
    data = (
        b"2026-11-24T14:24:41.1Z stdout F first\n"
        b"2026-11-24T14:24:42.1Z stderr P Call to ibv_\n"
        b"2026-11-24T14:24:42.2Z stdout F between\n"
        b"2026-11-24T14:24:42.3Z stderr F reg_mr failed\n"
    )
    assert lines_of(data) == {
        1: "2026-11-24T14:24:41.1Z first",
        3: "2026-11-24T14:24:42.2Z between",
        4: "2026-11-24T14:24:42.1Z Call to ibv_reg_mr failed",
    }


def test_an_entry_without_end_is_not_kept_in_memory() -> None:
    start = docker("a\n").encode()
    pieces = [start, b'{"log":"', *[b"x" * 65536] * 64]
    longest = max(len(piece) for piece in unwrapped(iter(pieces)))
    assert longest < 2 * LONGEST


WRAPPED_LINES = [f"(Worker_TP{rank} pid=31{rank}) INFO 11-24 15:24:4{rank} {WARN} with error Cannot allocate memory"
                 for rank in range(4)]  # fmt: skip


def wrap(lines: list[str], width: int) -> bytes:
    return "".join(line[at : at + width] + "\n" for line in lines for at in range(0, max(len(line), 1), width)).encode()


@pytest.mark.parametrize("width", [60, 80, 100, 132])
def test_lines_wrapped_by_a_terminal_are_joined(width: int) -> None:
    data = wrap(["start", *WRAPPED_LINES, "", "end"], width)
    found = lines_of(data)
    assert list(found.values()) == ["start", *WRAPPED_LINES, "end"]
    assert text_of(data).count(b"\n") == data.count(b"\n")
    for number, line in found.items():
        assert data.split(b"\n")[number - 1].decode() == line[:width]


def test_lines_of_one_length_are_not_taken_for_wrapped() -> None:
    same = [line[:90] for line in WRAPPED_LINES] * 3
    assert text_of(wrap(same, 500)) == wrap(same, 500)
    box = ["+" + "-" * 78 + "+", "| NVIDIA-SMI" + " " * 67 + "|"] * 6
    assert text_of(wrap(box, 500)) == wrap(box, 500)


PIECES = st.lists(
    st.one_of(
        st.binary(max_size=60),
        st.sampled_from(
            [docker("x\n").encode(), docker("part").encode(), b"__CURSOR=1\n", b"MESSAGE\n\x05\0\0\0\0\0\0\0a\nb\nc\n",
             b"MESSAGE=x\n", b"\n", b"_HOSTNAME=h\n__REALTIME_TIMESTAMP=1795538346970489\n", b"MESSAGE\n\xff\xff",
             b'{"__REALTIME_TIMESTAMP":"1","MESSAGE":[1,300,null,"x"]}\n', b"2026-11-24T14:24:42.1Z stderr P x\n"]
        ),
    ),
    max_size=12,
)  # fmt: skip


@given(PIECES, st.integers(1, 50))
def test_no_bytes_raise_and_the_pieces_do_not_matter(parts: list[bytes], size: int) -> None:
    data = b"".join(parts)
    assert text_of(data, size) == text_of(data)


@given(PIECES)
def test_no_line_is_added(parts: list[bytes]) -> None:
    data = b"".join(parts)
    assert text_of(data).count(b"\n") <= data.count(b"\n") + 3  # at the end: what waited for a line that did not come
