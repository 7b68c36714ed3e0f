"""What dockerd gives to containers that do not ask: from its daemon.json and its command line.

Options and their forms: dockerd(8); docker/go-units v0.5.0 ulimit.go (ParseUlimit), size.go (RAMInBytes).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from sparkdoctor.fact import Fact, unread
from sparkdoctor.facts.processes import listed
from sparkdoctor.host import DOCKER_SHM, Data
from sparkdoctor.system import System
from sparkdoctor.typed import convert, decode

DAEMON_JSON = "/etc/docker/daemon.json"


class Settings(Data, frozen=True):
    ulimits: dict[str, int]
    """Soft limits by name, bytes or UNLIMITED."""
    shm_size: int
    """Bytes."""


def settings(system: System, rootless: Fact[bool]) -> Fact[Settings]:
    """The defaults of this machine's engine. dockerd refuses to start with one set in both places."""
    if rootless.is_known and rootless.value:
        return unread(
            "~/.config/docker/daemon.json", "not looked at: this Docker is rootless, its settings are a user's"
        )
    text = system.read(DAEMON_JSON)
    where = DAEMON_JSON
    if text.absent:
        where, text = f"{DAEMON_JSON} (there is none)", Fact(DAEMON_JSON, "{}")
    running = listed(system)
    if not running.is_known:
        return unread(running.where, running.problem)
    daemons = [each.pid for each in running.value if each.kind == "dockerd"]
    if len(daemons) > 1:
        return unread("/proc", f"{len(daemons)} processes called dockerd run here")
    words: Fact[tuple[str, ...]] = Fact("/proc", ())
    if daemons:
        words = system.cmdline(daemons[0])
        where = f"{where}, {words.where} (dockerd)"
    found = text.map(lambda text: _settings(parse_daemon_json(text), words.value))
    return found.at(where) if found.is_known else found


def _settings(file: Mapping[str, Any], words: Sequence[str]) -> Settings:
    ulimits, shm_size = parse_default_ulimits(file), file.get("default-shm-size", DOCKER_SHM)
    for option, value in _options(words):
        if option == "default-ulimit":
            name, _, limit = value.partition("=")
            ulimits[name] = int(limit.partition(":")[0])
        elif option == "default-shm-size":
            shm_size = value
    return Settings(ulimits, parse_size(shm_size))


def _options(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """`--name value` and `--name=value` as (name, value)."""
    for at, word in enumerate(words):
        name, equals, value = word.partition("=")
        if name.startswith("--"):
            yield name[2:], value if equals else "".join(words[at + 1 : at + 2])


def parse_daemon_json(text: str) -> dict[str, Any]:
    """The object in the file; an empty file is an empty object. Raises ValueError."""
    return decode(text.strip() or "{}", dict[str, Any])


def parse_default_ulimits(file: Mapping[str, Any]) -> dict[str, int]:
    """`default-ulimits`: {"memlock": {"Name": "memlock", "Soft": -1, "Hard": -1}}. Raises ValueError."""
    limits = convert(file.get("default-ulimits") or {}, dict[str, dict[str, Any]])
    return {name: convert(limit["Soft"], int) for name, limit in limits.items() if "Soft" in limit}


def parse_size(size: object) -> int:
    """Bytes of a number or a text such as `64M` or `1.5g`; units are binary. Raises ValueError."""
    if isinstance(size, int):
        return size
    match = re.fullmatch(r"(\d+(?:\.\d+)?) ?([kmgtp]?)i?b?", str(size).strip(), re.IGNORECASE)
    if not match:
        raise ValueError(f"not a size: {size!r}")
    unit = "kmgtp".find(match[2].lower()) + 1 if match[2] else 0
    return int(float(match[1]) * (1 << (10 * unit)))
