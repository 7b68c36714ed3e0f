"""What is left of a command when shells and other wrappers are taken off."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.fact import Fact
from sparkdoctor.launch.argv import CommandLine, command_line
from sparkdoctor.launch.shell import MAX_TEXT, parse
from sparkdoctor.launch.shell_words import ShellError
from sparkdoctor.launch.tree import Listing, Piece, Scalar
from sparkdoctor.launch.types import LaunchError
from tests.launch.composing import one


def scalar(text: str) -> Scalar:
    return Scalar(file="c", line=1, value=text, pieces=(Piece(text, 1),))


def words(*texts: str) -> Listing:
    return Listing(file="c", line=1, items=tuple(map(scalar, texts)))


def in_shell(script: str, **env: str) -> CommandLine:
    return command_line(None, words("bash", "-lc", script), env)


def problems(line: CommandLine) -> list[str]:
    return [remark.text for remark in line.remarks]


@pytest.mark.parametrize(
    "texts",
    [
        ("vllm", "serve", "m", "--port", "8"),
        ("exec", "vllm", "serve", "m", "--port", "8"),
        ("env", "vllm", "serve", "m", "--port", "8"),
        ("bash", "-c", "vllm serve m --port 8"),
        ("/bin/bash", "-lc", "exec vllm serve m --port 8"),
        ("bash", "-l", "-c", "vllm serve m --port 8"),
        ("bash", "-euo", "pipefail", "-c", "vllm serve m --port 8"),
        ("sh", "-c", "vllm serve m --port 8", "sh"),
        ("sh", "-c", "bash -c 'exec vllm serve m --port 8'"),
        ("tini", "-s", "--", "vllm", "serve", "m", "--port", "8"),
        ("nohup", "nice", "-n", "5", "vllm", "serve", "m", "--port", "8"),
        ("timeout", "-k", "5", "3600", "vllm", "serve", "m", "--port", "8"),
        ("numactl", "-N", "0", "--membind=0", "vllm", "serve", "m", "--port", "8"),
        ("sh", "-c", "cd /x && exec vllm serve m --port 8"),
        ("sh", "-c", "sleep 10; vllm serve m --port 8"),
        ("sh", "-c", "pip install x || exit 1\nexec vllm serve m \\\n  --port 8\n"),
        ("sh", "-c", "vllm serve m --port 8 > /log 2>&1"),
        ("sh", "-c", "vllm serve m --port 8 2>&1 | tee /log"),
        ("sh", "-c", "exec vllm serve m --port 8 & wait"),
        ("sh", "-c", "if [ -f /x ]; then cp /x /y; fi; exec vllm serve m --port 8"),
        ("sh", "-c", "ray start --head && vllm serve m --port 8"),
        ("sh", "-c", "vllm --version; vllm serve m --port 8"),
        ("sh", "-c", "until nc -z head 1; do sleep 1; done; vllm serve m --port 8"),
        ("-lc", "exec vllm serve m --port 8"),
    ],
)
def test_wrappers_are_taken_off(texts: tuple[str, ...]) -> None:
    line = command_line(None, words(*texts), {})
    assert line.words == ("vllm", "serve", "m", "--port", "8")
    assert line.env == {}


def test_entrypoint_and_command_belong_together() -> None:
    assert command_line(words("bash", "-lc"), words("vllm serve m"), {}).words == ("vllm", "serve", "m")
    assert command_line(words("vllm", "serve"), words("m"), {}).words == ("vllm", "serve", "m")
    assert command_line(words("/start.sh"), None, {}).words == ("/start.sh",)
    assert command_line(None, None, {}).words == ()


@pytest.mark.parametrize(
    ("script", "env", "last"),
    [
        ("vllm serve $M", {"M": "m"}, ["m"]),
        ("vllm serve ${M}", {"M": "m"}, ["m"]),
        ("vllm serve ${M:-d}", {}, ["d"]),
        ("vllm serve ${M:-d}", {"M": ""}, ["d"]),
        ("vllm serve ${M-d}x", {"M": ""}, ["x"]),
        ('vllm serve "${M}"', {"M": "a b"}, ["a b"]),
        ("vllm serve $M", {"M": "a  b"}, ["a", "b"]),
        ("vllm serve $M", {"M": ""}, []),
        ('vllm serve "$M"', {"M": ""}, [""]),
        ("vllm serve ${H:+--headless}", {"H": "1"}, ["--headless"]),
        ("vllm serve ${H:+--headless}", {"H": ""}, []),
        ('vllm serve "{\\"a\\":${N:-3}}"', {}, ['{"a":3}']),
        ("vllm serve '{\"a\":$N}'", {}, ['{"a":$N}']),
        ("M=x; vllm serve $M", {}, ["x"]),
        ("M=x; M+=y; vllm serve $M", {}, ["xy"]),
        ('A=(--x "y z"); A+=(--w); vllm serve "${A[@]}"', {}, ["--x", "y z", "--w"]),
        ('A=(); vllm serve "${A[@]}"', {}, []),
        ("if [ -n \"$M\" ]; then X=yes; else X=no; fi; vllm serve $X", {"M": "m"}, ["yes"]),
        ("if [ \"$R\" = 0 ]; then X=head; elif [ \"$R\" -eq 1 ]; then X=worker; fi; vllm serve $X", {"R": "1"}, ["worker"]),
        ("case $R in 0) X=head ;; [12]) X=worker ;; *) X=no ;; esac; vllm serve $X", {"R": "1"}, ["worker"]),
        ("[ -z \"$M\" ] && X=empty || X=full; vllm serve $X", {"M": "m"}, ["full"]),
        ("vllm serve $(cat /model)", {}, ["$(cat /model)"]),
        ("vllm serve $(( 6 * 4 ))", {}, ["$(( 6 * 4 ))"]),
        ("vllm serve --host $HOSTNAME", {}, ["--host", "$HOSTNAME"]),
        ("vllm serve a\\ b 'c d' \"e\"f", {}, ["a b", "c d", "ef"]),
        ("vllm serve a#b # c", {}, ["a#b"]),
        ("vllm serve x<removed> <removed>", {}, ["x<removed>", "<removed>"]),
        ("f() { echo; }; function g { echo; }; vllm serve m", {}, ["m"]),
    ],
)  # fmt: skip
def test_variables_of_the_shell(script: str, env: Mapping[str, str], last: list[str]) -> None:
    line = in_shell(script, **env)
    assert list(line.words) == ["vllm", "serve", *last]


@pytest.mark.parametrize(
    ("script", "env", "changed"),
    [
        ("export A=1; vllm serve m", {}, {"A": "1"}),
        ("A=1; export A; vllm serve m", {}, {"A": "1"}),
        ("A=1; vllm serve m", {}, {}),
        ("A=2; vllm serve m", {"A": "1"}, {"A": "2"}),
        ("A=1 vllm serve m", {}, {"A": "1"}),
        ("env -u B A=1 vllm serve m", {"B": "x"}, {"A": "1", "B": None}),
        ("set -a; A=1; vllm serve m", {}, {"A": "1"}),
        ("declare -x A=1; vllm serve m", {}, {"A": "1"}),
        ("unset NCCL_IB_GID_INDEX; vllm serve m", {"NCCL_IB_GID_INDEX": ""}, {"NCCL_IB_GID_INDEX": None}),
        ("unset OF_IMAGE; vllm serve m", {}, {"OF_IMAGE": None}),
        # the usual guard against a defined-but-empty variable, three ways
        ('[ -n "${G:-}" ] || unset G; vllm serve m', {"G": ""}, {"G": None}),
        ('[ -n "${G:-}" ] || unset G; vllm serve m', {"G": "3"}, {}),
        ('if [ -z "${G:-}" ]; then unset G; fi; vllm serve m', {"G": ""}, {"G": None}),
        ("sh -c 'export A=1'; vllm serve m", {}, {}),
        ("(export A=1); vllm serve m", {}, {}),
        ("vllm serve m; export A=1", {}, {}),
        ("export A=${B:-d}; vllm serve m", {}, {"A": "d"}),
    ],
)
def test_changes_of_the_environment(script: str, env: Mapping[str, str], changed: Mapping[str, str | None]) -> None:
    line = in_shell(script, **env)
    assert {name: fact and fact.value for name, fact in line.env.items()} == changed


@pytest.mark.parametrize(
    "script",
    [
        "export A=$(hostname); vllm serve m",
        "[ -f /x ] && export A=1; vllm serve m",
        "if grep -q x /y; then export A=1; fi; vllm serve m",
        "for A in 1 2; do export A; done; vllm serve m",
        "export A=$PATH:/x; vllm serve m",
        "case $HOSTNAME in a) export A=1 ;; esac; vllm serve m",
    ],
)
def test_what_only_the_container_knows_is_unknown(script: str) -> None:
    line = in_shell(script)
    assert line.env == {"A": Fact(line.where, problem="the container's own shell sets it")}


def test_remarks_on_what_was_not_followed() -> None:
    assert problems(in_shell("source /env.sh; vllm serve m")) == ["the command runs /env.sh first, which was not read"]
    assert problems(in_shell("vllm serve m --x $NOWHERE")) == ["the command uses $NOWHERE, which nothing here sets"]
    assert problems(in_shell('vllm serve m "${A[@]}"')) == [
        "`${A[@]}` is put together in the shell, and was left out here"
    ]
    line = in_shell("vllm serve 'm")
    assert line.words == ("bash", "-lc", "vllm serve 'm")
    assert problems(line) == ["the shell text could not be followed: `'` is not closed"]


@pytest.mark.parametrize(
    "texts",
    [
        ("bash", "/app/launch_server.sh"),
        ("python3", "-m", "sglang.launch_server", "--model-path", "m"),
        ("ray", "start", "--head", "--block"),
        ("torchrun", "--nnodes", "2", "train.py"),
        ("sleep", "infinity"),
    ],
)
def test_other_commands_stay_as_they_are(texts: tuple[str, ...]) -> None:
    assert command_line(None, words(*texts), {}).words == texts


@pytest.mark.parametrize(
    ("text", "split", "remarks"),
    [
        # seen with Docker Compose 2.40.3, which splits with mattn/go-shellwords
        ("vllm serve x", ["vllm", "serve", "x"], 0),
        ("vllm serve x # hello", ["vllm", "serve", "x", "#", "hello"], 1),
        ("vllm serve x && echo hi", ["vllm", "serve", "x"], 1),
        ("vllm serve x > /tmp/log", ["vllm", "serve", "x"], 1),
        ("a 2>&1 b", ["a"], 1),
        ("vllm $HOME `date` $(date +%s)", ["vllm", "$HOME", "`date`", "$(date +%s)"], 0),
        ('"a b" \'c d\' e\\ f "x\\"y" "q\\nz"', ["a b", "c d", "e f", 'x"y', "qnz"], 0),
        ("a#b c\\\\d \"\" ''", ["a#b", "c\\d", "", ""], 0),
        ('python --json \'{"a":1}\' {"a":1} x;y', ["python", "--json", '{"a":1}', "{a:1}", "x"], 1),
        ("a --x='b c' --y=\"d e\"f", ["a", "--x=b c", "--y=d ef"], 0),
        ("a\tb\nc", ["a", "b", "c"], 0),
        ("a --token <removed> b", ["a", "--token", "<removed>", "b"], 0),
        ("", [], 0),
    ],
)
def test_a_command_string_is_split_without_a_shell(text: str, split: list[str], remarks: int) -> None:
    line = command_line(None, scalar(text), {})
    assert list(line.words) == split
    assert len(line.remarks) == remarks


@pytest.mark.parametrize("text", ["a 'b", 'a "b', "a (b) c", "a `b", "a $(b"])
def test_a_command_string_that_compose_refuses(text: str) -> None:
    with pytest.raises(LaunchError):
        command_line(None, scalar(text), {})


@pytest.mark.parametrize(
    "script",
    ["if x; then y", "case x in", "fi", "a ( b", "${x", "$(x", '"', "`", "x() y; )", "for", "{ a", "a | ", "((", "[["],
)
def test_broken_shell_text_is_said_to_be(script: str) -> None:
    with pytest.raises(ShellError):
        parse(script + "\n done")


@given(st.text(alphabet="ab$ {}()[]'\"`\\;&|<>\n#=!if then fi do done case esac in for @+-:*x1", max_size=60))
def test_no_shell_text_raises_anything_else(script: str) -> None:
    line = in_shell(script, a="1", b="x y")
    assert len(line.words) == len(line.places)


def test_nesting_is_bounded() -> None:
    for script in ("{ " * 5000, "${a:-" * 5000, "if " * 5000, "( " * 5000, "$(" * 5000, "A=(" * 5000):
        line = in_shell(script)
        assert "could not be followed" in problems(line)[0]


@pytest.mark.parametrize(
    "unit",
    ["\\a", "a", "$a", "$x ", "${a:-b}", "'a'", '"$a" ', "a;", "a&&", "A=1;", "[ -f x ]&&a;", "#\n", "case $H in a)b;;esac;",
     "if a;then b;fi;", "A+=(b);", "a<b ", "<<a\n", "a|", "export A=$H;"],
)  # fmt: skip
def test_long_commands_come_to_an_end(unit: str) -> None:
    script = unit * ((MAX_TEXT - 20) // len(unit)) + "\nvllm serve m"
    assert len(in_shell(script, a="1").words) < MAX_TEXT


def test_a_longer_command_is_not_followed() -> None:
    assert problems(in_shell("a " * MAX_TEXT)) == ["the shell text could not be followed: longer than 64 KiB"]


def test_a_long_command_string_over_many_lines_comes_to_an_end() -> None:
    spec = one("services:\n  a:\n    image: x\n    command: >\n" + "      a $$b\n" * 30_000)
    assert len(spec.argv.value) == 60_000
    assert spec.places[-1] == "/p/compose.yaml:30004"
