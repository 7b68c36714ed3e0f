"""Reading logs: every form, every refusal, bounded memory."""

from __future__ import annotations

import bz2
import gzip
import importlib
import io
import itertools
import lzma
import os
import random
import sys
import threading
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.logs.read import BLOCK, LogError, read_log

ZSTD = importlib.import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
TEXT = "first line\nNCCL WARN second\nlast without newline"


def text_of(path: Path | str, stdin: bytes | None = None) -> str:
    blocks = read_log(str(path), io.BytesIO(stdin) if stdin is not None else None)
    return b"".join(block.data for block in blocks).decode(errors="surrogateescape")


def problem_of(path: Path | str, stdin: bytes | None = None) -> str:
    with pytest.raises(LogError) as caught:
        text_of(path, stdin)
    assert caught.value.path == str(path)
    assert "\n" not in str(caught.value)
    return caught.value.problem


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(TEXT.encode(), id="utf-8"),
        pytest.param(TEXT.encode("utf-8-sig"), id="utf-8 with mark"),
        pytest.param(TEXT.encode("utf-16"), id="utf-16"),
        pytest.param("\ufeff".encode("utf-16-be") + TEXT.encode("utf-16-be"), id="utf-16-be"),
        pytest.param(TEXT.encode("utf-32"), id="utf-32"),
        pytest.param(gzip.compress(TEXT.encode()), id="gzip"),
        pytest.param(gzip.compress(TEXT[:15].encode()) + gzip.compress(TEXT[15:].encode()), id="gzip in two members"),
        pytest.param(gzip.compress(TEXT.encode("utf-16")), id="gzip of utf-16"),
        pytest.param(bz2.compress(TEXT.encode()), id="bzip2"),
        pytest.param(lzma.compress(TEXT.encode()), id="xz"),
        pytest.param(ZSTD.compress(TEXT.encode()), id="zstd"),
        pytest.param(ZSTD.compress(TEXT[:15].encode()) + ZSTD.compress(TEXT[15:].encode()), id="zstd in two frames"),
    ],
)
def test_every_form_gives_the_same_text(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "vllm.log"
    path.write_bytes(data)
    assert text_of(path) == TEXT
    assert text_of("-", data) == TEXT


def test_utf_16_is_decoded_across_reads(tmp_path: Path) -> None:
    text = "é€𝄞x\n" * 300_000
    path = tmp_path / "big.log"
    path.write_bytes(text.encode("utf-16"))
    assert path.stat().st_size > 2 * BLOCK
    assert text_of(path) == text


def test_what_a_terminal_would_act_on_is_taken_away() -> None:
    raw = (
        b"\x1b[31mred\x1b[0m \x1b]0;title\x07set \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\ \x1b(Bcharset "
        b"bell\x07 \x00nul \xc2\x9b1mC1\x7f tab\there\r\n50%\r100%\n"
    )
    assert text_of("-", raw.replace(b"\x00", b"")) == "red set link charset bell nul C1 tab\there\r\n50%\r100%\n"


def test_an_escape_string_without_an_end_hides_nothing() -> None:
    assert "NCCL WARN" in text_of("-", b"\x1b]0;NCCL WARN Call failed\nnext\n")
    assert "NCCL WARN" in text_of("-", b"\x1bP NCCL WARN\nnext \x07\n")


def test_nul_bytes_after_the_head_do_no_harm() -> None:
    data = b"x\n" * BLOCK + b"a\0b\0c\n"
    assert text_of("-", data).endswith("abc\n")


def test_blocks_are_whole_lines_with_their_numbers(tmp_path: Path) -> None:
    path = tmp_path / "many.log"
    path.write_text("".join(f"line {number} {'x' * 90}\n" for number in range(1, 40_001)))
    blocks = list(read_log(str(path)))
    assert len(blocks) > 2
    for block in blocks:
        assert block.data.startswith(f"line {block.first} ".encode())
        assert block.data.endswith(b"\n")


def test_an_overlong_line_comes_in_overlapping_pieces_of_one_number() -> None:
    line = b"".join(b"%07d " % number for number in range(400_000))
    blocks = list(read_log("-", io.BytesIO(b"before\n" + line + b"\nafter\n")))
    pieces = [block for block in blocks if block.first == 2]
    assert len(pieces) > 3
    assert all(len(piece.data) <= BLOCK + 8 for piece in pieces[:-1])
    for piece, following in itertools.pairwise(pieces):
        assert following.data[:4000] in piece.data
    assert blocks[-1].first + blocks[-1].data.count(b"\n", 0, -1) == 3


def test_memory_stays_bounded(tmp_path: Path) -> None:
    path = tmp_path / "zeros.log.gz"
    with gzip.open(path, "wb", compresslevel=1) as file:
        for _ in range(64):
            file.write(b"no newline anywhere " * (BLOCK // 20))
    tracemalloc.start()
    try:
        for _ in read_log(str(path)):
            pass
        assert tracemalloc.get_traced_memory()[1] < 16 * BLOCK
    finally:
        tracemalloc.stop()


class Trickle(io.RawIOBase):
    """A pipe whose writer writes one byte at a time."""

    def __init__(self, data: bytes) -> None:
        self.data = data

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        taken, self.data = self.data[:1], self.data[1:]
        return taken


@pytest.mark.parametrize("data", [TEXT.encode(), TEXT.encode("utf-16"), gzip.compress(TEXT.encode()), b"ab", b"\n"])
def test_a_slow_pipe_is_read_whole(data: bytes) -> None:
    whole = text_of("-", data)
    assert b"".join(block.data for block in read_log("-", Trickle(data))).decode() == whole  # type: ignore[arg-type]


def test_missing(tmp_path: Path) -> None:
    assert problem_of(tmp_path / "nowhere.log") == "does not exist"


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable(tmp_path: Path) -> None:
    path = tmp_path / "secret.log"
    path.write_text("x")
    path.chmod(0)
    assert problem_of(path) == "may not be read by this user (permission denied)"


def test_permission_denied_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # A fake: the tests may run as root, whom no mode stops.
    path = tmp_path / "secret.log"
    path.write_text("x")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr("builtins.open", refuse)
    assert problem_of(path) == "may not be read by this user (permission denied)"


def test_empty(tmp_path: Path) -> None:
    path = tmp_path / "empty.log"
    path.touch()
    assert problem_of(path) == "is empty"
    assert problem_of("-", b"") == "nothing came in"
    path.write_bytes(gzip.compress(b""))
    assert problem_of(path) == "is empty once decompressed"


def test_folder(tmp_path: Path) -> None:
    folder = tmp_path / "my logs"
    folder.mkdir()
    assert problem_of(folder) == f"is a folder; name the logs in it: sparkdoctor explain '{folder}'/*.log"


@pytest.mark.parametrize("data", [b"\x7fELF\x02\x01\x01\0\0\0", b"PK\x03\x04\x14\0\0\0", b"text\n\0"])
def test_binary(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "core"
    path.write_bytes(data)
    assert problem_of(path) == f"is binary, not a log (a NUL byte at offset {data.index(0)})"


def test_sparse_file_of_10_gb_is_refused_at_its_head(tmp_path: Path) -> None:
    path = tmp_path / "sparse.log"
    with path.open("wb") as file:
        file.truncate(10 << 30)
    tracemalloc.start()
    try:
        assert problem_of(path) == "is binary, not a log (a NUL byte at offset 0)"
        assert tracemalloc.get_traced_memory()[1] < 8 * BLOCK
    finally:
        tracemalloc.stop()


def test_utf_16_without_mark_is_named(tmp_path: Path) -> None:
    path = tmp_path / "windows.log"
    path.write_bytes(TEXT.encode("utf-16-le"))
    assert "iconv -f UTF-16LE -t UTF-8" in problem_of(path)
    path.write_bytes(TEXT.encode("utf-16-be"))
    assert "iconv -f UTF-16BE -t UTF-8" in problem_of(path)


def test_zstd_says_how_where_the_package_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "vllm.log.zst"
    path.write_bytes(b"\x28\xb5\x2f\xfd" + b"x" * 20)
    monkeypatch.setitem(sys.modules, "compression.zstd", None)
    monkeypatch.setitem(sys.modules, "backports.zstd", None)
    use = f"zstd -dc {path} | sparkdoctor explain -"
    assert problem_of(path) == f"is compressed with zstd, and backports.zstd is not installed; use: {use}"


def test_damaged_zstd_is_named(tmp_path: Path) -> None:
    path = tmp_path / "vllm.log.zst"
    path.write_bytes(ZSTD.compress(b"text" * 1000)[:8] + b"x" * 20)
    assert "damaged or cut off" in problem_of(path)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress, ZSTD.compress])
def test_cut_off_compressed_data_keep_what_was_read(tmp_path: Path, pack: object) -> None:
    assert callable(pack)
    some = random.Random(1)
    text = b"".join(b"%d some text\n" % some.getrandbits(64) for _ in range(200_000))
    path = tmp_path / "cut"
    whole = pack(text)
    path.write_bytes(whole[: len(whole) // 2])
    got: list[bytes] = []
    with pytest.raises(LogError, match="damaged or cut off"):
        got.extend(block.data for block in read_log(str(path)))
    assert got
    assert text.startswith(b"".join(got))


def test_named_fifo_is_not_waited_for(tmp_path: Path) -> None:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    assert problem_of(path) == (f"is a FIFO, which could wait for ever; read it as: sparkdoctor explain - < {path}")


def test_pipe_of_the_shell_is_read() -> None:
    reading, writing = os.pipe()

    def write() -> None:
        os.write(writing, TEXT.encode())
        os.close(writing)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        assert text_of(f"/dev/fd/{reading}") == TEXT
    finally:
        writer.join()
        os.close(reading)


def test_device() -> None:
    assert problem_of("/dev/zero") == "is a device or a socket, not a log"


def test_a_name_with_a_nul() -> None:
    assert "null" in problem_of("a\0b")


@given(st.binary(max_size=3000))
def test_any_bytes_give_lines_or_a_refusal(data: bytes) -> None:
    try:
        got = text_of("-", data).encode(errors="surrogateescape")
    except LogError:
        return
    assert not set(got) & (set(range(32)) - {9, 10, 13})
    if not data.startswith((b"\xff\xfe", b"\xfe\xff")):
        assert got.count(b"\n") == data.count(b"\n")
