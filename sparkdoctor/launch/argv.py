"""The server's own command line, out of `entrypoint`, `command` and the shell around it."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from sparkdoctor.launch.tree import Listing, Node, want_text
from sparkdoctor.launch.types import Remark


@dataclass(frozen=True)
class CommandLine:
    words: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    where: str = ""
    env: dict[str, tuple[str | None, str]] = field(default_factory=dict)
    remarks: tuple[Remark, ...] = ()


def command_line(entrypoint: Node | None, command: Node | None, env: Mapping[str, str]) -> CommandLine:
    words: list[str] = []
    where = ""
    for node in (entrypoint, command):
        if node is None:
            continue
        where = node.where
        if isinstance(node, Listing):
            words += [want_text(item, "command").text for item in node.items]
        else:
            words += shlex.split(want_text(node, "command").text)
    while words and words[0] in ("bash", "sh", "/bin/bash", "/bin/sh") and len(words) > 2:
        try:
            words = shlex.split(words[2])
        except ValueError:
            break
    if words[:1] == ["exec"]:
        words = words[1:]
    return CommandLine(tuple(words), (), where)
