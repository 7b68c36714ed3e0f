"""Lay one service over another: later -f files over earlier ones, a service over what it extends.

Source: compose-go v2.13.0 override/merge.go (which attribute merges how) and override/uncity.go
(what makes two entries of a list the same one). Only attributes that a rank can notice are
merged in full; of the others the later one is taken.
"""

from __future__ import annotations

import posixpath
from collections.abc import Callable
from dataclasses import replace

from sparkdoctor.launch.tree import Listing, Node, Scalar, Table, kind, path_of, places, want_string, want_text
from sparkdoctor.launch.types import LaunchError

_REPLACED = {"command", "entrypoint", "build", "depends_on", "networks", "models", "extra_hosts", "logging",
             "healthcheck", "extends"}  # fmt: skip
_BY_NAME = {"environment", "labels", "annotations", "sysctls"}
"""`NAME=value` lists or maps; one entry a name."""
_LISTS = {"env_file", "label_file", "tmpfs", "dns", "dns_opt", "dns_search"}
"""A single value counts as a list of one."""


def merge_service(base: Table, over: Table) -> Table:
    """`over` laid over `base`. Raises LaunchError where compose says `cannot override`."""
    return _unique(_table(base, over, ()))


def as_base(service: Table) -> Table:
    """A service as another one inherits it: its own `!reset` and `!override` have done their work."""
    items: dict[str, Node] = {}
    for key, value in service.items.items():
        if value.tag != "reset":
            items[key] = as_base(value) if isinstance(value, Table) else replace(value, tag="")
    return replace(service, items=items, tag="")


def by_name(node: Node) -> Table:
    """An `environment` in either form as a table; a name without a value is null. Raises LaunchError."""
    if isinstance(node, Table):
        return node
    items: dict[str, Node] = {}
    if isinstance(node, Scalar):
        raise LaunchError(node.where, f"`environment` must be a list or a mapping, and this is {kind(node)}")
    for item in node.items:
        entry = want_string(item, "environment")
        name, equals, _ = entry.text.partition("=")
        if name[-1:].isspace():
            raise LaunchError(entry.where, f"the variable `{name}` is declared with a trailing space")
        value = entry.part(len(name) + 1) if equals else replace(entry, value=None, pieces=())
        items[name] = _over(items[name], value) if name in items else value
    return Table(file=node.file, line=node.line, folder=node.folder, tag=node.tag, items=items)


def _table(base: Table, over: Table, path: tuple[str, ...]) -> Table:
    items = dict(base.items)
    for key, value in over.items.items():
        items[key] = _node(items[key], value, (*path, key)) if key in items else value
    return replace(base, items=items)


def _node(base: Node, over: Node, path: tuple[str, ...]) -> Node:
    if over.tag or base.tag == "reset":
        return over
    if path == ("extra_hosts",) and isinstance(base, Listing) and isinstance(over, Listing):
        return _append(base, over)
    if path == ("extra_hosts",) and isinstance(base, Table) and isinstance(over, Table):
        return _table(base, over, path)
    if path[0] in _REPLACED:
        return _over(base, over)
    if isinstance(over, Scalar) and over.value is None and path[:-1] not in {("environment",)}:
        return base
    if len(path) == 1 and path[0] in _BY_NAME:
        return _table(by_name(base), by_name(over), path)
    if len(path) == 1 and path[0] in _LISTS:
        return _append(_listed(base), _listed(over))
    if path[0] == "ulimits" and len(path) > 1:
        return _over(base, over)
    if isinstance(base, Table):
        if not isinstance(over, Table):
            raise LaunchError(over.where, f"`{'.'.join(path)}` cannot override {kind(base)} of {base.where}")
        return _table(base, over, path)
    if isinstance(base, Listing):
        if not isinstance(over, Listing):
            raise LaunchError(over.where, f"`{'.'.join(path)}` cannot override a list of {base.where}")
        return _append(base, over)
    return _over(base, over)


def _over(base: Node, over: Node) -> Node:
    return replace(over, over=(*over.over, *places(base))) if isinstance(over, Scalar) else over


def _listed(node: Node) -> Listing:
    if isinstance(node, Listing):
        return node
    return Listing(file=node.file, line=node.line, folder=node.folder, items=(node,))


def _append(base: Listing, over: Listing) -> Listing:
    return replace(base, items=(*base.items, *over.items))


def _unique(service: Table) -> Table:
    """Of list entries that mean the same thing the last one stays, in the place of the first."""
    items = dict(service.items)
    for key, index in _INDEX.items():
        node = items.get(key)
        if isinstance(node, Listing):
            kept: dict[str, Node] = {}
            for entry in node.items:
                if entry.tag != "reset":
                    kept[index(entry)] = entry
            items[key] = replace(node, items=tuple(kept.values()))
    return replace(service, items=items)


def _name(entry: Node) -> str:
    return want_text(entry, "entry").text.partition("=")[0]


def _field(entry: Node, name: str) -> str:
    """The text of a field of a long-form entry. Raises LaunchError when it is missing."""
    if isinstance(entry, Table) and isinstance(value := entry.get(name), Scalar):
        return value.text
    raise LaunchError(entry.where, f"`{name}` is missing here")


def volume_parts(text: str) -> list[str]:
    """A short-form volume at its colons; one letter before a colon is a Windows drive, even here."""
    parts: list[str] = []
    for part in text.split(":"):
        if parts and len(parts[-1]) == 1 and parts[-1].isalpha():
            parts[-1] += f":{part}"
        else:
            parts.append(part)
    return parts


def _volume(entry: Node) -> str:
    if isinstance(entry, Scalar):
        parts = volume_parts(entry.text)
        return posixpath.normpath(parts[1] if len(parts) > 1 else parts[0])
    return posixpath.normpath(_field(entry, "target"))


def _device(entry: Node) -> str:
    if isinstance(entry, Scalar):
        parts = entry.text.split(":")
        return parts[1] if len(parts) > 1 else parts[0]
    return _field(entry, "target")


def _env_file(entry: Node) -> str:
    if isinstance(entry, Table) and isinstance(path := entry.get("path"), Scalar):
        return path_of(path)
    return path_of(want_text(entry, "env_file"))


_INDEX: dict[str, Callable[[Node], str]] = {
    "cap_add": _name,
    "cap_drop": _name,
    "devices": _device,
    "env_file": _env_file,
    "profiles": _name,
    "tmpfs": _name,
    "volumes": _volume,
}
