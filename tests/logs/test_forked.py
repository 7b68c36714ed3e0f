"""Work in forked processes: in order, once each, whatever becomes of the processes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from sparkdoctor.logs import forked as module
from sparkdoctor.logs.forked import TASKS, forked


@pytest.fixture(autouse=True)
def _several_processors(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr("sparkdoctor.logs.forked.os.sched_getaffinity", lambda _: {0, 1, 2})
    monkeypatch.setattr("sparkdoctor.logs.forked._has_threads", lambda: False)
    before = set(os.listdir("/proc/self/fd"))
    yield
    assert set(os.listdir("/proc/self/fd")) == before
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def where(_: int) -> bytes:
    return str(os.getpid()).encode()


def test_results_are_in_order_and_come_from_several_processes() -> None:
    def work(task: int) -> bytes:
        time.sleep(0.02 if task % 5 == 0 else 0)
        return b"%d " % task * task + where(task)

    results = list(forked(range(60), work))
    assert [result.rpartition(b" ")[0] for result in results] == [(b"%d " % n * n).rstrip(b" ") for n in range(60)]
    processes = {result.rpartition(b" ")[2] for result in results}
    assert len(processes) > 1
    assert where(0) not in processes


def test_big_and_empty_results() -> None:
    sizes = [0, 5_000_000, 1, 0, 70_000, 3_000_000]
    assert [len(result) for result in forked(sizes, bytes)] == sizes


@pytest.mark.parametrize("tasks", [0, 1])
def test_few_tasks_are_done_here(tasks: int) -> None:
    assert set(forked(range(tasks), where)) <= {where(0)}


def test_too_many_tasks_are_done_here() -> None:
    assert set(forked(range(TASKS + 1), where)) == {where(0)}
    assert where(0) not in set(forked(range(TASKS), where))


def test_one_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparkdoctor.logs.forked.os.sched_getaffinity", lambda _: {7})
    assert set(forked(range(9), where)) == {where(0)}


def test_nothing_is_forked_beside_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr("sparkdoctor.logs.forked.os.sched_getaffinity", lambda _: {0, 1, 2})
    go_on = threading.Event()
    thread = threading.Thread(target=go_on.wait)
    thread.start()
    try:
        assert set(forked(range(9), where)) == {where(0)}
    finally:
        go_on.set()
        thread.join()


def only_in_a_child(act: Callable[[], None]) -> Callable[[int], bytes]:
    parent = os.getpid()

    def work(task: int) -> bytes:
        if os.getpid() != parent and task in (3, 4):
            act()
        return b"%d" % task

    return work


def killed() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def raises() -> None:
    raise MemoryError


@pytest.mark.parametrize("act", [killed, raises, lambda: os._exit(0)])
def test_what_a_process_did_not_get_done_is_done_here(act: Callable[[], None]) -> None:
    assert list(forked(range(20), only_in_a_child(act))) == [b"%d" % task for task in range(20)]


def test_what_raises_everywhere_raises_here() -> None:
    def work(task: int) -> bytes:
        return b"%d" % (1 // (task - 2))

    results = forked(range(5), work)
    assert [next(results), next(results)] == [b"-1", b"-1"]
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_no_process_can_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse() -> int:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr("sparkdoctor.logs.forked.os.fork", refuse)
    assert set(forked(range(9), where)) == {where(0)}


def test_who_stops_early_leaves_nothing_behind() -> None:
    def work(task: int) -> bytes:
        time.sleep(0 if task < 2 else 20)
        return b""

    results = forked(range(9), work)
    next(results)
    results.close()  # the fixture sees that no process and no pipe is left


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """A shell lets what it starts in the background ignore SIGINT, and these tests inherit that."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
def test_an_interrupt_ends_all() -> None:
    def work(task: int) -> bytes:
        if task == 1:
            time.sleep(0.5)  # until the parent waits for results
            os.kill(os.getppid(), signal.SIGINT)
        time.sleep(20 if task else 0)
        return b""

    with pytest.raises(KeyboardInterrupt):
        list(forked(range(9), work))


def test_the_numbers_fit_into_a_pipe() -> None:
    assert TASKS * module._NUMBER <= 65536


LOST = """
import os, signal
from sparkdoctor.logs import forked
forked.os.sched_getaffinity = lambda _: {0, 1}
forked._has_threads = lambda: False
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell has its background jobs ignore it
os.register_at_fork(after_in_parent=lambda: os.kill(os.getpid(), signal.SIGINT))
try:
    list(forked.forked(range(9), lambda _: b""))
except KeyboardInterrupt:
    print("interrupted")
"""


def test_an_interrupt_while_forking_is_not_lost() -> None:
    done = subprocess.run([sys.executable, "-c", LOST], capture_output=True, text=True, check=False, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "interrupted\n", "")
