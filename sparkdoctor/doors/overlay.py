"""One folder of one overlay2 layer, with what only overlayfs gives a meaning to."""

from __future__ import annotations

import errno
import os
import stat

import msgspec

from sparkdoctor.system import Layer


def ask(prefix: str, root: str, folder: str) -> str:
    """A sparkdoctor.system.Layer as JSON. Raises OSError.

    Documentation/filesystems/overlayfs.rst: a whiteout is a character device 0/0; an opaque
    folder has the attribute trusted.overlay.opaque, which only root can see.
    """
    names, deleted, links = [], [], []
    place = f"{prefix}{root}{folder}".rstrip("/")
    with os.scandir(place) as entries:
        for entry in entries:
            status = entry.stat(follow_symlinks=False)
            if stat.S_ISLNK(status.st_mode):
                links.append(entry.name)
            elif stat.S_ISCHR(status.st_mode) and status.st_rdev == 0:
                deleted.append(entry.name)
            else:
                names.append(entry.name)
    layer = Layer(tuple(sorted(names)), tuple(sorted(deleted)), tuple(sorted(links)), _is_opaque(place))
    return msgspec.json.encode(layer).decode()


def _is_opaque(place: str) -> bool:
    try:
        return os.getxattr(place, "trusted.overlay.opaque") == b"y"
    except OSError as error:
        if error.errno in (errno.ENODATA, errno.ENOTSUP):
            return False
        raise
