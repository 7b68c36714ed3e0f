"""The control structure of shell text: simple commands, pipelines, `if`, `case`, loops, groups.

Source: POSIX.1-2017, Shell Command Language, sections 2.9 and 2.10, and bash(1) for `[[` and
`function`. Nothing is ever executed here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from sparkdoctor.launch.shell_words import MAX_NESTING, Comment, Lexer, Opaque, Operator, ShellError, Word

MAX_TEXT = 1 << 16
"""Characters of one command."""


@dataclass(frozen=True)
class Simple:
    words: tuple[Word, ...]


@dataclass(frozen=True)
class If:
    arms: tuple[tuple[Script | None, Script], ...]
    """Condition and body; the condition of `else` is None."""


@dataclass(frozen=True)
class Case:
    subject: Word
    arms: tuple[tuple[tuple[Word, ...], Script], ...]


@dataclass(frozen=True)
class Loop:
    variable: Word | None
    condition: Script
    body: Script


@dataclass(frozen=True)
class Group:
    body: Script
    alone: bool
    """In a subshell: nothing it sets stays."""


@dataclass(frozen=True)
class Function:
    name: str


Command: TypeAlias = Simple | If | Case | Loop | Group | Function


class Pipeline(NamedTuple):
    commands: tuple[Command, ...]
    negated: bool
    joined: str
    """`&&`, `||` or the empty string: how it follows the pipeline before it."""


Script: TypeAlias = tuple[Pipeline, ...]


def parse(text: str) -> tuple[Script, tuple[Comment, ...]]:
    """The commands of a shell text and its comments. Raises ShellError."""
    if len(text) > MAX_TEXT:
        raise ShellError(f"longer than {MAX_TEXT >> 10} KiB")
    lexer = Lexer(text)
    parser = _Parser(lexer.tokens())
    script = parser.script(())
    if parser.peek() is not None:
        raise ShellError(f"`{parser.shown()}` closes nothing")
    return script, tuple(lexer.comments)


_CLOSERS = {"then", "elif", "else", "fi", "do", "done", "esac", "}"}


class _Parser:
    def __init__(self, tokens: list[Word | Operator]) -> None:
        self.tokens = tokens
        self.at = 0
        self.depth = 0

    def peek(self) -> Word | Operator | None:
        return self.tokens[self.at] if self.at < len(self.tokens) else None

    def shown(self) -> str:
        token = self.peek()
        return "the end" if token is None else token.text if isinstance(token, Operator) else token.bare

    def _operator(self, *texts: str) -> bool:
        token = self.peek()
        if isinstance(token, Operator) and token.text in texts:
            self.at += 1
            return True
        return False

    def _reserved(self, *words: str) -> str:
        token = self.peek()
        if isinstance(token, Word) and token.bare in words:
            self.at += 1
            return token.bare
        return ""

    def _expect(self, word: str) -> None:
        if not self._reserved(word):
            raise ShellError(f"`{word}` is missing before `{self.shown()}`")

    def script(self, until: tuple[str, ...]) -> Script:
        """Commands up to one of the words or operators of `until`, which is left in place."""
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise ShellError(f"commands are nested more than {MAX_NESTING} deep")
        pipelines: list[Pipeline] = []
        joined = ""
        while True:
            while self._operator("\n") or (not joined and self._operator(";", "&")):
                pass
            token = self.peek()
            if token is None or self._ends(token, until):
                break
            pipelines.append(self._pipeline(joined))
            joined = "&&" if self._operator("&&") else "||" if self._operator("||") else ""
        self.depth -= 1
        return tuple(pipelines)

    def _ends(self, token: Word | Operator, until: tuple[str, ...]) -> bool:
        if isinstance(token, Operator):
            return token.text in until or token.text == ")"
        return token.bare in until or token.bare in _CLOSERS

    def _pipeline(self, joined: str) -> Pipeline:
        negated = bool(self._reserved("!"))
        commands = [self._command()]
        while self._operator("|", "|&"):
            while self._operator("\n"):
                pass
            commands.append(self._command())
        return Pipeline(tuple(commands), negated, joined)

    def _command(self) -> Command:
        if self._operator("("):
            body = self.script((")",))
            if not self._operator(")"):
                raise ShellError("`(` is not closed")
            return Group(body, alone=True)
        match self._reserved("{", "if", "while", "until", "for", "case", "function"):
            case "{":
                body = self.script(())
                self._expect("}")
                return Group(body, alone=False)
            case "if":
                return self._if()
            case "while" | "until":
                condition = self.script(())
                return self._loop(None, condition)
            case "for":
                return self._for()
            case "case":
                return self._case()
            case "function":
                name = self._take_word()
                self._operator("(")
                self._operator(")")
                return self._function(name)
        return self._simple()

    def _take_word(self) -> Word:
        token = self.peek()
        if not isinstance(token, Word):
            raise ShellError(f"a word is missing before `{self.shown()}`")
        self.at += 1
        return token

    def _function(self, name: Word) -> Function:
        while self._operator("\n"):
            pass
        self._command()
        return Function(name.bare)

    def _simple(self) -> Command:
        if self.shown() in _CLOSERS:
            raise ShellError(f"a command is missing before `{self.shown()}`")
        words = [self._take_word()]
        if self._operator("("):
            if not self._operator(")"):
                raise ShellError("`(` after a word")
            return self._function(words[0])
        conditional = words[0].bare == "[["
        while (token := self.peek()) is not None:
            if isinstance(token, Operator):
                if not conditional or token.text in (";", "\n"):
                    break
                token = Word((Opaque(token.text, False),), token.start, token.start + len(token.text))
            words.append(token)
            self.at += 1
            conditional = conditional and token.bare != "]]"
        return Simple(tuple(words))

    def _if(self) -> If:
        arms: list[tuple[Script | None, Script]] = []
        while True:
            condition = self.script(())
            self._expect("then")
            arms.append((condition, self.script(())))
            match self._reserved("elif", "else", "fi"):
                case "elif":
                    continue
                case "else":
                    arms.append((None, self.script(())))
                    self._expect("fi")
                case "":
                    self._expect("fi")
            return If(tuple(arms))

    def _for(self) -> Loop:
        if self._operator("("):
            while not self._operator(")"):
                if self.peek() is None:
                    raise ShellError("`((` is not closed")
                self.at += 1
            self._operator(")")
            name = None
        else:
            name = self._take_word()
            while not (self._operator(";", "\n")) and self.shown() != "do":
                self._take_word()
        return self._loop(name, ())

    def _loop(self, variable: Word | None, condition: Script) -> Loop:
        while self._operator(";", "\n"):
            pass
        self._expect("do")
        body = self.script(())
        self._expect("done")
        return Loop(variable, condition, body)

    def _case(self) -> Case:
        subject = self._take_word()
        while self._operator("\n"):
            pass
        self._expect("in")
        arms: list[tuple[tuple[Word, ...], Script]] = []
        while True:
            while self._operator("\n", ";"):
                pass
            if self._reserved("esac"):
                return Case(subject, tuple(arms))
            self._operator("(")
            patterns = [self._take_word()]
            while self._operator("|"):
                patterns.append(self._take_word())
            if not self._operator(")"):
                raise ShellError("`)` is missing in `case`")
            arms.append((tuple(patterns), self.script((";;", ";&", ";;&"))))
            if not self._operator(";;", ";&", ";;&") and self.shown() != "esac":
                raise ShellError(f"`;;` is missing before `{self.shown()}`")
