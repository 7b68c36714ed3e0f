"""Variables in templates: the tables of compose-go v2.13.0 template/template_test.go as facts."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.launch.interpolate import MAX_TEXT, Segment, TemplateError, Unset, Variable, plain, substitute

VALUES = {"FOO": "first", "BAR": "", "JSON": '{"json":2}'}


def lookup(name: str) -> Variable | None:
    return Variable(VALUES[name], "the shell") if name in VALUES else None


def fill(template: str) -> str:
    return plain(substitute(template, lookup)[0])


@pytest.mark.parametrize(
    ("template", "result"),
    [
        # TestEscaped, TestSubstituteNoMatch, TestUnescaped, TestNonBraced
        ("$${foo}", "${foo}"),
        ("foo", "foo"),
        ("a $ string", "a $ string"),
        ("^REGEX$", "^REGEX$"),
        ("$}", "$}"),
        ("$", "$"),
        ("$FOO-bar", "first-bar"),
        # TestNoValueNoDefault, TestValueNoDefault, TestNoValueWithDefault
        ("This ${missing} var", "This  var"),
        ("This ${BAR} var", "This  var"),
        ("This $FOO var", "This first var"),
        ("This ${FOO} var", "This first var"),
        ("ok ${missing:-def}", "ok def"),
        ("ok ${missing-def}", "ok def"),
        # TestEmptyValueWithSoftDefault and its neighbours
        ("ok ${BAR:-def}", "ok def"),
        ("ok ${FOO:-def}", "ok first"),
        ("ok ${BAR-def}", "ok "),
        ("ok ${UNSET_VAR:+presence_value}", "ok "),
        ("ok ${UNSET_VAR+presence_value}", "ok "),
        ("ok ${FOO:+presence_value}", "ok presence_value"),
        ("ok ${FOO+presence_value}", "ok presence_value"),
        ("ok ${BAR+presence_value}", "ok presence_value"),
        ("ok ${BAR:+presence_value}", "ok "),
        ("ok ${BAR:-/non:-alphanumeric}", "ok /non:-alphanumeric"),
        # TestInterpolationExternalInterference
        ("-ok ${BAR:-defaultValue}", "-ok defaultValue"),
        ("+ok ${UNSET:-${BAR-defaultValue}}", "+ok "),
        (":-ok ${UNSET-defaultValue}", ":-ok defaultValue"),
        (":?ok ${BAR-defaultValue}", ":?ok "),
        (":+ok ${BAR:-defaultValue}", ":+ok defaultValue"),
        ("?ok ${BAR:-defaultValue}", "?ok defaultValue"),
        # TestDefaultsWithNestedExpansion
        ("ok ${UNSET_VAR-$FOO}", "ok first"),
        ("ok ${UNSET_VAR-${FOO} ${FOO}}", "ok first first"),
        ("ok ${BAR:-${FOO}}", "ok first"),
        ("ok ${BAR+$FOO ${FOO:+second}}", "ok first second"),
        # TestDefaultsForMandatoryVariables, TestPrecedence
        ("ok ${FOO:?err}", "ok first"),
        ("ok ${BAR?err}", "ok "),
        ("${UNSET_VAR-myerror?msg}", "myerror?msg"),
        # TestNoValueWithCurlyBracesDefault, TestValueWithCurlyBracesDefault
        ('ok ${missing:-{"json":1}}', 'ok {"json":1}'),
        ('ok ${JSON-{"json":1}}', 'ok {"json":2}'),
        # TestSubstituteWithReplacementFunc
        ("ok ${SUBDOMAIN:-redis}.${FOO:?}", "ok redis.first"),
        # TestLazyRequiredMessageDoesNotWarn and TestLazyDefaultDoesNotWarn; older Compose (2.x) evaluates the unused part
        ("${FOO?${missing}}", "first"),
        ("${A:+${A},}B", "B"),
        # two on one line: the first must not reach to the last brace
        ("${missing:-a}b${FOO}", "abfirst"),
        ("${FOO}${missing:-}${FOO:+x}", "firstx"),
    ],
)
def test_result(template: str, result: str) -> None:
    assert fill(template) == result


@pytest.mark.parametrize("template", ["${", "${}", "${ }", "${ foo}", "${foo }", "${foo!}", "${foo:=x}", "${1}"])
def test_what_is_no_variable(template: str) -> None:
    with pytest.raises(TemplateError, match="is no variable"):
        fill(template)


def test_a_default_over_two_lines_is_no_variable() -> None:
    with pytest.raises(TemplateError, match="is no variable"):
        fill("${missing:-a\nb}")


@pytest.mark.parametrize(
    ("template", "problem"),
    [
        ("not ok ${UNSET_VAR:?Mandatory}", "required variable UNSET_VAR is missing a value: Mandatory"),
        ("not ok ${BAR:?Mandatory}", "required variable BAR is set but empty: Mandatory"),
        ("not ok ${UNSET_VAR:?}", "required variable UNSET_VAR is missing a value"),
        ("not ok ${UNSET_VAR?}", "required variable UNSET_VAR is missing a value"),
        ("not ok ${UNSET_VAR:?for ${FOO}}", "required variable UNSET_VAR is missing a value: for first"),
        ("${UNSET_VAR?bar-baz}", "required variable UNSET_VAR is missing a value: bar-baz"),
    ],
)
def test_required(template: str, problem: str) -> None:
    with pytest.raises(TemplateError) as caught:
        fill(template)
    assert caught.value.problem == problem
    assert caught.value.offset == template.index("${")


def test_unset_variables_are_named_with_their_place() -> None:
    _, unset = substitute("a ${X} $Y ${Z:-$W} ${V:-}", lookup)
    assert [(name, offset) for name, offset in unset] == [("X", 2), ("Y", 7), ("W", 15)]


def test_each_stretch_knows_where_it_comes_from() -> None:
    segments, _ = substitute("a $FOO ${missing:-b}", lookup)
    assert [tuple(segment) for segment in segments] == [
        ("a ", 0, ""),
        ("first", 2, "FOO from the shell"),
        (" ", 6, ""),
        ("b", 18, ""),
    ]


def test_a_bomb_of_variables_is_refused() -> None:
    big = Variable("x" * 1000, "the shell")
    with pytest.raises(TemplateError, match="longer than 1 MiB"):
        substitute("$A" * (MAX_TEXT // 1000 + 1), lambda _: big)


def test_deep_nesting_is_refused() -> None:
    with pytest.raises(TemplateError, match="nested more than"):
        fill("${a:-" * 1000 + "}" * 1000)


@given(st.text(alphabet='${}:-?+AFO1 \n"x', max_size=40))
def test_no_template_raises_anything_else(template: str) -> None:
    segments: list[Segment] = []
    unset: list[Unset] = []
    with suppress(TemplateError):
        segments, unset = substitute(template, lookup)
    for segment in segments:
        assert segment.note or segment.text == template[segment.offset : segment.offset + len(segment.text)]
    assert all(template[offset] == "$" for _, offset in unset)


def test_a_secret_never_gets_into_a_text() -> None:
    token = Variable.named("HF_TOKEN", "made-up-secret", "head.env:1")
    assert plain(substitute("--token ${HF_TOKEN}", lambda _: token)[0]) == "--token <removed>"
