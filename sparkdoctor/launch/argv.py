"""The server's own command line, out of `entrypoint`, `command` and the wrappers around it.

`bash -lc "export A=b; exec vllm serve ..."` becomes `vllm serve ...` and a change of environment.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sparkdoctor.fact import Fact
from sparkdoctor.launch.condition import Argument
from sparkdoctor.launch.shell import parse
from sparkdoctor.launch.shell_run import Follower, State, changes
from sparkdoctor.launch.shell_words import ShellError
from sparkdoctor.launch.tree import Listing, Locator, Node, Scalar, want_string
from sparkdoctor.launch.types import LaunchError, Remark
from sparkdoctor.secrets import REMOVED

_SHELLS = {"bash", "sh", "dash", "ash", "zsh"}
_WRAPPERS: dict[str, tuple[frozenset[str], int]] = {
    "exec": (frozenset({"-a"}), 0),
    "command": (frozenset(), 0),
    "nohup": (frozenset(), 0),
    "setsid": (frozenset(), 0),
    "time": (frozenset({"-f", "-o"}), 0),
    "nice": (frozenset({"-n"}), 0),
    "ionice": (frozenset({"-c", "-n"}), 0),
    "stdbuf": (frozenset({"-i", "-o", "-e"}), 0),
    "timeout": (frozenset({"-k", "-s"}), 1),
    "numactl": (frozenset({"-N", "-m", "-C", "-i", "-p"}), 0),
    "taskset": (frozenset(), 1),
    "chrt": (frozenset(), 1),
    "sudo": (frozenset({"-u", "-g"}), 0),
    "tini": (frozenset({"-p", "-e"}), 0),
    "dumb-init": (frozenset(), 0),
    "catatonit": (frozenset(), 0),
}
"""Commands that start another one: their options that take a word, and how many words come before it."""
_SHELL_OPTION = re.compile(r"-[a-z]*c")
MAX_SHELLS = 4


@dataclass(frozen=True)
class CommandLine:
    words: tuple[str, ...] = ()
    places: tuple[str, ...] = ()
    """Where each word is written."""
    where: str = ""
    env: dict[str, Fact[str] | None] = field(default_factory=dict)
    """What the shell around the server sets; None for a variable that it takes away."""
    remarks: tuple[Remark, ...] = ()


def command_line(entrypoint: Node | None, command: Node | None, env: Mapping[str, str]) -> CommandLine:
    """The words of the server out of a service's `entrypoint` and `command`, in an environment.

    Raises LaunchError for a command string that compose cannot split.
    """
    remarks: list[Remark] = []
    arguments: list[_Argument] = []
    for node in (entrypoint, command):
        if isinstance(node, Listing):
            arguments += [_Argument.whole(want_string(item, "command")) for item in node.items]
        elif node is not None:
            arguments += _split(want_string(node, "command"), remarks)
    if not arguments:
        return CommandLine(remarks=tuple(remarks))
    where = next(node.where for node in (command, entrypoint) if node is not None)
    whole = [Argument(argument.text, True, argument.where) for argument in arguments]
    if entrypoint is None and _SHELL_OPTION.fullmatch(whole[0].text):
        whole.insert(0, Argument("sh", True, where))  # the image's own entrypoint must be a shell
    return _followed(whole, _Unwrap(arguments), env, where, remarks)


def unwrapped(argv: Sequence[str], where: str, env: Mapping[str, str]) -> CommandLine:
    """The same for words that Docker or the kernel tells: all at one place."""
    if not argv:
        return CommandLine(where=where)
    return _followed([Argument(word, True, where) for word in argv], _Unwrap(()), env, where, [])


def _followed(
    whole: list[Argument], unwrap: _Unwrap, env: Mapping[str, str], where: str, remarks: Sequence[Remark]
) -> CommandLine:
    follower = Follower(env, unwrap)
    if not unwrap(follower, whole, follower.state) or follower.best is None:
        follower.start(whole, follower.state)
    best = follower.best
    assert best is not None  # started above at the latest
    return CommandLine(
        tuple(argument.text for argument in best.arguments),
        tuple(argument.where for argument in best.arguments),
        where,
        changes(env, best.state),
        (*remarks, *follower.remarks),
    )


class _Argument:
    """A word of the command as compose hands it to the container; `start` to `end` of a scalar's text."""

    def __init__(self, scalar: Scalar, locator: Locator, text: str, start: int, end: int) -> None:
        self.scalar = scalar
        self.locator = locator
        self.text = text
        self.exact = text == scalar.text[start:end]
        self.start = start
        self.where = locator.where(start, end)

    @staticmethod
    def whole(scalar: Scalar) -> _Argument:
        return _Argument(scalar, Locator(scalar), scalar.text, 0, len(scalar.text))


