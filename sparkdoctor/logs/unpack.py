"""Decompress logs as they are read. Each library is loaded for a log that needs it."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import IO, Any, cast

Read = Callable[[int], bytes]
"""At most so many bytes, none at the end; does not wait for more than one."""

GZIP, BZIP2, XZ, ZSTD = b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\x00", b"\x28\xb5\x2f\xfd"
_BLOCKS = (b"1AY&SY", b"\x17rE8P\x90")
"""What follows the head of a bzip2 file: a block, or the end of an empty one."""


class Damaged(Exception):
    """The compressed data make no sense, or end too early."""


class Pushed:
    """A reader with bytes given back to it; what the decompressors of the standard library read from."""

    def __init__(self, head: bytes, read: Read) -> None:
        self._head = head
        self._read = read

    def read(self, size: int = 1 << 18) -> bytes:
        if self._head:
            taken, self._head = self._head[:size], self._head[size:]
            return taken
        return self._read(size)


def unpacker(head: bytes) -> Callable[[Pushed], Read] | None:
    """What decompresses a log that begins like this; None when it is not compressed.

    It raises ModuleNotFoundError when its library is not there, and what it returns raises Damaged.
    """
    if head.startswith(GZIP):
        return _gzip
    if head.startswith(BZIP2) and head[4:10] in _BLOCKS:
        return _bzip2
    if head.startswith(XZ):
        return _xz
    if head.startswith(ZSTD):
        return _zstd
    return None


def _gzip(source: Pushed) -> Read:
    import gzip
    import zlib

    file = gzip.GzipFile(fileobj=cast(IO[bytes], source), mode="rb")
    return _told(file.read1, EOFError, gzip.BadGzipFile, zlib.error)


def _bzip2(source: Pushed) -> Read:
    import bz2

    return _told(bz2.BZ2File(cast(IO[bytes], source)).read1, EOFError)


def _xz(source: Pushed) -> Read:
    import lzma

    return _told(lzma.LZMAFile(cast(IO[bytes], source)).read1, EOFError, lzma.LZMAError)


def _zstd(source: Pushed) -> Read:
    library: Any
    try:
        library = importlib.import_module("compression.zstd")  # in the standard library from Python 3.14 on
    except ImportError:
        library = importlib.import_module("backports.zstd")
    return _told(library.ZstdFile(source).read1, EOFError, library.ZstdError)


def _told(read: Callable[[int], bytes], *errors: type[Exception]) -> Read:
    def told(size: int) -> bytes:
        try:
            return read(size)
        except errors as error:
            raise Damaged(str(error)) from error

    return told
