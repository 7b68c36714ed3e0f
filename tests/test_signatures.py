"""The loader of knowledge: what it takes, and each refusal with file, entry and reason."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.api import Certainty, Fix, Severity
from sparkdoctor.signatures import (
    FILE_SIZE,
    TEXTS,
    Knowledge,
    KnowledgeError,
    Maturity,
    Role,
    entries,
    fill,
    load,
    main,
    mending,
    merge,
)
from tests.entries import cause, knowledge, signature

ENTRY = """\
# a comment
[[signature]]
name = "nccl-reg-mr-enomem"
title = "NCCL could not pin memory with {call}"
match = 'Call to (?P<call>ibv_reg_mr\\w*) failed with error Cannot allocate memory'
role = "cause"
causes = ["memlock-limited", "memory-exhausted"]
explains = ["nccl-unhandled-system-error"]
why = '''
{call} pins buffers; ${HOME} and {{json .Config}} and {"a": 1} stay as they are.
'''
fix = "Raise the limit for {call}."
seen_in = ["NCCL 2.30.7"]
refs = ["https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/misc/ibvwrap.cc"]
versions = "all"
status = "new"
matches = ['''misc/ibvwrap.cc:218 NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory''']
ignores = ['''misc/ibvwrap.cc:218 NCCL WARN Call to ibv_reg_mr_iova2 failed with error Bad address''']

