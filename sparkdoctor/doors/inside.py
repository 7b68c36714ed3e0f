"""Paths inside another root folder, a container's, that cannot lead out of it."""

from __future__ import annotations

import errno
import os

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
