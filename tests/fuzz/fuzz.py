"""Coverage-guided fuzzing of what reads other people's files, run by hand: CONTRIBUTING.md says how.

The same promises that hypothesis tests in tests/logs, but inputs that grow towards code that was not reached yet.
Atheris (PyPI) has to be installed; the project does not need it.
"""

from __future__ import annotations

import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from unicodedata import category

import atheris  # type: ignore[import-untyped]

with atheris.instrument_imports(include=["sparkdoctor.logs", "sparkdoctor.render", "sparkdoctor.diagnose"]):
    from sparkdoctor.diagnose import diagnose
    from sparkdoctor.explaining import Answer
    from sparkdoctor.logs.chronicle import Chronicle
    from sparkdoctor.logs.match import Matcher
    from sparkdoctor.logs.native import NativeScanner
    from sparkdoctor.logs.origin import prefix_of
    from sparkdoctor.logs.read import LogError, read_log
    from sparkdoctor.logs.template import TemplateScanner
    from sparkdoctor.logs.times import learn, moment, shown
    from sparkdoctor.registry import load_registry
    from sparkdoctor.render.console import make_console, write
    from sparkdoctor.render.explain import render_explain
    from sparkdoctor.run import Exit

LOGS = Path(__file__).parents[1] / "logs"
REGISTRY = load_registry()
KNOWN = REGISTRY.knowledge
ENGINES = [Matcher(KNOWN.patterns(), engine) for engine in (NativeScanner, TemplateScanner)]
ACTED_ON = ("Cc", "Cf", "Cs", "Zl", "Zp")
"""Unicode categories of characters that do something."""


def reader(data: bytes) -> None:
    """Whatever comes in, blocks of printable lines come out, numbered upwards, or one LogError."""
    last, problem = 0, ""
    try:
        for block in read_log("-", io.BytesIO(data)):
            assert block.first >= last, (block.first, last)
            last = block.first
            assert b"\x1b[" not in block.data, block.data
    except LogError as error:
        problem = str(error)
    assert "\n" not in problem


def times(data: bytes) -> None:
    """Any line has a prefix, and any stamps teach a clock by which each is a moment or none."""
    lines = [prefix_of(line).stamps for line in data.decode(errors="replace").split("\n")]
    for written in (None, 0.0, 1.8e9):
        clock = learn(lines, written)
        for stamp in (stamp for stamps in lines for stamp in stamps):
            at = moment(stamp, clock)
            if at is not None:
                assert shown(at, clock.zone, stamp.step)


def matcher(data: bytes) -> None:
    """Both engines find the same, and what is said of it has no character that a terminal acts on."""
    try:
        found = [
            list(one.scan(read_log("-", io.BytesIO(data), has_controls=one.has_controls), "x.log")) for one in ENGINES
        ]
    except LogError:
        return
    assert found[0] == found[1], found
    chronicle = Chronicle()
    hits = [hit for hit in chronicle.following(found[0]) if hit.signature in KNOWN.signatures]
    diagnoses = diagnose(hits, KNOWN, REGISTRY.checks.by_name, None, chronicle)
    answer = Answer(tuple(diagnoses), ("x.log",), (), 1, "", (), (), Exit.OK)
    stream = io.StringIO()
    write(make_console("never", stream), render_explain(answer, 80, verbose=True))
    assert not {char for char in stream.getvalue() if category(char) in ACTED_ON} - {"\n"}


TARGETS: dict[str, Callable[[bytes], None]] = {"reader": reader, "times": times, "matcher": matcher}


def main() -> None:
    target = TARGETS[sys.argv.pop(1)]
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(sorted(path for path in LOGS.rglob("*") if path.is_file())):
            (Path(folder) / str(number)).write_bytes(path.read_bytes()[:4096])
        atheris.Setup([*sys.argv, folder], target)
        atheris.Fuzz()


if __name__ == "__main__":
    main()
