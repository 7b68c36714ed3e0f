"""`explain --timeline`: the decisive lines of all ranks in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from sparkdoctor.logs.scan import Line
from sparkdoctor.render.clean import printable
from sparkdoctor.render.console import prose
from sparkdoctor.render.styled import Text
from sparkdoctor.timeline import Moment


def whereabouts(line: Line) -> str:
    """`spark-2, rank 1`, as much of it as is known."""
    parts = [line.node] if line.node else []
    if line.rank is not None:
        parts.append(f"rank {line.rank}")
    return printable(", ".join(parts))


def render_timeline(moments: Sequence[Moment], clocks: Iterable[str], width: int) -> Iterator[Text]:
    """`clocks`: what was assumed about the clocks of the logs."""
    if not moments:
        yield Text("no known line, so no moments to tell")
        return
    first = moments[0].line.time
    yield Text(
        f"timeline, from {printable(first)}" if moments[0].offset is not None else "timeline: no line has a time"
    )
    rows = [(_offset(moment), whereabouts(moment.line), f"{moment.line.file}:{moment.line.line}") for moment in moments]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    for moment, (offset, where, at) in zip(moments, rows, strict=True):
        before = f"{offset:>{widths[0]}}  " + (f"{where:<{widths[1]}}  " if widths[1] else "")
        words = f"{moment.role}[{moment.name}]"
        words += f" last of {moment.repeats} lines" if moment.repeats else f" {moment.title}"
        yield Text(f"{before}{printable(at):<{widths[2]}}  {printable(words)}")
    for remark in clocks:
        yield from (Text(printable(line)) for line in prose(remark, "  ", width))


def _offset(moment: Moment) -> str:
    return "?" if moment.offset is None else f"+{moment.offset:.3f} s"
