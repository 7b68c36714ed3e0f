"""A file tree that may lie elsewhere: this machine's own, a container's, or an image's layers."""

from __future__ import annotations

import posixpath
from collections.abc import Sequence
from typing import TypeVar

from sparkdoctor.fact import CannotTell, Fact, unread
from sparkdoctor.system import Layer, System

T = TypeVar("T")


class Tree:
    """The tree under `root`; paths are those that a process in it would use."""

    def __init__(self, system: System, root: str) -> None:
        self._system = system
        self._root = root

    def place(self, path: str) -> str:
        """For a `where`."""
        return self._root + path

    def read(self, path: str) -> Fact[str]:
        """The text of a file; absent when there is none."""
        return hinted(self._system.read(self._root + path))

    def names(self, folder: str) -> tuple[str, ...] | None:
        """The names in a folder; None when there is no such folder. Raises CannotTell."""
        names = hinted(self._system.folder(self._root + folder))
        return None if names.absent else names.value


class Layers(Tree):
    """The tree that overlay layers make together, uppermost first.

    Documentation/filesystems/overlayfs.rst: a folder shows what its layers have, the upper one
    winning; a whiteout deletes a name below, and an opaque folder hides the same folder below.
    Symbolic links are not followed: where they lead is another layer's affair.
    """

    def __init__(self, system: System, layers: Sequence[str]) -> None:
        super().__init__(system, layers[0])
        self._layers = layers

    def place(self, path: str) -> str:
        return f"{path} in the image layers under {self._layers[0]}"

    def read(self, path: str) -> Fact[str]:
        folder, name = posixpath.split(path)
        try:
            visible = self._visible(folder)
        except CannotTell as why:
            return unread(why.where, why.problem)
        for layer, content in visible:
            if name in content.links:
                return unread(self.place(path), "a symbolic link inside an image, which is not followed")
            if name in content.names:
                return hinted(self._system.read(f"{layer}{path}"))
            if name in content.deleted:
                break
        return unread(self.place(path), "No such file or directory", absent=True)

    def names(self, folder: str) -> tuple[str, ...] | None:
        visible = self._visible(folder)
        if not visible:
            return None
        there: dict[str, bool] = {}
        for _, content in visible:
            for name in content.deleted:
                there.setdefault(name, False)
            for name in (*content.names, *content.links):
                there.setdefault(name, True)
        return tuple(sorted(name for name, is_there in there.items() if is_there))

    def _visible(self, folder: str) -> list[tuple[str, Layer]]:
        """The layers in which `folder` counts, with what it has there. Raises CannotTell."""
        if folder in ("", "/"):
            return [(layer, content) for layer in self._layers if (content := self._content(layer, "/")) is not None]
        above, name = posixpath.split(folder)
        found = []
        for layer, parent in self._visible(above):
            if name in parent.deleted or name in parent.links:
                break
            content = self._content(layer, folder) if name in parent.names else None
            if content is not None:
                found.append((layer, content))
                if content.opaque:
                    break
        return found

    def _content(self, layer: str, folder: str) -> Layer | None:
        content = hinted(self._system.layer(layer, folder))
        return None if content.absent else content.value


def hinted(fact: Fact[T]) -> Fact[T]:
    """Says what to do about a permission that is missing."""
    if fact.problem != "Permission denied":
        return fact
    return unread(fact.where, "Permission denied; run sparkdoctor as root (sudo) to look into it")
