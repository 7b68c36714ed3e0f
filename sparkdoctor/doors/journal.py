"""The journal of this machine, read or followed by journalctl for one unit."""

from __future__ import annotations

import io
import os
import re
import subprocess
import threading
from typing import cast

from sparkdoctor.system import DoorClosed

LIMIT = 120.0
"""Seconds for all that journalctl has to say when it is not to follow."""
UNIT = re.compile(r"[A-Za-z0-9][A-Za-z0-9:_.\\@-]{0,254}", re.ASCII)
"""systemd.unit(5), without the patterns that journalctl would expand."""
FIELDS = (
    "MESSAGE,_HOSTNAME,SYSLOG_IDENTIFIER,_COMM,_PID,_SOURCE_REALTIME_TIMESTAMP,CONTAINER_NAME,CONTAINER_PARTIAL_MESSAGE"
)
"""What sparkdoctor.logs.forms reads; an entry has some twenty fields more."""


def log(unit: str, since: float | None, *, follow: bool = False) -> UnitLog:
    """The unit's entries in the export format. `since`: seconds since 1970. Raises DoorClosed."""
    if not UNIT.fullmatch(unit):
        raise DoorClosed(f"{unit!r} is no name of a unit")
    command = ["journalctl", "--no-pager", "--quiet", "--output=export", f"--output-fields={FIELDS}", f"--unit={unit}"]
    if since is not None:
        command.append(f"--since=@{since:.0f}")
    if follow:
        command += ["--follow", "--no-tail"]  # the second: from the beginning, not the last ten entries
    try:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError:
        raise DoorClosed("journalctl is not installed", absent=True) from None
    except OSError as error:
        raise DoorClosed(f"journalctl: {error.strerror}") from None
    return UnitLog(process, None if follow else LIMIT)


class UnitLog:
    """What journalctl prints, to be read like a file. `read` raises OSError when it failed or took too long."""

    def __init__(self, process: subprocess.Popen[bytes], limit: float | None) -> None:
        self._process = process
        self._limit = limit
        self._late = False
        self._stopped = False
        self._timer: threading.Timer | None = None
        if limit is not None:
            self._timer = threading.Timer(limit, self._out_of_time)
            self._timer.daemon = True
            self._timer.start()

    def _out_of_time(self) -> None:
        self._late = True
        self._process.kill()

    def read(self, size: int) -> bytes:
        data = cast(io.BufferedReader, self._process.stdout).read1(size)
        if not data and not self._stopped:
            self._no_more_limit()
            words = self._process.stderr.read().decode("utf-8", "replace").strip() if self._process.stderr else ""
            code = self._process.wait()
            if self._late:
                raise OSError(0, f"journalctl did not end within {self._limit:g} s")
            if code:
                raise OSError(0, f"journalctl: exit code {code}" + (f": {words.splitlines()[-1]}" if words else ""))
        return data

    def stop(self) -> None:
        self._stopped = True
        self._process.kill()

    def _no_more_limit(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def close(self) -> None:
        self._no_more_limit()
        self._process.kill()
        self._process.wait()
        for stream in (self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()