class _Unwrap:
    """Takes shells and other wrappers off a command. True: something was taken off and followed."""

    def __init__(self, arguments: Sequence[_Argument]) -> None:
        self.scripts = {argument.text: argument for argument in arguments}
        self.depth = 0

    def __call__(self, follower: Follower, arguments: list[Argument], state: State) -> bool:
        name = arguments[0].text.rsplit("/", 1)[-1]
        if name == "env":
            return self._env(follower, arguments, state)
        if name in _SHELLS:
            return self._shell(follower, arguments, state)
        if name not in _WRAPPERS:
            return False
        takes_word, before = _WRAPPERS[name]
        rest = _after_options(arguments, takes_word)[before:]
        if rest:
            follower.run(rest, state)
        return bool(rest)

    def _env(self, follower: Follower, arguments: list[Argument], state: State) -> bool:
        at = 1
        state = state.copy()
        while at < len(arguments):
            word, where = arguments[at].text, arguments[at].where
            name, equals, value = word.partition("=")
            if word in ("-i", "-"):
                for exported in list(state.exported):
                    state.unset(exported, where)
            elif word in ("-u", "--unset") and at + 1 < len(arguments):
                at += 1
                state.unset(arguments[at].text, where)
            elif equals and not word.startswith("-"):
                state.set(name, value if arguments[at].known else None, where)
                state.exported.add(name)
            elif not word.startswith("-"):
                break
            at += 1
        if at < len(arguments):
            follower.run(arguments[at:], state)
        return at < len(arguments)

    def _shell(self, follower: Follower, arguments: list[Argument], state: State) -> bool:
        at, runs = 1, False
        while at < len(arguments) and arguments[at].text[:1] in ("-", "+"):
            option = arguments[at].text
            if not option.startswith("--"):
                runs = runs or "c" in option
                at += option.endswith(("o", "O"))
            at += 1
        if not runs or at >= len(arguments) or self.depth >= MAX_SHELLS:
            return False
        script = arguments[at]
        written = self.scripts.get(script.text)
        try:
            commands, comments = parse(script.text)
        except ShellError as error:
            follower.remark(script.where, f"the shell text could not be followed: {error}")
            return False

        def locate(start: int, end: int) -> str:
            if written is None or not written.exact:
                return script.where
            return written.locator.where(written.start + start, written.start + end)

        if written is not None and written.exact:
            for start, end in comments:
                follower.remarks |= dict.fromkeys(_swallowed(written, start, end))
        self.depth += 1
        inner = state.copy()
        inner.values = {name: value for name, value in inner.values.items() if name in inner.exported}
        follower.script(commands, inner, locate)
        self.depth -= 1
        follower.over = False
        return follower.best is not None


def _after_options(arguments: list[Argument], takes_word: frozenset[str]) -> list[Argument]:
    at = 1
    while at < len(arguments) and arguments[at].text.startswith("-"):
        if arguments[at].text == "--":
            return arguments[at + 1 :]
        at += 2 if arguments[at].text in takes_word else 1
    return arguments[at:]


def _swallowed(argument: _Argument, start: int, end: int) -> list[Remark]:
    """A shell comment that reaches over lines written below it, which it was not meant to."""
    base, scalar = argument.start, argument.scalar
    first, last = argument.locator.line(base + start), argument.locator.line(base + end - 1)
    if first == last:
        return []
    lost = [
        word
        for piece in scalar.pieces
        if first < piece.line <= last and not piece.text.lstrip().startswith("#")
        for word in piece.text.split()
        if word.startswith("--")
    ]
    count = f" with {len(lost)} options from `{lost[0]}` on" if lost else ""
    return [
        Remark(
            f"{scalar.file}:{first}",
            f"the `#` comments out the whole rest of the command, down to line {last}{count}, "
            "because the lines are folded into one before the shell reads them",
            lost=tuple(lost),
        )
    ]


_STOPS = ";&|<>"


def _split(scalar: Scalar, remarks: list[Remark]) -> list[_Argument]:
    """Split a command string as compose does (mattn/go-shellwords v1.0.12 without env and backticks)."""
    text, locator = scalar.text, Locator(scalar)
    done: list[_Argument] = []
    chars: list[str] = []
    start, quote, at = -1, "", 0
    while at < len(text):
        char = text[at]
        if char == "\\" and quote != "'" and at + 1 < len(text):
            start = at if start < 0 else start
            chars.append(text[at + 1])
            at += 1
        elif quote:
            if char == quote:
                quote = ""
            else:
                chars.append(char)
        elif text.startswith(REMOVED, at):
            start = at if start < 0 else start
            chars.append(REMOVED)
            at += len(REMOVED) - 1
        elif char in " \t\r\n":
            if start >= 0:
                done.append(_Argument(scalar, locator, "".join(chars), start, at))
            chars, start = [], -1
        elif char in "'\"":
            start, quote = at if start < 0 else start, char
        elif char == "`" or text.startswith("$(", at):
            end = _span(text, at)
            if end < 0:
                raise LaunchError(locator.where(at, at + 1), f"`{char}` in the command is not closed")
            start = at if start < 0 else start
            chars.append(text[at:end])
            at = end - 1
        elif char == "(":
            raise LaunchError(locator.where(at, at + 1), "docker compose cannot split a command with a bare `(`")
        elif char in _STOPS:
            if char == ">" and chars and chars[0].isdigit():
                start = -1
            remarks.append(
                Remark(
                    locator.where(at, at + 1),
                    f"docker compose splits this command without a shell and drops all from `{char}` on",
                )
            )
            break
        else:
            start = at if start < 0 else start
            chars.append(char)
        at += 1
    if quote:
        raise LaunchError(scalar.where, f"{quote} in the command is not closed")
    if start >= 0:
        done.append(_Argument(scalar, locator, "".join(chars), start, at))
    _literal_comment(done, remarks)
    return done


def _span(text: str, at: int) -> int:
    """The end of a backquoted or `$(...)` stretch, -1 when it does not close."""
    closing = "`" if text[at] == "`" else ")"
    end = text.find(closing, at + 1)
    return end + 1 if end >= 0 else -1


def _literal_comment(arguments: Sequence[_Argument], remarks: list[Remark]) -> None:
    names = [argument.text.rsplit("/", 1)[-1] for argument in arguments]
    for argument in arguments:
        if argument.text.startswith("#") and not _SHELLS & set(names[:1]):
            remarks.append(
                Remark(argument.where, f"no shell reads this command: `{argument.text}` is an argument, not a comment")
            )
            return
