"""Files that spare the next run some work: in the user's own cache folder, and trusted only when nobody else can write there.

Losing one costs time, never an answer: what cannot be read, or is not what was written, counts as
absent, and what cannot be written is computed again next time.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import stat
import zlib
from collections.abc import Iterable
from typing import Any

KEPT = 8
"""Files of one kind that are kept, the newest: one for each set of knowledge and interpreter in use."""
SIZE = 1 << 28
"""Bytes of the largest file that is read."""

_CHECK = 4
"""Bytes of CRC-32 before the content: damage is told by it, not malice."""


def digest(parts: Iterable[bytes]) -> str:
    """The SHA-256 of these parts, each told apart from the next, as 64 hex digits."""
    total = _sha256()
    for part in parts:
        total.update(b"%d:" % len(part))
        total.update(part)
    return str(total.hexdigest())


def recall(kind: str, key: str) -> bytes | None:
    """What was written under this key; None when there is nothing, or nothing to trust. Raises nothing."""
    folder = _folder()
    if folder is None:
        return None
    try:
        file = os.open(_path(folder, kind, key), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        if not _is_ours(os.fstat(file), stat.S_ISREG) or os.fstat(file).st_size > SIZE:
            return None
        content = b"".join(iter(lambda: os.read(file, 1 << 20), b""))
    except OSError:
        return None
    finally:
        os.close(file)
    check, content = content[:_CHECK], content[_CHECK:]
    return content if check == zlib.crc32(content).to_bytes(_CHECK, "big") else None


def keep(kind: str, key: str, content: bytes) -> bool:
    """Keep `content` for the next run, whole or not at all; whether it was kept. Raises nothing."""
    folder = _folder(make=True)
    if folder is None:
        return False
    temporary = os.path.join(folder, f".{kind}-{os.getpid()}-{os.urandom(4).hex()}")
    try:
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        try:
            with open(file, "wb") as stream:
                stream.write(zlib.crc32(content).to_bytes(_CHECK, "big") + content)
                stream.flush()
                os.fsync(file)
            os.rename(temporary, _path(folder, kind, key))
        except BaseException:
            with contextlib.suppress(OSError):
                os.unlink(temporary)
            raise
    except OSError:
        return False
    _prune(folder, kind)
    return True


def forget(kind: str, key: str) -> None:
    """Remove what turned out to be of no use. Raises nothing."""
    folder = _folder()
    if folder is not None:
        with contextlib.suppress(OSError):
            os.unlink(_path(folder, kind, key))


def _folder(*, make: bool = False) -> str | None:
    """$XDG_CACHE_HOME/sparkdoctor (XDG Base Directory Specification 0.8), if it is ours alone to write to."""
    base = os.environ.get("XDG_CACHE_HOME", "")
    if not os.path.isabs(base):  # the specification: a relative path is to be ignored
        home = os.path.expanduser("~")
        base = os.path.join(home, ".cache")
        if not os.path.isabs(home):
            return None
    folder = os.path.join(base, "sparkdoctor")
    try:
        if make and not os.path.lexists(folder):
            # Under sudo HOME may still be the user's: a folder of root's there would shut the user out.
            if not os.path.lexists(base) and os.stat(os.path.dirname(base)).st_uid == os.geteuid():
                os.mkdir(base, 0o700)
            if os.stat(base).st_uid != os.geteuid():
                return None
            with contextlib.suppress(FileExistsError):  # made by another run just now
                os.mkdir(folder, 0o700)
        return folder if _is_ours(os.lstat(folder), stat.S_ISDIR) else None
    except OSError:
        return None


def _is_ours(status: os.stat_result, is_kind: Any) -> bool:
    return bool(is_kind(status.st_mode) and status.st_uid == os.geteuid() and not status.st_mode & 0o022)


def _path(folder: str, kind: str, key: str) -> str:
    return os.path.join(folder, f"{kind}-{key}")


def _prune(folder: str, kind: str) -> None:
    """Remove all but the newest files of a kind, and temporary files that a killed run has left."""
    with contextlib.suppress(OSError):
        with os.scandir(folder) as listing:
            names = [entry.name for entry in listing if entry.name.startswith((f"{kind}-", f".{kind}-"))]
        ages = {name: os.stat(os.path.join(folder, name)).st_mtime for name in names}
        finished = sorted((n for n in names if not n.startswith(".")), key=ages.__getitem__, reverse=True)
        newest = max(ages.values(), default=0)
        left = [name for name in names if name.startswith(".") and ages[name] < newest - 3600]
        for name in (*finished[KEPT:], *left):
            os.unlink(os.path.join(folder, name))


def _sha256() -> Any:
    """hashlib's, without the 5 ms in which hashlib loads OpenSSL. `random` of the standard library does the same."""
    for module in ("_sha2", "_sha256"):  # CPython from 3.12, CPython 3.11
        try:
            return importlib.import_module(module).sha256()
        except (ImportError, AttributeError):
            continue
    return importlib.import_module("hashlib").sha256()
