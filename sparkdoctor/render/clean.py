"""Text from logs, files and other machines, made safe for a terminal."""

from __future__ import annotations

from collections.abc import Callable


def printable(text: str) -> str:
    """`text` with nothing a terminal would act on.

    Control characters (C0, C1, DEL) and the invisible formatting characters that reorder or
    hide text (Unicode category Cf: bidi overrides, zero-width, tags) are written as escapes;
    a tab becomes a space. No character is dropped.
    """
    if text.isascii() and text.isprintable():
        return text
    from unicodedata import category  # a sizeable table, which plain ASCII does without

    return "".join(_one(char, category) for char in text)


def _one(char: str, category: Callable[[str], str]) -> str:
    if char == "\t":
        return " "
    if category(char) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
        return char.encode("unicode_escape", "surrogatepass").decode("ascii")
    return char


def cut_left(text: str, width: int) -> str:
    """The last `width` characters, so that the message stays and the prefix goes."""
    return text if len(text) <= width else "…" + text[-(width - 1) :]
