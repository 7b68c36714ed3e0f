"""The time near a line that gives none: that of the last line before it, of not too many, which does."""

from __future__ import annotations

import re

from sparkdoctor.logs.origin import prefix_of

NEAR = 1 << 15
"""Bytes from the beginning of a line back to the beginnings of those whose time counts for it."""
BEGINNING = 200
"""Bytes of a line that are kept, and in which a time is looked for."""

# What every time that sparkdoctor.logs.times reads has in it: most lines without one are told by this alone.
_MAY_TELL = re.compile(rb"\d\d:\d\d:\d\d|\[ {0,11}\d{1,10}\.\d{6}\]|1\d{9}")


class Near:
    """Goes through a log with its reader, and looks at each line once at most.

    Offsets are those of the block at hand, so what stands before it is below 0. How a log is cut into
    blocks makes no difference.
    """

    def __init__(self, earlier: bytes = b"") -> None:
        """`earlier`: whole lines that stand before the first block."""
        self._earlier = earlier
        self._seen = -len(earlier)
        """Up to here every line has been looked at."""
        self._text = ""
        self._at = self._seen - NEAR - 1
        """The last line that gives a time, and where it begins."""

    def before(self, data: bytes, start: int) -> str:
        """The beginning of the line whose time is near the line that begins at `start`, empty if there is none.

        To be asked for the lines of a block in their order.
        """
        low, end = max(self._seen, start - NEAR), start
        while end > low:
            begin, line = _line(data, 0, end) if end > 0 else _line(self._earlier, len(self._earlier), end)
            if begin < low:
                break
            if _MAY_TELL.search(line) and prefix_of(text := line.decode(errors="replace")).stamps:
                self._text, self._at = text, begin
                break
            end = begin
        self._seen = start
        return self._text if self._at >= start - NEAR else ""

    def passed(self, data: bytes) -> None:
        """The block is done."""
        if len(data) > NEAR:
            self._earlier = data[data.find(b"\n", len(data) - NEAR - 1) + 1 :]
        else:
            joined = self._earlier + data
            cut = len(joined) - NEAR
            self._earlier = joined[joined.find(b"\n", cut - 1) + 1 :] if cut > 0 else joined
        self._at -= len(data)
        self._seen = max(self._seen - len(data), -len(self._earlier))


def _line(data: bytes, origin: int, end: int) -> tuple[int, bytes]:
    """The line that ends at this offset: where it begins, and its beginning. `origin`: where offset 0 is in `data`."""
    end += origin
    begin = data.rfind(b"\n", 0, end - 1) + 1
    return begin - origin, data[begin : min(end, begin + BEGINNING)].removesuffix(b"\n")
