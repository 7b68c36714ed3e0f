"""Follow shell text to the command that starts the server, and to the environment it gets.

A dry reading: no command is run. What only the container could tell (`$(hostname)`, a file that
is tested for) is unknown, and a variable set from it or in a branch that depends on it is too.
"""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from sparkdoctor.fact import Fact, unread
from sparkdoctor.launch.condition import Argument, holds
from sparkdoctor.launch.shell import Case, Function, Group, If, Loop, Pipeline, Script, Simple
from sparkdoctor.launch.shell_words import Expand, Opaque, Part, Text, Word
from sparkdoctor.launch.types import Remark

OF_IMAGE = frozenset({
    "CPATH", "CUDA_HOME", "CUDA_PATH", "CUDA_VERSION", "EUID", "HOME", "HOSTNAME", "LANG", "LC_ALL", "LD_LIBRARY_PATH",
    "LIBRARY_PATH", "NVIDIA_VISIBLE_DEVICES", "OLDPWD", "PATH", "PWD", "PYTHONPATH", "RANDOM", "SECONDS", "SHELL",
    "TERM", "UID", "USER", "VIRTUAL_ENV",
})  # fmt: skip
"""Variables that the image or the shell itself sets although no launch file does: unknown here."""

Known = str | None
"""A value, or None for one that only the container could tell."""
Locate = Callable[[int, int], str]


@dataclass
class State:
    """The variables of the shell at one moment."""

    values: dict[str, Known]
    arrays: dict[str, list[Argument] | None] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    places: dict[str, str] = field(default_factory=dict)
    """Where the script set a variable last."""
    export_all: bool = False

    def copy(self) -> State:
        return State(dict(self.values), dict(self.arrays), set(self.exported), dict(self.places), self.export_all)

    def set(self, name: str, value: Known, place: str) -> None:
        self.values[name] = value
        self.places[name] = place
        if self.export_all:
            self.exported.add(name)

    def unset(self, name: str, place: str) -> None:
        self.values.pop(name, None)
        self.arrays.pop(name, None)
        self.exported.discard(name)
        self.places[name] = place

    def join(self, others: Iterable[State]) -> None:
        """What is left when one of several ways was taken, nobody knows which."""
        for other in others:
            for name in {*self.values, *other.values}:
                if self.values.get(name, "") != other.values.get(name, "") or (
                    (name in self.values) != (name in other.values)
                ):
                    self.values[name] = None
                    self.places[name] = other.places.get(name, self.places.get(name, ""))
            for name in {*self.arrays, *other.arrays}:
                if self.arrays.get(name) != other.arrays.get(name):
                    self.arrays[name] = None
            self.exported |= other.exported


@dataclass
class Started:
    """A command that may be the server."""

    arguments: list[Argument]
    rank: int
    state: State