[[cause]]
name = "memory-exhausted"
title = "the unified memory is used up"
why = "Weights and cache fill it."
fix = "lower --gpu-memory-utilization"
run = ["free -h"]
decide = "free -h"
certainty = "try"
refs = ["https://docs.nvidia.com/dgx/dgx-spark/"]
"""


def without(key: str) -> str:
    return "\n".join(line for line in ENTRY.splitlines() if not line.startswith(f"{key} =")) + "\n"


def problem(text: str, where: str = "k.toml:3: signature nccl-reg-mr-enomem") -> str:
    with pytest.raises(KnowledgeError) as caught:
        load(text, "k.toml")
    assert caught.value.where == where
    return caught.value.problem


def test_an_entry_with_every_key() -> None:
    loaded = load(ENTRY, "k.toml")
    found = loaded.signatures["nccl-reg-mr-enomem"]
    assert (found.role, found.severity, found.status) == (Role.CAUSE, Severity.ERROR, Maturity.NEW)
    assert found.causes == ("memlock-limited", "memory-exhausted")
    assert found.explains == ("nccl-unhandled-system-error",)
    assert loaded.causes["memory-exhausted"].certainty is Certainty.TRY
    assert loaded.causes["memory-exhausted"].run == ("free -h",)


def test_only_captures_are_filled() -> None:
    found = load(ENTRY, "k.toml").signatures["nccl-reg-mr-enomem"]
    assert fill(found.why, {"call": "ibv_reg_mr"}).strip() == (
        'ibv_reg_mr pins buffers; ${HOME} and {{json .Config}} and {"a": 1} stay as they are.'
    )
    assert fill("{call} {other}", {"call": "{other}"}) == "{other} {other}"


def test_what_a_fix_takes_from_a_log_is_quoted_in_commands() -> None:
    more: dict[str, Any] = {"fix": "remove {path}", "edit": "path: {path}", "run": ("rm {path}",), "cost": "nothing"}
    entry = signature("a-fell", r"cannot open (?P<path>.{1,80})", matches=("cannot open a b",), **more)
    assert mending(entry, {"path": "a; b"}) == Fix(
        "remove a; b", "path: a; b", ("rm 'a; b'",), Certainty.EXACT, "nothing"
    )
    assert mending(signature("a-fell", "cannot open"), {}) is None


@pytest.mark.parametrize(
    ("field", "value"), [("fix", "give <address>"), ("edit", "a: <path of the model>"), ("run", ("ping <address>",))]
)
def test_a_fix_with_a_gap_says_so(field: str, value: str | tuple[str, ...]) -> None:
    more: dict[str, Any] = {"fix": "mend", field: value}
    fix = mending(signature("a-fell", "cannot open", **more), {})
    assert fix is not None
    assert fix.certainty is Certainty.FILL_IN


def test_what_to_do_about_a_consequence_is_to_look_further() -> None:
    fix = mending(signature("a-fell", "cannot open", Role.CONSEQUENCE, fix="read <the log>"), {})
    assert fix is not None
    assert fix.certainty is Certainty.TRY


def test_commands_without_a_word_of_what_they_do() -> None:
    text = ENTRY.replace('fix = "Raise the limit for {call}."', 'run = ["ulimit -l unlimited"]')
    assert problem(text) == "`edit` and `run` need a `fix` that says what they do"


@pytest.mark.parametrize("key", ["title", "match", "role", "why", "refs", "matches", "ignores"])
def test_a_missing_key(key: str) -> None:
    text = without(key) if key != "why" else ENTRY.replace("why = '''\n{call}", "fix2 = '''\n{call}")
    expected = f"`{key}` is missing or empty" if key != "why" else "unknown key `fix2`; the nearest is `fix`"
    assert problem(text) == expected


@pytest.mark.parametrize("key", ["title", "why", "fix", "decide", "refs"])
def test_a_missing_key_of_a_cause(key: str) -> None:
    lines = ENTRY.split("[[cause]]")[1].splitlines()
    text = "[[cause]]\n" + "\n".join(line for line in lines if not line.startswith(f"{key} ="))
    assert problem(text, "k.toml:3: cause memory-exhausted") == f"`{key}` is missing or empty"


def test_no_sample() -> None:
    line = next(line for line in ENTRY.splitlines() if line.startswith("matches"))
    assert problem(ENTRY.replace(line, "matches = []")) == "`matches` is missing or empty"


def test_no_name() -> None:
    assert problem(ENTRY.replace('name = "nccl-reg-mr-enomem"\n', ""), "k.toml: signature number 1") == (
        "`name` is missing or empty"
    )


def test_a_sample_that_the_pattern_misses() -> None:
    text = ENTRY.replace("matches = ['''", "matches = ['''no such thing''', '''")
    assert problem(text) == "the pattern misses its own sample 'no such thing'"


def test_a_line_of_ignores_that_the_pattern_matches() -> None:
    text = ENTRY.replace("failed with error Bad address", "failed with error Cannot allocate memory")
    assert problem(text).startswith("the pattern matches a line of `ignores`: 'misc/ibvwrap.cc:218")


def test_a_sample_of_several_lines() -> None:
    assert problem(ENTRY.replace("matches = ['''misc", "matches = ['''x\nmisc")).startswith("a sample is more than one")


@pytest.mark.parametrize("key", ["title", "why", "fix", "run"])
def test_a_capture_that_the_pattern_lacks(key: str) -> None:
    text = {
        "title": ENTRY.replace("with {call}", "with {cell}"),
        "why": ENTRY.replace("{call} pins", "{cell} pins"),
        "fix": ENTRY.replace("for {call}", "for {cell}"),
        "run": ENTRY.replace('fix = "R', 'run = ["a", "b {cell}"]\nfix = "R'),
    }[key]
    assert problem(text) == f"`{key}` uses {{cell}}, and the pattern captures no such thing"


def test_an_unknown_key_and_the_nearest() -> None:
    assert problem(ENTRY.replace("seen_in =", "seenin =")) == "unknown key `seenin`; the nearest is `seen_in`"
    assert problem(ENTRY.replace("seen_in =", "zzz =")) == "unknown key `zzz`"


def test_a_value_of_the_wrong_kind() -> None:
    assert problem(ENTRY.replace('role = "cause"', 'role = "culprit"')) == "Invalid enum value 'culprit' - at `$.role`"
    assert problem(ENTRY.replace('versions = "all"', "versions = 2")) == "Expected `str`, got `int` - at `$.versions`"
    assert "Expected `array`, got `str`" in problem(ENTRY.replace('["NCCL 2.30.7"]', '"NCCL 2.30.7"'))


def test_a_reference_that_is_no_address() -> None:
    assert problem(ENTRY.replace("https://github.com/", "github.com/")).startswith("the reference 'github.com/")


@pytest.mark.parametrize("name", ["Nccl-Failed", "nccl", "nccl_failed", "nccl failed", "-x-y"])
def test_a_malformed_name(name: str) -> None:
    text = ENTRY.replace("nccl-reg-mr-enomem", name)
    assert "is not lower-case words joined by hyphens" in problem(text, f"k.toml:3: signature {name}")


def test_a_pattern_that_may_not_be() -> None:
    assert problem(ENTRY.replace(r"(?P<call>ibv_reg_mr\w*)", r"(?P<call>(\w+\s*)+)")).startswith(
        "`match` can take too many steps on one line"
    )
    assert problem(ENTRY.replace("memory'\nrole", "memory('\nrole")).startswith("`match` is not a regular expression")


def test_no_fix_and_no_causes() -> None:
    text = without("causes").replace('fix = "Raise the limit for {call}."\n', "")
    assert problem(text) == "`fix` is missing, and there are no `causes` to give one"
    assert load(text.replace('role = "cause"', 'role = "consequence"'), "k.toml").signatures


def test_explaining_oneself() -> None:
    assert problem(
        ENTRY.replace('explains = ["nccl-unhandled-system-error"]', 'explains = ["nccl-reg-mr-enomem"]')
    ) == ("`explains` names the entry itself")


def test_a_name_given_twice() -> None:
    assert problem(ENTRY + ENTRY) == "the name is given twice in this file"
    parts = [load(ENTRY, "a.toml"), load(ENTRY, "b.toml")]
    with pytest.raises(KnowledgeError, match=r"^nccl-reg-mr-enomem: the name is given twice"):
        merge(parts, ["memlock-limited"])
    with pytest.raises(KnowledgeError, match=r"^memory-exhausted: the name is given twice"):
        merge(parts[:1], ["memlock-limited", "memory-exhausted"])


def test_names_that_mean_nothing() -> None:
    with pytest.raises(KnowledgeError) as caught:
        merge([load(ENTRY, "k.toml")], ["memlock-limit"])
    assert str(caught.value) == (
        "signature nccl-reg-mr-enomem: `causes` names no check or cause: `memlock-limited`; the nearest is `memlock-limit`"
    )
    with pytest.raises(KnowledgeError, match="`explains` names no signature: `nccl-unhandled-system-error`"):
        merge([load(ENTRY, "k.toml")], ["memlock-limited"])


def test_explains_in_a_circle() -> None:
    with pytest.raises(KnowledgeError) as caught:
        knowledge(
            signature("a-a", "aaaaaa", fix="x"),
            signature("b-b", "bbbbbb", fix="x", explains=("c-c",)),
            signature("c-c", "cccccc", fix="x", explains=("a-a", "d-d")),
            signature("d-d", "dddddd", fix="x", explains=("b-b",)),
        )
    assert caught.value.problem == "`explains` goes in a circle: b-b explains c-c explains d-d explains b-b"


def test_explains_along_two_ways_is_no_circle() -> None:
    merged = knowledge(
        signature("a-a", "aaaaaa", fix="x", explains=("b-b", "c-c")),
        signature("b-b", "bbbbbb", fix="x", explains=("d-d",)),
        signature("c-c", "cccccc", fix="x", explains=("d-d",)),
        signature("d-d", "dddddd", fix="x"),
    )
    assert len(merged.signatures) == 4


def test_parts_become_one() -> None:
    merged = merge([knowledge(signature("a-a", "aaaaaa", fix="x")), knowledge(cause("b-b"))], [])
    assert (list(merged.signatures), list(merged.causes)) == (["a-a"], ["b-b"])
    assert merge([], ["memlock-limited"]) == Knowledge({}, {})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[[signature]\n", "is not TOML: "),
        ("name = 'x'\n", "has `name` where only [[signature]], [[cause]], [[phase]], [[mark]] may stand"),
        ("[signature]\nname = 'x'\n", "has `signature` where only"),
        ("signature = [1]\n", "has a signature that is not a table"),
        ("a = " + "[" * 100_000, "is not TOML: "),
        ("a = " + "1" * 5000, "is not TOML: "),
        ("#" * (FILE_SIZE + 1), f"has {FILE_SIZE + 1} characters, {FILE_SIZE} are allowed"),
    ],
)
def test_a_file_that_is_not_knowledge(text: str, why: str) -> None:
    assert problem(text, "k.toml").startswith(why)


def test_one_bad_entry_does_not_lose_the_others() -> None:
    found = list(entries(ENTRY.replace("matches = ['''misc", "matches = ['''mosc").replace("ibvwrap", "x"), "k.toml"))
    assert [type(entry).__name__ for entry in found] == ["Signature", "Cause"]
    found = list(entries(ENTRY.replace('role = "cause"', 'role = "x"'), "k.toml"))
    assert [type(entry).__name__ for entry in found] == ["KnowledgeError", "Cause"]


def test_a_file_that_asks_for_too_much() -> None:
    words = [f"{'ab'[number % 2]}{number:05}" for number in range(TEXTS + 1)]  # nothing in common
    text = "".join(
        f'[[signature]]\nname = "acme-number-{at}"\nmatch = "{"|".join(words[at : at + 40])}"\nmatches = ["{words[at]}"]\n'
        'title = "x"\nrole = "cause"\nwhy = "x"\nfix = "x"\nrefs = ["https://x"]\nignores = ["word"]\n'
        for at in range(0, len(words), 40)
    )
    *good, last = entries(text, "k.toml")
    assert isinstance(last, KnowledgeError)
    assert last.where.endswith(f": signature acme-number-{TEXTS}")
    assert last.problem == f"brings the file to {TEXTS + 1} texts to search for, {TEXTS} are allowed"
    assert len(good) == TEXTS / 40
    assert not [entry for entry in good if isinstance(entry, KnowledgeError)]


@given(st.text())
def test_any_text_is_refused_or_empty(text: str) -> None:
    for entry in entries(text, "k.toml"):
        assert isinstance(entry, KnowledgeError)


@given(
    st.dictionaries(
        st.sampled_from(["name", "title", "match", "role", "why", "fix", "refs", "matches", "ignores", "x"]),
        st.sampled_from(
            ["1", "''", "'x'", "['x']", "[1]", "{}", "[[1]]", "true", "1979-05-27", "nan", "'(('", "'a-a'"]
        ),
    )
)
def test_any_values_are_refused_in_words(values: dict[str, str]) -> None:
    text = "[[signature]]\n" + "".join(f"{key} = {value}\n" for key, value in values.items())
    (entry,) = entries(text, "k.toml")
    assert isinstance(entry, KnowledgeError)
    assert "\n" not in str(entry)


def test_the_command_for_authors(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "mine.toml"
    own = without("causes").replace('explains = ["nccl-unhandled-system-error"]\n', "")
    path.write_text(own.replace("memory-exhausted", "acme-memory-gone"))
    assert main([str(path)]) == 0
    assert capsys.readouterr().out == "1 signatures, 1 causes\n"
    path.write_text(ENTRY.replace("seen_in", "seen-in").replace("memory-exhausted", "memory"))
    assert main([str(path), str(tmp_path / "none.toml")]) == 1
    out = capsys.readouterr().out
    assert f"{path}:3: signature nccl-reg-mr-enomem: unknown key `seen-in`; the nearest is `seen_in`\n" in out
    assert "No such file or directory" in out
    assert "the name 'memory' is not lower-case words" in out
