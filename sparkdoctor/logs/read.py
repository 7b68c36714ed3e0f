"""Read logs as blocks of whole lines, in bounded memory, whatever comes in.

A log may be of any size, in UTF-8 or (with a byte order mark) UTF-16 or UTF-32, compressed, full of
colours and progress bars, or not a log at all. What cannot be read is one LogError with one line.
"""

from __future__ import annotations

import codecs
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import IO, BinaryIO, NamedTuple, cast

from sparkdoctor.late import late
from sparkdoctor.logs.forms import form_of, unwrapped
from sparkdoctor.logs.unpack import BZIP2, Damaged, Pushed, Read, unpacker

STDIN = "-"
BLOCK = 1 << 20
"""Bytes of the longest piece of a line that is looked at as one."""
READ = 1 << 18
"""Bytes that are read at once: few enough to stay in the processor's cache until all work on them is done."""
OVERLAP = 4096
"""Bytes that two pieces of one overlong line have in common, so that a message at the cut is seen whole."""
HEAD = 16
"""Bytes needed to tell what kind of file it is."""

_BOMS = (  # UTF-32 first: its little-endian mark begins with that of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)

_C0 = bytes(code for code in (*range(0x20), 0x7F) if chr(code) not in "\t\n\r")
_C1 = late(rb"\xc2[\x80-\x9f]")
"""U+0080 to U+009F in UTF-8."""

# ECMA-48: control sequences, control strings with their end, and escapes of two or three characters.
# A control string without an end is not taken away: it could hide the rest of the line.
_ESCAPES = late(
    rb"\x1b\[[0-?]*[ -/]*[@-~]|\xc2\x9b[0-?]*[ -/]*[@-~]"
    rb"|\x1b[\]PX^_][^\x07\x1b\n]{0,2000}(?:\x07|\x1b\\)"
    rb"|\x1b[ -/]*[0-~]"
)


class LogError(Exception):
    """A log that cannot be read, or not to its end. What was read before stays good."""

    def __init__(self, path: str, problem: str) -> None:
        super().__init__(f"{path}: {problem}")
        self.path = path
        self.problem = problem


class Block:
    """Some whole lines, or one piece of an overlong line.

    UTF-8, perhaps with undecodable bytes; without escape sequences and without control characters
    other than tab, carriage return and newline.
    """

    __slots__ = ("_counted", "_line", "data", "first")

    def __init__(self, first: int, data: bytes) -> None:
        self.first = first
        """The number of its first line, from 1."""
        self.data = data
        self._counted = 0
        self._line = first

    def line_at(self, at: int) -> int:
        """The number of the line at this offset in `data`; what was counted once is not counted again."""
        if at < self._counted:
            return self.first + count_lines(self.data[:at])
        self._line += count_lines(self.data[self._counted : at])
        self._counted = at
        return self._line


def has_controls(data: bytes) -> bool:
    """Whether UTF-8 text may have control characters other than tab, newline and carriage return."""
    return len(data.translate(None, _C0)) < len(data) or b"\xc2" in data


class Part(NamedTuple):
    """Some whole lines of a file that can be divided: from one offset to another, or to its end."""

    start: int
    end: int | None


def read_log(
    path: str,
    stdin: BinaryIO | None = None,
    *,
    part: Part | None = None,
    has_controls: Callable[[bytes], bool] = has_controls,
) -> Iterator[Block]:
    """The blocks of one log, or of one part of it; `-` is standard input. Raises LogError, at once or on the way.

    `stdin`: what to read, and to leave open, in place of a file or of this process's standard input. The lines of a
    part are numbered from 1. `has_controls` may be a faster one; it may say yes where there are none.
    """
    try:
        with closing(_open(path, stdin)) as file:
            number = 1
            for data, whole in _whole_lines(_text(path, file, part)):
                block = Block(number, _printing(data) if has_controls(data) else data)
                yield block
                if whole:
                    number = block.line_at(len(block.data))
    except Damaged as error:
        raise LogError(path, f"the compressed data are damaged or cut off: {error}") from error
    except OSError as error:
        raise LogError(path, _words(error)) from error


def divide(path: str, size: int) -> list[Part]:
    """Parts of about `size` bytes that make up a log which is plain text; none of one that must be read as a whole.

    Raises nothing: what is wrong with a log is told by reading it.
    """
    parts: list[Part] = []
    if path == STDIN:
        return parts
    try:
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode) or status.st_size < 2 * size:
            return parts
        with open(path, "rb", buffering=0) as file:
            head = file.read(READ)
            marks = tuple(mark for mark, _ in _BOMS)
            if unpacker(head) is not None or 0 in head or head.startswith(marks) or form_of(head) is not None:
                return parts
            start = 0
            for nominal in range(size, status.st_size - size, size):
                file.seek(nominal)
                newline = file.read(READ).find(b"\n")
                if newline >= 0:  # else an overlong line is there
                    parts.append(Part(start, nominal + newline + 1))
                    start = nominal + newline + 1
    except (OSError, ValueError):
        return []
    return [*parts, Part(start, None)] if parts else []


