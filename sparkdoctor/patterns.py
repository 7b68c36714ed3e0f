r"""What the regular expression of a signature may be: bounded in time, and findable by plain text.

A knowledge file may come from a stranger, so a pattern is judged before it is run, on the parse
tree that Python's own `re` makes of it. Two things are worked out: plain text that every matching
line must contain (what logs are searched for, so that the expression itself runs on few lines), and
how many steps backtracking can take at worst on one window of a line. For the second, repeats are
judged by what follows them: `\d+:` never gives back what it took, `.*x` may at every `x`, and
`(a+)+` in exponentially many ways.
"""

from __future__ import annotations

import importlib
import math
import re
from collections.abc import Iterator
from functools import cache, reduce
from typing import Any, NamedTuple

# `re` has no public way to its parse tree; sre_parse, which was one, is deprecated since 3.11.
_parser: Any = importlib.import_module("re._parser")
_op: Any = importlib.import_module("re._constants")

LENGTH = 500
"""Characters that a pattern may have."""
WINDOW = 2048
"""Characters of a line that a pattern is run on at once; longer lines are taken in overlapping windows."""
STEPS = 5e7
"""Backtracking steps that a pattern may need at worst on one window; a fraction of a second."""
PLAIN_TEXT = 6
"""Characters of plain text, in a row, that every matching line must contain."""
SPELT_OUT = 16
"""Texts that alternatives within a run of plain text may make of it."""

_FORBIDDEN = {
    _op.GROUPREF: "a back-reference",
    _op.GROUPREF_EXISTS: "a conditional group",
    _op.ASSERT: "a look-ahead or look-behind",
    _op.ASSERT_NOT: "a negative look-ahead or look-behind",
    _op.ATOMIC_GROUP: "an atomic group",
    _op.POSSESSIVE_REPEAT: "a possessive repeat",
}
_REPEATS = (_op.MAX_REPEAT, _op.MIN_REPEAT)
_DIGITS, _SPACES, _REST = 1 << 256, 1 << 257, 1 << 258
_OTHERS = _DIGITS | _SPACES | _REST
_EVERY = (1 << 259) - 1
"""A set of characters as bits: 0 to 255 for Latin-1, then all other digits, all other spaces, all else."""

Items = list[tuple[Any, Any]]


def refusal(pattern: str) -> str:
    """Why a signature may not have this pattern, empty if it may."""
    if len(pattern) > LENGTH:
        return f"has {len(pattern)} characters, {LENGTH} are allowed"
    if "\n" in pattern:
        return "has more than one line; a signature matches within one line of a log"
    try:
        tree = _parser.parse(pattern)
        if _sets_flags(tree):  # told before it is compiled: a caseless class of all characters takes seconds
            return "sets a flag such as (?i); spell both cases out, as in [Cc]annot"
        re.compile(pattern)
        return _judge(tree)
    except (re.error, OverflowError, RecursionError) as error:
        return f"is not a regular expression: {error}"


def plain_text(pattern: str) -> tuple[str, ...]:
    """Texts of which every matching line contains at least one; empty if there are none."""
    return _texts(_opened(_parser.parse(pattern)))


def captures(pattern: str) -> frozenset[str]:
    """The names of the pattern's groups."""
    return frozenset(re.compile(pattern).groupindex)


def worst_steps(pattern: str) -> float:
    """An upper estimate of the steps of `search` on WINDOW characters when it finds nothing; may be infinite."""
    return _steps(_opened(_parser.parse(pattern)))


def _judge(tree: Any) -> str:
    items = _opened(tree)
    for op, value in _walk(items):
        if op is _op.LITERAL and 0xD800 <= value <= 0xDFFF:
            return "names half of a surrogate pair, which is in no text"
        if op in _FORBIDDEN:
            return f"has {_FORBIDDEN[op]}; write it without, as an automaton must be able to run it"
        if op in _REPEATS and (value[0] > WINDOW or WINDOW < value[1] < _op.MAXREPEAT):
            return f"repeats something more than {WINDOW} times"
    if min(map(len, _texts(items)), default=0) < PLAIN_TEXT:
        return f"has no {PLAIN_TEXT} characters of plain text in a row that every matching line must contain"
    steps = _steps(items)
    if steps > STEPS:
        amount = f"{steps:.0e}" if math.isfinite(steps) else "exponentially many"
        return (
            f"can take too many steps on one line ({amount}, {STEPS:.0e} are allowed);"
            " bound its gaps, as in .{0,80}, and put nothing that repeats into a repeat"
        )
    return ""


