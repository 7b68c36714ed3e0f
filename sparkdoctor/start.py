"""The console script.

`explain LOG...` is asked for in a hurry and answers in less time than it takes to import click, so it is
told from all else by its words alone. Whatever is not exactly that goes to sparkdoctor.cli, which gives the
same answer.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import Any, NoReturn

FLAGS = {"--json": "as_json", "-v": "verbose", "--verbose": "verbose"}
"""The options that `explain LOG...` may have here, and what they are called in sparkdoctor.telling."""


def main() -> None:
    logs, flags = plain_logs(sys.argv[1:])
    if not logs:
        from sparkdoctor.cli import main as command_line

        return command_line()
    gc.set_threshold(100_000)  # imports make much and leave no garbage: most runs end before the first collection
    from sparkdoctor.ask import Ask
    from sparkdoctor.system import Live
    from sparkdoctor.telling import EXPLANATION, answering, explain_logs

    try:
        with answering(bool(flags.get("as_json")), EXPLANATION):
            explain_logs(logs, ask=Ask(), system=Live(), environ=dict(os.environ), **flags)
    except KeyboardInterrupt:
        print("\nAborted!", file=sys.stderr)  # as click ends
        end(1)
    except SystemExit as done:
        end(int(done.code or 0))


def end(code: int) -> NoReturn:
    """Leave without taking every module apart, which takes longer than explaining a small log."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def plain_logs(words: list[str]) -> tuple[list[str], dict[str, Any]]:
    """The logs and flags of `explain LOG...`; no logs when the words say anything else, or may.

    A word that could be a name (it has neither a slash nor a dot) is left to sparkdoctor.cli.
    """
    logs: list[str] = []
    flags: dict[str, Any] = {}
    if words[:1] != ["explain"] or any(name.startswith("_SPARKDOCTOR") for name in os.environ):
        return [], {}  # the second: the shell asks for completions
    for word in words[1:]:
        if word in FLAGS:
            flags[FLAGS[word]] = True
        elif word != "-" and (word.startswith("-") or not ("/" in word or "." in word)):
            return [], {}
        else:
            logs.append(word)
    return logs, flags
