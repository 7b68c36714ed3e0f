"""Find checks and knowledge: built in, in installed packages, in the user's own folders.

All three go through the same loader and validation; where each came from is kept. A plugin
that does not load is a Trouble, never a silent gap.
"""

from __future__ import annotations

import importlib
import os
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import TYPE_CHECKING, Any

import msgspec

import sparkdoctor
from sparkdoctor.api import Check, Cluster, Node, Severity
from sparkdoctor.cache import digest, keep, recall
from sparkdoctor.host import Data
from sparkdoctor.plugins import Trouble, entries, own_files, why

if TYPE_CHECKING:
    from types import ModuleType

    from sparkdoctor.signatures import Knowledge

BUILT_IN = "built in"
LAYOUT = b"2"
"""Changed with the meaning of what is kept between runs."""


class Clash(Exception):
    """Two origins give the same name."""


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
    return _with_plugins(_builtin_checks())


def load_registry() -> Registry:
    """All checks and all knowledge. Raises Clash, and KnowledgeError for what is built in.

    The entries of one package or user file may name each other, and what came before. What was judged in an earlier
    run is not judged again, and a check's module is imported when it is run.
    """
    checks = _with_plugins(_known_checks())
    troubles = list(checks.troubles)
    others = list(_knowledge_of_others(troubles))
    own = _stamps("knowledge", ".toml") or [part for found in _texts_of_package() for part in found]
    key = _key(*checks.by_name, "", *own, "", *(part for found in others for part in found))
    judged = _recalled("knowledge", key, _judged_type())
    if judged is None:
        built_in = [(BUILT_IN, f"knowledge/{name}", text) for name, text in _texts_of_package()]
        judged = _judge([*built_in, *others], checks)
        keep("knowledge", key, msgspec.msgpack.encode(judged))
    knowledge, origin, found = judged
    return Registry(checks, knowledge, checks.origin | origin, (*troubles, *found))


def _judged_type() -> Any:
    from sparkdoctor.signatures import Knowledge  # `list checks` and `check` do without

    return tuple[Knowledge, dict[str, str], list[Trouble]]


def _judge(texts: Iterable[tuple[str, str, str]], checks: Checks) -> tuple[Knowledge, dict[str, str], list[Trouble]]:
    from sparkdoctor.signatures import Knowledge, KnowledgeError, load, merge

    troubles: list[Trouble] = []
    origin: dict[str, str] = {}
    merged = Knowledge({}, {})
    for source, found in groupby(texts, key=lambda one: one[0]):
        parts = []
        for _, place, text in found:
            try:
                parts.append(load(text, place))
            except KnowledgeError as error:
                if source == BUILT_IN:
                    raise
                troubles.append(Trouble(source, str(error)))
        names = [name for part in parts for name in (*part.signatures, *part.causes, *part.marks)]
        for name in names:
            if name in origin or name in checks.origin:
                raise Clash(f"the name {name} is in {origin.get(name) or checks.origin[name]} and in {source}")
        try:
            merged = merge([merged, *parts], checks.by_name)
            origin |= dict.fromkeys(names, source)
        except KnowledgeError as error:
            if source == BUILT_IN:
                raise
            troubles.append(Trouble(source, str(error)))
    return merged, origin, troubles


def _with_plugins(builtin: Iterable[Check]) -> Checks:
    by_name: dict[str, Check] = {}
    origin: dict[str, str] = {}
    troubles: list[Trouble] = []

    def add(checks: Iterable[Check], source: str) -> None:
        for check in checks:
            if origin.get(check.name, source) != source:
                raise Clash(f"the check {check.name} is in {origin[check.name]} and in {source}")
            by_name[check.name], origin[check.name] = check, source

    add(builtin, BUILT_IN)
    for entry in entries("sparkdoctor.checks"):
        try:
            add(_checks_in(entry.load()), entry.source)
        except Clash:
            raise
        except Exception as error:  # noqa: BLE001 - a stranger's module may raise anything while it is imported
            troubles.append(Trouble(entry.source, why(error)))
    for path in own_files("checks", ".py", troubles):
        try:
            add(_checks_in(_module_from(path)), path)
        except Clash:
            raise
        except Exception as error:  # noqa: BLE001 - as above
            troubles.append(Trouble(path, why(error)))
    return Checks(by_name, origin, tuple(troubles))


