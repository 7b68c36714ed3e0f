"""What is kept between runs is trusted only when nobody else can have written it, and losing it costs nothing."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from sparkdoctor.cache import KEPT, digest, forget, keep, recall

KEY = digest([b"x"])


@pytest.fixture(autouse=True)
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def kept(base: Path) -> Path:
    (path,) = (base / "sparkdoctor").iterdir()
    return path


def test_what_was_kept_comes_back(base: Path) -> None:
    assert recall("kind", KEY) is None
    assert keep("kind", KEY, b"content")
    assert recall("kind", KEY) == b"content"
    assert recall("other", KEY) is None
    assert stat.S_IMODE((base / "sparkdoctor").stat().st_mode) == 0o700
    assert stat.S_IMODE(kept(base).stat().st_mode) == 0o600
    forget("kind", KEY)
    assert recall("kind", KEY) is None
    forget("kind", KEY)


def test_nothing_is_a_content_too() -> None:
    assert keep("kind", KEY, b"")
    assert recall("kind", KEY) == b""


@pytest.mark.parametrize("damage", [b"", b"abc", b"\0\0\0\0content", b"content"])
def test_damage_is_absence(base: Path, damage: bytes) -> None:
    keep("kind", KEY, b"content")
    kept(base).write_bytes(damage)
    assert recall("kind", KEY) is None
    assert keep("kind", KEY, b"content")
    assert recall("kind", KEY) == b"content"


def test_each_flipped_bit_and_each_cut_is_told(base: Path) -> None:
    keep("kind", KEY, b"content")
    path, whole = kept(base), kept(base).read_bytes()
    for at in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[at // 8] ^= 1 << at % 8
        path.write_bytes(flipped)
        assert recall("kind", KEY) is None
    for length in range(len(whole)):
        path.write_bytes(whole[:length])
        assert recall("kind", KEY) is None


@pytest.mark.parametrize("mode", [0o620, 0o602, 0o666])
def test_a_file_that_others_may_write_is_not_read(base: Path, mode: int) -> None:
    keep("kind", KEY, b"content")
    kept(base).chmod(mode)
    assert recall("kind", KEY) is None


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_may_write_is_not_used(base: Path, mode: int) -> None:
    keep("kind", KEY, b"content")
    (base / "sparkdoctor").chmod(mode)
    assert recall("kind", KEY) is None
    assert not keep("kind", KEY, b"other")
    (base / "sparkdoctor").chmod(0o700)
    assert recall("kind", KEY) == b"content"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
@pytest.mark.parametrize("whole_folder", [False, True])
def test_what_somebody_else_owns_is_not_used(base: Path, whole_folder: bool) -> None:
    keep("kind", KEY, b"content")
    os.chown(base / "sparkdoctor" if whole_folder else kept(base), 1000, 1000)
    assert recall("kind", KEY) is None
    assert keep("kind", KEY, b"other") is not whole_folder


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file to somebody else")
def test_no_folder_is_made_in_somebody_elses_cache(base: Path) -> None:
    base.mkdir()
    os.chown(base, 1000, 1000)
    assert not keep("kind", KEY, b"content")
    assert not list(base.iterdir())


def test_links_and_pipes_are_not_followed(base: Path, tmp_path: Path) -> None:
    keep("kind", KEY, b"content")
    path = kept(base)
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    assert recall("kind", KEY) is None
    path.unlink()
    os.mkfifo(path, 0o600)
    assert recall("kind", KEY) is None
    path.unlink()
    path.mkdir(0o700)
    assert recall("kind", KEY) is None
    assert not keep("kind", KEY, b"content")
    (base / "sparkdoctor").rename(tmp_path / "folder")
    (base / "sparkdoctor").symlink_to(tmp_path / "folder")
    assert not keep("other", KEY, b"content")


def test_where_nothing_can_be_written(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for base in ("/proc", str(tmp_path / "file"), str(tmp_path / "no" / "parent"), "/nonexistent/cache"):
        monkeypatch.setenv("XDG_CACHE_HOME", base)
        assert not keep("kind", KEY, b"content")
        assert recall("kind", KEY) is None


def test_a_full_disk_leaves_no_temporary_file(base: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("sparkdoctor.cache.os.fsync", full)
    assert not keep("kind", KEY, b"content")
    assert not list((base / "sparkdoctor").iterdir())


def test_without_the_variable_it_is_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for value in ("", "relative/path"):
        monkeypatch.setenv("XDG_CACHE_HOME", value)
        assert keep("kind", KEY, value.encode())
        assert (tmp_path / ".cache/sparkdoctor" / f"kind-{KEY}").is_file()
        assert recall("kind", KEY) == value.encode()


def test_only_the_newest_are_kept(base: Path) -> None:
    keys = [digest([b"%d" % number]) for number in range(KEPT + 3)]
    for age, key in enumerate(keys):
        assert keep("kind", key, b"content")
        os.utime(base / "sparkdoctor" / f"kind-{key}", (age, age))
    keep("other", KEY, b"content")
    left = base / "sparkdoctor" / ".kind-1-left-by-a-killed-run"
    left.write_text("")
    os.utime(left, (0, 0))
    keep("kind", KEY, b"content")
    assert recall("other", KEY) == b"content"
    assert [key for key in (*keys, KEY) if recall("kind", key)] == [*keys[-KEPT + 1 :], KEY]
    assert not left.exists()


def test_a_digest_tells_parts_apart() -> None:
    several = [[b"ab"], [b"a", b"b"], [b"", b"ab"], [b"ab", b""], [], [b""]]
    assert len({digest(parts) for parts in several}) == len(several)
    assert digest([]) == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"  # SHA-256 of nothing


def test_processes_that_write_at_once(base: Path) -> None:
    code = (
        "import sys; from sparkdoctor.cache import keep, recall\n"
        f"for number in range(200):\n"
        f"    assert keep('kind', {KEY!r}, sys.argv[1].encode() * 5000)\n"
        f"    found = recall('kind', {KEY!r})\n"
        "    assert found in (b'a' * 5000, b'b' * 5000), found\n"
    )
    processes = [subprocess.Popen([sys.executable, "-c", code, letter]) for letter in "ab"]
    assert [process.wait() for process in processes] == [0, 0]
    assert kept(base).read_bytes()
