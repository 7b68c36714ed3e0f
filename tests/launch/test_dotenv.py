"""The grammar of .env files: compose-go v2.13.0 dotenv/godotenv_test.go and its fixtures as facts."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.launch.dotenv import read_dotenv
from sparkdoctor.launch.interpolate import MAX_TEXT, Variable
from sparkdoctor.launch.types import LaunchError, Remark


def parse(text: str, outside: Mapping[str, str] = {}, *, raw: bool = False) -> dict[str, Variable]:
    found: dict[str, Variable] = {}
    shell = {name: Variable(value, "the shell") for name, value in outside.items()}
    read_dotenv(text, "head.env", shell.get, found, raw=raw)
    return found


def values(text: str, **outside: str) -> dict[str, str]:
    return {name: variable.value for name, variable in parse(text, outside).items()}


@pytest.mark.parametrize(
    ("line", "name", "value"),
    [
        ("FOO=bar", "FOO", "bar"),
        ("FOO =bar", "FOO", "bar"),
        ("FOO= bar", "FOO", "bar"),
        ('FOO="bar"', "FOO", "bar"),
        ("FOO='bar'", "FOO", "bar"),
        (r'FOO="escaped\"bar"', "FOO", 'escaped"bar'),
        (r'FOO="\"quoted\""', "FOO", '"quoted"'),
        ("FOO=\"'d'\"", "FOO", "'d'"),
        ("OPTION_A: 1", "OPTION_A", "1"),
        ("OPTION_A: Foo=bar", "OPTION_A", "Foo=bar"),
        ("OPTION_A=1:B", "OPTION_A", "1:B"),
        ("export OPTION_A=2", "OPTION_A", "2"),
        (r"export OPTION_B='\n'", "OPTION_B", r"\n"),
        ("export exportFoo=2", "exportFoo", "2"),
        ("exportFOO=2", "exportFOO", "2"),
        ("export_FOO =2", "export_FOO", "2"),
        ("export.FOO= 2", "export.FOO", "2"),
        ("export\tOPTION_A=2", "OPTION_A", "2"),
        ("  export OPTION_A=2", "OPTION_A", "2"),
        ('export OPTION_A="export A"', "OPTION_A", "export A"),
        (r'FOO="bar\nbaz"', "FOO", "bar\nbaz"),
        (r"FOO=a\tb", "FOO", r"a\tb"),
        (r'FOO="a\tb"', "FOO", "a\tb"),
        (r'WORD="Z\aZ\bZ\fZ\nZ\rZ\tZ\vZ\\Z\0123Z"', "WORD", "Z\aZ\bZ\fZ\nZ\rZ\tZ\vZ\\ZSZ"),
        ("FOO.BAR=foobar", "FOO.BAR", "foobar"),
        ("FOO=foobar=", "FOO", "foobar="),
        ("FOO=bar ", "FOO", "bar"),
        ("FOO=bar # this is foo", "FOO", "bar"),
        ("FOO=bar #this is foo", "FOO", "bar"),
        ("FOO=bar #", "FOO", "bar"),
        ("FOO=123#not-an-inline-comment", "FOO", "123#not-an-inline-comment"),
        ('FOO="bar#baz"', "FOO", "bar#baz"),
        ('FOO="bar#baz"#', "FOO", "bar#baz"),
        ('FOO="bar#baz" # comment', "FOO", "bar#baz"),
        ("FOO='bar#baz' # comment", "FOO", "bar#baz"),
        (r'FOO="bar\n\ b\az"', "FOO", "bar\n\\ b\az"),
        (r'FOO="bar\\\n\ b\az"', "FOO", "bar\\\n\\ b\az"),
        (r'FOO="bar\\r\ b\az"', "FOO", "bar\\r\\ b\az"),
        (r'FOO="bar\nbaz\\"', "FOO", "bar\nbaz\\"),
        ('="value"', "", "value"),
        (" WORD =value", "WORD", "value"),
        ("\tWORD=value", "WORD", "value"),
        (r'WORD="\x07"', "WORD", r"\x07"),
        (r'WORD="\u12e4"', "WORD", r"\u12e4"),
        (r"OPTION_K='Let\'s go!'", "OPTION_K", "Let's go!"),
        ("VAR-WITH-DASHES=dashes", "VAR-WITH-DASHES", "dashes"),
        ("\ufeffOPTION_A=1", "OPTION_A", "1"),
        ("A=1\r", "A", "1"),
        ("A='first\nsecond'", "A", "first\nsecond"),
    ],
)
def test_line(line: str, name: str, value: str) -> None:
    assert values(line) == {name: value}


@pytest.mark.parametrize(
    ("text", "result"),
    [
        # TestExpanding
        ("FOO=test\nBAR=$FOO", {"FOO": "test", "BAR": "test"}),
        ("FOO=test\nBAR=${FOO}bar", {"FOO": "test", "BAR": "testbar"}),
        ("BAR=$FOO", {"BAR": ""}),
        ('FOO=test\nBAR="quote $FOO"', {"FOO": "test", "BAR": "quote test"}),
        ("BAR='quote $FOO'", {"BAR": "quote $FOO"}),
        (r'FOO="foo\$BAR"', {"FOO": "foo$BAR"}),
        (r'FOO="foo\${BAR}"', {"FOO": "foo${BAR}"}),
        ('FOO=test\nBAR="foo\\${FOO} ${FOO}"', {"FOO": "test", "BAR": "foo${FOO} test"}),
        # fixtures plain.env, quoted.env; the whole file
        ("A=1\nB= 3\nC =4\nD = 5\nE = \nF=\nG = my string # c\n",
         {"A": "1", "B": "3", "C": "4", "D": "5", "E": "", "F": "", "G": "my string"}),
        ("", {}),
        ("\n\r\n\t\t \n# c\n\t # c", {}),
        # the last of a name wins, and is what later lines see
        ("A=1\nB=$A\nA=2\nC=$A\n", {"A": "2", "B": "1", "C": "2"}),
        ('A="x" # c\n\nB=y', {"A": "x", "B": "y"}),
    ],
)  # fmt: skip
def test_file(text: str, result: dict[str, str]) -> None:
    assert values(text) == result


def test_the_shell_wins_inside_values_only() -> None:
    # TestSubstitutionsWithEnvFilePrecedence: fixtures/substitutions.env with OPTION_A=5 outside
    text = "OPTION_A=1\nOPTION_B=${OPTION_A}\nOPTION_D=${OPTION_A}_${OPTION_B}\nOPTION_E=${OPTION_NOT_DEFINED}\n"
    assert values(text, OPTION_A="5") == {"OPTION_A": "1", "OPTION_B": "5", "OPTION_D": "5_5", "OPTION_E": ""}


def test_a_name_alone_is_taken_from_outside() -> None:
    assert values("foo=bar\nOUT\nNOWHERE\nbar=baz", OUT="x") == {"foo": "bar", "OUT": "x", "bar": "baz"}


def test_a_name_alone_without_line_feed_is_not() -> None:
    # compose-go takes it for the value of a nameless variable; seen with Docker Compose 2.40.3
    found: dict[str, Variable] = {}
    remarks = read_dotenv("A=1\nOUT", "head.env", lambda name: Variable("x", "the shell"), found)
    assert "OUT" not in found
    assert remarks == (Remark("head.env:2", "the last line `OUT` has no line feed, so compose sets nothing by it"),)


@pytest.mark.parametrize(
    "text", ['WORD="', 'WORD="value', r'WORD="value\"', "WORD=\"value'", "WORD='", r"WORD='value\'"]
)
def test_quotes_that_do_not_close(text: str) -> None:
    with pytest.raises(LaunchError, match="has no closing"):
        parse(text)


@pytest.mark.parametrize(
    ("text", "where", "words"),
    [
        ('# c\nfoo="\n  a\n  multine\n  value\n"\nINVALID LINE\nzot=qix', "head.env:7", "cannot contain a space"),
        ("A=1\nlol$wut\n", "head.env:2", "unexpected character '$'"),
        ("A=1\n\n\nB='x\ny", "head.env:4", "no closing '"),
        ("A=${X:?must be set}\n", "head.env:1", "required variable X is missing a value: must be set"),
        ("A=1\nB=${X!}\n", "head.env:2", "is no variable"),
        ("export ", "head.env:1", "without a name"),
    ],
)
def test_refused(text: str, where: str, words: str) -> None:
    with pytest.raises(LaunchError) as caught:
        parse(text)
    assert caught.value.where == where
    assert words in caught.value.problem


def test_every_variable_knows_its_line_and_what_it_replaced() -> None:
    found = parse('A=1\nB="x\ny"\nA=2\n\nC=3\n')
    assert {name: variable.place for name, variable in found.items()} == {
        "A": "head.env:4",
        "B": "head.env:2",
        "C": "head.env:6",
    }
    assert found["A"].over == ("head.env:1",)


def test_unset_variables_are_remarked_on() -> None:
    remarks = read_dotenv("A=1\nB=$NOWHERE\n", "head.env", lambda name: None, {})
    assert remarks == (
        Remark(
            "head.env:2", "the variable NOWHERE is not set anywhere; compose puts a blank in its place", blank="NOWHERE"
        ),
    )


def test_raw_takes_lines_as_they_are() -> None:
    # docker/cli opts/file.go parseKeyValueFile
    text = "# c\n\nA='x' # y\nB=$A\n C=3\nOUT\nNOWHERE\n"
    found = parse(text, {"OUT": "o"}, raw=True)
    assert {name: variable.value for name, variable in found.items()} == {
        "A": "'x' # y", "B": "$A", "C": "3", "OUT": "o",
    }  # fmt: skip
    with pytest.raises(LaunchError, match="no variable name"):
        parse("A B=1", raw=True)


def test_a_secret_is_removed_and_an_empty_one_stays_empty() -> None:
    assert values("HF_TOKEN=made-up\nOTHER=$HF_TOKEN\nVLLM_API_KEY=\n") == {
        "HF_TOKEN": "<removed>",
        "OTHER": "<removed>",
        "VLLM_API_KEY": "",
    }


def test_a_doubling_chain_is_refused() -> None:
    text = "A0=" + "x" * 1000 + "\n" + "".join(f"A{n}=$A{n - 1}$A{n - 1}\n" for n in range(1, 40))
    with pytest.raises(LaunchError, match="longer than 1 MiB"):
        parse(text)


@given(st.text(alphabet="AB=: '\"#\\n\n\r${}x.-é\t", max_size=60))
def test_no_text_raises_anything_else(text: str) -> None:
    for raw in (False, True):
        with suppress(LaunchError):
            parse(text, raw=raw)


def test_a_large_file_is_read_and_a_huge_one_is_not() -> None:
    found = parse("".join(f"A{n}=$B\n" for n in range(60_000)), {"B": "b"})
    assert found["A59999"] == Variable("b", "head.env:60000")
    with pytest.raises(LaunchError, match="larger than 1 MiB"):
        parse("#" * (MAX_TEXT + 1))
