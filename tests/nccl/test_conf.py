"""NCCL's configuration files: setEnvFile and initEnvFunc of src/misc/param.cc."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from sparkdoctor.nccl.conf import conf_paths, parse_conf, with_conf


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("NCCL_DEBUG=WARN\n", [("NCCL_DEBUG", "WARN")]),
        ("NCCL_DEBUG=WARN", [("NCCL_DEBUG", "WARN")]),
        ("NCCL_DEBUG=WARN\r\n", [("NCCL_DEBUG", "WARN")]),
        ("#NCCL_DEBUG=WARN\n", []),
        (" #x\n", []),
        (" NCCL_NET = IB \n", [(" NCCL_NET ", " IB ")]),
        ('NCCL_IB_HCA="mlx5_0"\n', [("NCCL_IB_HCA", '"mlx5_0"')]),
        ("NCCL_IB_HCA==mlx5_0\n", [("NCCL_IB_HCA", "=mlx5_0")]),
        ("NCCL_NET=\n", [("NCCL_NET", "")]),
        ("=IB\nNCCL_NET\n\n", []),
        ("A=1\x0bB=2\n", [("A", "1\x0bB=2")]),
    ],
)
def test_lines(text: str, pairs: list[tuple[str, str]]) -> None:
    assert list(parse_conf(text)) == pairs


def test_a_carriage_return_stayed_in_the_value_before_2_30_3() -> None:
    assert list(parse_conf("NCCL_NET=IB\r\n", Version("2.29.7"))) == [("NCCL_NET", "IB\r")]
    assert list(parse_conf("NCCL_NET=IB\r\n", Version("2.30.3"))) == [("NCCL_NET", "IB")]


def test_long_lines() -> None:
    assert list(parse_conf("A=" + "x" * 2000)) == [("A", "x" * 1023)]
    folded = "A=" + "x" * 4093 + "B=2"  # fgets takes 4095 characters, the rest is the next line
    assert list(parse_conf(folded)) == [("A", "x" * 1023), ("B", "2")]
    assert [name for name, _ in parse_conf(folded, Version("2.28.9"))] == ["A"]


def test_the_environment_wins_then_the_first_file_then_the_first_line() -> None:
    joined = with_conf({"A": "env", "B": ""}, ["A=1\nB=1\nC=1\nC=2\n", "C=3\nD=3\n"])
    assert joined == {"A": "env", "B": "", "C": "1", "D": "3"}


@pytest.mark.parametrize(
    ("env", "version", "paths"),
    [
        ({"HOME": "/root"}, "2.30.7", ("/root/.nccl.conf", "/etc/nccl.conf")),
        ({"HOME": "/root"}, "2.29.7", ("/home/u/.nccl.conf", "/etc/nccl.conf")),
        ({"HOME": "/root"}, "2.30.3", ("/root/.nccl.conf", "/etc/nccl.conf")),
        ({}, "2.30.7", ("/etc/nccl.conf",)),
        ({"NCCL_CONF_FILE": "/x", "HOME": "/root"}, "2.30.7", ("/x", "/etc/nccl.conf")),
        ({"NCCL_CONF_FILE": "", "HOME": "/root"}, "2.30.7", ("/root/.nccl.conf", "/etc/nccl.conf")),
        ({"NCCL_CONF_FILE": "/x"}, "2.23.4", ("/x", "/etc/nccl.conf")),
        ({"NCCL_CONF_FILE": "/x"}, "2.22.3", ("/home/u/.nccl.conf", "/etc/nccl.conf")),
    ],
)
def test_which_files(env: dict[str, str], version: str, paths: tuple[str, ...]) -> None:
    assert conf_paths(env, "/home/u", Version(version)) == paths


@given(st.text(max_size=60), st.sampled_from(["2.18.1", "2.30.7"]))
def test_a_file_never_changes_what_is_set(text: str, version: str) -> None:
    assert with_conf({"A": "1"}, [text, "A=2\n"], Version(version))["A"] == "1"
