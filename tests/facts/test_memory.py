from __future__ import annotations

import psutil
import pytest

from sparkdoctor.facts.memory import memory, parse_buddyinfo, parse_meminfo, parse_pressure
from sparkdoctor.host import Pressure
from sparkdoctor.system import Live
from tests.recordings import files, machine, problem


def test_this_machine() -> None:
    found = memory(Live())
    assert found.meminfo.value["MemTotal"] == psutil.virtual_memory().total
    assert sum(found.free_blocks.value) > 0
    assert found.shm.value.size >= found.shm.value.free


def test_cma_of_a_healthy_spark_and_of_one_with_kho() -> None:
    healthy = memory(machine("spark-1")).meminfo.value
    assert healthy["CmaFree"] <= healthy["CmaTotal"] == 131_072 << 10
    kho = memory(machine("spark-kho")).meminfo.value
    assert (kho["CmaTotal"], kho["CmaFree"]) == (0, 940_604 << 10)


def test_counts_stay_counts() -> None:
    assert parse_meminfo("MemTotal:  2 kB\nHugePages_Total:  5\nActive(anon):  1 kB\n") == {
        "MemTotal": 2048,
        "HugePages_Total": 5,
        "Active(anon)": 1024,
    }


@pytest.mark.parametrize("text", ["", "MemFree: 1 kB\n", "MemTotal: much\n"])
def test_no_meminfo(text: str) -> None:
    found = memory(files({"/proc/meminfo": text})).meminfo
    assert found.problem.startswith("not understood: ")
    with pytest.raises(ValueError, match=r"no MemTotal|invalid literal"):
        parse_meminfo(text)


def test_pressure() -> None:
    text = "some avg10=1.25 avg60=0.00 avg300=0.00 total=7\nfull avg10=0.50 avg60=0.00 avg300=0.00 total=7\n"
    assert parse_pressure(text) == Pressure(1.25, 0.5)
    with pytest.raises(ValueError, match="no avg10"):
        parse_pressure("some avg10=1.25\n")


def test_a_kernel_with_psi_switched_off() -> None:
    """It lists the file, and answers EOPNOTSUPP to the read."""
    found = memory(files({"/proc/pressure/memory": problem("Operation not supported")})).pressure
    assert (found.problem, found.absent) == ("Operation not supported", False)


def test_free_blocks_are_summed_over_zones() -> None:
    text = "Node 0, zone      DMA      1      2      3 \nNode 1, zone   Normal     10     20     30 \n"
    assert parse_buddyinfo(text) == (11, 22, 33)
    for damaged in ("", "Node 0, zone DMA 1 2\nNode 0, zone Normal 1\n", "Node 0, zone DMA x\n"):
        with pytest.raises(ValueError, match=r"."):
            parse_buddyinfo(damaged)
