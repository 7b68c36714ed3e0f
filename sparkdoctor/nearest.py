"""Names near one that does not exist."""

from __future__ import annotations

from collections.abc import Iterable


def nearest(name: str, known: Iterable[str], count: int = 4) -> list[str]:
    """At most `count` of `known` that look like `name`, nearest first (difflib ratio >= 0.6)."""
    from difflib import get_close_matches  # a sizeable import that only a typing slip needs

    return get_close_matches(name, list(known), count)
