"""Tell a name from a path: what `explain WORD` was asked about."""

from __future__ import annotations

from pathlib import Path

from sparkdoctor.errors import BadInput
from sparkdoctor.manual import NoSuchName, manual
from sparkdoctor.registry import load_registry

SCHEMA = "sparkdoctor.manual/1"


def manual_of(word: str) -> str | None:
    """The manual of the check, signature or cause of this name; None when the word is a path.

    A name is tried first; `./word` is always a path. Raises BadInput for a bare word that is
    neither a name nor an existing path.
    """
    if word == "-" or "/" in word:
        return None
    registry = load_registry()
    try:
        return manual(word, registry.checks.by_name, registry.knowledge)
    except NoSuchName as error:
        if Path(word).exists() or "." in word:
            return None
        raise BadInput(f"{error}, and there is no file {word}") from None
