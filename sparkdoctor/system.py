"""The only door to a machine.

A System answers questions: `ask(door, subject)` gives the answer as text, or why there is
none. `Live` asks this machine; `Recorded` answers from one text file; `Recording` asks
another System and keeps what it heard. Everything above this module works on any of them.

Secrets are removed here, before anyone else sees the text.
"""

from __future__ import annotations

import errno
import json
import os
import re
import subprocess
from abc import ABC, abstractmethod
from typing import Any, Literal

import msgspec

from sparkdoctor import archive
from sparkdoctor.fact import Fact, unread
from sparkdoctor.host import Data, Space
from sparkdoctor.secrets import clean_argv, clean_env, clean_text

Door = Literal["file", "folder", "link", "head", "layer", "space", "access", "environ", "cmdline", "command", "docker",
               "netlink", "nvml", "verbs", "processes", "sysconf"]  # fmt: skip

COMMANDS: dict[str, tuple[tuple[str, ...], float]] = {
    "nft": (("nft", "--json", "list", "ruleset"), 5.0),
    "ufw": (("ufw", "status"), 5.0),
}
"""The only commands that are ever run, by name, with their time limit in seconds."""

MAX_FILE = 32 << 20
"""Bytes; the largest files ever wanted are weight indexes of some 10 MiB."""


class Head(Data, frozen=True):
    """The size of a file in bytes and its first HEAD bytes."""

    size: int
    start: bytes


HEAD = 64


class Layer(Data, frozen=True):
    """What one overlay layer has in a folder."""

    names: tuple[str, ...] = ()
    deleted: tuple[str, ...] = ()
    """Whiteouts: names of lower layers that are gone."""
    links: tuple[str, ...] = ()
    """Symbolic links; not among `names`."""
    opaque: bool = False
    """Whether it hides the same folder of all lower layers."""


class System(ABC):
    """A machine that can be asked. No method raises for what the machine cannot tell."""

    @abstractmethod
    def ask(self, door: Door, subject: str) -> Fact[str]:
        """The answer as text. `where` of the fact says how a person would ask the same."""

    def read(self, path: str) -> Fact[str]:
        """The text of a file, at most MAX_FILE bytes; undecodable bytes become U+FFFD."""
        return self.ask("file", path)

    def folder(self, path: str) -> Fact[tuple[str, ...]]:
        """The names in a folder, sorted."""
        return self.ask("folder", path).map(lambda text: tuple(text.splitlines()))

    def link(self, path: str) -> Fact[str]:
        """Where a symbolic link points, as written."""
        return self.ask("link", path)

    def head(self, path: str) -> Fact[Head]:
        """Size and beginning of a file, links followed."""

        def parse(text: str) -> Head:
            size, start = text.split(" ")
            return Head(int(size), bytes.fromhex(start))

        return self.ask("head", path).map(parse)

    def layer(self, root: str, folder: str) -> Fact[Layer]:
        """What the overlay layer at `root` has in `folder`."""
        return self._json("layer", f"{root} {folder}").map(lambda answer: msgspec.convert(answer, Layer))

    def space(self, path: str) -> Fact[Space]:
        """Size and free bytes of the file system at `path` (statvfs)."""

        def parse(text: str) -> Space:
            size, free = text.split()
            return Space(int(size), int(free))

        return self.ask("space", path).map(parse)

    def environ(self, pid: int | Literal["self"]) -> Fact[dict[str, str]]:
        """The environment a process was started with; secrets removed."""
        return self._json("environ", str(pid))

    def cmdline(self, pid: int | Literal["self"]) -> Fact[tuple[str, ...]]:
        """The command line of a process; secrets removed."""
        return self._json("cmdline", str(pid)).map(tuple)

    def command(self, name: str) -> Fact[str]:
        """Standard output of one of COMMANDS. Raises KeyError for any other name."""
        if name not in COMMANDS:
            raise KeyError(name)
        return self.ask("command", name)

    def docker(self, question: str) -> Fact[Any]:
        """Decoded JSON from the Docker engine: see sparkdoctor.doors.docker for the questions."""
        return self._json("docker", question)

    def netlink(self, table: Literal["links", "addresses", "routes"]) -> Fact[Any]:
        """Decoded rtnetlink dump: see sparkdoctor.doors.netlink for its form."""
        return self._json("netlink", table)

    def nvml(self) -> Fact[Any]:
        """Everything asked of NVML: see sparkdoctor.doors.nvml for its form."""
        return self._json("nvml", "devices")

    def verbs(self) -> Fact[Any]:
        """The devices that libibverbs lists: see sparkdoctor.doors.verbs."""
        return self._json("verbs", "devices")

    def processes(self) -> Fact[Any]:
        """Processes of interest: see sparkdoctor.doors.processes."""
        return self._json("processes", "all")

    def sysconf(self, name: str) -> Fact[int]:
        """sysconf(3), by its Python name (`SC_PAGESIZE`)."""
        return self.ask("sysconf", name).map(int)

    def _json(self, door: Door, subject: str) -> Fact[Any]:
        return self.ask(door, subject).map(json.loads)


