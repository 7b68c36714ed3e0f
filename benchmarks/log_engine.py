"""How fast `explain` reads logs, beside ripgrep and a plain loop. Prints figures with their targets, asserts nothing.

    python benchmarks/log_engine.py [--sizes 1M,100M,2G] [--signatures 50,350,3500] [--rounds 5] [--folder /var/tmp]

All programs meet the same files (in the page cache) and the same expressions, one after the other in each round;
a ratio is the median of those of the rounds, with the lowest and the highest. One core: CPU time of the whole
process on one processor. All cores: wall time. Each is given with the start of both programs (what they take for a
log of one line), which is most of what 100 MB cost, and without it. ripgrep gets the expressions without the names of
their groups; `\\w` means letters of all scripts in both. It says which lines match, not which expression.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT)]

RANKS = 4
"""Logs that a size is made up of."""
SLICE = 1 << 20
"""Bytes that the plain loop is given; its time is scaled."""
RG_LIMIT = 60.0
"""Seconds that ripgrep may be expected to take; more is not waited for."""
STARTS = 31
"""Pairs of processes for the start-up."""


class Cost(NamedTuple):
    wall: float
    cpu: float
    peak: int
    """Bytes, of the largest process."""
    out: str


def run(command: Sequence[str], cpu: int | None = None, env: dict[str, str] | None = None) -> Cost:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.perf_counter()
    out_to = subprocess.PIPE if "--child" in command else subprocess.DEVNULL
    where = [] if cpu is None else ["taskset", "--cpu-list", str(cpu)]
    process = subprocess.Popen(
        [*where, *command], stdout=out_to, stderr=subprocess.DEVNULL, text=True, env=env, cwd="/"
    )
    out = process.stdout.read() if process.stdout is not None else ""
    _, _, usage = os.wait4(process.pid, 0)
    process.returncode = 0
    wall = time.perf_counter() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    seconds = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall, seconds, usage.ru_maxrss << 10, out)


# What the child processes do.


def child(what: str, set_: str, paths: list[str]) -> None:
    if what == "make":
        make_logs(Path(set_), int(paths[0]))
        return
    if what == "read":
        for path in paths:
            with open(path, "rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
                mapped.find(b"\xff")  # memchr(3): every byte once
        return
    if what == "naive":
        patterns = [re.compile(pattern.encode()) for pattern in json.loads(Path(set_).read_text())["patterns"]]
        start = time.process_time()
        hits = 0
        with open(paths[0], "rb") as file:
            for line in file.read(SLICE).splitlines():
                hits += sum(1 for pattern in patterns if pattern.search(line))
        print(json.dumps({"hits": hits, "seconds": time.process_time() - start}))
        return
    import msgspec

    from sparkdoctor.logs.match import Matcher
    from sparkdoctor.logs.scan import Logs
    from sparkdoctor.signatures import Signature

    signatures = msgspec.json.decode(Path(set_).with_suffix(".signatures").read_bytes(), type=list[Signature])
    logs = Logs(paths, Matcher(signatures))
    lines = sum(hit.count for hit in logs.hits())
    assert not logs.problems, logs.problems
    print(json.dumps({"hits": lines}))


# What the parent does.


def tool(what: str, set_: Path, paths: list[Path]) -> list[str]:
    return [sys.executable, __file__, "--child", what, str(set_), *map(str, paths)]


def rg(set_: Path, paths: list[Path]) -> list[str]:
    limits = ["--dfa-size-limit", "2G", "--regex-size-limit", "2G"]
    return ["rg", "-j1", "-n", *limits, "-f", str(set_.with_suffix(".rg")), *map(str, paths)]


def as_rust(pattern: str) -> str:
    """What Python's `re` and Rust's `regex` write differently."""
    return re.sub(r"\(\?P<\w+>", "(?:", pattern).replace(r"\ ", " ").replace(r"\"", '"').replace(r"\'", "'")


def make_sets(folder: Path, numbers: Sequence[int]) -> dict[int, Path]:
    import msgspec
    from made_up_logs import signatures

    sets = {}
    for number in numbers:
        listed = [planted.signature for planted in signatures(number)]
        path = folder / f"{number}.json"
        path.write_text(json.dumps({"patterns": [signature.match for signature in listed]}))
        path.with_suffix(".signatures").write_bytes(msgspec.json.encode(listed))
        path.with_suffix(".rg").write_text("".join(f"{as_rust(signature.match)}\n" for signature in listed))
        sets[number] = path
    return sets


def make_logs(folder: Path, size: int) -> None:
    from made_up_logs import signatures, write_log

    paths = paths_of(folder, size)
    for rank, path in enumerate(paths):
        write_log(path, size // len(paths), rank, signatures(50), max(5, size // len(paths) >> 20))


def paths_of(folder: Path, size: int) -> list[Path]:
    return [folder / f"{size}-rank{rank}.log" for rank in range(2 if size < 10 << 20 else RANKS)]


def ratio(values: Sequence[float]) -> str:
    return f"{statistics.median(values):6.2f} ({min(values):.2f}..{max(values):.2f})"


def told(name: str, values: Sequence[float], target: str, reached: Callable[[float], bool]) -> None:
    word = "reached" if reached(statistics.median(values)) else "NOT reached"
    print(f"    {name:<44} {ratio(values):<24} target {target}: {word}")


def speed(size: int, seconds: Sequence[float]) -> str:
    return f"{size / statistics.median(seconds) / 1e9:6.2f} GB/s"


def throughput(size: int, paths: list[Path], number: int, set_: Path, rounds: int, rate: float) -> tuple[float, float]:
    """Prints one block; the CPU seconds a byte of ours on one core, and of ripgrep (0 when it was not run)."""
    cpus = os.sched_getaffinity(0)
    one = max(cpus)
    total = sum(path.stat().st_size for path in paths)
    with_rg = shutil.which("rg") is not None and total * rate < RG_LIMIT
    results: dict[str, list[Cost]] = {name: [] for name in ("read", "rg", "one", "all")}
    tiny = set_.with_suffix(".log")
    tiny.write_text("a log of one line\n")
    run(tool("engine", set_, paths))  # the database is compiled and the files are in the page cache
    for _ in range(rounds):
        results["read"].append(run(tool("read", set_, paths), one))
        if with_rg:
            results["rg"].append(run(rg(set_, paths), one))
        results["one"].append(run(tool("engine", set_, paths), one))
        results["all"].append(run(tool("engine", set_, paths)))
    starts = [run(tool("engine", set_, [tiny]), one) for _ in range(rounds)]
    own_start = statistics.median(cost.cpu for cost in starts)
    all_start = statistics.median(cost.wall for cost in starts)
    rg_start = statistics.median(run(rg(set_, [tiny]), one).cpu for _ in range(rounds)) if with_rg else 0.0
    assert len({cost.out for name in ("one", "all") for cost in results[name]}) == 1
    naive = [json.loads(run(tool("naive", set_, paths), one).out)["seconds"] * total / SLICE for _ in range(3)]
    own, every = [cost.cpu for cost in results["one"]], [cost.wall for cost in results["all"]]
    hits = json.loads(results["one"][0].out)["hits"]
    print(f"\n{total / 1e6:.0f} MB in {len(paths)} logs, {number} signatures, {hits} hits")
    print(f"    one core {speed(total, own)}  all {len(cpus)} cores {speed(total, every)} ", end="")
    print(f" peak of the largest process {max(c.peak for c in results['one']) >> 20} MiB")
    if with_rg:
        theirs = results["rg"]
        print(f"    rg -f {speed(total, [cost.cpu for cost in theirs])}, peak {max(c.peak for c in theirs) >> 20} MiB")
        pairs = list(zip(results["one"], theirs, strict=True))
        told("x rg -f, one core each", [b.cpu / a.cpu for a, b in pairs], ">= 3.5", lambda value: value >= 3.5)
        if size > 10 << 20:
            ratios = [(b.cpu - rg_start) / (a.cpu - own_start) for a, b in pairs]
            told("  the same without the start", ratios, ">= 3.5", lambda value: value >= 3.5)
        pairs = list(zip(results["all"], theirs, strict=True))
        told("x rg -f on one core, all cores", [b.wall / a.wall for a, b in pairs], ">= 5", lambda value: value >= 5)
        if size > 10 << 20:
            ratios = [(b.wall - rg_start) / (a.wall - all_start) for a, b in pairs]
            told("  the same without the start", ratios, ">= 5", lambda value: value >= 5)
    else:
        print("    rg -f not run: it is not installed, or would take more than a minute a round")
    told(
        "x a plain loop (on 1 MiB, scaled)",
        [slow / mine for slow, mine in zip(naive, own, strict=False)],
        ">= 50",
        lambda v: v >= 50,
    )
    shares = [100 * a.cpu / b.cpu for a, b in zip(results["read"], results["one"], strict=True)]
    print(f"    {'% of the speed of reading the mapped bytes':<44} {ratio(shares)}")
    return statistics.median(own) / total, statistics.median([c.cpu for c in results["rg"]]) / total if with_rg else 0.0


def startup(script: Path, paths: list[Path], env: dict[str, str]) -> None:
    if not script.exists():
        print(f"\nstart-up not measured: there is no {script}")
        return
    print(f"\nstart to the whole answer, {sum(path.stat().st_size for path in paths) / 1e6:.1f} MB, shipped signatures")
    for extra in ([], ["--json"]):
        words = [str(script), "explain", *map(str, paths), *extra]
        for _ in range(3):
            run(words, env=env)
        python = str(script.with_name("python"))
        pairs = [(run([python, "-c", "pass"], env=env), run(words, env=env)) for _ in range(STARTS)]
        base, own = [a.wall * 1000 for a, _ in pairs], [b.wall * 1000 for _, b in pairs]
        name = f"{'JSON' if extra else 'text'}: {statistics.median(own):.0f} ms, python -c pass {statistics.median(base):.0f} ms"
        told(name, [b / a for a, b in zip(base, own, strict=True)], "<= 6", lambda value: value <= 6)


def peak_memory(set_: Path, paths: list[Path]) -> None:
    """The most that a run and its processes hold at once: PSS, which shares out what they share (proc(5))."""

    def held(pid: int) -> int:
        pids = [pid]
        try:
            with open(f"/proc/{pid}/task/{pid}/children") as file:
                pids += [int(word) for word in file.read().split()]
        except OSError:
            return 0
        total = 0
        for one in pids:
            try:
                with open(f"/proc/{one}/smaps_rollup") as file:
                    total += next((int(line.split()[1]) for line in file if line.startswith("Pss:")), 0) << 10
            except OSError:
                pass  # it has just ended
        return total

    process = subprocess.Popen(tool("engine", set_, paths), stdout=subprocess.DEVNULL)
    most = 0
    while process.poll() is None:
        most = max(most, held(process.pid))
        time.sleep(0.02)
    bare = run([sys.executable, "-c", "pass"]).peak
    told("MiB over the interpreter, all processes", [(most - bare) / (1 << 20)], "< 200", lambda value: value < 200)


def bytes_of(text: str) -> int:
    return int(float(text[:-1]) * {"K": 1e3, "M": 1e6, "G": 1e9}[text[-1]])


def main() -> None:
    if sys.argv[1:2] == ["--child"]:
        return child(sys.argv[2], sys.argv[3], sys.argv[4:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", default="1M,100M,2G")
    parser.add_argument("--signatures", default="50,350,3500")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", default="/var/tmp", help="where the logs are written, and removed at the end")
    here = Path(sys.executable).with_name("sparkdoctor")
    parser.add_argument(
        "--script", type=Path, default=here, help="what is started; without packages for development it starts faster"
    )
    given = parser.parse_args()
    sizes = [bytes_of(size) for size in given.sizes.split(",")]
    numbers = [int(number) for number in given.signatures.split(",")]
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # users have byte code
    versions = subprocess.run(["rg", "--version"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    print(
        f"Python {sys.version.split()[0]}, {versions or 'no rg'}, {os.uname().machine}, load {os.getloadavg()[0]:.1f}"
    )
    with tempfile.TemporaryDirectory(prefix="sparkdoctor-bench-", dir=given.folder) as name:
        folder = Path(name)
        os.environ["XDG_CACHE_HOME"] = name
        sets = make_sets(folder, numbers)
        rates = dict.fromkeys(numbers, 0.0)
        for size in sizes:
            # By another process: what a child's peak is said to be is at least its parent's (execve(2) keeps it).
            run([sys.executable, __file__, "--child", "make", name, str(size)])
            paths = paths_of(folder, size)
            costs = {}
            for number in numbers:
                rounds = given.rounds if size < 1 << 30 else min(given.rounds, 3)
                costs[number], rate = throughput(size, paths, number, sets[number], rounds, rates[number])
                rates[number] = rate or rates[number]
            if size >= 50 << 20 and 350 in costs and 3500 in costs:
                print(f"\n{size / 1e6:.0f} MB")
                told("cost with 3500 signatures / with 350", [costs[3500] / costs[350]], "< 1.6", lambda v: v < 1.6)
            if size >= 1 << 30:
                peak_memory(sets[max(numbers)], paths)
            if size < 10 << 20:
                startup(given.script, paths, dict(os.environ))
            for path in paths:
                path.unlink()


if __name__ == "__main__":
    main()
