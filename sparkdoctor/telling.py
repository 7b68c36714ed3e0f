"""What the commands print and how they end, apart from reading their options.

Without click, so that `explain LOG` can answer before click is imported (sparkdoctor.start).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack, closing
from typing import IO, TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from sparkdoctor.ask import Ask
    from sparkdoctor.checking import Done
    from sparkdoctor.plugins import Trouble
    from sparkdoctor.render.console import Color
    from sparkdoctor.system import System

MANUAL = "sparkdoctor.manual/1"
EXPLANATION = "sparkdoctor.explain/1"


class answering:
    """Turns bad input into one clear line (or one JSON document) and exit code 2, without a traceback."""

    def __init__(self, as_json: bool, schema: str) -> None:
        self.as_json = as_json
        self.schema = schema

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        from sparkdoctor.errors import BadInput
        from sparkdoctor.registry import Clash
        from sparkdoctor.signatures import KnowledgeError

        if isinstance(error, BadInput | Clash | KnowledgeError):
            if self.as_json:
                from sparkdoctor.render import json

                print(json.dump(json.error_document(self.schema, str(error))))
            stop(str(error))
        if isinstance(error, BrokenPipeError):  # who reads has read enough, as `head` does
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still in the buffer
            sys.exit(0)


def stop(problem: str) -> NoReturn:
    print(f"sparkdoctor: {problem}", file=sys.stderr)
    sys.exit(2)


def tell_troubles(troubles: Iterable[Trouble]) -> None:
    for trouble in troubles:
        print(f"not loaded: {trouble.origin}: {trouble.problem}", file=sys.stderr)


def tell_manual(word: str, *, as_json: bool) -> bool:
    """Print the manual of this name; False when the word is a path. Raises BadInput when it is neither."""
    from sparkdoctor.naming import manual_of

    text = manual_of(word)
    if text is None:
        return False
    if as_json:
        from sparkdoctor.render import json

        text = json.dump({"schema": MANUAL, "name": word, "text": text}) + "\n"
    sys.stdout.write(text)
    return True


def explain_logs(
    what: Sequence[str],
    snapshots: Sequence[str] = (),
    *,
    ask: Ask,
    system: System,
    environ: Mapping[str, str],
    here: bool = False,
    units: Sequence[str] = (),
    since: float | None = None,
    summary: bool = False,
    timeline: bool = False,
    verbose: bool = False,
    as_json: bool = False,
    color: Color = "auto",
) -> NoReturn:
    """Explain logs that are complete, and exit. Raises what explaining.explain raises."""
    from sparkdoctor import explaining

    judges: dict[str, Any] = {"ask": ask, "system": system, "environ": environ, "here": here}
    answer = explaining.explain(what, snapshots, **judges, units=units, since=since)
    tell_troubles(answer.troubles)
    for problem in answer.unread:
        print(f"sparkdoctor: {problem}", file=sys.stderr)
    if as_json:
        print(explaining.answer_json(answer))
    else:
        from sparkdoctor.render.console import make_console, width, write
        from sparkdoctor.render.explain import render_explain

        console = make_console(color, sys.stdout)
        if summary:
            from sparkdoctor.render.summary import render_courses

            write(console, render_courses(answer.courses, width()))
            print()
        if timeline:
            from sparkdoctor.render.timeline import render_timeline

            write(console, render_timeline(answer.moments, answer.clocks, width()))
            print()
        write(console, render_explain(answer, width(), verbose=verbose))
    sys.stdout.flush()
    sys.exit(explaining.summary_code(answer) if summary else answer.code)


def follow_logs(
    what: Sequence[str],
    snapshots: Sequence[str],
    *,
    ask: Ask,
    system: System,
    environ: Mapping[str, str],
    here: bool,
    units: Sequence[str],
    since: float | None,
    hang_after: float | None,
    summary: bool,
    timeline: bool,
    verbose: bool,
    as_json: bool,
    color: Color,
) -> NoReturn:
    """Explain logs while they grow, and exit when they end. Raises BadInput for what cannot be followed."""
    from sparkdoctor import explaining, live
    from sparkdoctor.errors import BadInput
    from sparkdoctor.logs.read import LogError
    from sparkdoctor.render.live import Teller

    case = explaining.Case(snapshots, ask=ask, system=system, environ=environ, here=here, since=since)
    tell_troubles(case.registry.troubles)
    teller = Teller(sys.stdout, color, as_json=as_json, verbose=verbose)
    with ExitStack() as opened:
        streams = {}
        for kind, name in explaining.sources(ask.containers, units):
            try:
                log = explaining.open_log(kind, name, system, since, follow=True)
            except LogError as error:
                raise BadInput(str(error)) from error
            streams[f"{kind}:{name}"] = opened.enter_context(closing(log))
        answer, code = live.follow_logs(
            case, what, streams, teller, hang_after=hang_after, summary=summary, timeline=timeline
        )
    for problem in answer.unread:
        print(f"sparkdoctor: {problem}", file=sys.stderr)
    sys.exit(code)


def tell_checked(done: Done, stream: IO[str], color: Color, *, verbose: bool, as_json: bool) -> None:
    """The answer of `check`."""
    tell_troubles(done.troubles)
    for slow in done.seen.slow:
        print(f"slow: {slow}", file=sys.stderr)
    if as_json:
        from sparkdoctor.render import json

        print(json.dump(json.check_document(done.nodes, done.results, done.troubles, done.code)), file=stream)
    else:
        from sparkdoctor.render import text
        from sparkdoctor.render.console import make_console, write

        console = make_console(color, stream)
        write(console, text.header(done.nodes, done.seen.chosen, verbose=verbose))
        write(console, text.report(done.results, verbose=verbose, ascii_only=_ascii_only(stream)))


def _ascii_only(stream: IO[str]) -> bool:
    try:
        "✓✗".encode(getattr(stream, "encoding", None) or "ascii")
    except UnicodeEncodeError:
        return True
    return False
