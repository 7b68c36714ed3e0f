"""What a launch asks to have looked at, beside the machine itself."""

from __future__ import annotations

from sparkdoctor.host import Data
from sparkdoctor.launch.types import CachedModel

__all__ = ["CachedModel", "Wanted"]


class Wanted(Data, frozen=True):
    """The model caches and Python environments that a launch names.

    The environments of model servers that run already are looked at without being named.
    """

    models: tuple[CachedModel, ...] = ()
    containers: tuple[str, ...] = ()
    """Container ids, as `docker ps --no-trunc` prints them."""
    images: tuple[str, ...] = ()
    """Image references as the launch writes them."""
    prefixes: tuple[str, ...] = ()
    """Python prefixes on this machine (`sys.prefix`: /opt/env, a virtual environment)."""
