"""Regular expressions that are compiled when they are first used: most runs use few of those that there are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any, AnyStr, cast


def late(pattern: AnyStr, flags: int = 0) -> re.Pattern[AnyStr]:
    """As re.compile, later. A pattern that is wrong raises re.error at its first use."""
    return cast("re.Pattern[AnyStr]", _Late(pattern, flags))


class _Late:
    def __init__(self, pattern: Any, flags: int) -> None:
        self._given = pattern, flags

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(re.compile(*self._given), name)
        setattr(self, name, value)  # found without this method from now on
        return value


def by_first(expressions: Iterable[tuple[str, re.Pattern[str]]]) -> dict[str, tuple[re.Pattern[str], ...]]:
    """For each character the expressions that may begin with it, in their order; they are given with theirs."""
    expressions = list(expressions)
    return {
        char: tuple(expression for begins, expression in expressions if char in begins)
        for char in {char for begins, _ in expressions for char in begins}
    }
