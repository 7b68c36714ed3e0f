"""The text form of a recorded machine: one reviewable file a node.

The form is ttar's (node_exporter's fixture archives), with absolute paths, and two additions:
`Problem: WORDS` for what could not be read, `Absent: WORDS` for what is not there; and entries
whose path is a question to a door (`netlink links`, `docker container 4f..`) instead of a file::

    # anything outside an entry that starts like this is a comment
    Path: /proc/sys/kernel/osrelease
    Lines: 1
    6.17.0-1021-nvidia
    # ttar - - - - - - - - - -
    Path: /sys/class/infiniband/rocep1s0f0
    SymlinkTo: ../../devices/pci0000:00/0000:01:00.0/infiniband/rocep1s0f0
    # ttar - - - - - - - - - -
    Directory: /dev/infiniband
    Names: rdma_cm uverbs0
    # ttar - - - - - - - - - -
    Path: /sys/kernel/debug/kho
    Problem: Permission denied

A file whose last line has no line feed is written `NoEol: yes`, then `Lines: N`. In paths, names and
words `\\\\` is a backslash, `\\n` and `\\r` are line ends, and in names `\\s` is a space.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sparkdoctor.host import Data

SEPARATOR = "# ttar - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - - -"
FIELDS = ("Lines", "NoEol", "SymlinkTo", "Names", "Problem", "Absent")


class Entry(Data, frozen=True):
    """One answer: a text, or what a link or folder has, or (not empty) why there is none."""

    text: str = ""
    link: str | None = None
    folder: tuple[str, ...] | None = None
    problem: str = ""
    absent: bool = False


def parse(text: str, name: str) -> dict[str, Entry]:
    """Entries by path. Raises ValueError naming `name` and the line of what is not understood."""
    entries: dict[str, Entry] = {}
    lines = text.split("\n")
    at = 0

    def refuse(what: str) -> ValueError:
        return ValueError(f"{name}:{at}: {what}")

    while at < len(lines):
        line = lines[at]
        at += 1
        if not line or line.startswith("#"):
            continue
        kind, _, path = line.partition(": ")
        path = _unescaped(path)
        if kind not in ("Path", "Directory") or not path:
            raise refuse(f"expected `Path: ...` or `Directory: ...`, found {line[:60]!r}")
        if path in entries:
            raise refuse(f"{path} is here twice")
        fields: dict[str, str] = {}
        body: list[str] = []
        while at < len(lines) and lines[at] and not lines[at].startswith("# ttar "):
            field, _, value = lines[at].partition(":")
            value = value.removeprefix(" ")
            at += 1
            if field not in FIELDS:
                raise refuse(f"unknown field {field[:40]!r} of {path}")
            fields[field] = value
            if field == "Lines":
                if not re.fullmatch("[0-9]{1,9}", value) or at + int(value) > len(lines):
                    raise refuse(f"{path}: `Lines: {value[:40]}` is no number or more than the rest of the file")
                body = lines[at : at + int(value)]
                at += int(value)
        if kind == "Path" and not fields.keys() & {"Lines", "SymlinkTo", "Problem", "Absent"}:
            raise refuse(f"{path} has no Lines, SymlinkTo, Problem or Absent")
        entries[path] = _entry(kind, fields, body)
    return entries


def _entry(kind: str, fields: Mapping[str, str], body: list[str]) -> Entry:
    for field in ("Problem", "Absent"):
        if field in fields:
            return Entry(problem=_unescaped(fields[field]) or "no reason given", absent=field == "Absent")
    if "SymlinkTo" in fields:
        return Entry(link=_unescaped(fields["SymlinkTo"]))
    if kind == "Directory":
        return Entry(folder=tuple(_unescaped(name) for name in fields.get("Names", "").split(" ") if name))
    text = "\n".join(body)
    return Entry(text=text if "NoEol" in fields or not body else text + "\n")


def render(entries: Mapping[str, Entry]) -> str:
    """The archive text of entries, in path order; `parse` gives the same entries back."""
    blocks = []
    for path, entry in sorted(entries.items()):
        head = f"{'Path' if entry.folder is None else 'Directory'}: {_escaped(path)}\n"
        if entry.problem:
            blocks.append(
                f"Path: {_escaped(path)}\n{'Absent' if entry.absent else 'Problem'}: {_escaped(entry.problem)}\n"
            )
        elif entry.link is not None:
            blocks.append(f"{head}SymlinkTo: {_escaped(entry.link)}\n")
        elif entry.folder is not None:
            blocks.append(f"{head}Names: {' '.join(_escaped(name).replace(' ', _SPACE) for name in entry.folder)}\n")
        elif not entry.text:
            blocks.append(f"{head}Lines: 0\n")
        else:
            body = entry.text.removesuffix("\n")
            eol = "" if entry.text.endswith("\n") else "NoEol: yes\n"
            blocks.append(f"{head}{eol}Lines: {body.count(chr(10)) + 1}\n{body}\n")
    return f"{SEPARATOR}\n".join(blocks)


_SPACE = r"\s"
_ESCAPES = {"\\": r"\\", "\n": r"\n", "\r": r"\r"}
_CHARACTERS = {**{escape: character for character, escape in _ESCAPES.items()}, _SPACE: " "}


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(character, character) for character in text)


def _unescaped(text: str) -> str:
    return re.sub(r"\\[\\nrs]", lambda match: _CHARACTERS[match[0]], text)


def folders(entries: Mapping[str, Entry]) -> dict[str, tuple[str, ...]]:
    """The names in each folder: those listed, and those that paths imply."""
    found: dict[str, set[str]] = {}
    for path, entry in entries.items():
        if not path.startswith("/") or entry.absent:
            continue
        if entry.folder is not None:
            found.setdefault(path, set()).update(entry.folder)
        parts = path.split("/")
        for end in range(1, len(parts)):
            found.setdefault("/".join(parts[:end]), set()).add(parts[end])
    return {path: tuple(sorted(names)) for path, names in found.items()}