class Follower:
    """Goes through scripts; `best` is then the command that most looks like the server."""

    def __init__(self, env: Mapping[str, str], unwrap: Callable[[Follower, list[Argument], State], bool]) -> None:
        self.state = State(dict(env), exported=set(env))
        self.unwrap = unwrap
        self.best: Started | None = None
        self.remarks: dict[Remark, None] = {}
        self.over = False
        """An `exec` or `exit` that is certain to be reached was reached."""

    def start(self, arguments: list[Argument], state: State) -> None:
        """A command that is neither a builtin nor a wrapper."""
        rank = server_rank([argument.text for argument in arguments])
        if self.best is None or rank > self.best.rank:
            self.best = Started(arguments, rank, state.copy())
        elif arguments[0].text.startswith("-"):
            self.remark(
                arguments[0].where,
                f"the server's command ends before this line, so it never gets `{arguments[0].text}`",
            )

    def _beyond(self, pipeline: Pipeline, locate: Locate) -> None:
        first = pipeline.commands[0]
        if isinstance(first, Simple) and first.words[0].bare.startswith("-"):
            word = first.words[0]
            self.remark(
                locate(word.start, word.end),
                f"the server's command ends before this line, so it never gets `{word.bare}`",
            )

    def script(self, script: Script, state: State, locate: Locate, *, certain: bool = True) -> bool | None:
        """Follow commands; whether the last one succeeds, None where nobody can tell."""
        status: bool | None = True
        for pipeline in script:
            if self.over:
                self._beyond(pipeline, locate)
                break
            if (pipeline.joined == "&&" and status is False) or (pipeline.joined == "||" and status is True):
                continue
            if pipeline.joined and status is None and (pipeline.joined == "||" or self._tested):
                other = state.copy()
                self._pipeline(pipeline, other, locate, certain=False)
                state.join([other])
                status = None
            else:
                status = self._pipeline(pipeline, state, locate, certain=certain)
        return status

    _tested = False
    """Whether the last command was a test, whose failure is nothing unusual."""

    def _pipeline(self, pipeline: Pipeline, state: State, locate: Locate, *, certain: bool) -> bool | None:
        status: bool | None = True
        self._tested = False
        for command in pipeline.commands:
            inner = state.copy() if len(pipeline.commands) > 1 else state
            match command:
                case Simple():
                    status = self._simple(command.words, inner, locate, certain=certain)
                case If():
                    status = self._if(command, inner, locate, certain=certain)
                case Case():
                    status = self._case(command, inner, locate, certain=certain)
                case Loop():
                    status = self._loop(command, inner, locate)
                case Group():
                    status = self.script(
                        command.body, inner.copy() if command.alone else inner, locate, certain=certain
                    )
                case Function():
                    status = True
        return status if not pipeline.negated or status is None else not status

    def _if(self, command: If, state: State, locate: Locate, *, certain: bool) -> bool | None:
        ways: list[State] = []
        for condition, body in command.arms:
            status = True if condition is None else self.script(condition, state, locate, certain=certain)
            if status is True:
                if not ways:
                    return self.script(body, state, locate, certain=certain)
                break
            if status is None:
                way = state.copy()
                self.script(body, way, locate, certain=False)
                ways.append(way)
        else:
            body = ()
        if ways:
            self.script(body, state, locate, certain=False)
            state.join(ways)
        return None if ways else True

    def _case(self, command: Case, state: State, locate: Locate, *, certain: bool) -> bool | None:
        subject = self.expand(command.subject, state, locate)
        known = len(subject) == 1 and subject[0].known
        ways: list[State] = []
        for patterns, body in command.arms:
            texts = [self.expand(pattern, state, locate) for pattern in patterns]
            if known and all(len(text) == 1 and text[0].known for text in texts) and not _ansi(patterns):
                if any(fnmatch.fnmatchcase(subject[0].text, text[0].text) for text in texts):
                    if not ways:
                        return self.script(body, state, locate, certain=certain)
                    known = False
                else:
                    continue
            way = state.copy()
            self.script(body, way, locate, certain=False)
            ways.append(way)
        state.join(ways)
        return None if ways else True

    def _loop(self, command: Loop, state: State, locate: Locate) -> bool | None:
        way = state.copy()
        if (word := command.variable) is not None:
            way.set(word.bare, None, locate(word.start, word.end))
        self.script(command.condition, way, locate, certain=False)
        self.script(command.body, way, locate, certain=False)
        state.join([way])
        return None

    def _simple(self, words: Sequence[Word], state: State, locate: Locate, *, certain: bool) -> bool | None:
        first = 0
        while first < len(words) and words[first].assigns:
            first += 1
        arguments = [argument for word in words[first:] for argument in self.expand(word, state, locate)]
        if not arguments:
            for word in words[:first]:
                self.assign(word, state, locate)
            return True
        inner = state
        if first:
            inner = state.copy()
            for word in words[:first]:
                name = self.assign(word, inner, locate)
                inner.exported.add(name)
        return self.run(arguments, inner, words[first:], locate, certain=certain)

    def run(
        self,
        arguments: list[Argument],
        state: State,
        words: Sequence[Word] = (),
        locate: Locate = lambda start, end: "",
        *,
        certain: bool = True,
    ) -> bool | None:
        """One command with its words expanded."""
        name, rest = arguments[0].text, [argument.text for argument in arguments[1:]]
        match name:
            case ":" | "true":
                return True
            case "false":
                return False
            case "exit" | "return":
                self.over = self.over or certain
                return None
            case "[" | "test" | "[[":
                self._tested = True
                return holds(arguments[1:], name)
            case "export" | "declare" | "typeset" | "readonly" | "local":
                self._declare(name, rest, words[1:], state, locate)
                return True
            case "unset":
                for each in rest:
                    if not each.startswith("-"):
                        state.unset(each, arguments[0].where)
                return True
            case "set":
                state.export_all = state.export_all or "-a" in rest or "allexport" in rest
                return True
            case "source" | ".":
                self.remark(arguments[0].where, f"the command runs {' '.join(rest[:1])} first, which was not read")
                return None
            case "echo" | "printf" | "sleep" | "cd" | "mkdir" | "cp" | "mv" | "rm" | "ulimit" | "wait" | "trap":
                return None
        if self.unwrap(self, arguments, state):
            self.over = self.over or (certain and name == "exec")
        else:
            self.start(arguments, state)
        return None

    def _declare(self, name: str, rest: Sequence[str], words: Sequence[Word], state: State, locate: Locate) -> None:
        for word in words:
            if word.assigns:
                variable = self.assign(word, state, locate)
            else:
                variable = "" if word.bare.startswith("-") else word.bare
            if variable and (name == "export" or "-x" in rest):
                if "-n" in rest:
                    state.exported.discard(variable)
                else:
                    state.exported.add(variable)

    def assign(self, word: Word, state: State, locate: Locate) -> str:
        """Carry out `NAME=value`, `NAME+=value` or `NAME=(...)`; the name."""
        first = word.parts[0]
        assert isinstance(first, Text)
        name = word.assigns
        adds = first.text[len(name)] == "+"
        if word.array is not None:
            elements = [argument for element in word.array for argument in self.expand(element, state, locate)]
            before = state.arrays.get(name, []) if adds else []
            state.arrays[name] = None if before is None else [*before, *elements]
            return name
        rest = first.text[len(name) + 1 + adds :]
        parts = (*((Text(rest, False),) if rest else ()), *word.parts[1:])
        value = self._joined(parts, state, locate(word.start, word.end))
        if adds:
            before_value = state.values.get(name, "")
            value = None if value is None or before_value is None else before_value + value
        state.set(name, value, locate(word.start, word.end))
        return name

    def expand(self, word: Word, state: State, locate: Locate) -> list[Argument]:
        """The arguments that a word becomes: quotes removed, variables filled in, split at blanks."""
        where = locate(word.start, word.end)
        done: list[Argument] = []
        text: str | None = None
        known = True
        for part in word.parts:
            if isinstance(part, Expand) and part.how in ("[@]", "[*]"):
                elements = state.arrays.get(part.name)
                if elements is None:
                    if part.name in state.arrays or part.name not in state.values:
                        self.remark(where, f"`{part.source}` is put together in the shell, and was left out here")
                else:
                    done += elements
                text = text or None  # `"${NAME[@]}"` of an empty array is no argument at all
                continue
            value, sure = self._part(part, state, where)
            known = known and sure
            if part.quoted or isinstance(part, Text) or not sure:
                text = (text or "") + value
                continue
            fields = re.split(r"[ \t\n]+", value)
            for at, piece in enumerate(fields):
                if at and text is not None:
                    done.append(Argument(text, known, where))
                    text = None
                if piece:
                    text = (text or "") + piece
        if text is not None:
            done.append(Argument(text, known, where))
        return done

    def _joined(self, parts: Iterable[Part], state: State, where: str) -> Known:
        """The text of parts as one value, None when a part is unknown."""
        found = [self._part(part, state, where) for part in parts]
        return "".join(text for text, _ in found) if all(sure for _, sure in found) else None

    def _part(self, part: Part, state: State, where: str) -> tuple[str, bool]:
        if isinstance(part, Text):
            return part.text, True
        if isinstance(part, Opaque):
            return part.source, False
        name, how = part.name, part.how
        if name in state.values:
            value = state.values[name]
            is_set = True
        elif name in OF_IMAGE:
            value, is_set = None, True
        else:
            value, is_set = "", False
        if value is None and is_set:
            return part.source, False
        counts = is_set and (bool(value) or not how.startswith(":"))
        if how.endswith("+"):
            taken = self._joined(part.operand, state, where) if counts else ""
        elif counts or not how or how.endswith("?"):
            taken = value
            if not is_set:
                self.remark(where, f"the command uses ${name}, which nothing here sets")
        else:
            taken = self._joined(part.operand, state, where)
            if how.endswith("="):
                state.set(name, taken, where)
        return (part.source, False) if taken is None else (taken, True)

    def remark(self, where: str, text: str) -> None:
        self.remarks[Remark(where, text)] = None