def before(path: str, part: Part, size: int) -> bytes:
    """Whole lines that stand before a part, of about `size` bytes, as blocks have them. Raises nothing."""
    try:
        with open(path, "rb", buffering=0) as file:
            start = max(0, part.start - 4 * size)  # a colour may take as much as its word
            file.seek(start)
            data = file.read(part.start - start)
    except OSError:  # reading the part itself tells of it
        return b""
    data = _printing(data[data.find(b"\n") + 1 if start else 0 :])
    return data[data.find(b"\n", len(data) - size - 1) + 1 :] if len(data) > size else data


def _text(path: str, file: IO[bytes], part: Part | None) -> Iterator[bytes]:
    if part is None:
        return unwrapped(_plain(path, _reader(file)))
    file.seek(part.start)
    read = file.read if part.end is None else _up_to(file, part.end)
    return iter(lambda: read(READ), b"") if part.start else _plain(path, read)


def _up_to(file: IO[bytes], end: int) -> Read:
    left = end - file.tell()

    def read(size: int) -> bytes:
        nonlocal left
        data = file.read(min(size, left))
        left -= len(data)
        return data

    return read


def _open(path: str, stdin: BinaryIO | None) -> IO[bytes]:
    if path == STDIN or stdin is not None:
        source = stdin or (sys.stdin.buffer if sys.stdin is not None else None)
        if source is None:
            raise LogError(path, "there is no standard input")
        return cast(IO[bytes], _Borrowed(source))
    try:
        mode = os.stat(path).st_mode
    except ValueError as error:  # a NUL in the name
        raise LogError(path, str(error)) from error
    passed = path == "/dev/stdin" or path.startswith(("/dev/fd/", "/proc/self/fd/"))
    if stat.S_ISDIR(mode):
        raise LogError(path, f"is a folder; name the logs in it: sparkdoctor explain {_quoted(path)}/*.log")
    if stat.S_ISFIFO(mode) and not passed:
        raise LogError(
            path, f"is a FIFO, which could wait for ever; read it as: sparkdoctor explain - < {_quoted(path)}"
        )
    if not (stat.S_ISREG(mode) or stat.S_ISFIFO(mode) or passed):
        raise LogError(path, "is a device or a socket, not a log")
    return open(path, "rb", buffering=0)


class _Borrowed:
    """Standard input: read like a file, and left open."""

    def __init__(self, source: BinaryIO) -> None:
        self.read = getattr(source, "read1", source.read)

    def close(self) -> None:
        pass


def _quoted(path: str) -> str:
    import shlex  # for messages only

    return shlex.quote(path)


def _words(error: OSError) -> str:
    known = {
        FileNotFoundError: "does not exist",
        PermissionError: "may not be read by this user (permission denied)",
        IsADirectoryError: "is a folder",
    }
    return known.get(type(error)) or f"cannot be read: {error.strerror or error}"