class Live(System):
    """This machine. `root` replaces the leading / of files, folders and links."""

    def __init__(self, root: str = "/") -> None:
        self._root = root.rstrip("/")

    def ask(self, door: Door, subject: str) -> Fact[str]:
        where = place(door, subject)
        try:
            return Fact(where, self._answer(door, subject))
        except OSError as error:
            missing = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESRCH)
            return unread(where, error.strerror or str(error), absent=missing)
        except DoorClosed as error:
            return unread(where, str(error), absent=error.absent)

    def _answer(self, door: Door, subject: str) -> str:
        match door:
            case "file":
                return self._file(subject)
            case "folder":
                return "\n".join(sorted(os.listdir(self._at(subject))))
            case "link":
                return os.readlink(self._at(subject))
            case "head":
                with open(self._at(subject), "rb", buffering=0) as file:
                    return f"{os.fstat(file.fileno()).st_size} {file.read(HEAD).hex()}"
            case "layer":
                from sparkdoctor.doors import overlay

                return overlay.ask(self._root, *subject.split(" "))
            case "space":
                stat = os.statvfs(self._at(subject))
                return f"{stat.f_blocks * stat.f_frsize} {stat.f_bavail * stat.f_frsize}"
            case "access":
                return "".join(
                    letter
                    for letter, mode in (("r", os.R_OK), ("w", os.W_OK), ("x", os.X_OK))
                    if os.access(self._at(subject), mode)
                )
            case "environ":
                pairs = (
                    item.split("=", 1) for item in self._file(f"/proc/{subject}/environ").split("\0") if "=" in item
                )
                return json.dumps(clean_env({name: value for name, value in pairs}))
            case "cmdline":
                words = self._file(f"/proc/{subject}/cmdline").split("\0")[:-1]
                return json.dumps(clean_argv(words))
            case "command":
                return _run(subject)
            case "docker":
                from sparkdoctor.doors import docker

                return docker.ask(subject)
            case "netlink":
                from sparkdoctor.doors import netlink

                return netlink.ask(subject)
            case "nvml":
                from sparkdoctor.doors import nvml

                return nvml.ask()
            case "verbs":
                from sparkdoctor.doors import verbs

                return verbs.ask()
            case "processes":
                from sparkdoctor.doors import processes

                return processes.ask()
            case "sysconf":
                return str(os.sysconf(subject))

    def _at(self, path: str) -> str:
        """Where a path of that machine lies here. What a container links to is looked for in the container."""
        container = re.match(r"/proc/\d+/root(?=/)", path)
        if container is None:
            return self._root + path
        from sparkdoctor.doors import inside

        return inside.resolve(self._root + container[0], path[container.end() :])

    def _file(self, path: str) -> str:
        # Small pieces: /proc/sys answers ENOMEM to a read whose buffer is larger than it may allocate.
        pieces = []
        left = MAX_FILE
        with open(self._at(path), "rb", buffering=0) as file:
            while piece := file.read(1 << 16):
                pieces.append(piece)
                left -= len(piece)
                if left < 0:
                    raise DoorClosed(f"larger than {MAX_FILE >> 20} MiB")
        return clean_text(b"".join(pieces).decode("utf-8", "replace"))