def changes(before: Mapping[str, str], state: State) -> dict[str, Fact[str] | None]:
    """How the script changed the environment it was started with; None for a variable it took away."""
    gone = [name for name in (*before, *state.places) if name not in state.values or name not in state.exported]
    changed: dict[str, Fact[str] | None] = {name: None for name in gone if name in before or name not in state.values}
    for name in state.exported:
        value = state.values.get(name)
        where = state.places.get(name, "")
        if name not in state.values or before.get(name, ()) == value:
            continue
        changed[name] = Fact(where, value) if value is not None else unread(where, "the container's own shell sets it")
    return changed


_SERVERS = re.compile(r"vllm|sglang|trtllm|tritonserver|llama-server|lmdeploy")
_LAUNCHERS = {"ray", "torchrun", "mpirun", "accelerate", "python", "python3"}


def server_rank(words: Sequence[str]) -> int:
    """How much a command looks like the one that starts the server; larger is more."""
    names = [word.rsplit("/", 1)[-1] for word in words[:4]]
    serves = any(name == "serve" or ".entrypoints." in name or name.endswith("launch_server") for name in names)
    known = any(_SERVERS.search(name) for name in names)
    return 4 if serves and known else 3 if serves else 2 if known else 1 if names[0] in _LAUNCHERS else 0


def _ansi(patterns: Iterable[Word]) -> bool:
    """Whether a pattern holds quoted text, in which `*` is no wildcard."""
    return any(isinstance(part, Text) and part.quoted for pattern in patterns for part in pattern.parts)
