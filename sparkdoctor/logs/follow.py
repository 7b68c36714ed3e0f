"""Logs that grow while they are read: a file that is written, rotated or truncated, a pipe, a program's output.

Each is read in a thread of its own by `read_log`, from something whose `read` waits for more; so a log
that is followed is taken apart like one that is complete. The blocks come together in one queue.
"""

from __future__ import annotations

import enum
import os
import select
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from queue import Empty, Queue, SimpleQueue
from typing import BinaryIO, NamedTuple, Protocol, cast

from sparkdoctor.logs.read import STDIN, Block, LogError, read_log

POLL = 0.2
"""Seconds between two looks at a log that has not grown."""
WAITING = 64
"""Blocks that are read ahead of those that are searched."""
_HEAD = 256
"""Bytes at the beginning of a file by which it is told from one that was written over it."""


class Sign(enum.Enum):
    """What there is to say of a log beside its text."""

    END = "end"
    """It is read to its end, and no more will come."""
    REPAINT = "repaint"
    """A line that has no end yet was painted anew: a progress bar moves."""


class News(NamedTuple):
    """Something of one log."""

    name: str
    what: Block | LogError | Sign


class Growing(Protocol):
    """What `read_log` reads from here."""

    def read(self, size: int) -> bytes:
        """Waits for more; empty when there will be none."""
        ...


class Pipe:
    """A file descriptor of a pipe or terminal, which stays open."""

    def __init__(self, descriptor: int, stopped: threading.Event) -> None:
        self._descriptor = descriptor
        self._stopped = stopped

    def read(self, size: int) -> bytes:
        while not self._stopped.is_set():
            if select.select([self._descriptor], [], [], POLL)[0]:
                return os.read(self._descriptor, size)
        return b""


class Feed:
    """What somebody else reads and puts here."""

    def __init__(self) -> None:
        self._waiting: SimpleQueue[bytes] = SimpleQueue()
        self._rest = b""
        self._ended = False

    def put(self, data: bytes) -> None:
        """Empty data are the end."""
        self._waiting.put(data)

    def read(self, size: int) -> bytes:
        if self._ended:
            return b""
        data = self._rest or self._waiting.get()
        self._rest, self._ended = data[size:], not data
        return data[:size]


class WrittenFile:
    """One file under a path, until another one takes its place or it is truncated."""

    def __init__(self, path: str, file: BinaryIO, stopped: threading.Event) -> None:
        self._path = path
        self._file = file
        self._stopped = stopped
        self._read = 0
        self._head = b""
        self.empty = True
        self.replaced = False

    def read(self, size: int) -> bytes:
        while True:
            ending = self._stopped.is_set()
            if self._written_over():
                self.replaced = True
                return b""
            moved = self._moved()  # before the last read, so that nothing written meanwhile is lost
            data = self._file.read(size)
            if data:
                self._read += len(data)
                self._head += data[: _HEAD - len(self._head)]  # as it was when it was read: it may be another by now
                self.empty = False
                return data
            if ending or moved:
                self.replaced = moved
                return b""
            self._stopped.wait(POLL)

    def _written_over(self) -> bool:
        descriptor = self._file.fileno()
        if os.fstat(descriptor).st_size < self._read:
            return True
        return os.pread(descriptor, len(self._head), 0) != self._head

    def _moved(self) -> bool:
        """Whether the path names another file by now. While it names none, the old one may still be written."""
        try:
            there = os.stat(self._path)
        except OSError:
            return False
        mine = os.fstat(self._file.fileno())
        return (there.st_dev, there.st_ino) != (mine.st_dev, mine.st_ino)


class _Watched:
    """Tells of progress bars, of which no whole line comes for minutes."""

    def __init__(self, growing: Growing, repainted: Callable[[], None]) -> None:
        self._growing = growing
        self._repainted = repainted

    def read(self, size: int) -> bytes:
        data = self._growing.read(size)
        if data.count(b"\r") > data.count(b"\r\n"):
            self._repainted()
        return data


def blocks_of(name: str, growing: Growing) -> Iterator[Block]:
    """Raises LogError with the name."""
    try:
        yield from read_log(STDIN, cast(BinaryIO, growing))
    except LogError as error:
        raise LogError(name, error.problem) from error


def blocks_of_path(path: str, stopped: threading.Event, repainted: Callable[[], None]) -> Iterator[Block]:
    """All files that come to lie under a path, one after the other, each numbered from line 1. Raises LogError.

    A path that names nothing yet is waited for.
    """
    while True:
        try:
            with open(path, "rb", buffering=0) as file:
                growing = WrittenFile(path, cast(BinaryIO, file), stopped)
                try:
                    yield from blocks_of(path, _Watched(growing, repainted))
                except LogError:
                    if not growing.empty:  # one in which nothing was written is no problem here
                        raise
                if not growing.replaced:
                    return
        except FileNotFoundError:
            if stopped.wait(POLL):
                return
        except (OSError, ValueError) as error:
            raise LogError(path, str(error)) from error


class Follow:
    """Follows several logs at once."""

    def __init__(self) -> None:
        self.stopped = threading.Event()
        """Set it to end: what was written until then is still read."""
        self._news: Queue[News] = Queue(WAITING)
        self._open: set[str] = set()
        self._stops: list[Callable[[], None]] = []

    def add(self, name: str, growing: Growing, stop: Callable[[], None] | None = None) -> None:
        """`stop` is called once when `stopped` is set, for a `read` that would wait on."""
        if stop is not None:
            self._stops.append(stop)
        watched = _Watched(growing, lambda: self._repainted(name))
        self._start(name, lambda: blocks_of(name, watched))

    def add_path(self, path: str, stdin: int = 0) -> None:
        """A file, or `-` for standard input, whose lines are those of `stdin`."""
        if path == STDIN:
            self.add("stdin", Pipe(stdin, self.stopped))
        else:
            self._start(path, lambda: blocks_of_path(path, self.stopped, lambda: self._repainted(path)))

    def _start(self, name: str, blocks: Callable[[], Iterator[Block]]) -> None:
        self._open.add(name)
        threading.Thread(target=self._pump, args=(name, blocks), name=f"reads {name}", daemon=True).start()

    def _repainted(self, name: str) -> None:
        self._news.put(News(name, Sign.REPAINT))

    def _pump(self, name: str, blocks: Callable[[], Iterator[Block]]) -> None:
        try:
            for block in blocks():
                self._news.put(News(name, block))
        except LogError as error:
            self._news.put(News(name, error))
        finally:
            self._news.put(News(name, Sign.END))

    def batches(self) -> Iterator[Sequence[News]]:
        """What has come, an empty batch when nothing has for POLL seconds; ends when all logs have ended."""
        while self._open:
            while self._stops and self.stopped.is_set():
                self._stops.pop()()
            batch: list[News] = []
            with suppress(Empty):
                batch.append(self._news.get(timeout=POLL))
                while True:
                    batch.append(self._news.get_nowait())
            self._open -= {news.name for news in batch if news.what is Sign.END}
            yield batch
