"""Tell a name from a path: what `explain WORD` was asked about."""

from __future__ import annotations

import os.path

from sparkdoctor.api import NAME
from sparkdoctor.errors import BadInput


def manual_of(word: str) -> str | None:
    """The manual of the check, signature or cause of this name; None when the word is a path.

    A name is tried first; `./word` is always a path. Raises BadInput for a bare word that is
    neither a name nor an existing path.
    """
    if not NAME.fullmatch(word) and (word == "-" or "/" in word or "." in word or os.path.exists(word)):
        return None
    from sparkdoctor.manual import NoSuchName, manual
    from sparkdoctor.registry import load_registry

    registry = load_registry()
    try:
        return manual(word, registry.checks.by_name, registry.knowledge)
    except NoSuchName as error:
        if os.path.exists(word):
            return None
        raise BadInput(f"{error}, and there is no file {word}") from None
