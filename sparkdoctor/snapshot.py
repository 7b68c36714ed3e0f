"""A snapshot: the facts of one machine and the launches found on it, as one JSON document.

`collect` writes it, `check --from` and `explain --from` judge it, on any machine.
"""

from __future__ import annotations

import os.path
import re

import msgspec

from sparkdoctor import __version__
from sparkdoctor.host import Data, Host
from sparkdoctor.launch.types import Spec
from sparkdoctor.typed import decode

SCHEMA = "sparkdoctor.snapshot/1"
MAX_SNAPSHOT = 64 << 20
"""Bytes; a snapshot of a Spark has some 100 KiB."""


class SnapshotError(Exception):
    """The text is not a snapshot that this version reads; one clear line."""


class Snapshot(Data, frozen=True):
    host: Host
    specs: tuple[Spec, ...] = ()
    """What is to be started or runs there; empty when nothing was found."""
    schema: str = SCHEMA
    version: str = __version__


def to_json(snapshot: Snapshot) -> str:
    """Indented JSON, `schema` first; `from_json` gives the same snapshot back."""
    fields = {"schema": snapshot.schema, "version": snapshot.version, "host": snapshot.host, "specs": snapshot.specs}
    return msgspec.json.format(msgspec.json.encode(fields), indent=1).decode() + "\n"


def from_json(text: bytes | str, name: str) -> Snapshot:
    """Read a snapshot. Raises SnapshotError, naming the file and what is wrong with it."""
    if len(text) > MAX_SNAPSHOT:
        raise SnapshotError(f"{name}: larger than {MAX_SNAPSHOT >> 20} MiB, so not a snapshot")
    try:
        head = decode(text, _Head)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"{name}: not a snapshot: {error}") from None
    if head.schema != SCHEMA:
        what = f"schema {head.schema!r}" if head.schema else "no schema"
        raise SnapshotError(f"{name}: {what}; this version reads {SCHEMA!r} (written by `sparkdoctor collect`)")
    try:
        return decode(text, Snapshot)
    except msgspec.DecodeError as error:
        raise SnapshotError(f"{name}: {error}") from None


def is_snapshot_file(path: str) -> bool:
    """Whether a path names a regular file that claims to be a snapshot. Raises nothing."""
    try:
        if not os.path.isfile(path):
            return False
        with open(path, "rb") as file:
            return is_snapshot(file.read(200))
    except OSError:
        return False


def is_snapshot(head: bytes) -> bool:
    """Whether a file that begins like this claims to be a snapshot of some version."""
    return bool(re.match(rb'\s*\{\s*"schema"\s*:\s*"sparkdoctor\.snapshot/', head))


class _Head(msgspec.Struct):
    schema: str = ""
