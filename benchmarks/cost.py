"""What sparkdoctor costs: start-up, `check`, its probes, memory. Prints figures, asserts nothing.

    python benchmarks/cost.py [--machine FILE]

Each command is a whole process, run RUNS times with `python -c pass` between, so that both meet
the same state of the machine; the figure is the median, and beside it the ratio to `python -c pass`.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from sparkdoctor.facts import gather
from sparkdoctor.system import Live, Recorded

ROOT = Path(__file__).resolve().parents[1]
RUNS = 9
ENV = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}  # users have byte code


def once(command: list[str]) -> tuple[float, int]:
    """Wall seconds and peak resident memory in KiB of one process (wait4, struct rusage)."""
    start = time.perf_counter()
    with open(os.devnull, "wb") as null:
        process = subprocess.Popen(command, stdout=null, stderr=null, cwd=ROOT, env=ENV)
        _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    return time.perf_counter() - start, usage.ru_maxrss


def paired(name: str, command: list[str]) -> None:
    base, own, memory = [], [], 0
    for _ in range(RUNS):
        base.append(once([sys.executable, "-c", "pass"])[0])
        seconds, peak = once(command)
        own.append(seconds)
        memory = max(memory, peak)
    took, empty = statistics.median(own), statistics.median(base)
    spread = f"{min(own) * 1000:.0f}..{max(own) * 1000:.0f}"
    print(
        f"{name:<34} {took * 1000:7.0f} ms  ({spread})  {took / empty:5.1f} x python -c pass  peak {memory / 1024:.0f} MiB"
    )


def probes(machine: str | None) -> None:
    timings: dict[str, float] = {}
    system = Recorded.load(machine) if machine else Live()
    gather(system, done=lambda name, seconds: timings.__setitem__(name, seconds))
    for name, seconds in sorted(timings.items(), key=lambda item: -item[1]):
        print(f"  probe {name:<26} {seconds * 1000:7.1f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--machine", help="recorded machine in place of this one")
    machine = parser.parse_args().machine
    tool = [sys.executable, "-m", "sparkdoctor"]
    where = ["--machine", machine] if machine else []
    paired("sparkdoctor --help", [*tool, "--help"])
    paired("sparkdoctor explain memlock-limited", [*tool, "explain", "memlock-limited"])
    paired("sparkdoctor list", [*tool, "list"])
    paired("sparkdoctor check", [*tool, "check", *where])
    log = ROOT / "examples/logs/memlock.log"
    paired("sparkdoctor explain (small log)", [*tool, "explain", str(log)])
    with tempfile.NamedTemporaryFile(suffix=".log") as big:
        text = log.read_bytes()
        big.write(text * (1_000_000 // len(text) + 1))
        big.flush()
        paired("sparkdoctor explain (1 MB log)", [*tool, "explain", big.name])
    probes(machine)


if __name__ == "__main__":
    main()
