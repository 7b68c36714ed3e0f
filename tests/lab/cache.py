"""Things that take long to build, kept outside the tree under a hash of what went into them."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

# Read when the module is: the tests themselves get an empty cache, and what is built here must outlast them.
BASE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sparkdoctor-lab"


def folder() -> Path:
    """Where built things are kept: $XDG_CACHE_HOME/sparkdoctor-lab."""
    return BASE


def digest(inputs: Any) -> str:
    """A short hash of anything JSON can say."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:16]


def cached(name: str, inputs: Any, build: Callable[[Path], None]) -> Path:
    """The folder `name-HASH`, filled by `build(folder)` if it is not there yet.

    A build that fails leaves nothing. Older folders of the same name are removed: a guest
    that still runs from one keeps its open files.
    """
    final = folder() / f"{name}-{digest(inputs)}"
    with _lock(name):
        if final.is_dir():
            return final
        work = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=folder()))
        try:
            build(work)
            (work / "inputs.json").write_text(json.dumps(inputs, indent=1, sort_keys=True))
            work.chmod(0o755)
            work.rename(final)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        for old in folder().glob(f"{name}-*"):
            if old != final:
                shutil.rmtree(old)
    return final


@contextmanager
def _lock(name: str) -> Iterator[None]:
    folder().mkdir(parents=True, exist_ok=True)
    with open(folder() / f".{name}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
