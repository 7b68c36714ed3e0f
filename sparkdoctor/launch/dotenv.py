"""The grammar of .env files and of a service's `env_file`.

Source: compose-go v2.13.0 dotenv/parser.go, godotenv.go and env.go; `format: raw` is Docker's own
(docker/cli opts/env.go and opts/file.go): no quotes, no variables, no inline comments.
"""

from __future__ import annotations

import re
from collections.abc import MutableMapping

from sparkdoctor.launch.interpolate import MAX_TEXT, Lookup, TemplateError, Variable, plain, substitute
from sparkdoctor.launch.types import LaunchError, Remark
from sparkdoctor.secrets import clean_text

_BLANK = "\t\v\f\r \x85\xa0"
_SPACE = _BLANK + "\n"
_ESCAPE = re.compile(r'\\(?:[abcfnrtv$"\\]|0\d{0,3})')
_LETTERS = {
    "a": "\a",
    "b": "\b",
    "f": "\f",
    "n": "\n",
    "r": "\r",
    "t": "\t",
    "v": "\v",
    "\\": "\\",
    '"': '"',
    "$": "$$",
}
_EXPORT = re.compile(r"export\s+")
_IN_NAME = frozenset("_.-[]")


def read_dotenv(
    text: str, file: str, lookup: Lookup, into: MutableMapping[str, Variable], *, raw: bool = False
) -> tuple[Remark, ...]:
    """Add the variables of one file to `into`; the last of a name wins. Raises LaunchError(file:line).

    `lookup` knows what wins over the file when its values refer to variables; names that it
    does not know are looked for in `into`. The remarks name variables that are set nowhere.
    """
    text = text.removeprefix("\ufeff")
    if len(text) > MAX_TEXT:
        raise LaunchError(file, f"larger than {MAX_TEXT >> 20} MiB")
    return _read_raw(text, file, lookup, into) if raw else _Parser(text, file, lookup, into).run()


class _Parser:
    def __init__(self, text: str, file: str, lookup: Lookup, into: MutableMapping[str, Variable]) -> None:
        self.text = text
        self.file = file
        self.outer = lookup
        self.into = into
        self.remarks: list[Remark] = []
        self.at = 0
        self.counted = 0, 1
        """An offset and its line, so that lines are counted once."""

    def run(self) -> tuple[Remark, ...]:
        while self._next_statement():
            start = self.at
            name, alone = self._name()
            if not alone:
                _set(self.into, name, self._value(), self._place(start))
            elif (inherited := self._lookup(name)) is not None:
                self.into[name] = inherited
        return tuple(self.remarks)

    def _place(self, offset: int) -> str:
        at, line = self.counted
        line += self.text.count("\n", at, offset) if offset >= at else -self.text.count("\n", offset, at)
        self.counted = offset, line
        return f"{self.file}:{line}"

    def _lookup(self, name: str) -> Variable | None:
        return self.outer(name) or self.into.get(name)

    def _next_statement(self) -> bool:
        """Go past blank lines and comments; False at the end."""
        text = self.text
        while True:
            while self.at < len(text) and text[self.at] in _SPACE:
                self.at += 1
            if self.at >= len(text):
                return False
            if text[self.at] != "#":
                return True
            end = text.find("\n", self.at)
            self.at = len(text) if end < 0 else end

    def _name(self) -> tuple[str, bool]:
        """The name at this place, and whether it stands alone (its value is taken from outside)."""
        if _EXPORT.match(self.text, self.at):
            self.at += len("export")
            while self.at < len(self.text) and self.text[self.at] in _BLANK:
                self.at += 1
        start = self.at
        if start == len(self.text):
            raise LaunchError(self._place(start), "`export` without a name")
        for at in range(start, len(self.text)):
            char = self.text[at]
            if char in "=:\n":
                break
            if char not in _BLANK and char not in _IN_NAME and not char.isalnum():
                line = self.text[start:].split("\n", 1)[0]
                raise LaunchError(
                    self._place(start), f"unexpected character {char!r} in the variable name `{clean_text(line[:60])}`"
                )
        else:
            # compose takes a last line without `=` and line feed for the value of a nameless variable
            at = len(self.text)
            word = self.text[start:].strip(_SPACE)
            self.remarks.append(
                Remark(
                    self._place(start), f"the last line `{word[:60]}` has no line feed, so compose sets nothing by it"
                )
            )
            return "", False
        name = self.text[start:at].rstrip(_SPACE)
        if " " in name:
            raise LaunchError(self._place(start), f"a variable name cannot contain a space: `{clean_text(name[:60])}`")
        self.at = at + 1
        alone = self.text[at] == "\n"
        if not alone:
            while self.at < len(self.text) and self.text[self.at] in _BLANK:
                self.at += 1
        return name, alone

    def _value(self) -> str:
        quote = self.text[self.at : self.at + 1]
        if quote and quote in "\"'":
            return self._quoted(quote)
        start = self.at
        end = self.text.find("\n", start)
        end = len(self.text) if end < 0 else end
        self.at = end + 1
        return self._expand(self.text[start:end].split(" #", 1)[0].rstrip(_SPACE), start)

    def _quoted(self, quote: str) -> str:
        start = self.at
        chars: list[str] = []
        at = start + 1
        while at < len(self.text):
            char = self.text[at]
            if char == quote:
                self.at = at + 1
                value = "".join(chars)
                return self._expand(_ESCAPE.sub(_unescape, value), start) if quote == '"' else value
            if char == "\\" and at + 1 < len(self.text):
                at += 1
                if self.text[at] != quote:
                    chars.append("\\")
                char = self.text[at]
            chars.append(char)
            at += 1
        shown = clean_text(self.text[start:].split("\n", 1)[0][:60])
        raise LaunchError(self._place(start), f"the quoted value {shown} has no closing {quote}")

    def _expand(self, value: str, start: int) -> str:
        try:
            segments, unset = substitute(value, self._lookup)
        except TemplateError as error:
            raise LaunchError(self._place(start), error.problem) from None
        for name, _ in unset:
            self.remarks.append(blank(self._place(start), name))
        return plain(segments)


def blank(where: str, name: str) -> Remark:
    """What compose warns of: `The "X" variable is not set. Defaulting to a blank string.`"""
    return Remark(where, f"the variable {name} is not set anywhere; compose puts a blank in its place", blank=name)


def _set(into: MutableMapping[str, Variable], name: str, value: str, place: str) -> None:
    before = into.get(name)
    over = (before.place, *before.over) if before is not None else ()
    into[name] = Variable.named(name, value, place, over)


def _unescape(match: re.Match[str]) -> str:
    letter = match[0][1]
    if letter == "0":
        digits = match[0][2:]
        if len(digits) == 3 and set(digits) <= set("01234567") and int(digits, 8) < 256:
            return chr(int(digits, 8))
        return match[0]
    return _LETTERS.get(letter, match[0])


def _read_raw(text: str, file: str, lookup: Lookup, into: MutableMapping[str, Variable]) -> tuple[Remark, ...]:
    for number, line in enumerate(text.split("\n"), 1):
        line = line.removesuffix("\r").lstrip(_SPACE)
        if not line or line.startswith("#"):
            continue
        name, equals, value = line.partition("=")
        if not name or any(char in _SPACE for char in name):
            raise LaunchError(f"{file}:{number}", f"`{clean_text(name[:60])}` is no variable name")
        if equals:
            _set(into, name, value, f"{file}:{number}")
        elif (inherited := lookup(name)) is not None:
            into[name] = inherited
    return ()
