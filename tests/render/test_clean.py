"""Text of strangers reaches the terminal without being acted on."""

from __future__ import annotations

import io
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.render.clean import cut_left, printable
from sparkdoctor.render.console import make_console, prose, write
from sparkdoctor.render.styled import Text


@given(st.text())
def test_nothing_is_left_that_a_terminal_acts_on(text: str) -> None:
    clean = printable(text)
    assert not [char for char in clean if unicodedata.category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp")]


@given(st.text(st.characters(categories=["L", "N", "P", "S"])))
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert printable(text) == text


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("\x1b[2J\x1b]0;title\x07", r"\x1b[2J\x1b]0;title\x07"),
        ("a\tb", "a b"),
        ("a\r\nb", r"a\r\nb"),
        ("abc\u202edef", r"abc\u202edef"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\x9b31m", r"\x9b31m"),
        ("lone \ud800", r"lone \ud800"),
    ],
)
def test_escapes(text: str, clean: str) -> None:
    assert printable(text) == clean


@given(st.text(st.characters(categories=["L", "N", "P", "S", "Zs"]), max_size=300))
def test_what_is_written_is_neither_markup_nor_wrapped(text: str) -> None:
    stream = io.StringIO()
    write(make_console("never", stream), [Text(f"[rank0]: [bold]{text}[/] :smile: x")])
    assert stream.getvalue() == f"[rank0]: [bold]{text}[/] :smile: x\n"


def test_colour_only_when_asked_for_or_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    def shown(color: str) -> str:
        stream = io.StringIO()
        write(make_console(color, stream), [Text("x", style="bold red")])  # type: ignore[arg-type]
        return stream.getvalue()

    monkeypatch.setenv("TERM", "xterm")
    assert shown("auto") == shown("never") == "x\n"
    assert "\x1b[" in shown("always")
    monkeypatch.setenv("NO_COLOR", "1")
    assert "31m" in shown("always")


@given(st.text(min_size=1), st.integers(2, 50))
def test_the_end_of_a_long_line_is_kept(text: str, width: int) -> None:
    cut = cut_left(text, width)
    assert len(cut) <= max(width, 1)
    assert cut.removeprefix("…") in text
    assert text.endswith(cut.removeprefix("…"))


def test_our_own_words_are_wrapped() -> None:
    assert prose("one two three four", "    ", 16, first="why: ") == ["why: one two", "    three four"]
