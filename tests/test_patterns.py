"""Which regular expressions a signature may have: the judgement agrees with what `re` does."""

from __future__ import annotations

import re

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sparkdoctor.patterns import STEPS, captures, plain_text, refusal, worst_steps

GOOD = [
    r"Call to (?P<call>ibv_reg_mr\w*) failed with error Cannot allocate memory",
    r"module '(?P<module>[^']+)' has no attribute '(?P<name>[^']+)'",
    r"\[(?P<rank>\d+)\] NCCL WARN .* failed",
    r"(?:Unknown|Unrecognized) option --(?P<option>[\w-]+)",
    r"No space left on device: '/dev/shm/(?P<file>[^']{1,80})'",
    r"address (?:\d+\.){3}\d+ unreachable",
    r"(?P<host>[\w.-]{1,64}):\d+:\d+ \[\d+\] NCCL WARN",
]


@pytest.mark.parametrize("pattern", GOOD)
def test_usual_patterns_are_taken(pattern: str) -> None:
    assert refusal(pattern) == ""


@pytest.mark.parametrize(
    ("pattern", "why"),
    [
        (r"(failed", "is not a regular expression: missing )"),
        (r"failed with a{1,999999999999}", "is not a regular expression: the repetition number is too large"),
        ("x" * 501, "has 501 characters, 500 are allowed"),
        ("failed\nwith", "has more than one line"),
        (r"(?P<a>failed) with (?P=a)", "has a back-reference"),
        (r"(failed)? with error(?(1)a|b)", "has a conditional group"),
        (r"failed with(?= error)", "has a look-ahead or look-behind"),
        (r"(?<!not )failed with", "has a negative look-ahead or look-behind"),
        (r"failed(?>a+)b", "has an atomic group"),
        (r"faileda++b", "has a possessive repeat"),
        (r"(?i)failed with", "sets a flag such as (?i)"),
        (r"it (?i:failed) with", "sets a flag such as (?i)"),
        (r"failed (?:x|(?-i:y))+ with", "sets a flag such as (?i)"),
        (r"failed with (?:a|(?:b(?s:.)){2})", "sets a flag such as (?i)"),
        (r"failed with (?=(?i:a))", "sets a flag such as (?i)"),
        (r"failed with \ud800", "names half of a surrogate pair"),
        (r"failed a{3000}", "repeats something more than 2048 times"),
        (r"\w+ failed", ""),
        (r"error: .*", ""),
        (r"[Ff]ailed!", ""),
        (r"[Ff]ailed", "has no 6 characters of plain text"),
        (r"oops", "has no 6 characters of plain text"),
        (r"f.a.i.l.e.d", "has no 6 characters of plain text"),
        (r"(?:failed)?", "has no 6 characters of plain text"),
        (r"failed|oops", "has no 6 characters of plain text"),
        (r"", "has no 6 characters of plain text"),
    ],
)
def test_refusals_say_why(pattern: str, why: str) -> None:
    assert refusal(pattern).startswith(why)
    assert bool(refusal(pattern)) == bool(why)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+failed",
        r"(a*)*failed",
        r"(?:a|a)*failed!",
        r"(?:a|aa)+failed",
        r"(?:\w+\s*)+failed",
        r"(?:[a-z]+:?)*failed",
        r"(.*)*failed",
        r"failed .* with .*x",
        r"failed .*.*.*x",
        r"\S+:\S+: failed",
        r"failed ((a{0,9}){0,9}){0,9}b",
    ],
)
def test_what_can_blow_up_is_refused(pattern: str) -> None:
    assert "can take too many steps on one line" in refusal(pattern)


def test_a_costly_compilation_is_never_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sparkdoctor.patterns.re.compile", None)
    assert refusal("failed (?i:" + r"[\u0000-\U0010ffff]" * 20 + ")").startswith("sets a flag")


def test_groups_as_deep_as_the_length_allows_are_judged() -> None:
    assert refusal("(" * 240 + "failed" + ")" * 240) == ""
    assert refusal("(?:" * 120 + "failed" + ")*" * 120) != ""
    assert refusal("(" * 500).startswith("is not a regular expression")


# The steps that a simple backtracking matcher takes, counted, must stay under the estimate.


