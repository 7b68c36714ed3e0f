"""The only door to a machine.

A System answers questions: `ask(door, subject)` gives the answer as text, or why there is
none. `Live` asks this machine; `Recorded` answers from one text file; `Recording` asks
another System and keeps what it heard. Everything above this module works on any of them.

Secrets are removed here, before anyone else sees the text.
"""

from __future__ import annotations

import errno
import os
from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, Literal, Protocol

import msgspec

from sparkdoctor import archive
from sparkdoctor.fact import Fact, unread
from sparkdoctor.host import Data, Space
from sparkdoctor.late import late
from sparkdoctor.secrets import clean_text
from sparkdoctor.typed import convert

Door = Literal["file", "folder", "link", "head", "layer", "space", "environ", "cmdline", "command", "docker",
               "netlink", "nvml", "verbs", "processes", "sysconf"]  # fmt: skip

COMMANDS: dict[str, tuple[tuple[str, ...], float]] = {
    "nft": (("nft", "--json", "list", "ruleset"), 5.0),
    "nft chains": (("nft", "list", "chains"), 5.0),
    "iptables": (("iptables-nft-save",), 5.0),
    "ip6tables": (("ip6tables-nft-save",), 5.0),
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


class Log(Protocol):
    """The log of a container or a unit."""

    def read(self, size: int) -> bytes:
        """At most `size` bytes, as soon as there are any; empty at the end. Raises OSError."""
        ...

    def stop(self) -> None:
        """Wait for no more: what has come is still read, then it ends. From any thread."""
        ...

    def close(self) -> None:
        """Only when nobody reads."""
        ...


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
        return self.ask("folder", path).map(lambda text: tuple(text.split("\n")) if text else ())

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
        return self._json("layer", f"{root} {folder}").map(lambda answer: convert(answer, Layer))

    def space(self, path: str) -> Fact[Space]:
        """Size and free bytes of the file system at `path` (statvfs)."""

        def parse(text: str) -> Space:
            size, free = text.split()
            return Space(int(size), int(free))

        return self.ask("space", path).map(parse)

    def environ(self, pid: int | Literal["self"]) -> Fact[dict[str, str]]:
        """The environment a process was started with; secrets removed."""
        return self._json("environ", str(pid)).map(lambda answer: convert(answer, dict[str, str]))

    def cmdline(self, pid: int | Literal["self"]) -> Fact[tuple[str, ...]]:
        """The command line of a process; secrets removed."""
        return self._json("cmdline", str(pid)).map(lambda answer: convert(answer, tuple[str, ...]))

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

    def log(self, kind: Literal["container", "unit"], name: str, since: float | None, *, follow: bool = False) -> Log:
        """What a container or a unit has logged, to be read once; with `follow` also what it goes on to log.

        `since`: seconds since 1970. Raises DoorClosed at once, and OSError while it is read.
        """
        raise DoorClosed(f"the log of a {kind} can only be read on its machine")

    def _json(self, door: Door, subject: str) -> Fact[Any]:
        import json  # unlike msgspec's it takes the surrogates of an environment that is no UTF-8

        return self.ask(door, subject).map(json.loads)


FILES = ("file", "folder", "link", "head", "layer", "space")
"""The doors that a root folder stands in for."""


class Live(System):
    """This machine; with a `root` other than /, the files under that folder and nothing else."""

    def __init__(self, root: str = "/") -> None:
        self._root = root.rstrip("/")

    def ask(self, door: Door, subject: str) -> Fact[str]:
        where = place(door, subject)
        try:
            # A name that is no UTF-8 would be text that no JSON can carry.
            return Fact(
                where, self._answer(door, subject).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            )
        except OSError as error:
            missing = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ESRCH)
            return unread(where, error.strerror or str(error), absent=missing)
        except DoorClosed as error:
            return unread(where, str(error), absent=error.absent)
        except ValueError as error:  # a path with a NUL character
            return unread(where, str(error))

    def _answer(self, door: Door, subject: str) -> str:
        if self._root and door not in FILES:
            raise DoorClosed(f"not asked: only files under {self._root} are looked at")
        match door:
            case "file" | "folder" | "link" | "head" | "layer" | "space" | "environ" | "cmdline":
                from sparkdoctor.doors import files

                return files.ask(self._root, door, subject)
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

    def log(self, kind: Literal["container", "unit"], name: str, since: float | None, *, follow: bool = False) -> Log:
        if self._root:
            raise DoorClosed(f"not asked: only files under {self._root} are looked at")
        from sparkdoctor.doors import docker, journal

        return (
            docker.log(name, since, follow=follow) if kind == "container" else journal.log(name, since, follow=follow)
        )


