"""Where text goes: one rich Console, set up so that it never interprets or wraps data."""

from __future__ import annotations

import os
import shutil
import textwrap
from collections.abc import Iterable
from typing import IO, Literal

from rich.console import Console
from rich.text import Text

Color = Literal["auto", "always", "never"]


def make_console(color: Color, stream: IO[str]) -> Console:
    """`--color` beats NO_COLOR, which beats what the stream is (no-color.org; TERM=dumb means none)."""
    force: bool | None = {"auto": None, "always": True, "never": False}[color]
    no_color = {"auto": None, "always": False, "never": True}[color]
    system: Literal["auto", "standard"] = "standard" if color == "always" else "auto"
    return Console(
        file=stream,
        force_terminal=force,
        no_color=no_color,
        color_system=system if color != "never" else None,
        markup=False,
        highlight=False,
        emoji=False,
        soft_wrap=True,
        legacy_windows=False,
    )


def write(console: Console, lines: Iterable[Text]) -> None:
    """Print lines as they are: no markup, no wrapping, no trailing blanks."""
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True)


def width() -> int:
    """Columns for our own prose: the terminal's, between 60 and 100."""
    columns = shutil.get_terminal_size((100, 24)).columns if "COLUMNS" not in os.environ else _columns()
    return max(60, min(100, columns))


def _columns() -> int:
    text = os.environ["COLUMNS"]
    return int(text) if text.isdigit() else 100


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