def _count(pattern: str, text: str) -> int:
    """Steps of a textbook backtracking search, for patterns of literals, sets, alternatives and repeats."""
    import importlib
    from collections.abc import Callable
    from typing import Any

    parser: Any = importlib.import_module("re._parser")
    steps = 0

    def run(items: list[Any], at: int, then: Callable[[int], bool]) -> bool:
        nonlocal steps
        steps += 1
        if not items:
            return then(at)
        (op, value), rest = items[0], items[1:]
        name = str(op)
        if name == "SUBPATTERN":
            return run([*value[3], *rest], at, then)
        if name == "BRANCH":
            return any(run([*branch, *rest], at, then) for branch in value[1])
        if name in ("MAX_REPEAT", "MIN_REPEAT"):
            low, high, body = value[0], value[1], list(value[2])

            def again(done: int, here: int) -> bool:
                def more(after: int) -> bool:
                    return after > here and again(done + 1, after)

                if done < high and run(body, here, more):
                    return True
                return done >= low and run(rest, here, then)

            return again(0, at)
        return at < len(text) and _takes(name, value, text[at]) and run(rest, at + 1, then)

    for start in range(len(text)):
        if run(list(parser.parse(pattern)), start, lambda _: True):
            break
    return steps


def _takes(name: str, value: object, char: str) -> bool:
    if name == "LITERAL":
        return ord(char) == value
    if name == "ANY":
        return True
    assert name == "IN"
    assert isinstance(value, list)
    return any(
        low <= ord(char) <= high
        for low, high in (item[1] if str(item[0]) == "RANGE" else (item[1], item[1]) for item in value)
    )


def _patterns() -> st.SearchStrategy[str]:
    atom = st.sampled_from(["a", "b", "ab", "[ab]", ".", "ba"])

    def grow(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
        return st.one_of(
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map(lambda two: f"(?:{two[0]}|{two[1]})"),
            st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "*?"])).map(
                lambda two: f"(?:{two[0]}){two[1]}"
            ),
        )

    return st.recursive(atom, grow, max_leaves=5)


@given(_patterns(), st.text("ab", min_size=1, max_size=14))
def test_the_estimate_is_not_below_what_backtracking_takes(pattern: str, text: str) -> None:
    pattern = f"{pattern}c"  # which no text has: the search fails after trying everything
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sparkdoctor.patterns.WINDOW", len(text))
        estimate = worst_steps(pattern)
    # Four times, because the textbook matcher counts its bookkeeping of groups and repeats as steps too.
    # A search also tries the place behind the last character.
    assert _count(pattern, text) <= 4 * (estimate + len(text) + 1)


@given(_patterns(), _patterns(), st.data())
def test_every_match_contains_the_plain_text(one: str, two: str, data: st.DataObject) -> None:
    pattern = f"{one}needle|{two}thread[ab]haystack" if data.draw(st.booleans()) else f"{one}needle{two}"
    assume(refusal(pattern) == "")  # `re` takes hours with some of the others
    line = data.draw(st.from_regex(pattern))
    assert re.search(pattern, line)
    assert any(text in line for text in plain_text(pattern))
    assert min(map(len, plain_text(pattern))) >= 6


WORDS = st.text("ab.", min_size=1, max_size=4).map(re.escape)


@given(
    st.data(),
    st.lists(st.one_of(WORDS, st.lists(WORDS, min_size=1, max_size=4), st.just(r"\d{0,2}")), min_size=1, max_size=6),
)
def test_alternatives_spelt_out_miss_no_match(data: st.DataObject, parts: list[str | list[str]]) -> None:
    pattern = "".join(part if isinstance(part, str) else f"(?:{'|'.join(part)})" for part in parts)
    line = data.draw(st.from_regex(pattern))
    texts = plain_text(pattern)
    assert not texts or any(text in line for text in texts)
    assert len(texts) <= 16


def test_plain_text_is_the_longest_that_is_certain() -> None:
    assert plain_text(r"(?:short)? longer text \w+ the longest text of all (x|y)") == (" the longest text of all ",)
    assert plain_text(r"(?:one hundred|two hundreds) of") == ("one hundred of", "two hundreds of")
    assert plain_text(r"a (?:one|\w{9}) hundreds of") == (" hundreds of",)
    assert plain_text(r"(?:first|one more) (?:of|in) (?:\d|all)") == (
        "first of ",
        "first in ",
        "one more of ",
        "one more in ",
    )
    # Nine are enough: the next alternatives would make it eighteen. The `e` that they share is before them.
    colours = [f"{colour}{kind}e" for colour in ("red", "green", "blue") for kind in ("light", "shade", "paint")]
    assert plain_text(r"(?:red|green|blue)(?:light|shade|paint)(?:er|est)") == tuple(colours)
    assert plain_text(r"(?:fail|fail)ed now") == ("failed now",)
    assert plain_text(r"\bword\b") == ("word",)
    assert plain_text(r"\w+") == ()


def test_captures() -> None:
    assert captures(GOOD[1]) == {"module", "name"}


def test_the_bound_is_one_that_can_be_waited_for() -> None:
    assert all(worst_steps(pattern) <= STEPS for pattern in GOOD)
