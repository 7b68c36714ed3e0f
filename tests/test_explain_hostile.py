"""From any bytes to the answer: nothing raises, and nothing of a log acts on the terminal."""

from __future__ import annotations

import io
import json
import unicodedata
from functools import cache

from hypothesis import given, settings
from hypothesis import strategies as st

from sparkdoctor.diagnose import diagnose
from sparkdoctor.explaining import Answer
from sparkdoctor.logs.chronicle import Chronicle
from sparkdoctor.logs.match import Matcher
from sparkdoctor.logs.scan import Logs
from sparkdoctor.registry import Registry, load_registry
from sparkdoctor.render.console import make_console, write
from sparkdoctor.render.explain import render_explain
from sparkdoctor.render.json import dump
from sparkdoctor.render.timeline import render_timeline
from sparkdoctor.run import Exit
from sparkdoctor.timeline import timeline


@cache
def registry() -> Registry:
    return load_registry()


@cache
def matcher() -> Matcher:
    return Matcher(registry().knowledge.patterns())


def samples() -> list[bytes]:
    knowledge = registry().knowledge
    matches = [entry.matches for entry in knowledge.signatures.values()] + [
        mark.matches for mark in knowledge.marks.values()
    ]
    return [lines[0].encode() for lines in matches]


PREFIXES = [
    b"vllm-1  | ", b"[2026-11-24 15:24:41] ", b"2026-11-24T15:24:41Z ", b"[   12.345678] ", b"(Worker_TP1 pid=3) ",
    b"Nov 24 15:24:41 spark-1 kernel: ", b"[rank1]:", b"9999-12-31T23:59:59+23:59 ", b"0000-00-00 00:00:00 ", b"\x1b[31m",
    b"\x1b]0;x\x07", b"[red]", b"\xff\xfe", b"Feb 29 00:00:00 ", b"INFO 02-29 00:00:00 ", b"9999999: ", b"__CURSOR=x\n",
]  # fmt: skip
LINES = st.builds(
    lambda before, text, after: b"".join(before) + text + after,
    st.lists(st.sampled_from(PREFIXES), max_size=4),
    st.deferred(lambda: st.sampled_from(samples())) | st.binary(max_size=40),
    st.sampled_from([b"\n", b"\r\n", b"\r", b""]),
)
WRAPPERS = [
    lambda line: line,
    lambda line: json.dumps({"log": line.decode(errors="replace"), "stream": "e", "time": "2026-11-24T15:24:41Z"}).encode() + b"\n",
    lambda line: json.dumps({"MESSAGE": list(line), "__REALTIME_TIMESTAMP": "1795538346978920"}).encode() + b"\n",
    lambda line: b"__REALTIME_TIMESTAMP=9\nMESSAGE\n" + len(line).to_bytes(8, "little") + line + b"\n\n",
]  # fmt: skip


@settings(max_examples=60)
@given(st.lists(LINES, max_size=8), st.sampled_from(WRAPPERS), st.integers(20, 120))
def test_no_log_raises_or_acts_on_the_terminal(lines: list[bytes], wrap: object, width: int) -> None:
    assert callable(wrap)
    knowledge = registry().knowledge
    logs = Logs(["-"], matcher(), io.BytesIO(b"".join(wrap(line) for line in lines)))
    chronicle = Chronicle()
    hits = [hit for hit in chronicle.following(logs.hits()) if hit.signature in knowledge.signatures]
    found = diagnose(hits, knowledge, registry().checks.by_name, None, chronicle)
    moments = timeline(found)
    assert len(moments) >= len(found)
    answer = Answer(tuple(found), ("-",), tuple(logs.endings), 1, "facts", (), (), Exit.OK, moments=moments)
    json.loads(dump(answer.diagnoses))
    stream = io.StringIO()
    console = make_console("never", stream)
    write(console, render_timeline(moments, chronicle.remarks(), width))
    write(console, render_explain(answer, width, verbose=True))
    assert not {char for char in stream.getvalue() if unicodedata.category(char) == "Cc"} - {"\n"}
