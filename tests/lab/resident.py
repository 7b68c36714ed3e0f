"""Runs sparkdoctor commands, each in a fork of one process that has imported everything. Runs in a guest.

Under emulation the imports of one `sparkdoctor collect` take three times as long as its work. What a fork runs is the
command line as anyone starts it; only modules are shared.

Each line of standard input is a JSON list of arguments; each line of standard output a JSON object with `code`,
`stdout` and `stderr`. Ends with its standard input.
"""

from __future__ import annotations

import importlib
import json
import os
import pkgutil
import sys
import tempfile

import sparkdoctor.doors
from sparkdoctor.cli import main


def run(arguments: list[str]) -> dict[str, object]:
    """One command in a process of its own."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        child = os.fork()
        if not child:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            sys.argv = ["sparkdoctor", *arguments]
            main()
        _, status = os.waitpid(child, 0)
        out.seek(0)
        err.seek(0)
        return {"code": os.waitstatus_to_exitcode(status), "stdout": out.read(), "stderr": err.read()}


doors = [module.name for module in pkgutil.iter_modules(sparkdoctor.doors.__path__, "sparkdoctor.doors.")]
for name in (
    *doors,
    "docker",
    "pyverbs.device",
    "sparkdoctor.facts.gather",
    "sparkdoctor.look",
    "sparkdoctor.snapshot",
):
    importlib.import_module(name)
for line in sys.stdin:
    print(json.dumps(run(json.loads(line))), flush=True)
