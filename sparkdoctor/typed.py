"""Typed values from what a machine or a file answered: msgspec, one thread at a time.

msgspec works out a type when it is first met. A second thread that meets it meanwhile gets a half-made one, and the
process ends with SIGSEGV (0.22.0; the facts are gathered in several threads).
"""

from __future__ import annotations

from _thread import allocate_lock  # what threading.Lock is; threading itself is not needed by a short run
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")

_ONE_AT_A_TIME = allocate_lock()


def convert(value: Any, type_: type[T]) -> T:
    """msgspec.convert. Raises msgspec.ValidationError where the value is not of the type."""
    with _ONE_AT_A_TIME:
        return msgspec.convert(value, type_)


def decode(text: str | bytes, type_: type[T]) -> T:
    """msgspec.json.decode. Raises msgspec.DecodeError for what is no JSON, ValidationError for other types."""
    with _ONE_AT_A_TIME:
        return msgspec.json.decode(text, type=type_)
