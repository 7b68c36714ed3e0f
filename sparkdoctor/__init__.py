"""Preflight checks and log diagnosis for pairs of NVIDIA DGX Spark.

As a library (nothing here prints)::

    import sparkdoctor

    results = sparkdoctor.check(files=["compose.yaml"])
    diagnoses = sparkdoctor.explain(["head.log", "worker.log"])
"""

from pathlib import Path as _Path

__version__ = "0.1.0"

# In a wheel checks/ and knowledge/ lie inside this package; in a checkout they lie beside it.
_here = _Path(__file__).resolve().parent
if not (_here / "checks").is_dir() and (_here.parent / "pyproject.toml").is_file():
    __path__.append(str(_here.parent))
