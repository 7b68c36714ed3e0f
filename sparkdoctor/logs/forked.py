"""Work shared out to forked processes, its results in order."""

from __future__ import annotations

import contextlib
import os
import select
from collections.abc import Callable, Generator, Iterator, Sequence
from typing import NoReturn, TypeVar

T = TypeVar("T")

WORKERS = 8
"""Processes at most: more wait for memory, not for a processor."""
TASKS = 4096
"""Tasks at most whose numbers fit into a pipe that nobody reads yet (16 pages, pipe(7))."""
_NUMBER = 4
_LENGTH = 8


def forked(tasks: Sequence[T], work: Callable[[T], bytes]) -> Generator[bytes]:
    """`work(task)` of each task, in order, as many at a time as there are processors.

    The processes are forked, so they see what this one has; none is made when there is one processor, or
    another thread, which fork(2) would lose half way. What a process did not get done (it was killed, or `work`
    raised) is done here, in its turn, and raises here.
    """
    count = min(len(os.sched_getaffinity(0)), WORKERS, len(tasks))
    if count < 2 or len(tasks) > TASKS or _has_threads():
        yield from map(work, tasks)
        return
    import signal

    numbers, out = os.pipe()
    os.write(out, b"".join(number.to_bytes(_NUMBER, "little") for number in range(len(tasks))))
    os.close(out)
    workers: dict[int, int] = {}  # the pipe from each process, its number
    try:
        with _uninterrupted():
            for _ in range(count):
                source, out = os.pipe()
                try:
                    process = os.fork()
                except OSError:  # too many processes already
                    os.close(source)
                    os.close(out)
                    break
                if not process:
                    _be_worker(tasks, work, numbers, out)
                os.close(out)
                workers[source] = process
        os.close(numbers)
        numbers = -1
        yield from _in_order(tasks, work, list(workers))
    finally:
        if numbers >= 0:
            os.close(numbers)
        for source, process in workers.items():
            os.close(source)
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)  # done, or nobody wants to know any more
            os.waitpid(process, 0)


def _has_threads() -> bool:
    try:
        return len(os.listdir("/proc/self/task")) > 1
    except OSError:
        return True


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Ctrl-C comes after this: in the midst of what is registered for a fork Python loses the exception."""
    import signal

    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _be_worker(tasks: Sequence[T], work: Callable[[T], bytes], numbers: int, out: int) -> NoReturn:
    """Never comes back: what the parent has begun (files to flush, `finally`) is the parent's to end."""
    import signal

    code = 1
    try:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, (signal.SIGINT, signal.SIGTERM))
        while number := os.read(numbers, _NUMBER):
            result = work(tasks[int.from_bytes(number, "little")])
            message = memoryview(number + len(result).to_bytes(_LENGTH, "little") + result)
            while message:
                message = message[os.write(out, message) :]
        code = 0
    finally:
        os._exit(code)


def _in_order(tasks: Sequence[T], work: Callable[[T], bytes], sources: list[int]) -> Generator[bytes]:
    waiting = {source: bytearray() for source in sources}
    results: dict[int, bytes] = {}
    for wanted, task in enumerate(tasks):
        while wanted not in results and waiting:
            for source in select.select(list(waiting), [], [])[0]:
                data = os.read(source, 1 << 20)
                if not data:  # it has ended, one way or the other
                    del waiting[source]
                    continue
                waiting[source] += data
                _take(waiting[source], results)
        result = results.pop(wanted, None)
        yield work(task) if result is None else result


def _take(buffer: bytearray, results: dict[int, bytes]) -> None:
    """Move the whole messages of a buffer to the results."""
    start = _NUMBER + _LENGTH
    while len(buffer) >= start:
        end = start + int.from_bytes(buffer[_NUMBER:start], "little")
        if len(buffer) < end:
            return
        results[int.from_bytes(buffer[:_NUMBER], "little")] = bytes(buffer[start:end])
        del buffer[:end]
