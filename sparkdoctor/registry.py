"""Find checks and knowledge: built in, in installed packages, in the user's own folders.

All three go through the same loader and validation; where each came from is kept. A plugin
that does not load is a Trouble, never a silent gap.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import pkgutil
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import EntryPoint, entry_points
from importlib.resources import files
from itertools import groupby
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from sparkdoctor.api import Check
from sparkdoctor.host import Data

if TYPE_CHECKING:
    from sparkdoctor.signatures import Knowledge

BUILT_IN = "built in"


class Clash(Exception):
    """Two origins give the same name."""


class Trouble(Data, frozen=True):
    """Something of ours or a stranger's that did not load."""

    origin: str
    problem: str


class Checks(Data, frozen=True):
    """Checks by name, each with its origin, and what did not load."""

    by_name: dict[str, Check]
    origin: dict[str, str]
    troubles: tuple[Trouble, ...] = ()


class Registry(Data, frozen=True):
    """Everything that sparkdoctor can check and explain."""

    checks: Checks
    knowledge: Knowledge
    origin: dict[str, str]
    """Of every check, signature, cause and mark."""
    troubles: tuple[Trouble, ...] = ()


def builtin_check(name: str) -> Check:
    """A check that ships with sparkdoctor. Raises KeyError."""
    return {check.name: check for check in _builtin_checks()}[name]


def load_checks() -> Checks:
    """All checks. Raises Clash when two have one name."""
    by_name: dict[str, Check] = {}
    origin: dict[str, str] = {}
    troubles: list[Trouble] = []

    def add(checks: Iterable[Check], source: str) -> None:
        for check in checks:
            if origin.get(check.name, source) != source:
                raise Clash(f"the check {check.name} is in {origin[check.name]} and in {source}")
            by_name[check.name], origin[check.name] = check, source

    add(_builtin_checks(), BUILT_IN)
    for entry in entry_points(group="sparkdoctor.checks"):
        source = _package(entry)
        try:
            add(_checks_in(entry.load()), source)
        except Clash:
            raise
        except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything while it is imported
            troubles.append(Trouble(source, _why(error)))
    for folder in user_folders():
        for path in _own_files(folder / "checks", "*.py", troubles):
            try:
                add(_checks_in(_module_from(path)), str(path))
            except Clash:
                raise
            except Exception as error:  # noqa: BLE001 - as above
                troubles.append(Trouble(str(path), _why(error)))
    return Checks(by_name, origin, tuple(troubles))


def load_registry() -> Registry:
    """All checks and all knowledge. Raises Clash, and KnowledgeError for what is built in.

    The entries of one package or user file may name each other, and what came before.
    """
    from sparkdoctor.signatures import Knowledge, KnowledgeError, load, merge  # `list checks` does without

    checks = load_checks()
    troubles = list(checks.troubles)
    origin = dict(checks.origin)
    merged = Knowledge({}, {})
    for source, texts in groupby(_knowledge_texts(troubles), key=lambda found: found[0]):
        parts = []
        for _, place, text in texts:
            try:
                parts.append(load(text, place))
            except KnowledgeError as error:
                if source == BUILT_IN:
                    raise
                troubles.append(Trouble(source, str(error)))
        names = [name for part in parts for name in (*part.signatures, *part.causes, *part.marks)]
        for name in names:
            if name in origin:
                raise Clash(f"the name {name} is in {origin[name]} and in {source}")
        try:
            merged = merge([merged, *parts], checks.by_name)
            origin |= dict.fromkeys(names, source)
        except KnowledgeError as error:
            if source == BUILT_IN:
                raise
            troubles.append(Trouble(source, str(error)))
    return Registry(checks, merged, origin, tuple(troubles))


def user_folders() -> list[Path]:
    """The user's own folders: $XDG_CONFIG_HOME/sparkdoctor and those in SPARKDOCTOR_PATH.

    Never the current folder: a check is code, and a checkout from a stranger must not run.
    """
    config = Path(os.environ.get("XDG_CONFIG_HOME") or Path.home() / ".config") / "sparkdoctor"
    named = [Path(part) for part in os.environ.get("SPARKDOCTOR_PATH", "").split(os.pathsep) if part]
    return [config, *named]


def _builtin_checks() -> Iterator[Check]:
    package = importlib.import_module("sparkdoctor.checks")
    for module in pkgutil.iter_modules(package.__path__):
        yield from _checks_in(importlib.import_module(f"sparkdoctor.checks.{module.name}"))


def _checks_in(module: ModuleType) -> list[Check]:
    return [thing for thing in vars(module).values() if isinstance(thing, Check)]


def _knowledge_texts(troubles: list[Trouble]) -> Iterator[tuple[str, str, str]]:
    """(origin, file for messages, text) of every knowledge file."""
    for resource in sorted(files("sparkdoctor.knowledge").iterdir(), key=lambda item: item.name):
        if resource.name.endswith(".toml"):
            yield BUILT_IN, f"knowledge/{resource.name}", resource.read_text("utf-8")
    for entry in entry_points(group="sparkdoctor.knowledge"):
        try:
            for resource in files(entry.load()).iterdir():
                if resource.name.endswith(".toml"):
                    yield _package(entry), resource.name, resource.read_text("utf-8")
        except Exception as error:  # noqa: BLE001 - a stranger's package may raise anything while it is imported
            troubles.append(Trouble(_package(entry), _why(error)))
    for folder in user_folders():
        for path in _own_files(folder / "knowledge", "*.toml", troubles):
            try:
                yield str(path), str(path), path.read_text("utf-8")
            except (OSError, UnicodeDecodeError) as error:
                troubles.append(Trouble(str(path), _why(error)))


def _own_files(folder: Path, pattern: str, troubles: list[Trouble]) -> list[Path]:
    if not folder.is_dir():
        return []
    found = sorted(folder.glob(pattern))
    if os.geteuid() == 0:
        strange = [path for path in found if path.stat().st_uid != 0 or folder.stat().st_uid != 0]
        troubles += [Trouble(str(path), "root does not own it, so it is not run as root") for path in strange]
        found = [path for path in found if path not in strange]
    return found


def _module_from(path: Path) -> ModuleType:
    name = f"sparkdoctor_user_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _package(entry: EntryPoint) -> str:
    return f"package {entry.dist.name}" if entry.dist is not None else f"entry point {entry.name}"


def _why(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