class Recorded(System):
    """A machine out of an archive (see sparkdoctor.archive). `name` is for messages.

    A path that the archive does not have is absent only if the archive says so: by `Absent:`,
    or by a listing of its folder without it. Else it was not recorded, and nobody can tell. A
    folder without a listing of its own has the names that the archive's paths imply. A slot of a
    GID table that is listed and has no entry is unused.
    """

    def __init__(self, text: str, name: str = "recording") -> None:
        """Raises ValueError, with the line, for text that is not an archive."""
        self._entries = archive.parse(text, name)
        self._folders = archive.folders(self._entries)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Recorded:
        """Read an archive file. Raises OSError and ValueError."""
        with open(path, "rb") as file:
            return cls(file.read().decode("utf-8"), os.fspath(path))

    def ask(self, door: Door, subject: str) -> Fact[str]:
        where = place(door, subject)
        entry = self._entries.get(f"{door} {subject}")
        if entry is None and door in PATHS:
            path = subject.rstrip("/") or "/"
            entry = self._at_path(door, path) or self._at_path(door, self._resolve(path))
        if entry is None and door == "file" and (slot := SLOT.fullmatch(subject)):
            entry = self._entries.get(slot["table"])
            if entry is not None and slot["number"] in (entry.folder or ()):
                return Fact(where, NO_GID)
            entry = None
        if entry is None:
            absent = door in FILES and self._is_absent(subject)
            return unread(where, "No such file or directory" if absent else "not recorded", absent=absent)
        if entry.problem:
            return unread(where, entry.problem, absent=entry.absent)
        if entry.folder is not None:
            return Fact(where, "\n".join(entry.folder))
        return Fact(where, entry.text if entry.link is None else entry.link)

    def _at_path(self, door: Door, path: str) -> archive.Entry | None:
        """The entry of a path if it answers this door."""
        entry = self._entries.get(path)
        if entry is not None and entry.problem:
            return entry
        if door == "folder":
            return archive.Entry(folder=self._folders[path]) if path in self._folders else None
        if entry is None or entry.folder is not None or (entry.link is not None) != (door == "link"):
            return None
        return entry

    def _resolve(self, path: str, hops: int = 8) -> str:
        """Follow recorded symbolic links at the end of a path and in its folders."""
        parts = path.split("/")
        for end in range(2, len(parts) + 1):
            entry = self._entries.get("/".join(parts[:end]))
            if entry is not None and entry.link is not None and hops:
                target = os.path.normpath(os.path.join("/".join(parts[: end - 1]) or "/", entry.link))
                return self._resolve("/".join([target, *parts[end:]]), hops - 1)
        return path

    def _is_absent(self, path: str) -> bool:
        parts = path.rstrip("/").split("/")
        for end in range(len(parts) - 1, 0, -1):
            above = self._entries.get("/".join(parts[:end]))
            if above is not None and above.absent:
                return True
            if above is not None and above.folder is not None:
                return parts[end] not in above.folder
        return False


class Recording(System):
    """Asks another System and keeps every answer; `text()` is an archive for Recorded.

    What would only make the archive long is left out: TCP connections that do not listen, and
    unused slots of GID tables (a port has some 255 or 1024), which the listing still names.
    """

    def __init__(self, system: System) -> None:
        self._system = system
        self._entries: dict[str, archive.Entry] = {}
        self._doors: dict[str, Door] = {}

    def ask(self, door: Door, subject: str) -> Fact[str]:
        answer = self._system.ask(door, subject)
        key = f"{door} {subject}"
        if door in PATHS and self._doors.setdefault(subject, door) == door:
            key = subject
        if not answer.is_known:
            self._entries[key] = archive.Entry(problem=answer.problem or "no reason given", absent=answer.absent)
        elif door == "folder":
            self._entries[key] = archive.Entry(folder=tuple(answer.value.split("\n")) if answer.value else ())
        elif door == "link":
            self._entries[key] = archive.Entry(link=answer.value)
        else:
            self._entries[key] = archive.Entry(text=answer.value)
        return answer

    def text(self) -> str:
        entries = dict(self._entries)
        for path, entry in self._entries.items():
            if SLOT.fullmatch(path) and entry.text == NO_GID:
                del entries[path]
            if path in ("/proc/net/tcp", "/proc/net/tcp6") and not entry.problem:
                entries[path] = archive.Entry(text="".join(_listening(entry.text)))
            if path.partition(" ")[0] in JSON and not entry.problem:
                entries[path] = archive.Entry(text=msgspec.json.format(entry.text, indent=1) + "\n")
        return archive.render(entries)


SLOT = late(r"(?P<table>.*/ports/\d+/gids)/(?P<number>\d+)")
NO_GID = "0000:0000:0000:0000:0000:0000:0000:0000\n"
"""What the kernel prints for an unused slot (ib_core, sysfs.c, show_port_gid)."""

PATHS = ("file", "folder", "link")
"""The doors whose entries in an archive are paths, as in ttar."""

JSON = ("layer", "environ", "cmdline", "docker", "netlink", "nvml", "verbs", "processes")
"""The doors that answer in JSON, which an archive has one value a line."""


def _listening(text: str) -> Iterator[str]:
    """The head line and the sockets in state 0A (TCP_LISTEN) of /proc/net/tcp."""
    for line in text.splitlines(keepends=True):
        if line.split()[3:4] in (["st"], ["0A"]):
            yield line


class DoorClosed(Exception):
    """Raised by a door for what it cannot tell; the words go to the user as they are."""

    def __init__(self, problem: str, *, absent: bool = False) -> None:
        super().__init__(problem)
        self.absent = absent


def place(door: Door, subject: str) -> str:
    """How a person would look at the same thing: the `where` of an answer."""
    match door:
        case "file" | "folder" | "link" | "head":
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
    import subprocess  # few runs start a command

    argv, limit = COMMANDS[name]
    try:
        done = subprocess.run(
            argv,
            capture_output=True,
            timeout=limit,
            check=False,
            stdin=subprocess.DEVNULL,
            # A user's PATH may lack the folders of administrators' commands.
            env={**os.environ, "LC_ALL": "C", "PATH": f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"},
        )
    except FileNotFoundError:
        raise DoorClosed(f"{argv[0]} is not installed", absent=True) from None
    except subprocess.TimeoutExpired:
        raise DoorClosed(f"no answer within {limit:.0f} s") from None
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise DoorClosed(f"exit code {done.returncode}" + (f": {words[-1]}" if words else ""))
    return clean_text(done.stdout.decode("utf-8", "replace"))
