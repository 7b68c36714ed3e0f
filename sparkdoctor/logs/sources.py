"""From the arguments of `explain` to the files that are read: folders, patterns, rotated sets."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable, Iterator
from itertools import islice

from sparkdoctor.late import late
from sparkdoctor.logs.read import STDIN, LogError

FILES = 2000
"""Files that are taken of one folder or pattern."""
VISITED = 200_000
"""Entries of a folder, with all below, that are looked at."""
DEPTH = 8
"""Folders below the named one that are entered."""

_PACKED = r"(?:\.(?:gz|zst|xz|bz2))?"
# Names under which programs leave logs: a suffix, rotated or not (vllm.log.2.gz, 1ab-json.log, slurm-7.out,
# worker-3.err of Ray), and the kernel's and syslog's own files.
_LOG = late(
    rf"(?:.+\.(?:log|out|err|stdout|stderr|txt|journal-export)|(?:syslog|messages|dmesg|kern|stdout|stderr)(?:\.log)?)"
    rf"(?:[.-]\d{{1,14}})?{_PACKED}",
    re.IGNORECASE,
)
_ROTATED = late(rf"(?P<log>.+?)(?:\.(?P<age>\d{{1,3}})|-(?P<date>20\d{{6}}(?:-?\d{{2,6}})?)){_PACKED}", re.ASCII)


def expand(arguments: Iterable[str]) -> tuple[list[str], list[LogError]]:
    """The logs that the arguments name, the parts of a rotated log in the order of time, and what names none.

    A folder stands for all files in it, and below it, that are named like logs; a pattern that the
    shell did not expand for what it matches (`**` too). An argument that is a file stays what it is.
    """
    paths: list[str] = []
    problems: list[LogError] = []
    for argument in arguments:
        try:
            if argument != STDIN and os.path.isdir(argument):
                paths += _in_folder(argument)
            elif glob.has_magic(argument) and not os.path.lexists(argument):
                paths += _matching(argument)
            else:
                paths.append(argument)
        except LogError as error:
            problems.append(error)
    return in_order(dict.fromkeys(paths)), problems


def rotated(path: str) -> tuple[str, tuple[int, str]]:
    """The log that a file is a part of, and a key by which its parts sort in the order of time."""
    folder, name = os.path.split(path)
    found = _ROTATED.fullmatch(name)
    if found is None:
        return path, (1, "")  # the part that is written now
    key = (-int(found["age"]), "") if found["age"] else (-1_000_000, found["date"])
    return os.path.join(folder, found["log"]), key


def in_order(paths: Iterable[str]) -> list[str]:
    """The parts of each rotated log next to each other, the oldest first, where the first of them stood.

    x.log.3 alone, without x.log or another part, is no rotated log but a file with this name.
    """
    sets: dict[str, list[str]] = {}
    for path in paths:
        sets.setdefault(rotated(path)[0], []).append(path)
    return [path for parts in sets.values() for path in sorted(parts, key=lambda part: rotated(part)[1])]


def _in_folder(folder: str) -> list[str]:
    found = sorted(path.removeprefix("./") for path in islice(_walk(folder), FILES + 1))
    if not found:
        raise LogError(folder, "is a folder without a file that is named like a log (*.log, *.out, *.err, *.txt)")
    if len(found) > FILES:
        raise LogError(folder, f"is a folder with more than {FILES} logs; name those of one launch")
    return found


def _walk(folder: str) -> Iterator[str]:
    """Files named like logs that are not empty. Links to folders are not followed: they may lead in a circle."""
    visited = 0
    waiting = [(folder, 0)]
    while waiting:
        current, depth = waiting.pop()
        try:
            with os.scandir(current) as entries:
                for entry in entries:
                    visited += 1
                    if visited > VISITED:
                        raise LogError(folder, f"is a folder with more than {VISITED} entries; name the logs in it")
                    if entry.is_dir(follow_symlinks=False):
                        if depth < DEPTH:
                            waiting.append((entry.path, depth + 1))
                    elif _LOG.fullmatch(entry.name) and entry.is_file() and entry.stat().st_size:
                        yield entry.path
        except OSError as error:
            if current == folder:
                raise LogError(folder, f"is a folder that cannot be read: {error.strerror or error}") from error


def _matching(pattern: str) -> list[str]:
    try:
        found = list(islice(glob.iglob(pattern, recursive=True), FILES + 1))
    except (re.error, ValueError, OSError) as error:
        raise LogError(pattern, f"is no pattern: {error}") from error
    files = sorted(path for path in found if not os.path.isdir(path))
    if not files:
        raise LogError(pattern, "matches no file")
    if len(found) > FILES:
        raise LogError(pattern, f"matches more than {FILES} files; name the logs of one launch")
    return files
