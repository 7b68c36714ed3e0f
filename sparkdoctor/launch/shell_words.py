"""Words, operators and comments of shell text, with their quoting and expansions.

Source: POSIX.1-2017, Shell Command Language, sections 2.2 to 2.7, and bash(1) for arrays, `$'...'`
and `+=`. What is beyond this subset is kept as text (`Opaque`) or refused (`ShellError`).
"""

from __future__ import annotations

import re
from typing import NamedTuple, TypeAlias

from sparkdoctor.secrets import REMOVED

MAX_NESTING = 40

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\+?=")
_OPERATOR = re.compile(r";;&|;;|;&|&&|\|\||\|&|[;&|()\n]")
_REDIRECTION = re.compile(r"[0-9]*(?:<<-|<<<|<<|>>|>\||<>|>&|<&|&>>|&>|>|<)")
_RUN = re.compile(r"[^\\\"'`$ \t\r\n;&|()<>{}]+")
_QUOTED_RUN = re.compile(r'[^\\"`${}]+')
"""Characters that mean nothing by themselves, and that no place looks for between them."""
_EXPANSION = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:(?P<all>\[[@*]\])|(?P<how>:?[-+?=]))?")


class ShellError(Exception):
    """The text is not in the subset that is understood here."""


class Text(NamedTuple):
    text: str
    quoted: bool


class Expand(NamedTuple):
    """`$NAME`, `${NAME}`, `${NAME:-operand}`, `${NAME[@]}`."""

    name: str
    how: str
    operand: tuple[Part, ...]
    quoted: bool
    source: str


class Opaque(NamedTuple):
    """`$(...)`, `$((...))`, backquotes and other expansions: known only as written."""

    source: str
    quoted: bool


Part: TypeAlias = Text | Expand | Opaque


class Word(NamedTuple):
    parts: tuple[Part, ...]
    start: int
    end: int
    array: tuple[Word, ...] | None = None
    """The elements of `NAME=(...)`; the parts are then just `NAME=`."""

    @property
    def bare(self) -> str:
        """The text of a word without quotes and expansions, else the empty string."""
        only = self.parts[0] if len(self.parts) == 1 else None
        return only.text if isinstance(only, Text) and not only.quoted else ""

    @property
    def assigns(self) -> str:
        """`NAME` when the word has the form `NAME=value` or `NAME+=value`, else the empty string."""
        first = self.parts[0] if self.parts else None
        match = _ASSIGNMENT.match(first.text) if isinstance(first, Text) and not first.quoted else None
        return match[0].rstrip("+=") if match else ""


class Operator(NamedTuple):
    text: str
    start: int


class Comment(NamedTuple):
    start: int
    end: int


