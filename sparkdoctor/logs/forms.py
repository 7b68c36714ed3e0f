"""Logs inside other files: unpack what a container engine or the journal wraps around each line.

The text that comes out has the line numbers of the file that went in: what a line has been joined
to, and what does not belong to a message, become empty lines. Times and names stand before the
message as `docker logs --timestamps` and `journalctl -o short-iso-precise` print them.

Damaged entries, and entries of more than BLOCK bytes, come out as they are.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec

from sparkdoctor.late import late
from sparkdoctor.logs.origin import prefix_of

SNIFF = 4096
"""Bytes of a log, or its first line, by which its form is told."""
LONGEST = 1 << 20
"""Bytes of an entry, and of a line put together of parts."""
WINDOW = 1 << 16
"""Bytes in which a terminal's width is looked for."""
WIDTHS = range(40, 401)
"""Columns of a terminal that may have wrapped a log."""
WRAPPED = 3
"""Lines of exactly one width, and none longer, that make a log a wrapped one."""


def unwrapped(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The text of a log in pieces of any size, whatever it was wrapped in: the first of `pieces` tells its form."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= SNIFF or b"\n" in head:
            break
    entries = form_of(head)
    if entries is None:
        yield head
        yield from pieces
        return
    yield from entries(_chain(head, pieces))


def _chain(head: bytes, pieces: Iterator[bytes]) -> Iterator[bytes]:
    yield head
    yield from pieces


def form_of(head: bytes) -> Callable[[Iterator[bytes]], Iterator[bytes]] | None:
    """What unpacks a log that begins like this; None for plain text."""
    first = head.split(b"\n", 1)[0]
    if first.startswith(b"{"):
        if _decoded(_DOCKER, first) is not None:
            return lambda pieces: _by_line(pieces, _DockerEntries())
        if b'"__REALTIME_TIMESTAMP"' in first and _decoded(_JOURNAL, first) is not None:
            return lambda pieces: _by_line(pieces, _JournalEntries())
        return None
    if re.match(rb"__(?:CURSOR|REALTIME_TIMESTAMP)=", first):
        return lambda pieces: _Export().read(pieces)
    if _CRI.match(first):
        return lambda pieces: _by_line(pieces, _CriEntries())
    width = _wrapped_at(head)
    if width:
        return lambda pieces: _by_line(pieces, _WrappedLines(width))
    return None


class _Lines:
    """Turns the lines of a file into as many lines of text."""

    def line(self, line: bytes) -> bytes:
        """What comes of the next line, which is given without its newline."""
        raise NotImplementedError

    def rest(self) -> bytes:
        """What waits for a line that did not come."""
        return b""


def _by_line(pieces: Iterator[bytes], lines: _Lines) -> Iterator[bytes]:
    carry, raw = b"", False
    for piece in pieces:
        carry += piece
        if raw:  # within an overlong line
            cut = carry.find(b"\n")
            if cut < 0:
                yield carry
                carry = b""
                continue
            yield carry[: cut + 1]
            carry, raw = carry[cut + 1 :], False
        cut = carry.rfind(b"\n") + 1
        if cut:
            complete, carry = carry[: cut - 1], carry[cut:]
            yield b"".join(map(lines.line, complete.split(b"\n")))
        if len(carry) > LONGEST:
            yield carry
            carry, raw = b"", True
    if carry:
        yield lines.line(carry)
    yield lines.rest()


def _one_line(text: bytes) -> bytes:
    """A message of several lines as one, whose parts are looked at one by one like those of a progress bar."""
    return text.replace(b"\n", b"\r")


def _decoded(decoder: msgspec.json.Decoder[Any], line: bytes) -> Any:
    try:
        return decoder.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return None


class _Docker(msgspec.Struct):
    """An entry of Docker's json-file driver (moby v28, daemon/logger/jsonfilelog/jsonlog)."""

    log: str
    time: str
    stream: str = ""


_DOCKER = msgspec.json.Decoder(_Docker)


class _Joined(_Lines):
    """Parts of a line that was too long for the engine, put together at the last of them."""

    def __init__(self) -> None:
        self._parts: dict[str, bytes] = {}

    def _joined(self, stream: str, start: bytes, text: bytes, whole: bool) -> bytes:
        before = self._parts.pop(stream, b"") or start
        joined = before + text
        if whole or len(joined) > LONGEST:
            return _one_line(joined) + b"\n"
        self._parts[stream] = joined
        return b"\n"

    def rest(self) -> bytes:
        return b"\n".join(_one_line(part) for part in self._parts.values())


class _DockerEntries(_Joined):
    def line(self, line: bytes) -> bytes:
        entry = _decoded(_DOCKER, line)
        if entry is None:
            return line + b"\n"
        text = entry.log.encode("utf-8", "replace")
        # The engine cuts lines at 16 KiB (daemon/logger/copier.go): only the last part ends with a newline.
        return self._joined(entry.stream, f"{entry.time} ".encode(), text.removesuffix(b"\n"), text.endswith(b"\n"))


_CRI = late(rb"(\d{4}-\d\d-\d\dT\S{8,30}) (stdout|stderr) ([FP])(?::\S*)? ")
"""The Kubernetes Container Runtime Interface: time, stream, F(ull) or P(artial) line."""


class _CriEntries(_Joined):
    def line(self, line: bytes) -> bytes:
        found = _CRI.match(line)
        if found is None:
            return line + b"\n"
        return self._joined(found[2].decode(), found[1] + b" ", line[found.end() :], found[3] == b"F")


class _Journal(msgspec.Struct):
    """An entry of `journalctl -o json`: a field is text, a list of bytes when it is not UTF-8, or null when long."""

    realtime: Any = msgspec.field(name="__REALTIME_TIMESTAMP")
    message: Any = msgspec.field(name="MESSAGE", default=None)
    source: Any = msgspec.field(name="_SOURCE_REALTIME_TIMESTAMP", default=None)
    host: Any = msgspec.field(name="_HOSTNAME", default=None)
    identifier: Any = msgspec.field(name="SYSLOG_IDENTIFIER", default=None)
    command: Any = msgspec.field(name="_COMM", default=None)
    pid: Any = msgspec.field(name="_PID", default=None)
    container: Any = msgspec.field(name="CONTAINER_NAME", default=None)
    partial: Any = msgspec.field(name="CONTAINER_PARTIAL_MESSAGE", default=None)


_JOURNAL = msgspec.json.Decoder(_Journal)


class _JournalEntries(_Joined):
    def line(self, line: bytes) -> bytes:
        entry = _decoded(_JOURNAL, line)
        if entry is None:
            return line + b"\n"
        fields = {name: _field(getattr(entry, name)) for name in _Journal.__struct_fields__}
        partial = fields["partial"] == b"true"
        return self._joined(fields["container"].decode("utf-8", "replace"), *_entry(fields), not partial)


def _field(value: Any) -> bytes:
    if isinstance(value, str):
        return value.encode("utf-8", "replace")
    if isinstance(value, list):
        if all(isinstance(item, int) and 0 <= item < 256 for item in value):
            return bytes(value)
        return b"\n".join(_field(item) for item in value if not isinstance(item, list))  # a field given twice
    return b""


def _entry(fields: dict[str, bytes]) -> tuple[bytes, bytes]:
    """What stands before the message of a journal's entry, and the message."""
    micros = fields["source"] or fields["realtime"]
    try:
        at = datetime.fromtimestamp(int(micros) / 1e6, UTC)
        time = at.isoformat(timespec="microseconds").replace("+00:00", "Z").encode()
    except (ValueError, OverflowError, OSError):
        time = micros
    name = fields["container"] or fields["identifier"] or fields["command"] or b"unknown"
    process = b"%s[%s]" % (name, fields["pid"]) if fields["pid"] else name
    return b"%s %s %s: " % (time, fields["host"] or b"-", process), fields["message"]


_EXPORTED = {field.encode_name.encode(): field.name for field in msgspec.structs.fields(_Journal)}


class _Export(_Joined):
    """`journalctl -o export` (systemd.io/JOURNAL_EXPORT_FORMATS): fields on lines of their own, entries apart by an empty one.

    A field that is not printable text is NAME, a newline, its length in eight bytes, the bytes, a newline. These
    bytes may have newlines of their own, which count as lines of the file.
    """

    def __init__(self) -> None:
        super().__init__()
        self._fields = dict.fromkeys(_EXPORTED.values(), b"")
        self._lines = 0
        """Lines of the entry so far."""
        self._before = 0
        """Lines of it before its message."""

    def read(self, pieces: Iterator[bytes]) -> Iterator[bytes]:
        data, at = b"", 0
        for piece in pieces:
            data, at = data[at:] + piece, 0
            out: list[bytes] = []
            while (end := self._field_end(data, at)) is not None:
                out += self._take(data, at, end)
                at = end
            yield b"".join(out)
            if len(data) - at > LONGEST:  # no field of a log is so long: give it out as it is
                yield data[at:]
                self._lines = 0
                data, at = b"", 0
        self._take_text(data[at:])
        yield self._flush()
        yield self.rest()

    def _field_end(self, data: bytes, at: int) -> int | None:
        """Where the line or the binary field that begins here ends, with its newline; None before it has come."""
        end = data.find(b"\n", at)
        if end < 0:
            return None
        if end == at or data.find(b"=", at, end) >= 0 or end - at > 64 or not data[at:end].replace(b"_", b"").isalnum():
            return end + 1
        length = int.from_bytes(data[end + 1 : end + 9], "little")
        if length > LONGEST:
            return end + 1
        stop = end + 9 + length + 1
        return stop if len(data) >= stop else None

    def _take(self, data: bytes, at: int, end: int) -> list[bytes]:
        if end == at + 1:
            self._lines += 1
            return [self._flush()]
        line_end = data.index(b"\n", at)
        if line_end + 1 == end:
            self._take_text(data[at:line_end])
        else:
            self._keep(data[at:line_end], data[line_end + 9 : end - 1])
        self._lines += data.count(b"\n", at, end)
        return []

    def _take_text(self, line: bytes) -> None:
        name, _, value = line.partition(b"=")
        self._keep(name, value)

    def _keep(self, name: bytes, value: bytes) -> None:
        known = _EXPORTED.get(name)
        if known is not None:
            self._fields[known] = value
            if known == "message":
                self._before = self._lines

    def _flush(self) -> bytes:
        """The entry as lines: its message, in one, where the message was."""
        fields, lines, before = self._fields, self._lines, self._before
        self._fields, self._lines, self._before = dict.fromkeys(fields, b""), 0, 0
        if not any(fields.values()):
            return b"\n" * lines
        partial = fields["partial"] == b"true"
        text = self._joined(fields["container"].decode("utf-8", "replace"), *_entry(fields), not partial)
        return b"\n" * before + text + b"\n" * (max(lines - before, 1) - 1)


def _wrapped_at(head: bytes) -> int:
    """The width at which a terminal has wrapped this text, 0 if none did.

    Then no line is longer, several are exactly as long, and what follows these does not begin like an entry of a
    log. Frames and rulers, which are of one width too, do not count.
    """
    lines = head[:WINDOW].split(b"\n")[:-1]
    width = max(map(len, lines), default=0)
    if width not in WIDTHS:
        return 0
    broken = 0
    for line, after in itertools.pairwise(lines):
        framed = line[-1:] in b"|+" or (len(set(line[-3:])) == 1 and not line[-1:].isalnum())
        if len(line) == width and not framed and _begins(line):
            broken += bool(after.strip()) and not _begins(after)  # else it may be that long by itself
    return width if broken >= WRAPPED else 0


def _begins(line: bytes) -> bool:
    """Whether a line has a prefix of its own."""
    return prefix_of(line.decode(errors="replace")).end > 0 and not line.startswith((b" ", b"\t"))


class _WrappedLines(_Lines):
    """A line of the full width goes on in the next one that does not begin like an entry of its own."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._held = b""
        self._lines = 0
        """Lines of the file in `_held`."""

    def line(self, line: bytes) -> bytes:
        before = b""
        if self._held:
            if line.strip() and not _begins(line) and len(self._held) < LONGEST:
                self._held += line
                self._lines += 1
                return b"" if len(line) == self._width else self.rest()
            before = self.rest()
        if len(line) != self._width:
            return before + line + b"\n"
        self._held, self._lines = line, 1
        return before

    def rest(self) -> bytes:
        text, self._held = self._held + b"\n" * self._lines, b""
        self._lines = 0
        return text
