"""Lists of device and interface names: NCCL_IB_HCA and NCCL_SOCKET_IFNAME."""

from __future__ import annotations

from packaging.version import Version

from sparkdoctor.host import Data
from sparkdoctor.nccl import since
from sparkdoctor.nccl.numbers import atoi

ANY = -1
"""A port, rail or plane that is not given."""

LONGEST = 63
"""Characters that are kept of a name (struct netIf, src/include/utils.h)."""


class Token(Data, frozen=True):
    """One entry of a list, `name[:port[:rail[:plane]]]`."""

    name: str
    port: int = ANY
    rail: int = ANY
    plane: int = ANY

    def matches(self, name: str, port: int, exact: bool) -> bool:
        """matchIf and matchPort, src/misc/utils.cc: a prefix unless exact, case-sensitive."""
        same = name == self.name if exact else name.startswith(self.name)
        return same and (ANY in (port, self.port) or port == self.port)


class NameList(Data, frozen=True):
    """A list with its `^` (all but these) and `=` (whole names instead of prefixes)."""

    tokens: tuple[Token, ...]
    negated: bool = False
    exact: bool = False

    def hit(self, name: str, port: int = ANY) -> Token | None:
        """The first token that matches."""
        return next((token for token in self.tokens if token.matches(name, port, self.exact)), None)

    def takes(self, name: str, port: int = ANY) -> bool:
        """matchIfList, src/misc/utils.cc, and the `^ searchNot` of its callers.

        A list without tokens matches everything, so a lone `^` takes nothing.
        """
        return (not self.tokens or self.hit(name, port) is not None) != self.negated


def parse_names(text: str | None, limit: int, version: Version = since.NEWEST) -> NameList:
    """A variable's text as NCCL splits it: parseStringList, src/misc/utils.cc, and its callers.

    One `^` and then one `=` may lead. Empty tokens and those without a name are dropped, blanks
    are kept, and only the first `limit` tokens count. Before 2.30.7 `name:` meant port 0, which
    no device has, and nothing after the port was read.
    """
    text = text or ""
    negated = text.startswith("^")
    text = text.removeprefix("^")
    exact = text.startswith("=")
    text = text.removeprefix("=")
    tokens = [_token(entry, version) for entry in text.split(",") if entry and entry[0] != ":"]
    return NameList(tuple(tokens[:limit]), negated, exact)


def _token(entry: str, version: Version) -> Token:
    name, *numbers = entry.split(":")
    if version < since.RAILS:
        return Token(name[:LONGEST], atoi(numbers[0]) if numbers else ANY)
    port, rail, plane = (atoi(number) if number else ANY for number in [*numbers, "", "", ""][:3])
    return Token(name[:LONGEST], port, rail, plane)