class Lexer:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.depth = 0
        self.comments: list[Comment] = []
        self.heredocs: list[str] = []

    def tokens(self) -> list[Word | Operator]:
        found: list[Word | Operator] = []
        while (token := self._token()) is not None:
            found.append(token)
        return found

    def _token(self) -> Word | Operator | None:
        text = self.text
        while self.at < len(text):
            if text[self.at] in " \t\r":
                self.at += 1
            elif text.startswith("\\\n", self.at):
                self.at += 2
            elif text[self.at] == "#":
                end = text.find("\n", self.at)
                end = len(text) if end < 0 else end
                self.comments.append(Comment(self.at, end))
                self.at = end
            elif text.startswith(REMOVED, self.at):
                return self._word()
            elif (redirection := _REDIRECTION.match(text, self.at)) and text[redirection.end() :][:1] != "(":
                self._redirect(redirection)
            elif operator := _OPERATOR.match(text, self.at):
                self.at = operator.end()
                if operator[0] == "\n":
                    self._skip_heredocs()
                return Operator(operator[0], operator.start())
            else:
                return self._word()
        return None

    def _redirect(self, match: re.Match[str]) -> None:
        self.at = match.end()
        while self.at < len(self.text) and self.text[self.at] in " \t":
            self.at += 1
        target = self._word()
        if match[0].lstrip("0123456789") in ("<<", "<<-"):
            self.heredocs.append("".join(part.text for part in target.parts if isinstance(part, Text)))

    def _skip_heredocs(self) -> None:
        while self.heredocs:
            end = self.heredocs.pop(0)
            while self.at < len(self.text):
                line, _, _ = self.text[self.at :].partition("\n")
                self.at += len(line) + 1
                if line.strip("\t") == end:
                    break

    def _word(self) -> Word:
        start = self.at
        parts: list[Part] = []
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "(" and len(parts) == 1 and isinstance(parts[0], Text) and not parts[0].quoted:
                if not _ASSIGNMENT.fullmatch(parts[0].text):
                    break
                self.at += 1
                return Word(tuple(parts), start, self.at, self._array())
            if self.text.startswith(REMOVED, self.at):
                _add(parts, REMOVED, False)
                self.at += len(REMOVED)
                continue
            if char in " \t\r\n;&|()<>":
                if char in "<>" and self.text.startswith("(", self.at + 1):
                    parts.append(self._balanced(self.at + 1, self.at, "(", ")", False))
                    continue
                break
            self._part(parts, quoted=False)
        if self.at == start:
            raise ShellError("a word is missing" + (f" before `{self.text[start : start + 10]}`"))
        return Word(tuple(parts), start, self.at)

    def _array(self) -> tuple[Word, ...]:
        elements = []
        self._deeper()
        while (token := self._token()) is not None:
            if isinstance(token, Word):
                elements.append(token)
            elif token.text == ")":
                self.depth -= 1
                return tuple(elements)
            elif token.text != "\n":
                raise ShellError(f"`{token.text}` in a list of array elements")
        raise ShellError("`(` of an array is not closed")

    def _part(self, parts: list[Part], *, quoted: bool) -> None:
        """Add the next stretch of a word; inside double quotes when `quoted`."""
        char = self.text[self.at]
        if char == "\\":
            following = self.text[self.at + 1 : self.at + 2]
            keep = quoted and following not in ('"', "\\", "$", "`", "\n")
            if following != "\n" or keep:
                _add(parts, ("\\" if keep else "") + following, True)
            self.at += 2
        elif char == '"' and not quoted:
            self._double(parts)
        elif char == "'" and not quoted:
            end = self._find("'", self.at + 1)
            _add(parts, self.text[self.at + 1 : end], True)
            self.at = end + 1
        elif char == "`":
            end = self._find("`", self.at + 1)
            parts.append(Opaque(self.text[self.at : end + 1], quoted))
            self.at = end + 1
        elif char == "$":
            self._dollar(parts, quoted)
        else:
            run = (_QUOTED_RUN if quoted else _RUN).match(self.text, self.at)
            text = run[0] if run else char
            _add(parts, text, quoted)
            self.at += len(text)

    def _double(self, parts: list[Part]) -> None:
        self.at += 1
        _add(parts, "", True)
        while self.at < len(self.text):
            if self.text[self.at] == '"':
                self.at += 1
                return
            self._part(parts, quoted=True)
        raise ShellError('`"` is not closed')

    def _dollar(self, parts: list[Part], quoted: bool) -> None:
        start = self.at
        following = self.text[start + 1 : start + 2]
        if following == "{":
            parts.append(self._braced(start, quoted))
        elif following == "(":
            parts.append(self._balanced(start + 1, start, "(", ")", quoted))
        elif name := _NAME.match(self.text, start + 1):
            self.at = name.end()
            parts.append(Expand(name[0], "", (), quoted, self.text[start : self.at]))
        elif following == "'" and not quoted:
            end = start + 2
            while self.text[end : end + 1] not in ("'", ""):
                end += 2 if self.text[end] == "\\" else 1
            _add(parts, self.text[start + 2 : end], True)
            self.at = end + 1
        elif following in set("0123456789@*#?!-$"):
            self.at = start + 2
            parts.append(Opaque(self.text[start : self.at], quoted))
        else:
            _add(parts, "$", quoted)
            self.at += 1

    def _braced(self, start: int, quoted: bool) -> Part:
        match = _EXPANSION.match(self.text, start + 2)
        simple = match is not None and (match["how"] or self.text.startswith("}", match.end()))
        if match is None or not simple:
            return self._balanced(start + 1, start, "{", "}", quoted)
        self.at = match.end()
        operand: list[Part] = []
        self._deeper()
        while self.at < len(self.text):
            if self.text[self.at] == "}":
                self.at += 1
                self.depth -= 1
                how = match["all"] or match["how"] or ""
                return Expand(match["name"], how, tuple(operand), quoted, self.text[start : self.at])
            if self.text[self.at] == '"':
                self._double(operand)
            else:
                self._part(operand, quoted=quoted)
        raise ShellError("`${` is not closed")

    def _deeper(self) -> None:
        self.depth += 1
        if self.depth > MAX_NESTING:
            raise ShellError(f"words are nested more than {MAX_NESTING} deep")

    def _balanced(self, at: int, start: int, opening: str, closing: str, quoted: bool) -> Opaque:
        """An expansion that is kept as written, from `start` to the bracket that closes the one at `at`."""
        depth = 0
        while at < len(self.text):
            char = self.text[at]
            if char == "\\":
                at += 1
            elif char == "'" and closing == ")":
                at = self._find("'", at + 1)
            elif char == opening:
                depth += 1
            elif char == closing:
                depth -= 1
                if depth == 0:
                    self.at = at + 1
                    return Opaque(self.text[start : self.at], quoted)
            at += 1
        raise ShellError(f"`{opening}` is not closed")

    def _find(self, char: str, at: int) -> int:
        end = self.text.find(char, at)
        if end < 0:
            raise ShellError(f"`{char}` is not closed")
        return end


def _add(parts: list[Part], text: str, quoted: bool) -> None:
    last = parts[-1] if parts else None
    if isinstance(last, Text) and last.quoted == quoted:
        parts[-1] = Text(last.text + text, quoted)
    else:
        parts.append(Text(text, quoted))
