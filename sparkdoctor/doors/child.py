"""Run a command as if it had been started alone: its output where it belongs, its signals, its exit code."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from types import FrameType

PASSED_ON = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2)
"""SIGTSTP and SIGCONT need nobody: a terminal sends them to the command too, which is in this process group."""
AFTERWARDS = 2.0
"""Seconds for which output is waited for that processes left behind may still hold back."""
_FROM_KERNEL = 0x80
"""si_code of a signal that came from the terminal's keys, and so to the command as well (sigaction(2), SI_KERNEL)."""
_POLL = 0.1
_CHUNK = 1 << 16


class Child:
    """A command that runs, with copies of its output."""

    def __init__(self, command: Sequence[str], copy: Callable[[int, bytes], None]) -> None:
        """`copy(1 or 2, data)` is called in threads, with what came out; empty data are the end.

        To be made in the main thread, before any other thread. Raises OSError when the command cannot be started.
        """
        early: list[int] = []

        def note(number: int, _: FrameType | None) -> None:
            early.append(number)

        self._handlers = {number: signal.signal(number, note) for number in PASSED_ON}
        try:
            self._process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, bufsize=0)
        except OSError:
            self._give_back()
            raise
        signal.pthread_sigmask(signal.SIG_BLOCK, PASSED_ON)  # from here on pass_signals fetches them
        for number in early:
            self._process.send_signal(number)
        self._copy = copy
        self._over = threading.Event()
        self._pumps = [
            threading.Thread(target=self._pump, args=(stream.fileno(), out), daemon=True)
            for stream, out in ((self._process.stdout, 1), (self._process.stderr, 2))
            if stream is not None
        ]
        for pump in self._pumps:
            pump.start()
        self._waiting = threading.Thread(target=self._wait, daemon=True)
        self._waiting.start()

    def pass_signals(self) -> None:
        """Hand on what was sent to this process alone. To be called again and again, in the main thread."""
        while (got := signal.sigtimedwait(PASSED_ON, 0)) is not None:
            if got.si_code != _FROM_KERNEL:
                self._process.send_signal(got.si_signo)

    def finish(self) -> int:
        """Wait for the end. The exit code as a shell gives it: 128 and the signal's number when it died of one."""
        while self._waiting.is_alive():
            self.pass_signals()
            self._waiting.join(_POLL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, PASSED_ON)
        self._give_back()
        code = self._process.returncode
        return code if code >= 0 else 128 - code

    def _give_back(self) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _wait(self) -> None:
        self._process.wait()
        for pump in self._pumps:
            pump.join(AFTERWARDS)
        self._over.set()
        for pump in self._pumps:
            pump.join()

    def _pump(self, source: int, out: int) -> None:
        """From the command to where this process writes, unchanged, and to the copy."""
        shown = True
        while not self._over.is_set():
            if not select.select([source], [], [], _POLL)[0]:
                continue
            data = os.read(source, _CHUNK)
            if not data:
                break
            if shown:
                shown = _write(out, data)
            self._copy(out, data)
        self._copy(out, b"")


def _write(out: int, data: bytes) -> bool:
    """Whether somebody still reads."""
    left = memoryview(data)
    try:
        while left:
            left = left[os.write(out, left) :]
    except BrokenPipeError:
        return False
    return True
