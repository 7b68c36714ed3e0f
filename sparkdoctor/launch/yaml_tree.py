"""YAML text to a tree of nodes with places. Never builds an object, never follows a bomb.

PyYAML only scans and composes here; what a plain scalar means follows go-yaml, which Docker
Compose uses (see sparkdoctor.launch.scalars). Merge keys (`<<`) are resolved as go-yaml does:
own keys win, then the first of several maps.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import yaml

from sparkdoctor.launch import scalars
from sparkdoctor.launch.scalars import Plain
from sparkdoctor.launch.tree import Listing, Node, Piece, Scalar, Table, Tag, places
from sparkdoctor.launch.types import LaunchError

MAX_TEXT = 1 << 19
"""Characters of one file."""
MAX_DEPTH = 64
MAX_NODES = 100_000
"""Nodes after aliases are followed, as in compose-go (loader/reset.go, defaultMaxNodeVisits)."""

_BREAK = re.compile("\r\n|[\n\r\x85\u2028\u2029]")
"""What PyYAML counts as the end of a line."""
_PLAIN, _QUOTED = "plain", "quoted"
_STANDARD = "tag:yaml.org,2002:"
_TAGS: dict[str, Tag] = {"!reset": "reset", "!override": "override"}


def read_documents(text: str, file: str, folder: str) -> list[Table]:
    """The documents of a file, in order; an empty file has none.

    Raises LaunchError for what is not YAML, is no mapping, or is larger or deeper than any
    launch file is.
    """
    if len(text) > MAX_TEXT:
        raise LaunchError(file, f"larger than {MAX_TEXT >> 10} KiB")
    loader = None
    try:
        loader = _Loader(text)
        roots = []
        while loader.check_node():
            if (root := loader.get_node()) is not None:
                roots.append(root)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        words = " ".join(filter(None, (error.context, error.problem)))
        raise LaunchError(f"{file}:{mark.line + 1}" if mark else file, f"not YAML: {words}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise LaunchError(f"{file}:{line}", "not YAML: a character that YAML does not allow") from None
    except (yaml.YAMLError, ValueError, OverflowError) as error:
        line = loader.line + 1 if loader is not None else 1
        raise LaunchError(f"{file}:{line}", f"not YAML: {error}") from None
    build = _Build(text, file, folder)
    documents = []
    for root in roots:
        document = build.node(root)
        if not isinstance(document, Table):
            raise LaunchError(document.where, "the top level is not a mapping")
        documents.append(document)
    return documents


class _TooDeep(yaml.MarkedYAMLError):
    pass


class _Loader(yaml.SafeLoader):
    """Composes nodes; their tag says how the scalar is written unless it has one of its own."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.depth = 0

    def resolve(self, kind: type[yaml.Node] | None, value: Any, implicit: Any) -> str:
        if kind is yaml.ScalarNode:
            return _PLAIN if implicit[0] else _QUOTED
        return ""

    def descend_resolver(self, current_node: Any, current_index: Any) -> None:
        pass

    def ascend_resolver(self) -> None:
        pass

    def scan_to_next_token(self) -> None:
        """PyYAML's own, but a tab may also stand between tokens, as YAML 1.2 and libyaml allow.

        Not where a block key could start: there a tab would be indentation.
        """
        if self.index == 0 and self.peek() == "\ufeff":
            self.forward()
        while True:
            while self.peek() == " " or (self.peek() == "\t" and (self.flow_level or not self.allow_simple_key)):
                self.forward()
            if self.peek() == "#":
                while self.peek() not in "\0\r\n\x85\u2028\u2029":
                    self.forward()
            if not self.scan_line_break():  # type: ignore[no-untyped-call]
                return
            if not self.flow_level:
                self.allow_simple_key = True

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if self.depth >= MAX_DEPTH:
            raise _TooDeep(problem=f"nested more than {MAX_DEPTH} deep", problem_mark=event.start_mark)
        if not isinstance(event, yaml.AliasEvent) and getattr(event, "anchor", None) in self.anchors:
            del self.anchors[event.anchor]  # YAML 1.2 lets an anchor be set anew; PyYAML refuses
        self.depth += 1
        try:
            return super().compose_node(parent, index)
        finally:
            self.depth -= 1


