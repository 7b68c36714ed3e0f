"""Waiting for something without sleeping for a fixed time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_for(what: str, probe: Callable[[], T], timeout: float) -> T:
    """Ask `probe` until its answer is true, and return that. Raises TimeoutError naming `what`."""
    end = time.monotonic() + timeout
    while True:
        answer = probe()
        if answer:
            return answer
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not after {timeout:.0f} s")
        time.sleep(0.05)
