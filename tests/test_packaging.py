"""Wheel, sdist, zipapp and bare checkout find the same checks and knowledge as this checkout."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipapp
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def listed(path: Path, cwd: Path, *start: str) -> list[str]:
    """What `sparkdoctor list` prints with `path` in front of everything installed."""
    env = {**os.environ, "PYTHONPATH": str(path), "COLUMNS": "200"}
    env.pop("SPARKDOCTOR_PATH", None)
    where = [sys.executable, "-c", "import sparkdoctor; print(sparkdoctor.__file__)"]
    found = subprocess.run(where, env=env, cwd=cwd, capture_output=True, text=True, check=True).stdout
    assert found.startswith(str(path)), f"took sparkdoctor from {found}"
    words = list(start) or [sys.executable, "-m", "sparkdoctor"]
    done = subprocess.run([*words, "list"], env=env, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tracked and new files, as a clone would have them, with no trace of an install."""
    copy = tmp_path_factory.mktemp("checkout")
    for folder in ("sparkdoctor", "checks", "knowledge"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", "CONTRIBUTING.md", "CHANGELOG.md", "Makefile"):
        shutil.copy(ROOT / name, copy / name)
    for name in ("tests", "examples"):
        (copy / name).mkdir()
    return copy


@pytest.fixture(scope="module")
def expected(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    lines = listed(checkout, tmp_path_factory.mktemp("cwd"))
    kinds = {line.split()[0] for line in lines}
    assert kinds == {"check", "signature", "cause"}
    return lines


@pytest.fixture(scope="module")
def wheel(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built the long way: the sdist first, the wheel from the sdist."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(checkout)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_made_from_the_sdist(wheel: Path, expected: list[str], tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
        names = archive.namelist()
    assert listed(tmp_path / "site", tmp_path) == expected
    top = {name.split("/")[0] for name in names}
    assert {name for name in top if not name.endswith(".dist-info")} == {"sparkdoctor"}
    assert "sparkdoctor/py.typed" in names


def test_the_wheel_as_a_zip_and_as_a_zipapp(wheel: Path, expected: list[str], tmp_path: Path) -> None:
    assert listed(wheel, tmp_path) == expected
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "app")
    pyz = tmp_path / "sparkdoctor.pyz"
    zipapp.create_archive(tmp_path / "app", pyz, main="sparkdoctor.cli:main")
    assert listed(pyz, tmp_path, sys.executable, str(pyz)) == expected


def test_a_checks_folder_in_the_current_folder_is_not_ours(wheel: Path, expected: list[str], tmp_path: Path) -> None:
    strange = tmp_path / "cwd" / "checks"
    strange.mkdir(parents=True)
    (strange / "__init__.py").write_text("raise SystemExit('imported the checks of the current folder')")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "site")
    assert listed(tmp_path / "site", strange.parent) == expected


def test_the_editable_install_sees_the_checkout(expected: list[str], tmp_path: Path) -> None:
    command = Path(sys.executable).with_name("sparkdoctor")
    if not command.exists():
        pytest.skip("sparkdoctor is not installed in this environment (make test installs it)")
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "SPARKDOCTOR_PATH")}
    done = subprocess.run([str(command), "list"], env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == expected