class _Build:
    """Nodes of one file. A node that several aliases name is built once."""

    def __init__(self, text: str, file: str, folder: str) -> None:
        self.lines = _BREAK.split(text)
        self.file = file
        self.folder = folder
        self.done: dict[int, tuple[Node, int]] = {}
        self.open: set[int] = set()
        self.count = 0

    def node(self, node: yaml.Node) -> Node:
        line = node.start_mark.line + 1
        if id(node) in self.open:
            raise LaunchError(f"{self.file}:{line}", "an alias in it names the value that it is part of")
        if id(node) in self.done:
            built, size = self.done[id(node)]
            self._bound(size, line)
            return built
        before = self.count
        self._bound(1, line)
        self.open.add(id(node))
        if isinstance(node, yaml.ScalarNode):
            built = self._scalar(node, line)
        elif isinstance(node, yaml.SequenceNode):
            built = Listing(items=tuple(map(self.node, node.value)), **self._written(node, line))
        else:
            assert isinstance(node, yaml.MappingNode)
            built = Table(items=self._items(node), **self._written(node, line))
        self.open.discard(id(node))
        self.done[id(node)] = built, self.count - before
        return built

    def _bound(self, size: int, line: int) -> None:
        self.count += size
        if self.count > MAX_NODES:
            raise LaunchError(f"{self.file}:{line}", f"more than {MAX_NODES} values once its aliases are followed")

    def _written(self, node: yaml.Node, line: int) -> dict[str, Any]:
        return {"file": self.file, "line": line, "folder": self.folder, "tag": _TAGS.get(node.tag, "")}

    def _items(self, node: yaml.MappingNode) -> dict[str, Node]:
        own: dict[str, Node] = {}
        merged: dict[str, Node] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            where = f"{self.file}:{line}"
            key = self._key(key_node, where)
            if key in lines:
                raise LaunchError(where, f"the key `{key}` is here twice, first in line {lines[key]}")
            lines[key] = line
            value = self.node(value_node)
            if key == "<<":
                for table in self._merge(value, where):
                    for name, item in table.items.items():
                        merged.setdefault(name, item)
            elif isinstance(value, Scalar) or value_node.start_mark.index < key_node.start_mark.index:
                own[key] = value
            else:
                own[key] = replace(value, line=line)
        for key, value in merged.items():
            mine = own.setdefault(key, value)
            if mine is not value and isinstance(mine, Scalar):
                own[key] = replace(mine, over=(*mine.over, *places(value)))
        return own

    def _key(self, node: yaml.Node, where: str) -> str:
        if not isinstance(node, yaml.ScalarNode):
            raise LaunchError(where, "a key that is not text")
        if node.tag == _PLAIN and not isinstance(scalars.resolve(node.value), str):
            raise LaunchError(where, f"the key `{node.value}` is not text; put it in quotes")
        return _printable(node.value)

    def _merge(self, value: Node, where: str) -> Iterator[Table]:
        for table in value.items if isinstance(value, Listing) else (value,):
            if not isinstance(table, Table):
                raise LaunchError(where, "`<<` takes a mapping or a list of mappings")
            yield table

    def _scalar(self, node: yaml.ScalarNode, line: int) -> Scalar:
        written = self._written(node, line)
        value = self._value(node, f"{self.file}:{line}")
        if not isinstance(value, str):
            return Scalar(value=value, **written)
        return Scalar(value=value, pieces=tuple(self._pieces(node, value, line)), **written)

    def _value(self, node: yaml.ScalarNode, where: str) -> Plain:
        text = _printable(node.value)
        kind = node.tag.removeprefix(_STANDARD)
        if kind == "str" or (kind not in (_PLAIN, "int", "float", "bool", "null") and node.tag not in _TAGS):
            return text
        if kind == _PLAIN and scalars.is_date(text):
            raise LaunchError(where, f"`{text}` is a date to YAML, which docker compose refuses; put it in quotes")
        value = scalars.resolve(text)
        if kind == "float" and isinstance(value, int) and not isinstance(value, bool):
            return float(value)
        return value

    def _pieces(self, node: yaml.ScalarNode, value: str, line: int) -> Iterator[Piece]:
        """The text line by line as it is written, so that each word has its own line.

        Block and plain scalars have no escapes: their text and the source differ in blanks only.
        """
        last = node.end_mark.line
        if last <= node.start_mark.line or node.style in ("'", '"'):
            yield Piece(value, line)
            return
        block = node.style in ("|", ">")
        number = node.start_mark.line + block
        source = self.lines[number][0 if block else node.start_mark.column :]
        start = done = 0
        while True:
            for char in source:
                if not char.isspace():
                    while done < len(value) and value[done].isspace():
                        done += 1
                    done += 1
            number += 1
            if number > last or done >= len(value):
                break
            if done > start:
                yield Piece(value[start:done], number)
            start, source = done, self.lines[number]
        yield Piece(value[start:], number)


def _printable(text: str) -> str:
    """Without lone surrogates, which YAML escapes can make and no terminal or file takes."""
    return text.encode("utf-8", "replace").decode()
