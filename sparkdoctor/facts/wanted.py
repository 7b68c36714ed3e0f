"""What a launch asks to have looked at, beside the machine itself."""

from __future__ import annotations

from sparkdoctor.host import Data


class CachedModel(Data, frozen=True):
    """A model and where it should lie."""

    hub: str
    """The hub folder on this machine (`$HF_HOME/hub` seen from outside a container)."""
    model: str
    """`deepseek-ai/DeepSeek-V4-Flash`, or the absolute path of a folder on this machine."""
    revision: str = "main"
    """A branch, tag or commit."""


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
