"""The arrows between the rooms go one way (CONTRIBUTING.md draws them)."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# What a room may import of sparkdoctor. A room that is not named here may import anything.
ALLOWED = {
    "checks": {"sparkdoctor.api", "sparkdoctor.nccl", "sparkdoctor.predict", "sparkdoctor.firewall", "sparkdoctor.launch.cache", "sparkdoctor.launch.spread", "sparkdoctor.nearest"},
    "sparkdoctor/nccl": {"sparkdoctor.nccl", "sparkdoctor.host", "sparkdoctor.fact"},
    "sparkdoctor/firewall": {"sparkdoctor.firewall", "sparkdoctor.host"},
    "sparkdoctor/logs": {"sparkdoctor.logs", "sparkdoctor.host", "sparkdoctor.marks", "sparkdoctor.patterns", "sparkdoctor.signatures", "sparkdoctor.cache", "sparkdoctor.errors", "sparkdoctor.late", "sparkdoctor.typed"},
    "sparkdoctor/facts": {"sparkdoctor.facts", "sparkdoctor.fact", "sparkdoctor.host", "sparkdoctor.system", "sparkdoctor.launch.types", "sparkdoctor.nccl", "sparkdoctor.typed"},
    "sparkdoctor/doors": {"sparkdoctor.doors", "sparkdoctor.system", "sparkdoctor.secrets", "sparkdoctor.typed"},
}  # fmt: skip

ONLY_IN = {
    "rich": ("sparkdoctor/render/",),
    "click": ("sparkdoctor/cli.py", "sparkdoctor/cli_options.py"),
    "pynvml": ("sparkdoctor/doors/",),
    "pyroute2": ("sparkdoctor/doors/",),
    "docker": ("sparkdoctor/doors/",),
    "psutil": ("sparkdoctor/doors/",),
    "pyverbs": ("sparkdoctor/doors/",),
    "yaml": ("sparkdoctor/launch/",),
    "subprocess": ("sparkdoctor/system.py", "sparkdoctor/doors/"),
    "hyperscan": ("sparkdoctor/logs/native.py",),
    "socket": ("sparkdoctor/doors/", "sparkdoctor/nccl/"),
}


UNSAFE = ("msgspec.convert(", "msgspec.json.decode(", "msgspec.toml.decode(", "msgspec.yaml.decode(")
"""Not for two threads that meet a type first: sparkdoctor.typed has what may be used instead."""


def modules() -> list[Path]:
    return sorted([*ROOT.glob("sparkdoctor/**/*.py"), *ROOT.glob("checks/*.py")])


def imported(path: Path) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level:
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("room", ALLOWED)
def test_a_room_imports_only_what_it_may(room: str) -> None:
    paths = [path for path in modules() if path.relative_to(ROOT).is_relative_to(room)]
    assert paths, room
    strays = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in paths
        for name in imported(path)
        if name.split(".")[0] == "sparkdoctor"
        and not any(name == allowed or name.startswith(f"{allowed}.") for allowed in ALLOWED[room])
    }
    assert not strays


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_known_in_one_place(library: str) -> None:
    users = {
        str(path.relative_to(ROOT))
        for path in modules()
        if any(name == library or name.startswith(f"{library}.") for name in imported(path))
    }
    assert users, f"nobody imports {library}; is the rule out of date?"
    assert not {user for user in users if not user.startswith(ONLY_IN[library])}


HEAVY = {"rich", "pyroute2", "pynvml", "docker", "requests", "psutil", "yaml", "hyperscan", "sparkdoctor.logs.match"}


@pytest.mark.parametrize("arguments", [["--help"], ["check", "--help"], ["explain", "memlock-limited"]])
def test_help_and_manuals_do_not_load_what_they_do_not_need(arguments: list[str]) -> None:
    code = (
        "import sys; from sparkdoctor.cli import cli\n"
        f"cli({arguments!r}, standalone_mode=False)\n"
        f"print(sorted(set(sys.modules) & {HEAVY!r}), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stderr.strip() == "[]"


def test_types_are_made_by_one_thread_at_a_time() -> None:
    strays = {path.name for path in modules() if any(call in path.read_text() for call in UNSAFE)}
    assert strays == {"typed.py"}
