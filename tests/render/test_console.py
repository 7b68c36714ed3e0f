"""Colours are rich's; without them the same text is written without rich."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.render.clean import printable
from sparkdoctor.render.console import make_console, width, write
from sparkdoctor.render.styled import Text

PIECES = st.lists(
    st.tuples(st.text(max_size=8).map(printable), st.sampled_from(["", "bold", "bold red", "dim", "cyan"])), max_size=6
)


@given(st.lists(PIECES, max_size=4))
def test_with_colours_and_without_it_is_the_same_text(lines: list[list[tuple[str, str]]]) -> None:
    shown = [Text.assemble(*pieces) for pieces in lines]
    plain, coloured = io.StringIO(), io.StringIO()
    write(make_console("never", plain), shown)
    write(make_console("always", coloured), shown)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured.getvalue()) == plain.getvalue()
    assert plain.getvalue() == "".join("".join(text for text, _ in pieces).rstrip() + "\n" for pieces in lines)


def test_styles_are_where_they_belong() -> None:
    line = Text.assemble("a ", ("bold one", "bold"), " ", ("", "dim"), Text("x").plain)
    line.stylize("red", 0, 1)
    line.stylize("red", 3, 3)
    assert line.spans == [("bold", 2, 10), ("red", 0, 1)]
    stream = io.StringIO()
    write(make_console("always", stream), [line])
    assert stream.getvalue() == "\x1b[31ma\x1b[0m \x1b[1mbold one\x1b[0m x\n"


@pytest.mark.parametrize(("forced", "loaded"), [("", "False"), ("1", "True")])
def test_rich_is_loaded_only_for_colours(forced: str, loaded: str) -> None:
    code = (
        "import sys; from sparkdoctor.render.console import *; from sparkdoctor.render.styled import Text\n"
        "write(make_console('auto', sys.stdout), [Text('x', 'red')]); print('rich' in sys.modules)"
    )
    env = {key: value for key, value in os.environ.items() if key != "NO_COLOR"} | {"FORCE_COLOR": forced}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[1] == loaded
    assert ("\x1b" in done.stdout) is bool(forced)


def test_the_width_is_the_terminals_within_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    for columns, wanted in (("20", 60), ("80", 80), ("300", 100), ("many", 100)):
        monkeypatch.setenv("COLUMNS", columns)
        assert width() == wanted
    monkeypatch.delenv("COLUMNS")
    monkeypatch.setattr("sparkdoctor.render.console.os.get_terminal_size", lambda _: os.terminal_size((72, 24)))
    assert width() == 72
    monkeypatch.setattr("sparkdoctor.render.console.sys.__stdout__", None)
    assert width() == 100
