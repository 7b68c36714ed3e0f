"""An expression that is compiled late is the expression."""

from __future__ import annotations

import copy
import importlib
import pkgutil
import re
from collections.abc import Iterator

import pytest

import sparkdoctor
from sparkdoctor.late import _Late, by_first, late


def test_it_is_compiled_when_it_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    expression = late(r"a(?P<n>\d)", re.IGNORECASE)
    assert "search" not in vars(expression)
    found = expression.search("xA7")
    assert found is not None
    assert found["n"] == "7"
    assert expression.fullmatch("xA7") is None
    assert expression.sub("-", "a1 A2") == "- -"
    assert expression.pattern == r"a(?P<n>\d)"
    assert late(rb"[\x00-\x08]").sub(b"", b"a\x01b") == b"ab"
    monkeypatch.setattr(re, "compile", None)
    assert expression.search("a1") is not None


def test_copying_does_not_compile() -> None:
    assert copy.copy(late("(")) is not None


def test_what_may_begin_with_a_character() -> None:
    first, second = late("[ab]1"), late("[bc]2")
    assert by_first([("ab", first), ("bc", second)]) == {"a": (first,), "b": (first, second), "c": (second,)}


def late_ones(thing: object) -> Iterator[_Late]:
    if isinstance(thing, _Late):
        yield thing
    elif isinstance(thing, dict):
        yield from late_ones(tuple(thing.values()))
    elif isinstance(thing, tuple):
        for part in thing:
            yield from late_ones(part)


def test_every_expression_of_the_package_compiles() -> None:
    expressions = 0
    for module in pkgutil.walk_packages([str(path) for path in sparkdoctor.__path__[:1]], "sparkdoctor."):
        if module.name != "sparkdoctor.__main__":
            for value in vars(importlib.import_module(module.name)).values():
                for expression in late_ones(value):
                    expressions += 1
                    re.compile(*expression._given)
    assert expressions > 40
