"""What others have added: installed packages by their entry points, and files in the user's own folders."""

from __future__ import annotations

import importlib
import os
import sys
import time
from collections.abc import Iterable
from typing import Any

import msgspec

from sparkdoctor.cache import digest, keep, recall
from sparkdoctor.host import Data

GROUPS = ("sparkdoctor.checks", "sparkdoctor.knowledge")
"""The groups of entry points that are ours."""
SETTLED = 3.0
"""Seconds after which a folder's time of change tells one change from the next."""


class Trouble(Data, frozen=True):
    """Something of ours or a stranger's that did not load."""

    origin: str
    problem: str


class Entry(Data, frozen=True):
    """An entry point of an installed package (packaging.python.org, Entry points specification)."""

    group: str
    value: str
    """`module` or `module:attribute`."""
    source: str
    """The package, in words."""

    def load(self) -> Any:
        """The object it names. Raises whatever importing its module raises."""
        module, _, attributes = self.value.split("[", 1)[0].strip().partition(":")
        found: Any = importlib.import_module(module.strip())
        for attribute in filter(None, attributes.strip().split(".")):
            found = getattr(found, attribute)
        return found


def entries(group: str) -> list[Entry]:
    """The entry points of a group.

    Asking all installed packages takes longer than searching a log, so the answer is kept until one of the folders
    that Python imports from has changed: installing, upgrading and removing a package all do that.
    """
    folders = [_changed(path) for path in sys.path]
    key = digest(f"{path}\0{at}".encode(errors="surrogateescape") for path, at in folders)
    content = recall("entries", key)
    if content is not None:
        try:
            return _of(group, msgspec.msgpack.decode(content, type=list[Entry]))
        except msgspec.DecodeError:
            pass  # of another version of this module; it is replaced now
    found = _ask_all()
    if all(time.time_ns() - at > SETTLED * 1e9 for _, at in folders):
        keep("entries", key, msgspec.msgpack.encode(found))
    return _of(group, found)


def _of(group: str, found: Iterable[Entry]) -> list[Entry]:
    return [entry for entry in found if entry.group == group]


def _changed(path: str) -> tuple[str, int]:
    """A place of sys.path and when it changed, nanoseconds since 1970; 0 when it is not there."""
    try:
        path = os.path.abspath(path)  # the empty one is the current folder
        return path, os.stat(path).st_mtime_ns
    except (OSError, ValueError):
        return path, 0


def _ask_all() -> list[Entry]:
    from importlib.metadata import entry_points

    return [
        Entry(point.group, point.value, f"package {point.dist.name}" if point.dist else f"entry point {point.name}")
        for group in GROUPS
        for point in entry_points(group=group)  # all groups at once is deprecated in Python 3.11
    ]


def user_folders() -> list[str]:
    """The user's own folders: $XDG_CONFIG_HOME/sparkdoctor and those in SPARKDOCTOR_PATH.

    Never the current folder: a check is code, and a checkout from a stranger must not run.
    """
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    named = [part for part in os.environ.get("SPARKDOCTOR_PATH", "").split(os.pathsep) if part]
    return [os.path.join(config, "sparkdoctor"), *named]


def own_files(kind: str, suffix: str, troubles: list[Trouble]) -> list[str]:
    """The files `kind`/*`suffix` of the user's folders, in order; as root only those that root owns."""
    found: list[str] = []
    for base in user_folders():
        folder = os.path.join(base, kind)
        try:
            names = sorted(name for name in os.listdir(folder) if name.endswith(suffix) and not name.startswith("."))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            troubles.append(Trouble(folder, why(error)))
            continue
        paths = [os.path.join(folder, name) for name in names]
        strange = [path for path in paths if os.geteuid() == 0 and not (_is_roots(path) and _is_roots(folder))]
        troubles += [Trouble(path, "root does not own it, so it is not run as root") for path in strange]
        found += [path for path in paths if path not in strange]
    return found


def _is_roots(path: str) -> bool:
    try:
        return os.stat(path).st_uid == 0
    except OSError:  # a link to nowhere
        return False


def why(error: Exception) -> str:
    """What a stranger's code has raised, on one line."""
    return f"{type(error).__name__}: {error}"
