"""Every `console` block of README.md is run, and must print what stands there.

UPDATE_README=1 writes what is printed now into the file.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[str]:
    return BLOCK.findall(README.read_text())


def sparkdoctor(folder: Path, arguments: str) -> str:
    """Standard output and error as a terminal shows them, and the exit code when it is not 0."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "100", "XDG_CONFIG_HOME": str(folder / "none")}
    command = f"{sys.executable} -m sparkdoctor {arguments}"
    done = subprocess.run(
        command,
        shell=True,
        cwd=folder,
        env=env,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    return done.stdout + (f"[exit {done.returncode}]\n" if done.returncode else "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the page's reader has: the example launch, snapshots of a recorded pair, two logs."""
    place = tmp_path_factory.mktemp("readme")
    shutil.copytree(ROOT / "examples/dual-spark", place, dirs_exist_ok=True)
    shutil.copytree(ROOT / "examples/logs", place, dirs_exist_ok=True)
    for number, env_file in ((1, "head.env"), (2, "worker.env")):
        machine = ROOT / f"tests/machines/spark-{number}.ttar"
        out = sparkdoctor(
            place, f"collect --machine {machine} -f compose.yaml --env-file {env_file} -o spark-{number}.json"
        )
        assert (place / f"spark-{number}.json").exists(), out
    text = (place / "compose.yaml").read_text()
    broken = re.sub(r"^ *memlock: -1\n", "", text, flags=re.MULTILINE)
    assert broken != text
    (place / "broken.yaml").write_text(broken)
    return place


def printed(block: str, folder: Path) -> str:
    """The block with the output of each of its commands replaced by what is printed now."""
    shown = []
    for line in block.splitlines():
        if line.startswith("$ sparkdoctor "):
            shown.append(f"{line}\n{sparkdoctor(folder, line.removeprefix('$ sparkdoctor '))}")
    return "".join(shown)


def test_the_readme_shows_what_is_printed(folder: Path) -> None:
    assert blocks()
    now = {block: printed(block, folder) for block in blocks()}
    if os.environ.get("UPDATE_README"):
        text = README.read_text()
        for block, new in now.items():
            text = text.replace(f"```console\n{block}```", f"```console\n{new}```")
        README.write_text(text)
    assert list(now.values()) == list(now)
