"""Run the tests that need no virtual machine on every supported Python that is installed here.

    python tests/every_python.py        (make test-all)

Says which interpreters were not found; those were not tested.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
VERSIONS = ("3.11", "3.12", "3.13")


def interpreter(version: str) -> str | None:
    """A working python of this version: on PATH, or in a pyenv."""
    versions = Path.home() / ".pyenv/versions"
    candidates = [shutil.which(f"python{version}"), *map(str, versions.glob(f"{version}.*/bin/python"))]
    asks = "import sys, venv; print('%d.%d' % sys.version_info[:2])"
    for candidate in filter(None, candidates):
        done = subprocess.run([candidate, "-c", asks], capture_output=True, text=True, check=False)
        if done.stdout.strip() == version:
            return candidate
    return None


def main() -> int:
    missing, failed = [], []
    for version in VERSIONS:
        python = interpreter(version)
        if python is None:
            missing.append(version)
            continue
        venv = ROOT / f".venv-{version}"
        print(f"== Python {version}: {python}", flush=True)
        setup = ["make", "--silent", f"PYTHON={python}", f"VENV={venv}", f"{venv}/.dev"]
        tests = [str(venv / "bin/python"), "-m", "pytest", "-q", "--ignore=tests/lab"]
        if any(subprocess.run(command, cwd=ROOT, check=False).returncode for command in (setup, tests)):
            failed.append(version)
    if missing:
        print(f"not installed here, so not tested: Python {', '.join(missing)}")
    if failed:
        print(f"failed: Python {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
