"""Diagnoses one by one, as they are found: as text, or as JSON with one document a line."""

from __future__ import annotations

from typing import IO

import msgspec

from sparkdoctor.diagnose import Diagnosis
from sparkdoctor.explaining import SCHEMA, Answer, answer_document
from sparkdoctor.logs.phases import Stop
from sparkdoctor.render.console import Color, make_console, prose, width, write
from sparkdoctor.render.explain import render_diagnosis, render_explain
from sparkdoctor.render.styled import Text
from sparkdoctor.render.summary import render_courses, render_stop
from sparkdoctor.render.timeline import render_timeline
from sparkdoctor.unnamed import General


class Teller:
    """Writes to one stream, at once."""

    def __init__(self, stream: IO[str], color: Color, *, as_json: bool, verbose: bool) -> None:
        self._stream = stream
        self._console = make_console(color, stream)
        self._as_json = as_json
        self._verbose = verbose

    def say(self, found: Diagnosis | Stop) -> None:
        if self._as_json:
            self._line({"schema": SCHEMA, "event": "stop" if isinstance(found, Stop) else "diagnosis", "found": found})
            return
        lines = (
            render_stop(found, width())
            if isinstance(found, Stop)
            else render_diagnosis(found, width(), verbose=self._verbose)
        )
        write(self._console, (*lines, Text("")))
        self._stream.flush()

    def end(self, answer: Answer, *, said: bool, summary: bool, timeline: bool = False) -> None:
        """What there is still to say when the logs have ended: all of it when nothing was said yet."""
        if self._as_json:
            self._line({**answer_document(answer), "event": "end"})
            return
        if summary:
            write(self._console, (*render_courses(answer.courses, width()), Text("")))
        if timeline:
            write(self._console, (*render_timeline(answer.moments, answer.clocks, width()), Text("")))
        if said:
            for general in answer.diagnoses:
                if isinstance(general, General):
                    write(self._console, (*render_diagnosis(general, width(), verbose=self._verbose), Text("")))
        if said and answer.diagnoses:
            first, count = answer.diagnoses[0], len(answer.diagnoses)
            words = f"{count} diagnos{'es' if count > 1 else 'is'}, begin with {first.name}; {answer.facts}"
            write(self._console, (Text(line) for line in prose(words, "", width())))
        elif not said:
            write(self._console, render_explain(answer, width(), verbose=self._verbose))
        self._stream.flush()

    def _line(self, document: object) -> None:
        self._stream.write(msgspec.json.encode(document).decode() + "\n")
        self._stream.flush()
