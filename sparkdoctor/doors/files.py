"""Files, folders and links of this machine, of another root folder, or of a container's."""

from __future__ import annotations

import errno
import os
import posixpath
import re
from collections.abc import Sequence
from io import FileIO

from sparkdoctor.secrets import clean_argv, clean_env, clean_text
from sparkdoctor.system import HEAD, MAX_FILE, DoorClosed

PIECE = 1 << 16
"""Bytes of one read: a file in /proc/sys answers ENOMEM to a buffer larger than the kernel may allocate."""


def ask(root: str, door: str, subject: str) -> str:
    """The answer of a door of sparkdoctor.system that has to do with files. Raises OSError and DoorClosed."""
    match door:
        case "file":
            return read(root, subject)
        case "folder":
            return "\n".join(sorted(os.listdir(at(root, subject))))
        case "link":
            folder, name = posixpath.split(subject)
            return os.readlink(f"{at(root, folder)}/{name}")
        case "head":
            with _open(root, subject) as file:
                return f"{os.fstat(file.fileno()).st_size} {file.read(HEAD).hex()}"
        case "layer":
            from sparkdoctor.doors import overlay

            return overlay.ask(root, *subject.split(" "))
        case "space":
            stat = os.statvfs(at(root, subject))
            return f"{stat.f_blocks * stat.f_frsize} {stat.f_bavail * stat.f_frsize}"
        case "environ":
            pairs = (item.partition("=") for item in _strings(root, f"/proc/{subject}/environ"))
            return _json(clean_env({name: value for name, equals, value in pairs if equals}))
        case "cmdline":
            words = _strings(root, f"/proc/{subject}/cmdline")
            # A process that renamed itself (VLLM::EngineCore) leaves the rest of its words empty.
            return _json(clean_argv(words if any(words[1:]) else words[:1]))
    raise KeyError(door)


def _json(answer: object) -> str:
    import json  # two doors need it

    return json.dumps(answer)


def read(root: str, path: str) -> str:
    """A text file, secrets removed; undecodable bytes become U+FFFD."""
    return clean_text(_bytes(root, path).decode("utf-8", "replace"))


def _strings(root: str, path: str) -> Sequence[str]:
    """The strings of a file in which each ends with a NUL."""
    text = _bytes(root, path).decode("utf-8", "replace")
    if not text:
        raise DoorClosed("empty: the process has ended or has only just started")
    return text.removesuffix("\0").split("\0")


def _bytes(root: str, path: str) -> bytes:
    pieces = []
    left = MAX_FILE
    with _open(root, path) as file:
        while piece := file.read(PIECE):
            pieces.append(piece)
            left -= len(piece)
            if left < 0:
                raise DoorClosed(f"larger than {MAX_FILE >> 20} MiB")
    return b"".join(pieces)


def _open(root: str, path: str) -> FileIO:
    # Not waiting for a writer: a named pipe in place of a file is an empty file.
    return FileIO(os.open(at(root, path), os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")


def at(root: str, path: str) -> str:
    """Where a path of that machine lies here. What a container links to is looked for in the container."""
    container = re.match(r"/proc/\d+/root(?=/)", path)
    if container is None:
        return root + path
    return resolve(root + container[0], path[container.end() :])


MAX_LINKS = 40
"""As the kernel has it (MAXSYMLINKS, include/linux/namei.h)."""


def resolve(root: str, path: str) -> str:
    """The path under `root` that a process whose / is `root` means by the absolute `path`.

    The kernel would follow an absolute link below /proc/PID/root to this process's own files,
    not the container's. A link as the last part is followed too, except that a path which does
    not exist comes back as far as it goes. Raises OSError (ELOOP).
    """
    todo = path.split("/")[::-1]
    done: list[str] = []
    links = 0
    while todo:
        part = todo.pop()
        if part in ("", "."):
            continue
        if part == "..":
            del done[-1:]
            continue
        here = "/".join([root, *done, part])
        if not os.path.islink(here):
            done.append(part)
            continue
        links += 1
        if links > MAX_LINKS:
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), here)
        target = os.readlink(here)
        if target.startswith("/"):
            done = []
        todo += target.split("/")[::-1]
    return "/".join([root, *done])
