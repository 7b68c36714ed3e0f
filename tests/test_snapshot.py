"""Snapshots: written, read back, refused."""

from __future__ import annotations

import msgspec
import pytest

from sparkdoctor.snapshot import SCHEMA, Snapshot, SnapshotError, from_json, is_snapshot, to_json
from sparkdoctor.testing import healthy_host, healthy_spec


def test_a_snapshot_comes_back_as_it_was() -> None:
    snapshot = Snapshot(healthy_host(1), (healthy_spec(1),))
    text = to_json(snapshot)
    assert from_json(text, "x.json") == snapshot
    assert is_snapshot(text.encode()[:200])
    assert next(iter(msgspec.json.decode(text))) == "schema"


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "x.json: not a snapshot: "),
        ("{", "x.json: not a snapshot: "),
        ("[]", "x.json: not a snapshot: Expected `object`, got `array`"),
        ("{}", f"x.json: no schema; this version reads {SCHEMA!r}"),
        ('{"schema": "sparkdoctor.snapshot/9"}', "x.json: schema 'sparkdoctor.snapshot/9'; this version reads"),
        (f'{{"schema": "{SCHEMA}"}}', "x.json: Object missing required field `host`"),
        (f'{{"schema": "{SCHEMA}", "host": {{"taken": 7}}}}', "x.json: Expected `str`, got `int` - at `$.host.taken`"),
    ],
)
def test_what_is_not_a_snapshot_is_refused_in_one_line(text: str, problem: str) -> None:
    with pytest.raises(SnapshotError) as error:
        from_json(text, "x.json")
    assert str(error.value).startswith(problem)
    assert "\n" not in str(error.value)


def test_a_huge_file_is_not_decoded() -> None:
    with pytest.raises(SnapshotError, match="larger than 64 MiB"):
        from_json(b" " * ((64 << 20) + 1), "x.json")
