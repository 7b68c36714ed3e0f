"""Launch files on a machine that exists only in a test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from textwrap import dedent

from sparkdoctor import archive
from sparkdoctor.launch.compose import read_compose
from sparkdoctor.launch.types import Spec
from sparkdoctor.system import Recorded

FOLDER = "/p"


def machine(files: Mapping[str, str]) -> Recorded:
    """A machine with these files and no others; names are relative to FOLDER."""
    entries = {f"{FOLDER}/{name}": archive.Entry(text=dedent(text)) for name, text in files.items()}
    entries |= {path: archive.Entry(folder=names) for path, names in archive.folders(entries).items() if path}
    return Recorded(archive.render(entries))


def read(
    files: Mapping[str, str] | str,
    *,
    use: Sequence[str] = ("compose.yaml",),
    env_files: Sequence[str] = (),
    profiles: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
    services: Sequence[str] = (),
) -> dict[str, Spec]:
    """The specs by service; one text is /p/compose.yaml."""
    if isinstance(files, str):
        files = {"compose.yaml": files}
    specs = read_compose(
        machine(files),
        [f"{FOLDER}/{name}" for name in use],
        [f"{FOLDER}/{name}" for name in env_files],
        profiles=profiles,
        environ=environ or {},
        services=services,
    )
    return {spec.service: spec for spec in specs}


def one(files: Mapping[str, str] | str, **how: Sequence[str] | Mapping[str, str]) -> Spec:
    """The only spec."""
    (spec,) = read(files, **how).values()  # type: ignore[arg-type]
    return spec


def values(spec: Spec) -> dict[str, str]:
    return {name: fact.value for name, fact in spec.env.value.items()}