class Recorded(System):
    """A machine out of an archive (see sparkdoctor.archive). `name` is for messages."""

    def __init__(self, text: str, name: str = "recording") -> None:
        """Raises ValueError, with the line, for text that is not an archive."""
        self._entries = archive.parse(text, name)
        self._folders = archive.folders(self._entries)

    def ask(self, door: Door, subject: str) -> Fact[str]:
        where = place(door, subject)
        key = subject if door in ("file", "link", "folder") else f"{door} {subject}"
        if door == "folder" and key.rstrip("/") in self._folders:
            return Fact(where, "\n".join(self._folders[key.rstrip("/")]))
        entry = self._entries.get(self._resolve(key) if door == "file" else key)
        if entry is None:
            return unread(
                where, "No such file or directory" if key == subject else "not recorded", absent=key == subject
            )
        if entry.problem:
            return unread(where, entry.problem, absent=entry.absent)
        if door == "link":
            if entry.link is None:
                return unread(where, "Invalid argument")
            return Fact(where, entry.link)
        return Fact(where, entry.text)

    def _resolve(self, path: str, hops: int = 8) -> str:
        """Follow recorded symbolic links at the end of a path and in its folders."""
        parts = path.split("/")
        for end in range(2, len(parts) + 1):
            entry = self._entries.get("/".join(parts[:end]))
            if entry is not None and entry.link is not None and hops:
                target = os.path.normpath(os.path.join("/".join(parts[: end - 1]) or "/", entry.link))
                return self._resolve("/".join([target, *parts[end:]]), hops - 1)
        return path


class Recording(System):
    """Asks another System and keeps every answer; `text()` is an archive for Recorded."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._entries: dict[str, archive.Entry] = {}

    def ask(self, door: Door, subject: str) -> Fact[str]:
        answer = self._system.ask(door, subject)
        key = subject if door in ("file", "link", "folder") else f"{door} {subject}"
        if not answer.is_known:
            if key not in self._entries:
                self._entries[key] = archive.Entry(problem=answer.problem, absent=answer.absent)
        elif door == "folder":
            self._entries[key] = archive.Entry(folder=tuple(answer.value.splitlines()))
        elif door == "link":
            self._entries[key] = archive.Entry(link=answer.value)
        else:
            self._entries[key] = archive.Entry(text=answer.value)
        return answer

    def text(self) -> str:
        return archive.render(self._entries)


class DoorClosed(Exception):
    """Raised by a door for what it cannot tell; the words go to the user as they are."""

    def __init__(self, problem: str, *, absent: bool = False) -> None:
        super().__init__(problem)
        self.absent = absent


def place(door: Door, subject: str) -> str:
    """How a person would look at the same thing: the `where` of an answer."""
    match door:
        case "file" | "folder" | "link" | "head" | "access":
            return subject
        case "layer":
            return "".join(subject.split(" "))
        case "space":
            return f"df {subject}"
        case "environ" | "cmdline":
            return f"/proc/{subject}/{door}"
        case "command":
            return " ".join(COMMANDS[subject][0])
        case "docker":
            words = subject.split(" ", 1)
            return {"container": f"docker inspect {words[-1]}", "image": f"docker image inspect {words[-1]}",
                    "containers": "docker ps --all"}.get(words[0], f"docker {subject}")  # fmt: skip
        case "netlink":
            return {"links": "ip link", "addresses": "ip address", "routes": "ip route"}[subject]
        case "nvml":
            return "NVML"
        case "verbs":
            return "ibv_devices"
        case "processes":
            return "/proc"
        case "sysconf":
            return f"getconf {subject.removeprefix('SC_')}"


def _run(name: str) -> str:
    argv, limit = COMMANDS[name]
    try:
        done = subprocess.run(argv, capture_output=True, timeout=limit, check=False, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise DoorClosed(f"{argv[0]} is not installed", absent=True) from None
    except subprocess.TimeoutExpired:
        raise DoorClosed(f"no answer within {limit:.0f} s") from None
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DoorClosed(f"exit code {done.returncode}" + (f": {words[-1]}" if words else ""))
    return clean_text(done.stdout.decode("utf-8", "replace"))
