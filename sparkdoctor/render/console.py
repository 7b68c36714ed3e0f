"""Where text goes: a stream, and rich in front of it when colours are to be seen."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterable
from typing import IO, Any, Literal

from sparkdoctor.render.styled import Text

Color = Literal["auto", "always", "never"]


class Console:
    """Writes lines as they are: no markup, no wrapping, no trailing blanks."""

    def __init__(self, stream: IO[str], rich: Any) -> None:
        self.stream = stream
        self._rich = rich

    def write(self, line: Text) -> None:
        text = line.plain.rstrip()
        if self._rich is None:
            self.stream.write(text + "\n")
            return
        from rich.text import Text as RichText

        shown = RichText(text)
        for style, start, end in line.spans:
            shown.stylize(style, start, end)
        self._rich.print(shown, soft_wrap=True)


def make_console(color: Color, stream: IO[str]) -> Console:
    """`--color` beats NO_COLOR, which beats what the stream is (no-color.org; TERM=dumb means none)."""
    return Console(stream, _rich(color, stream) if color == "always" or _may_show(color, stream) else None)


def _may_show(color: Color, stream: IO[str]) -> bool:
    """Whether rich has to be asked, which reads the same variables and more."""
    forced = any(os.environ.get(name) for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"))
    return color == "auto" and (forced or stream.isatty())


def _rich(color: Color, stream: IO[str]) -> Any:
    from rich.console import Console as RichConsole

    return RichConsole(
        file=stream,
        force_terminal=True if color == "always" else None,
        no_color=False if color == "always" else None,
        color_system="standard" if color == "always" else "auto",
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=True,
        legacy_windows=False,
    )


def write(console: Console, lines: Iterable[Text]) -> None:
    for line in lines:
        console.write(line)


def width() -> int:
    """Columns for our own prose: the terminal's, between 60 and 100."""
    return max(60, min(100, _columns()))


def _columns() -> int:
    text = os.environ.get("COLUMNS", "")
    if text:
        return int(text) if text.isdigit() else 100
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or 100 if sys.__stdout__ else 100
    except (OSError, ValueError):  # not a terminal, or closed
        return 100


def prose(text: str, indent: str, columns: int, first: str | None = None) -> list[str]:
    """Paragraphs of our own words, wrapped; `first` begins the first line instead of `indent`."""
    lines: list[str] = []
    for paragraph in text.strip().split("\n\n"):
        head = first if first is not None and not lines else indent
        lines += textwrap.wrap(
            " ".join(paragraph.split()),
            width=columns,
            initial_indent=head,
            subsequent_indent=indent,
            break_long_words=False,
            break_on_hyphens=False,
        )
    return lines
