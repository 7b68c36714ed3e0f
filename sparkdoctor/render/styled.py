"""A line of text with its styles, which costs nothing where no colour is shown.

The styles are rich's; rich itself is only asked when they are to be seen (sparkdoctor.render.console).
"""

from __future__ import annotations


class Text:
    """One line; `spans` are (style, start, end)."""

    __slots__ = ("plain", "spans")

    def __init__(self, text: str = "", style: str = "") -> None:
        self.plain = text
        self.spans: list[tuple[str, int, int]] = []
        self.stylize(style, 0, len(text))

    @classmethod
    def assemble(cls, *parts: str | tuple[str, str]) -> Text:
        """Plain parts and (text, style) ones, one after the other."""
        line = cls()
        for part in parts:
            text, style = (part, "") if isinstance(part, str) else part
            start = len(line.plain)
            line.plain += text
            line.stylize(style, start, len(line.plain))
        return line

    def stylize(self, style: str, start: int, end: int) -> None:
        if style and start < end:
            self.spans.append((style, start, end))
