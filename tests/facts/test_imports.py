from __future__ import annotations

import subprocess
import sys


def test_libraries_of_the_doors_are_imported_only_when_a_door_is_asked() -> None:
    heavy = ["docker", "psutil", "pynvml", "pyroute2", "pyverbs", "requests", "packaging.metadata"]
    code = f"import sys, sparkdoctor.facts; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.check_output([sys.executable, "-c", code], text=True) == "[]\n"
