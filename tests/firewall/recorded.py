"""Recorded packet filters: ufw and firewalld as they set themselves up."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sparkdoctor import archive
from sparkdoctor.archive import Entry
from sparkdoctor.system import Recorded
from tests.recordings import files

EMPTY = {"/proc/net/ip_tables_names": "", "/proc/net/ip6_tables_names": ""}
"""No tables of the older iptables."""


def recorded(name: str, changes: Mapping[str, str | Entry] | None = None) -> Recorded:
    """tests/firewall/NAME.ttar, with entries replaced."""
    text = (Path(__file__).parent / f"{name}.ttar").read_text()
    return files({**archive.parse(text, name), **(changes or {})})
