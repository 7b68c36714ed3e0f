"""Which files the arguments of `explain` name."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.logs import sources
from sparkdoctor.logs.sources import expand, in_order


def make(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("x\n")


def names(folder: Path, *arguments: str) -> list[str]:
    found, problems = expand(arguments)
    assert not problems, problems
    return [os.path.relpath(path, folder) for path in found]


def test_a_rotated_log_is_read_in_the_order_of_time(tmp_path: Path) -> None:
    make(tmp_path, "b.log", "x.log", "x.log.1", "x.log.2.gz", "x.log.10.gz")
    wanted = ["b.log", "x.log.10.gz", "x.log.2.gz", "x.log.1", "x.log"]
    assert names(tmp_path, str(tmp_path)) == wanted
    assert names(tmp_path, f"{tmp_path}/*.log*") == wanted
    assert names(tmp_path, *(str(tmp_path / name) for name in ("x.log", "x.log.1"))) == ["x.log.1", "x.log"]


def test_dates_of_logrotate(tmp_path: Path) -> None:
    files = ["syslog", "syslog-20261123.gz", "syslog-20261124"]
    assert in_order(files) == ["syslog-20261123.gz", "syslog-20261124", "syslog"]


def test_a_folder_of_ray_and_slurm(tmp_path: Path) -> None:
    make(tmp_path, "session/logs/worker-1.err", "session/logs/raylet.out", "slurm-7.out", "slurm-7_1.out", "dmesg.txt")
    make(tmp_path, "model.safetensors", "config.json", "core.1234", "1ab-json.log", "kern.log.1", "notes.md")
    assert names(tmp_path, str(tmp_path)) == [
        "1ab-json.log", "dmesg.txt", "kern.log.1", "session/logs/raylet.out", "session/logs/worker-1.err",
        "slurm-7.out", "slurm-7_1.out",
    ]  # fmt: skip


def test_empty_files_of_a_folder_are_no_problem(tmp_path: Path) -> None:
    make(tmp_path, "a.log")
    (tmp_path / "empty.log").touch()
    assert names(tmp_path, str(tmp_path)) == ["a.log"]


def test_links_in_a_circle_and_devices(tmp_path: Path) -> None:
    make(tmp_path, "one/a.log")
    (tmp_path / "one" / "again").symlink_to(tmp_path)
    (tmp_path / "one" / "link.log").symlink_to("a.log")
    os.mkfifo(tmp_path / "pipe.log")
    assert names(tmp_path, str(tmp_path)) == ["one/a.log", "one/link.log"]


def test_a_file_with_the_name_of_a_pattern_is_itself(tmp_path: Path) -> None:
    make(tmp_path, "a[1].log", "a1.log")
    assert names(tmp_path, str(tmp_path / "a[1].log")) == ["a[1].log"]


def test_what_names_nothing_is_said_and_the_rest_is_read(tmp_path: Path) -> None:
    make(tmp_path, "a.log")
    (tmp_path / "empty").mkdir()
    found, problems = expand([f"{tmp_path}/*.nothing", str(tmp_path / "empty"), str(tmp_path / "a.log"), "-"])
    assert found == [str(tmp_path / "a.log"), "-"]
    assert [problem.problem.split(" (")[0] for problem in problems] == [
        "matches no file",
        "is a folder without a file that is named like a log",
    ]


def test_too_many_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, *(f"{number}.log" for number in range(4)))
    monkeypatch.setattr(sources, "FILES", 3)
    for argument in (str(tmp_path), f"{tmp_path}/*"):
        found, [problem] = expand([argument])
        assert not found
        assert "more than 3" in problem.problem
    monkeypatch.setattr(sources, "VISITED", 2)
    assert "more than 2 entries" in expand([str(tmp_path)])[1][0].problem


@given(st.lists(st.text(max_size=12), max_size=5))
def test_no_text_raises(arguments: list[str]) -> None:
    found, problems = expand(text for text in arguments if "*" not in text and "/" not in text)
    assert len(found) + len(problems) <= len(arguments) + 50


@given(st.permutations(["x.log", "x.log.1", "x.log.2.gz", "y.log", "y.log-20261124"]))
def test_the_order_of_the_arguments_does_not_change_a_rotated_log(paths: list[str]) -> None:
    ordered = in_order(paths)
    assert sorted(ordered) == sorted(paths)
    assert [path for path in ordered if path[0] == "x"] == ["x.log.2.gz", "x.log.1", "x.log"]
