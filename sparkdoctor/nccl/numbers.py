"""Numbers as the C library reads them out of environment variables."""

from __future__ import annotations

import re

from packaging.version import Version

from sparkdoctor.nccl import since

_NUMBER = re.compile(r"[ \t\n\v\f\r]*([+-]?)(0[xX][0-9a-fA-F]+|0[0-7]*|[1-9][0-9]*)")
_DECIMAL = re.compile(r"[ \t\n\v\f\r]*([+-]?[0-9]+)")


def integer(text: str | None, default: int, version: Version = since.NEWEST) -> int:
    """The value of an integer parameter: ncclLoadParam, src/misc/param.cc.

    strtoll(text, NULL, 0): leading blanks, a sign, 0x for hexadecimal, 0 for octal, and the rest
    of the text is not looked at, so `010` is 8 and `3,3` is 3. Unset, empty and what does not fit
    into 64 bits give the default. What has no digit, as `true`, is 0, and the default since 2.32.
    """
    if not text:
        return default
    match = _NUMBER.match(text)
    if match is None:
        return default if version >= since.DIGIT_WANTED else 0
    digits = match[2]
    base = 16 if digits[:2] in ("0x", "0X") else 8 if digits[0] == "0" else 10
    value = int(digits, base)
    value = -value if match[1] == "-" else value
    return value if -(1 << 63) <= value < 1 << 63 else default


def whole(text: str) -> bool:
    """Whether strtoll(text, NULL, 0) reads all of the text as a number, trailing blanks left aside."""
    match = _NUMBER.match(text)
    return match is not None and not text[match.end() :].strip()


def atoi(text: str) -> int:
    """atoi(3): decimal, 0 for what is no number, cut to 32 bits as glibc does."""
    match = _DECIMAL.match(text)
    return int32(int(match[1])) if match else 0


def int32(value: int) -> int:
    """A 64-bit number assigned to a C int."""
    return (value + (1 << 31)) % (1 << 32) - (1 << 31)