class _Known(msgspec.Struct, array_like=True):
    """What is kept of a built-in check: all but the function, which is in its module."""

    module: str
    attribute: str
    name: str
    severity: Severity
    of_node: bool
    docs: str
    after: tuple[str, ...]
    needs_root: bool

    def check(self) -> Check:
        scope = Node if self.of_node else Cluster
        return Check(self.name, self.severity, scope, self.run, self.docs, self.after, self.needs_root)

    def run(self, target: Any) -> Any:
        return getattr(importlib.import_module(self.module), self.attribute).run(target)


def _known_checks() -> Iterable[Check]:
    """The built-in checks, without importing them if they are as they were in an earlier run."""
    stamps = _stamps("checks", ".py")
    if not stamps:
        return _builtin_checks()
    key = _key(*stamps)
    known = _recalled("checks", key, list[_Known])
    if known is None:
        known = [
            _Known(
                module.__name__,
                attribute,
                one.name,
                one.severity,
                one.scope is Node,
                one.docs,
                one.after,
                one.needs_root,
            )
            for module in _builtin_modules()
            for attribute, one in vars(module).items()
            if isinstance(one, Check)
        ]
        keep("checks", key, msgspec.msgpack.encode(known))
    return [one.check() for one in known]


def _stamps(kind: str, suffix: str) -> list[str]:
    """Place, size and time of change of all built-in files of a kind; none when they are not in a folder."""
    for base in sparkdoctor.__path__:
        folder = os.path.join(base, kind)
        try:
            with os.scandir(folder) as listing:
                found = [(entry.path, entry.stat()) for entry in listing if entry.name.endswith(suffix)]
        except OSError:  # not here, or in a zip file
            continue
        return sorted(f"{path} {status.st_size} {status.st_mtime_ns}" for path, status in found)
    return []


def _key(*parts: str) -> str:
    words = (sparkdoctor.__version__, sys.version, *parts)
    return digest([LAYOUT, *(word.encode(errors="surrogateescape") for word in words)])


def _recalled(kind: str, key: str, type_: Any) -> Any:
    content = recall(kind, key)
    if content is None:
        return None
    try:
        return msgspec.msgpack.decode(content, type=type_)
    except msgspec.DecodeError:  # ValidationError is one; of another layout, and replaced now
        return None


def _builtin_modules() -> Iterator[ModuleType]:
    import pkgutil

    package = importlib.import_module("sparkdoctor.checks")
    for module in pkgutil.iter_modules(package.__path__):
        yield importlib.import_module(f"sparkdoctor.checks.{module.name}")


def _builtin_checks() -> Iterator[Check]:
    for module in _builtin_modules():
        yield from _checks_in(module)


def _checks_in(module: Any) -> list[Check]:
    return [thing for thing in vars(module).values() if isinstance(thing, Check)]


def _knowledge_of_others(troubles: list[Trouble]) -> Iterator[tuple[str, str, str]]:
    """(origin, file for messages, text) of every knowledge file that is not ours."""
    for entry in entries("sparkdoctor.knowledge"):
        try:
            for name, text in _texts_in(entry.load()):
                yield entry.source, name, text
        except Exception as error:  # noqa: BLE001 - a stranger's package may raise anything while it is imported
            troubles.append(Trouble(entry.source, why(error)))
    for path in own_files("knowledge", ".toml", troubles):
        try:
            with open(path, encoding="utf-8") as file:
                yield path, path, file.read()
        except (OSError, UnicodeDecodeError) as error:
            troubles.append(Trouble(path, why(error)))


def _texts_of_package() -> Iterator[tuple[str, str]]:
    """The knowledge files of our own package, which need not be imported when they are in a folder."""
    for base in sparkdoctor.__path__:
        folder = os.path.join(base, "knowledge")
        if os.path.isdir(folder):
            for found in sorted(os.listdir(folder)):
                if found.endswith(".toml"):
                    with open(os.path.join(folder, found), encoding="utf-8") as file:
                        yield found, file.read()
            return
    yield from _texts_in(importlib.import_module("sparkdoctor.knowledge"))


def _texts_in(package: Any) -> Iterator[tuple[str, str]]:
    from importlib.resources import files

    for resource in sorted(files(package).iterdir(), key=lambda item: item.name):
        if resource.name.endswith(".toml"):
            yield resource.name, resource.read_text("utf-8")


def _module_from(path: str) -> ModuleType:
    import importlib.util

    name = f"sparkdoctor_user_{os.path.basename(path).removesuffix('.py')}"
    spec = importlib.util.spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module
