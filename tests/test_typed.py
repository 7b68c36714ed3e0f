"""A type that two threads meet first at the same time."""

from __future__ import annotations

import subprocess
import sys

import pytest

# The annotation of Inner is looked up while msgspec makes Met: then the second thread comes.
RACE = """
import threading
import msgspec
from sparkdoctor.typed import convert, decode

class Inner(msgspec.Struct):
    number: "second_thread()"

class Met(msgspec.Struct):
    first: int
    inner: Inner

def second_thread():
    if threading.current_thread() is threading.main_thread():
        other.start()
        other.join(0.3)
    return int

found = []
other = threading.Thread(target=lambda: found.append({}))
found.append({})
other.join()
assert [met.inner.number for met in found] == [1, 1], found
"""


@pytest.mark.parametrize(
    "call",
    ['convert({"first": 0, "inner": {"number": 1}}, Met)', """decode('{"first": 0, "inner": {"number": 1}}', Met)"""],
)
def test_a_second_thread_waits_until_the_type_is_made(call: str) -> None:
    done = subprocess.run([sys.executable, "-c", RACE.replace("{}", call)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