def _reader(file: IO[bytes]) -> Read:
    """`file.read` that gives at least HEAD bytes at first, unless there are fewer, or a short line of text that
    nobody should have to wait behind."""
    head = b""
    while not (len(head) >= HEAD or _is_line(head)) and (more := file.read(READ)):
        head += more
    waiting = [head]
    return lambda size: waiting.pop() if waiting else file.read(size)


def _is_line(head: bytes) -> bool:
    return head.endswith(b"\n") and head.isascii() and not head.startswith(BZIP2) and 0 not in head


def _plain(path: str, read: Read) -> Iterator[bytes]:
    """The text in pieces of any size, decompressed and in UTF-8."""
    head = read(READ)
    if not head:
        raise LogError(path, "is empty" if path != STDIN else "nothing came in")
    unpack = unpacker(head)
    if unpack is not None:
        try:
            read = unpack(Pushed(head, read))
        except ModuleNotFoundError as error:  # a zip of the sources has no compiled packages
            use = f"zstd -dc {_quoted(path)} | sparkdoctor explain -"
            raise LogError(path, f"is compressed with zstd, and {error.name} is not installed; use: {use}") from error
        head = read(READ)
        if not head:
            raise LogError(path, "is empty once decompressed")
    for mark, encoding in _BOMS:
        if head.startswith(mark):
            decode = codecs.getincrementaldecoder(encoding)(errors="replace").decode
            while head:
                yield decode(head.removeprefix(mark)).encode()
                mark, head = b"", read(READ)
            yield decode(b"", True).encode()
            return
    if form_of(head) is None:  # the journal has fields that are binary
        _refuse_binary(path, head)
    head = head.removeprefix(codecs.BOM_UTF8)
    while head:
        yield head
        head = read(READ)


def _refuse_binary(path: str, head: bytes) -> None:
    """Raises LogError when there is a NUL byte, which no log begins with."""
    nuls = head.count(0)
    if not nuls:
        return
    for encoding, offset in (("UTF-16LE", 1), ("UTF-16BE", 0)):
        if path != STDIN and head[offset::2].count(0) == nuls > len(head) // 4:
            use = f"iconv -f {encoding} -t UTF-8 {_quoted(path)} | sparkdoctor explain -"
            raise LogError(path, f"looks like {encoding} without a byte order mark; use: {use}")
    raise LogError(path, f"is binary, not a log (a NUL byte at offset {head.index(0)})")


def count_lines(data: bytes) -> int:
    """The newlines in `data`.

    `bytes.count` looks at every byte by itself. `bytes.replace` jumps from newline to newline by memchr(3), which
    is twice as fast on lines of more than some dozen bytes.
    """
    head = data[:4096]
    return len(data) - len(data.replace(b"\n", b"")) if head.count(b"\n") * 32 < len(head) else data.count(b"\n")


def _whole_lines(pieces: Iterator[bytes]) -> Iterator[tuple[bytes, bool]]:
    """Whole lines together, and True; a line of BLOCK bytes or more in pieces of its own, and False but for the last.

    How a line is cut does not depend on how it came in, as long as every piece is shorter than BLOCK.
    """
    carry = b""  # the beginning of a line, or what is left of an overlong one
    for piece in pieces:
        if len(carry) + len(piece) >= BLOCK:
            end = piece.find(b"\n")
            line, piece = (carry + piece, b"") if end < 0 else (carry + piece[:end], piece[end:])
            while len(line) >= BLOCK:
                yield line[:BLOCK], False
                line = line[BLOCK - OVERLAP :]
            carry = line
        cut = piece.rfind(b"\n") + 1
        if cut:
            yield b"".join((carry, memoryview(piece)[:cut])), True
            carry = piece[cut:]
        else:
            carry += piece
    if carry:
        yield carry, True


def _printing(data: bytes) -> bytes:
    """`data` without escape sequences and control characters."""
    return _C1.sub(b"", _ESCAPES.sub(b"", data).translate(None, _C0))
