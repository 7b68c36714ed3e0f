"""Preflight checks and log diagnosis for pairs of NVIDIA DGX Spark.

As a library (nothing here prints; sparkdoctor.library has the whole of it)::

    import sparkdoctor

    results = sparkdoctor.check(files=["compose.yaml"])
    answer = sparkdoctor.explain(["head.log", "worker.log"])
"""

import os.path as _path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from sparkdoctor.library import Exit, Result, Status, check, exit_code, explain

__all__ = ["Exit", "Result", "Status", "__version__", "check", "exit_code", "explain"]
__version__ = "0.1.0"

# In a wheel checks/ and knowledge/ lie inside this package; in a checkout they lie beside it.
_here = _path.dirname(_path.realpath(__file__))
_parent = _path.dirname(_here)
if not _path.isdir(_path.join(_here, "checks")) and _path.isfile(_path.join(_parent, "pyproject.toml")):
    __path__.append(_parent)


def __getattr__(name: str) -> Any:
    """The API on first use: importing the package must not cost what only a check needs."""
    if name in __all__:
        from sparkdoctor import library

        return getattr(library, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
