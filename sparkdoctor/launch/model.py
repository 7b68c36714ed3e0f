"""The services of compose files after interpolation, `include`, `extends` and merging.

The order of steps is that of compose-go v2.13.0 (loader/loader.go, loadYamlFile): each file is
interpolated whole, then its includes are taken in, then `extends`, then it is laid over the files
before it. Relative paths keep the folder they start from with them (see tree.Written.folder).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from sparkdoctor.launch.dotenv import blank, read_dotenv
from sparkdoctor.launch.interpolate import Lookup, TemplateError, Variable, plain, substitute
from sparkdoctor.launch.merge import as_base, merge_service
from sparkdoctor.launch.tree import Listing, Locator, Node, Piece, Scalar, Table, path_of, want_table, want_text
from sparkdoctor.launch.types import LaunchError, Remark
from sparkdoctor.launch.yaml_tree import read_documents
from sparkdoctor.system import System

MAX_FILES = 64
"""Compose files that one launch may be spread over, with all that it includes and extends."""


class Named(NamedTuple):
    """A file: as the user knows it, and where it is."""

    shown: str
    path: str

    @staticmethod
    def given(path: str) -> Named:
        return Named(path, os.path.abspath(path))

    def beside(self, other: str, folder: str) -> Named:
        """Another file that this one refers to, relative to `folder`; shown relative if it lies near."""
        path = os.path.normpath(os.path.join(folder, other))
        near = os.path.relpath(path, os.path.dirname(self.path))
        if os.path.isabs(self.shown) or near.startswith("../../.."):
            return Named(path, path)
        return Named(os.path.normpath(os.path.join(os.path.dirname(self.shown), near)), path)


Variables = Mapping[str, Variable]


def read_text(system: System, file: Named, asked_at: str = "") -> str:
    """Raises LaunchError that names the place which asked for the file."""
    fact = system.read(file.path)
    if not fact.is_known:
        why = "no such file" if fact.absent else fact.problem
        if asked_at:
            raise LaunchError(asked_at, f"{file.shown}: {why}")
        raise LaunchError(file.shown, why)
    return fact.value


class Model:
    """Reads services; remembers files so that a base file is parsed once."""

    def __init__(self, system: System, home: str) -> None:
        self.system = system
        self.home = home
        self._documents: dict[tuple[str, str], list[Table]] = {}

    def services(self, files: tuple[Named, ...], folder: str, variables: Variables) -> dict[str, Table]:
        """All services of `files` laid over each other, enabled or not."""
        return self._files(files, folder, variables, ())

    def _files(
        self, files: tuple[Named, ...], folder: str, variables: Variables, chain: tuple[Named, ...], asked_at: str = ""
    ) -> dict[str, Table]:
        services: dict[str, Table] = {}
        for file in files:
            if any(file.path == other.path for other in chain):
                names = " includes ".join(each.shown for each in (*chain, file))
                raise LaunchError(asked_at or file.shown, f"files include each other in a circle: {names}")
            for document in self._read(file, folder, asked_at):
                document = interpolated(document, variables.get)
                own = _services_of(document)
                self._include(document, own, folder, variables, (*chain, file))
                for name in own:
                    service = self._extended(name, own, file, variables, ())
                    services[name] = merge_service(services[name], service) if name in services else service
        return services

    def _read(self, file: Named, folder: str, asked_at: str = "") -> list[Table]:
        key = file.path, folder
        if key not in self._documents:
            if len(self._documents) >= MAX_FILES:
                raise LaunchError(asked_at or file.shown, f"more than {MAX_FILES} compose files belong together")
            self._documents[key] = read_documents(read_text(self.system, file, asked_at), file.shown, folder)
        return self._documents[key]

    def _include(
        self, document: Table, own: dict[str, Table], folder: str, variables: Variables, chain: tuple[Named, ...]
    ) -> None:
        """Add the services of included files to `own`; what this file says itself is laid over them."""
        node = document.get("include")
        if node is None:
            return
        if not isinstance(node, Listing):
            raise LaunchError(node.where, "`include` must be a list")
        for entry in node.items:
            table = (
                entry if isinstance(entry, Table) else Table(file=entry.file, line=entry.line, items={"path": entry})
            )
            paths = _texts(table, "path")
            if not paths:
                raise LaunchError(entry.where, "`include` names no file")
            files = tuple(self._local(chain[-1], path) for path in paths)
            project = table.get("project_directory")
            inside = os.path.dirname(files[0].path)
            if project is not None:
                inside = path_of(replace(want_text(project, "project_directory"), folder=folder), self.home)
            env_files = tuple(
                self._local(chain[-1], path) for path in _texts(table, "env_file") if path.text != "/dev/null"
            )
            if "env_file" not in table.items:
                default = chain[-1].beside(os.path.join(inside, ".env"), folder)
                env_files = (default,) if self.system.read(default.path).is_known else ()
            merged = with_env_files(self.system, variables, env_files, entry.where)[0]
            for name, service in self._files(files, inside, merged, chain, entry.where).items():
                own[name] = merge_service(service, own[name]) if name in own else service

    def _local(self, file: Named, path: Scalar) -> Named:
        if "://" in path.text or path.text.startswith("git@"):
            raise LaunchError(path.where, f"`{path.text}` is not on this machine, and sparkdoctor fetches nothing")
        return file.beside(path_of(path, self.home), path.folder)

    def _extended(
        self,
        name: str,
        services: Mapping[str, Table],
        file: Named,
        variables: Variables,
        trail: tuple[tuple[str, str], ...],
    ) -> Table:
        """A service with what it extends filled in."""
        service = services[name]
        extends = service.get("extends")
        if extends is None:
            return service
        step = file.path, name
        if step in trail:
            names = " extends ".join(other for _, other in (*trail[trail.index(step) :], step))
            raise LaunchError(extends.where, f"services extend each other in a circle: {names}")
        if isinstance(extends, Table):
            node = extends.get("service")
            if node is None:
                raise LaunchError(extends.where, "`extends` names no `service`")
            wanted, other = want_text(node, "extends.service"), extends.get("file")
        else:
            wanted, other = want_text(extends, "extends"), None
        if other is not None:
            path = want_text(other, "extends.file")
            file = self._local(file, path)
            services = {}
            for document in self._read(file, os.path.dirname(file.path), path.where):
                for each, found in _services_of(interpolated(document, variables.get)).items():
                    services[each] = merge_service(services[each], found) if each in services else found
        if wanted.text not in services:
            raise LaunchError(wanted.where, f"{file.shown} has no service `{wanted.text}` to extend")
        base = self._extended(wanted.text, services, file, variables, (*trail, step))
        merged = merge_service(as_base(base), service)
        return replace(merged, items={key: value for key, value in merged.items.items() if key != "extends"})


def _services_of(document: Table) -> dict[str, Table]:
    node = document.get("services")
    if node is None:
        return {}
    services = {}
    for name, service in want_table(node, "services").items.items():
        if service.tag != "reset":
            services[name] = want_table(service, f"services.{name}")
    return services


def _texts(table: Table, key: str) -> list[Scalar]:
    node = table.get(key)
    if node is None:
        return []
    return [want_text(item, key) for item in (node.items if isinstance(node, Listing) else (node,))]


def with_env_files(
    system: System, variables: Variables, files: tuple[Named, ...], asked_at: str = ""
) -> tuple[dict[str, Variable], tuple[Remark, ...]]:
    """`variables` with those of .env files beside them, which lose against them."""
    found: dict[str, Variable] = {}
    remarks: list[Remark] = []
    for file in files:
        remarks += read_dotenv(read_text(system, file, asked_at), file.shown, variables.get, found)
    result = dict(found)
    for name, variable in variables.items():
        loser = found.get(name)
        over = (loser.place, *loser.over) if loser is not None else ()
        result[name] = variable._replace(over=(*variable.over, *over))
    return result, tuple(remarks)


def interpolated(table: Table, lookup: Lookup) -> Table:
    """The tree with variables filled into its values (never into its keys). Raises LaunchError."""
    return replace(table, items={key: _interpolated(value, lookup) for key, value in table.items.items()})


def _interpolated(node: Node, lookup: Lookup) -> Node:
    if isinstance(node, Table):
        return interpolated(node, lookup)
    if isinstance(node, Listing):
        return replace(node, items=tuple(_interpolated(item, lookup) for item in node.items))
    if not isinstance(node.value, str) or "$" not in node.value:
        return node
    lines = Locator(node)
    try:
        segments, unset = substitute(node.value, lookup)
    except TemplateError as error:
        raise LaunchError(f"{node.file}:{lines.line(error.offset)}", error.problem) from None
    pieces: list[Piece] = []
    for segment in segments:
        if segment.note:
            pieces.append(Piece(segment.text, lines.line(segment.offset), segment.note))
        else:
            pieces += lines.cut(segment.offset, segment.text)
    remarks = tuple(blank(f"{node.file}:{lines.line(offset)}", name) for name, offset in unset)
    return replace(node, value=plain(segments), pieces=tuple(pieces), remarks=(*node.remarks, *remarks))
