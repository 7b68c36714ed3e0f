from __future__ import annotations

import json

import pytest

from sparkdoctor.fact import Fact
from sparkdoctor.facts.daemon import Settings, parse_size, settings
from sparkdoctor.facts.docker import DeviceRequest, HostConfig, _has_gpus, docker
from sparkdoctor.host import UNLIMITED
from tests.recordings import absent, files, machine, problem

ROOTFUL = Fact("docker info", False)
FILE = "/etc/docker/daemon.json"


def dockerd(*options: str, file: str = "") -> Fact[Settings]:
    return settings(
        files(
            {
                FILE: file or absent(),
                "processes all": '[{"pid": 9, "name": "dockerd", "kind": "dockerd", "container": ""}]',
                "cmdline 9": json.dumps(["/usr/bin/dockerd", "-H", "fd://", *options]),
            }
        ),
        ROOTFUL,
    )


def test_an_engine_that_was_told_nothing() -> None:
    found = dockerd()
    assert found.value == Settings({}, 64 << 20)
    assert found.where == f"{FILE} (there is none), /proc/9/cmdline (dockerd)"


def test_the_file() -> None:
    text = '{"default-ulimits": {"memlock": {"Name": "memlock", "Soft": -1, "Hard": -1}}, "default-shm-size": "8G"}'
    assert dockerd(file=text).value == Settings({"memlock": UNLIMITED}, 8 << 30)
    assert dockerd(file='{"default-shm-size": 1024}').value.shm_size == 1024
    assert dockerd(file="\n").value == Settings({}, 64 << 20)


def test_the_command_line() -> None:
    found = dockerd("--default-ulimit", "memlock=-1:-1", "--default-ulimit=nofile=1024", "--default-shm-size=1g")
    assert found.value == Settings({"memlock": UNLIMITED, "nofile": 1024}, 1 << 30)


def test_a_recorded_engine() -> None:
    found = docker(machine("spark-1"))
    assert (found.default_ulimits.value, found.default_shm_size.value) == ({}, 64 << 20)


def test_what_cannot_be_told() -> None:
    broken = dockerd(file="{")
    assert (broken.where, broken.problem[:15]) == (FILE, "not understood:")
    assert dockerd(file='{"default-ulimits": {"memlock": {"Soft": "all"}}}').problem.startswith("not understood: ")
    assert dockerd("--default-shm-size").problem == "not understood: not a size: ''"
    assert (
        settings(files({FILE: problem("Permission denied"), "processes all": "[]"}), ROOTFUL).problem
        == "Permission denied"
    )
    unlisted = settings(files({FILE: absent(), "processes all": problem("no")}), ROOTFUL)
    assert (unlisted.where, unlisted.problem) == ("/proc", "no")
    two = '[{"pid": 8, "name": "dockerd", "kind": "dockerd"}, {"pid": 9, "name": "dockerd", "kind": "dockerd"}]'
    assert (
        settings(files({FILE: absent(), "processes all": two}), ROOTFUL).problem
        == "2 processes called dockerd run here"
    )
    hidden = files(
        {FILE: absent(), "processes all": two.split(", {")[0] + "]", "cmdline 8": problem("Permission denied")}
    )
    assert settings(hidden, ROOTFUL).where == "/proc/8/cmdline"


def test_a_rootless_engine_has_another_file() -> None:
    found = settings(files({FILE: "{}"}), Fact("docker info", True))
    assert "rootless" in found.problem


@pytest.mark.parametrize(
    ("text", "size"),
    [("64M", 64 << 20), ("64m", 64 << 20), ("1.5g", 3 << 29), ("64MiB", 64 << 20), ("64mb", 64 << 20), ("2 T", 2 << 40),
     ("1024", 1024), ("12b", 12), (67108864, 64 << 20)],
)  # fmt: skip
def test_sizes(text: object, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "M", "64X", "-1", "64MM", None, "1e3", [1]])
def test_no_sizes(text: object) -> None:
    with pytest.raises(ValueError, match="not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("config", "env", "has"),
    [
        (HostConfig(device_requests=[DeviceRequest(capabilities=[["gpu"]])]), {}, True),
        (HostConfig(device_requests=[DeviceRequest(capabilities=[["utility", "gpu"]])]), {}, True),
        (HostConfig(device_requests=[DeviceRequest("cdi", device_i_ds=["nvidia.com/gpu=all"])]), {}, True),
        (HostConfig(device_requests=[DeviceRequest("cdi", device_i_ds=["vendor.com/net=0"])]), {}, False),
        (HostConfig(runtime="nvidia"), {"NVIDIA_VISIBLE_DEVICES": "all"}, True),
        (HostConfig(runtime="nvidia"), {"NVIDIA_VISIBLE_DEVICES": "void"}, False),
        (HostConfig(runtime="nvidia"), {}, False),
        (HostConfig(runtime="runc"), {"NVIDIA_VISIBLE_DEVICES": "all"}, False),
        (HostConfig(), {}, False),
    ],
)
def test_the_ways_to_give_a_container_gpus(config: HostConfig, env: dict[str, str], has: bool) -> None:
    assert _has_gpus(config, env) == has
