"""`explain --follow` and `run`: logs that grow, told about as they do."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING

from sparkdoctor.doors.child import Child
from sparkdoctor.explaining import Answer, Case, summary_code
from sparkdoctor.following import watch
from sparkdoctor.logs.chronicle import written_times
from sparkdoctor.logs.follow import Feed, Follow
from sparkdoctor.run import Exit

if TYPE_CHECKING:
    from sparkdoctor.render.live import Teller
    from sparkdoctor.system import Log

NOT_STARTED = 125
"""Exit code of `run` when the command was not started, or sparkdoctor itself failed: as `docker run` and timeout(1)
do it."""
NOT_FOUND = 127
NOT_EXECUTABLE = 126


def follow_logs(
    case: Case,
    paths: Sequence[str],
    streams: Mapping[str, Log],
    teller: Teller,
    *,
    hang_after: float | None,
    summary: bool,
    timeline: bool,
) -> tuple[Answer, Exit]:
    """Until all logs end, or SIGINT or SIGTERM comes. `streams`: logs that are no files, by the name under which they
    are told of. Raises BadInput for a launch that was named and cannot be read.
    """
    follow = Follow()
    case.chronicle.date({**written_times(paths), "stdin": time.time()})
    with _stopping(follow.stopped):
        for path in dict.fromkeys(paths):
            follow.add_path(path)
        for name, stream in streams.items():
            follow.add(name, stream, stream.stop)
        watched = watch(case, follow, teller.say, hang_after=hang_after, each=lambda: None)
    answer = watched.answer()
    teller.end(answer, said=watched.said, summary=summary, timeline=timeline)
    return answer, summary_code(answer) if summary else answer.code


def run_command(case: Case, command: Sequence[str], teller: Teller, *, hang_after: float | None, summary: bool) -> int:
    """The command's exit code. Raises OSError when it cannot be started."""
    feeds = {1: Feed(), 2: Feed()}
    child = Child(command, lambda out, data: feeds[out].put(data))
    follow = Follow()
    follow.add("stdout", feeds[1])
    follow.add("stderr", feeds[2])
    watched = watch(case, follow, teller.say, hang_after=hang_after, each=child.pass_signals)
    code = child.finish()
    if code or watched.said or summary:
        teller.end(watched.answer(), said=watched.said, summary=summary)
    return code


@contextmanager
def _stopping(event: Event) -> Iterator[None]:
    def stop(_: int, __: FrameType | None) -> None:
        event.set()

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, stop) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