def _sets_flags(tree: Any) -> bool:
    """For all of the pattern, or for a part of it as in `(?i:failed)`."""
    if tree.state.flags & ~re.UNICODE:
        return True
    stack: list[Any] = [tree]
    while stack:
        for op, value in stack.pop():
            if op is _op.SUBPATTERN:
                _, added, removed, body = value
                if added or removed:
                    return True
                stack.append(body)
            elif op is _op.BRANCH:
                stack += value[1]
            elif op in _REPEATS or op is _op.POSSESSIVE_REPEAT:
                stack.append(value[2])
            elif op is _op.ATOMIC_GROUP:
                stack.append(value)
            elif op in (_op.ASSERT, _op.ASSERT_NOT):
                stack.append(value[1])
            elif op is _op.GROUPREF_EXISTS:
                stack += [part for part in value[1:] if part is not None]
    return False


def _opened(items: Any) -> Items:
    """The sequence with its groups opened: they capture, and change nothing else."""
    opened: Items = []
    for op, value in items:
        opened += _opened(value[3]) if op is _op.SUBPATTERN else [(op, value)]
    return opened


def _walk(items: Items) -> Iterator[tuple[Any, Any]]:
    for op, value in items:
        yield op, value
        for part in value[1] if op is _op.BRANCH else [value[2]] if op in _REPEATS else []:
            yield from _walk(_opened(part))


def _texts(items: Items) -> tuple[str, ...]:
    """The choice whose shortest text is longest, of the runs of literals, with alternatives that are part of a run
    spelt out, and the alternatives in a sequence."""
    offers: list[tuple[str, ...]] = []
    runs = [""]
    for op, value in [*items, (_op.ANY, None)]:
        if op is _op.AT:
            continue
        if op is _op.LITERAL:
            runs = [run + chr(value) for run in runs]
            continue
        if op is _op.BRANCH:
            branches = [_opened(branch) for branch in value[1]]
            words = [_literal(branch) for branch in branches]
            if None not in words and len(runs) * len(words) <= SPELT_OUT:
                runs = [run + str(word) for run in runs for word in words]
                continue
            texts = [_texts(branch) for branch in branches]
            if all(texts):
                offers.append(tuple(dict.fromkeys(text for some in texts for text in some)))
        elif op in _REPEATS and value[0] >= 1:
            offers.append(_texts(_opened(value[2])))
        offers.append(tuple(dict.fromkeys(runs)))
        runs = [""]
    return max(offers, key=lambda texts: min(map(len, texts), default=0)) if any(map(any, offers)) else ()


def _literal(items: Items) -> str | None:
    """The one text that a sequence matches; None when it matches others."""
    return "".join(chr(value) for _, value in items) if all(op is _op.LITERAL for op, _ in items) else None


class _Rest(NamedTuple):
    """What is known of a sequence and all that follows it."""

    first: int
    """Characters it can begin with."""
    steps: float
    """At most, when it is tried at one place and fails."""
    can_fail: bool
    text: str
    """Plain text that it begins with."""
    width: int
    """Characters it has at least."""


_END = _Rest(0, 0, False, "", 0)


def _steps(items: Items) -> float:
    whole = _before(items, _END)
    anchored = bool(items) and items[0][0] is _op.AT and items[0][1] in (_op.AT_BEGINNING, _op.AT_BEGINNING_STRING)
    return whole.steps * (1 if anchored else WINDOW / _period(whole.text))


def _before(items: Items, rest: _Rest) -> _Rest:
    return reduce(lambda after, item: _one(item[0], item[1], after), reversed(items), rest)


