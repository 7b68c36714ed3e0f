"""The reader of compose files held to the table of compose_cases.py."""

from __future__ import annotations

import msgspec
import pytest

from sparkdoctor.launch.types import LaunchError, Spec
from tests.launch.compose_cases import CASES, Case, Refused
from tests.launch.composing import FOLDER, read


def run(case: Case) -> dict[str, Spec]:
    return read(
        case.files,
        use=case.use,
        env_files=case.env_files,
        profiles=case.profiles,
        environ=case.environ,
        services=case.services,
    )


def seen(spec: Spec, field: str) -> object:
    fact = getattr(spec, field)
    if fact is None:
        return None
    if field == "mounts":
        return tuple((mount.source, mount.target, mount.read_only) for mount in fact.value)
    return fact.value


@pytest.mark.parametrize("case", [pytest.param(case, id=case.name) for case in CASES])
def test_case(case: Case) -> None:
    if isinstance(case.want, Refused):
        with pytest.raises(LaunchError) as caught:
            run(case)
        assert caught.value.where.startswith(f"{FOLDER}/{case.want.where}")
        assert case.want.words in str(caught.value)
        assert "\n" not in str(caught.value)
        return
    specs = run(case)
    assert list(specs) == list(case.want)
    for name, fields in case.want.items():
        spec = specs[name]
        for field, value in fields.items():
            if field == "env":
                env: dict[str, str | None] = {key: fact.value for key, fact in spec.env.value.items()}
                assert {**env, **dict.fromkeys(spec.unset)} == value
            else:
                assert seen(spec, field) == value, field


def test_a_spec_survives_json() -> None:
    for case in CASES:
        if not isinstance(case.want, Refused):
            for spec in run(case).values():
                assert msgspec.json.decode(msgspec.json.encode(spec), type=Spec) == spec
