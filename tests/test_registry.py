"""What was judged in an earlier run is not judged again, and gives the same."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import sparkdoctor
from sparkdoctor import plugins, registry
from sparkdoctor.api import Check
from sparkdoctor.plugins import Entry, Trouble, entries, own_files
from sparkdoctor.registry import Registry, builtin_check, load_checks, load_registry
from sparkdoctor.signatures import KnowledgeError
from sparkdoctor.testing import healthy_node
from tests.test_plugins import KNOWLEDGE


@pytest.fixture(autouse=True)
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path / "cache/sparkdoctor"


def without_functions(found: Registry) -> Any:
    checks = {
        name: (one.name, one.severity, one.scope, one.docs, one.after) for name, one in found.checks.by_name.items()
    }
    return checks, found.checks.origin, found.knowledge, found.origin, found.troubles


def not_now(*_: object) -> None:
    raise AssertionError("this was done in the first run")


def test_the_second_time_nothing_is_judged_and_no_check_imported(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_registry()
    monkeypatch.setattr(registry, "_judge", not_now)
    monkeypatch.setattr(registry, "_builtin_modules", not_now)
    second = load_registry()
    assert without_functions(second) == without_functions(first)
    assert set(second.checks.by_name) == set(load_names())


def load_names() -> list[str]:
    code = "from sparkdoctor.registry import load_checks; print(*load_checks().by_name)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def test_a_check_that_was_kept_runs_as_the_check_itself() -> None:
    load_registry()
    known = load_registry().checks.by_name["memlock-limited"]
    assert list(known.run(healthy_node())) == list(builtin_check("memlock-limited").run(healthy_node()))


def test_checks_are_loaded_whole_by_who_runs_them(monkeypatch: pytest.MonkeyPatch) -> None:
    load_registry()
    monkeypatch.setattr(registry, "_known_checks", not_now)
    assert load_checks().by_name["memlock-limited"] is builtin_check("memlock-limited")


@pytest.mark.parametrize("kind", ["knowledge", "checks", "entries"])
@pytest.mark.parametrize("content", [b"", b"\xc1", b"\x93\x01\x02\x03", b"\x91\x92\xa1x\xa1y"])
def test_what_is_kept_is_made_again_when_it_is_not_understood(
    kind: str, content: bytes, kept: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(plugins, "SETTLED", -1e9)
    first = load_registry()
    (file,) = kept.glob(f"{kind}-*")
    whole = file.read_bytes()
    from sparkdoctor.cache import keep

    keep(kind, file.name.removeprefix(f"{kind}-"), content)
    assert file.read_bytes() != whole
    assert without_functions(load_registry()) == without_functions(first)
    assert file.read_bytes() == whole


def test_nothing_can_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    first = load_registry()
    monkeypatch.setenv("XDG_CACHE_HOME", "/proc")
    for _ in range(2):
        assert without_functions(load_registry()) == without_functions(first)


def test_changed_knowledge_is_judged(tmp_path: Path) -> None:
    path = tmp_path / "config/sparkdoctor/knowledge/acme.toml"
    path.parent.mkdir(parents=True)
    path.write_text(KNOWLEDGE)
    assert "acme-anvil-fell" in load_registry().knowledge.signatures
    stamp = path.stat()
    path.write_text(KNOWLEDGE.replace("acme-anvil-fell", "acme-anvil-roll"))
    os.utime(path, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))  # its content counts, not its time
    assert "acme-anvil-roll" in load_registry().knowledge.signatures
    path.write_text(KNOWLEDGE.replace("anvil 7 stands", "anvil 7 fell"))
    for _ in range(2):  # a trouble is kept like the rest
        found = load_registry()
        assert not [name for name in found.knowledge.signatures if name.startswith("acme")]
        assert "matches a line of `ignores`" in found.troubles[0].problem


def test_bad_built_in_knowledge_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_texts_of_package", lambda: [("bad.toml", "signature = 1")])
    monkeypatch.setattr(registry, "_stamps", lambda *_: [])
    for _ in range(2):
        with pytest.raises(KnowledgeError):
            load_registry()


def test_another_version_judges_for_itself(monkeypatch: pytest.MonkeyPatch, kept: Path) -> None:
    load_registry()
    monkeypatch.setattr(sparkdoctor, "__version__", "0.0.0")
    load_registry()
    assert len(list(kept.glob("knowledge-*"))) == len(list(kept.glob("checks-*"))) == 2


def test_a_changed_check_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "checks").mkdir()
    path = tmp_path / "checks/one.py"
    path.write_text("")
    monkeypatch.setattr(sparkdoctor, "__path__", [str(tmp_path)])
    first = registry._stamps("checks", ".py")
    assert len(first) == 1
    assert first == registry._stamps("checks", ".py")
    path.write_text("#")
    second = registry._stamps("checks", ".py")
    os.utime(path, (1, 1))
    assert len({*first, *second, *registry._stamps("checks", ".py")}) == 3
    monkeypatch.setattr(sparkdoctor, "__path__", [str(tmp_path / "sparkdoctor.pyz")])
    assert registry._stamps("checks", ".py") == []


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place of sys.path that has not changed for long."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.setattr(sys, "path", [str(folder)])
    long_ago(folder)
    return folder


def long_ago(folder: Path, seconds: int = 1_000_000_000) -> None:
    os.utime(folder, (seconds, seconds))


def install(site: Path, name: str, value: str) -> None:
    info = site / f"{name}-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[sparkdoctor.checks]\nmine = {value}\n[console_scripts]\nx = y:z\n")


def test_entry_points_are_asked_for_once_until_a_folder_changes(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert entries("sparkdoctor.checks") == []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plugins, "_ask_all", not_now)
        assert entries("sparkdoctor.checks") == []
    install(site, "acme", "acme.checks")
    found = [Entry("sparkdoctor.checks", "acme.checks", "package acme")]
    assert entries("sparkdoctor.checks") == found
    with pytest.MonkeyPatch.context() as patch:  # it changed just now: a second change could have the same time
        patch.setattr(plugins, "_ask_all", not_now)
        with pytest.raises(AssertionError):
            entries("sparkdoctor.checks")
    long_ago(site, 1_000_000_001)
    assert entries("sparkdoctor.checks") == found
    monkeypatch.setattr(plugins, "_ask_all", not_now)
    assert entries("sparkdoctor.checks") == found
    assert entries("sparkdoctor.knowledge") == []


def test_the_current_folder_as_a_place_is_told_from_others(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [""])
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        install(tmp_path / name, name, name)
        long_ago(tmp_path / name)
        monkeypatch.chdir(tmp_path / name)
        sys.path_importer_cache.clear()
        assert [entry.value for entry in entries("sparkdoctor.checks")] == [name]


def test_an_entry_point_is_loaded_as_importlib_would() -> None:
    assert Entry("g", "sparkdoctor.registry", "s").load() is registry
    assert Entry("g", "sparkdoctor.registry:load_checks", "s").load() is load_checks
    assert Entry("g", "sparkdoctor.api : Check.family [extra]", "s").load() is Check.family
    with pytest.raises(ModuleNotFoundError):
        Entry("g", "no_such_module_anywhere:x", "s").load()


def test_own_files_are_in_order_and_what_is_not_there_is_no_trouble(tmp_path: Path) -> None:
    troubles: list[Trouble] = []
    assert own_files("checks", ".py", troubles) == []
    folder = tmp_path / "config/sparkdoctor/checks"
    folder.mkdir(parents=True)
    for name in ("b.py", "a.py", ".c.py", "d.txt"):
        (folder / name).touch()
    assert own_files("checks", ".py", troubles) == [str(folder / "a.py"), str(folder / "b.py")]
    assert troubles == []


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_a_trouble(tmp_path: Path) -> None:
    folder = tmp_path / "config/sparkdoctor/checks"
    folder.mkdir(parents=True)
    folder.chmod(0)
    troubles: list[Trouble] = []
    assert own_files("checks", ".py", troubles) == []
    assert "Permission denied" in troubles[0].problem