def _one(op: Any, value: Any, rest: _Rest) -> _Rest:
    if op is _op.LITERAL:
        return _Rest(_bits(op, value), 1 + rest.steps, True, chr(value) + rest.text, 1 + rest.width)
    if op is _op.AT:
        return rest._replace(steps=1 + rest.steps, can_fail=True)
    if op is _op.BRANCH:
        return _alternatives([_before(_opened(branch), rest) for branch in value[1]])
    if op in _REPEATS:
        low, high, body = value
        return _repeat(low, high, _opened(body), rest)
    return _Rest(_bits(op, value), 1 + rest.steps, True, "", 1 + rest.width)


def _alternatives(branches: list[_Rest]) -> _Rest:
    """All are tried, unless the next character tells them apart."""
    union, told_apart = 0, True
    for branch in branches:
        told_apart = told_apart and not union & branch.first and branch.can_fail
        union |= branch.first
    steps = [branch.steps for branch in branches]
    return _Rest(
        union,
        len(steps) + (max(steps) if told_apart else sum(steps)),
        all(branch.can_fail for branch in branches),
        "",
        min(branch.width for branch in branches),
    )


def _repeat(low: int, high: int, body: Items, rest: _Rest) -> _Rest:
    if high <= 1:
        once = _before(body, rest)
        return once if low == 1 else _alternatives([once, rest]) if high else rest
    alone = _before(body, _END)
    again = _Rest(alone.first | rest.first, 0, True, "", 0)
    # The steps of a body are a straight line over the steps of what follows: its slope is the number of its ways.
    cost = _before(body, again).steps
    ways = _before(body, again._replace(steps=1)).steps - cost
    rounds = min(high, WINDOW // max(1, alone.width))
    if not rest.can_fail:
        steps = low * (cost + ways)  # once it has its fewest rounds the whole pattern has matched
    else:
        gives_back = low < high and (bool(alone.first & rest.first) or alone.width == 0)
        places = max(1, min(rounds, WINDOW / _period(rest.text))) if gives_back else 1
        steps = rounds * (cost + ways) + places * _power(ways, rounds) * rest.steps
    skippable = low == 0 or alone.width == 0
    return _Rest(
        alone.first | (rest.first if skippable else 0),
        steps,
        rest.can_fail or low > 0,
        "",
        low * alone.width + rest.width,
    )


def _power(ways: float, rounds: int) -> float:
    return math.inf if ways > 1 and rounds * math.log(ways) > 300 else ways**rounds


def _period(text: str) -> int:
    """How many characters apart this text can occur at least: 1 for `aaa`, 4 for ` bar `."""
    return next((shift for shift in range(1, len(text)) if text.startswith(text[shift:])), max(1, len(text)))


def _bits(op: Any, value: Any) -> int:
    """The characters that one item of a pattern takes; rather too many than too few."""
    if op is _op.LITERAL:
        return 1 << value if value < 256 else _OTHERS
    if op is _op.RANGE:
        low, high = value
        return sum(1 << code for code in range(low, min(high, 255) + 1)) | (_OTHERS if high > 255 else 0)
    if op is _op.CATEGORY:
        return _category(value)
    if op is _op.NOT_LITERAL:
        return _EVERY & ~(1 << value) if value < 256 else _EVERY
    if op is _op.IN:
        negated = value[0][0] is _op.NEGATE
        inside: int = reduce(lambda bits, item: bits | _bits(item[0], item[1]), value[negated:], 0)
        return (_EVERY & ~inside) | _OTHERS if negated else inside
    return _EVERY  # ANY


_CATEGORIES = {
    _op.CATEGORY_DIGIT: (r"\d", _DIGITS),
    _op.CATEGORY_NOT_DIGIT: (r"\D", _SPACES | _REST),
    _op.CATEGORY_SPACE: (r"\s", _SPACES),
    _op.CATEGORY_NOT_SPACE: (r"\S", _DIGITS | _REST),
    _op.CATEGORY_WORD: (r"\w", _DIGITS | _REST),
    _op.CATEGORY_NOT_WORD: (r"\W", _SPACES | _REST),
}


@cache
def _category(category: Any) -> int:
    sign, others = _CATEGORIES[category]
    return others | sum(1 << code for code in range(256) if re.match(sign, chr(code)))
