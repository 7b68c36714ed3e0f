"""Checks and knowledge of others: packages with entry points, and the user's own folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

CHECK = '''
from sparkdoctor.api import Finding, Fix, Found, Node, Seen, check

@check("acme-kernel-old")
def acme_kernel_old(node: Node) -> Found:
    """The kernel is not Acme's.

    ## Why it matters
    It is a test.

    ## How to fix it
    Nothing to do.

    ## References
    - https://example.com
    """
    kernel = node.machine().machine.kernel
    yield Finding(f"the kernel is {kernel.value}", (Seen("kernel", kernel.value, kernel.where, "Acme"),), Fix("install it"))
'''

KNOWLEDGE = """
[[signature]]
name = "acme-anvil-fell"
title = "the anvil fell"
match = 'ACME: anvil (?P<number>[0-9]{1,4}) fell'
role = "cause"
why = "Anvil {number} fell."
fix = "Hold it."
refs = ["https://example.com"]
matches = ['''ACME: anvil 7 fell''']
ignores = ['''ACME: anvil 7 stands''']
"""


def run(*arguments: str, path: Path | None = None, config: Path | None = None) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONPATH": str(path) if path else "", "XDG_CONFIG_HOME": str(config or "/nonexistent")}
    env.pop("SPARKDOCTOR_PATH", None)
    return subprocess.run(
        [sys.executable, "-m", "sparkdoctor", *arguments],
        env=env,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def package(tmp_path: Path) -> Path:
    """An installed distribution sparkdoctor-acme, as pip would have laid it."""
    site = tmp_path / "site"
    info = site / "sparkdoctor_acme-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: sparkdoctor-acme\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[sparkdoctor.checks]\nacme = sparkdoctor_acme.checks\n"
        "[sparkdoctor.knowledge]\nacme = sparkdoctor_acme.knowledge\n"
    )
    for folder in ("sparkdoctor_acme", "sparkdoctor_acme/knowledge"):
        (site / folder).mkdir()
        (site / folder / "__init__.py").touch()
    (site / "sparkdoctor_acme/checks.py").write_text(CHECK)
    (site / "sparkdoctor_acme/knowledge/acme.toml").write_text(KNOWLEDGE)
    return site


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """The user's configuration folder with a check and a signature of their own."""
    for folder, name, text in (("checks", "acme.py", CHECK), ("knowledge", "acme.toml", KNOWLEDGE)):
        place = tmp_path / "config/sparkdoctor" / folder
        place.mkdir(parents=True)
        (place / name).write_text(text)
    return tmp_path / "config"


def test_a_package_gives_checks_and_signatures_with_its_name(package: Path) -> None:
    done = run("list", "acme", path=package)
    assert done.returncode == 0, done.stderr
    assert all(line.endswith("  (package sparkdoctor-acme)") for line in done.stdout.splitlines())
    assert {line.split()[1] for line in done.stdout.splitlines()} == {"acme-kernel-old", "acme-anvil-fell"}


def test_the_users_folder_gives_checks_and_signatures(config: Path, tmp_path: Path) -> None:
    done = run("check", "--select", "acme", "--json", config=config)
    assert done.returncode == 1, done.stderr
    assert [result["check"] for result in json.loads(done.stdout)["results"]] == ["acme-kernel-old"]
    log = tmp_path / "a.log"
    log.write_text("ACME: anvil 12 fell\n")
    told = json.loads(run("explain", "--json", str(log), config=config).stdout)
    assert [(d["name"], d["why"]) for d in told["diagnoses"]] == [("acme-anvil-fell", "Anvil 12 fell.")]


def test_a_package_that_does_not_import_is_named_and_makes_the_run_incomplete(package: Path) -> None:
    (package / "sparkdoctor_acme/checks.py").write_text("import no_such_module_anywhere\n")
    done = run("list", path=package)
    assert done.returncode == 3
    assert done.stderr == (
        "not loaded: package sparkdoctor-acme: ModuleNotFoundError: No module named 'no_such_module_anywhere'\n"
    )
    assert "acme-anvil-fell" in done.stdout
    machine = str(ROOT / "tests/machines/gpu-h100.ttar")
    checked = run("check", "--machine", machine, "--json", path=package)
    assert checked.returncode == 3
    assert json.loads(checked.stdout)["not_loaded"] == [
        {
            "origin": "package sparkdoctor-acme",
            "problem": "ModuleNotFoundError: No module named 'no_such_module_anywhere'",
        }
    ]


def test_a_knowledge_file_that_is_half_right_is_refused_with_its_entry_and_reason(config: Path) -> None:
    path = config / "sparkdoctor/knowledge/acme.toml"
    path.write_text(KNOWLEDGE.replace("anvil 7 stands", "anvil 7 fell"))
    done = run("list", config=config)
    assert done.returncode == 3
    assert done.stderr == (
        f"not loaded: {path}: {path}:3: signature acme-anvil-fell: "
        "the pattern matches a line of `ignores`: 'ACME: anvil 7 fell'\n"
    )


def test_a_knowledge_file_that_names_nothing_known_loses_only_itself(config: Path) -> None:
    path = config / "sparkdoctor/knowledge/acme.toml"
    path.write_text(KNOWLEDGE.replace('fix = "Hold it."', 'causes = ["memlock-limit"]'))
    (path.parent / "good.toml").write_text(KNOWLEDGE.replace("anvil-fell", "anvil-flew"))
    done = run("list", config=config)
    assert done.returncode == 3
    assert done.stderr == (
        f"not loaded: {path}: signature acme-anvil-fell: "
        "`causes` names no check or cause: `memlock-limit`; the nearest is `memlock-limited`\n"
    )
    assert "acme-anvil-flew" in done.stdout
    assert "memlock-limited" in done.stdout


def test_one_name_from_two_origins_stops_with_both(package: Path, config: Path) -> None:
    done = run("check", path=package, config=config)
    assert done.returncode == 2
    assert done.stderr == (
        "sparkdoctor: the check acme-kernel-old is in package sparkdoctor-acme"
        f" and in {config}/sparkdoctor/checks/acme.py\n"
    )


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_root_does_not_run_code_that_somebody_else_owns(config: Path) -> None:
    path = config / "sparkdoctor/checks/acme.py"
    os.chown(path, 1000, 1000)
    done = run("list", "acme", config=config)
    assert done.returncode == 3
    assert "acme-kernel-old" not in done.stdout
    assert f"not loaded: {path}: root does not own it, so it is not run as root\n" in done.stderr


def test_nothing_is_loaded_from_the_current_folder(tmp_path: Path) -> None:
    (tmp_path / "checks").mkdir()
    (tmp_path / "checks/acme.py").write_text(CHECK)
    env = {**os.environ, "XDG_CONFIG_HOME": str(tmp_path / "none"), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "sparkdoctor", "list", "--json"]
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "acme" not in done.stdout
