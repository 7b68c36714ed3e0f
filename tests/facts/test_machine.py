from __future__ import annotations

import os
import platform

import pytest

from sparkdoctor.fact import CannotTell
from sparkdoctor.facts.machine import count_cpus, machine, parse_release
from sparkdoctor.system import Live
from tests import recordings
from tests.recordings import absent, files, folder, problem


def test_this_machine() -> None:
    found = machine(Live())
    assert found.hostname.value == platform.node()
    assert found.kernel.value == os.uname().release
    assert found.arch.value == os.uname().machine
    assert found.page_size.value == os.sysconf("SC_PAGESIZE")
    assert found.cpus.value >= 1
    assert len(found.boot_id.value) == 36


def test_a_spark() -> None:
    found = machine(recordings.machine("spark-1"))
    assert (found.hostname.value, found.arch.value, found.kernel.value) == ("spark-1", "aarch64", "6.17.0-1021-nvidia")
    assert (found.cpus.value, found.page_size.value) == (20, 4096)
    assert found.dmi.value["product_family"] == "DGX Spark"
    assert found.dgx_release.value["DGX_OTA_VERSION"] == "7.5.0"
    assert found.dgx_release.where == "/etc/dgx-release"


def test_the_last_ota_block_wins_and_no_serial_number_is_kept() -> None:
    text = (
        'DGX_NAME="DGX Spark"\nDGX_SERIAL_NUMBER="19"\n\nDGX_OTA_VERSION="7.3.1"\nDGX_OTA_DATE="Wed Nov 19"\n\n'
        'DGX_OTA_VERSION="7.6.0"\nDGX_OTA_DATE="mer. 16 sept. 2026"\n'
    )
    assert parse_release(text) == {
        "DGX_NAME": "DGX Spark",
        "DGX_OTA_VERSION": "7.6.0",
        "DGX_OTA_DATE": "mer. 16 sept. 2026",
    }


def test_an_hp_writes_its_release_without_quotes() -> None:
    assert parse_release("DGX_PLATFORM=HP ZGX Nano G1n AI Station\n") == {"DGX_PLATFORM": "HP ZGX Nano G1n AI Station"}


def test_a_machine_without_dmi_and_dgx_os() -> None:
    found = machine(recordings.machine("no-rdma"))
    assert found.dmi.absent
    assert found.dgx_release.absent


def test_dmi_keeps_to_the_fields_that_anybody_may_read() -> None:
    dmi = "/sys/class/dmi/id"
    system = files(
        {dmi: folder("board_name", "product_serial"), f"{dmi}/board_name": "P4242\n", f"{dmi}/product_serial": "19\n"}
    )
    assert machine(system).dmi.value == {"board_name": "P4242"}


def test_one_dmi_field_that_cannot_be_read_is_not_left_out() -> None:
    dmi = "/sys/class/dmi/id"
    system = files({f"{dmi}/board_name": "P4242\n", f"{dmi}/sys_vendor": problem("Permission denied")})
    found = machine(system).dmi
    assert (found.where, found.problem) == (f"{dmi}/sys_vendor", "Permission denied")


def test_what_could_not_be_read_says_so() -> None:
    found = machine(files({"/proc/cmdline": problem("Permission denied"), "/etc/dgx-release": absent()}))
    assert (found.cmdline.problem, found.cmdline.absent) == ("Permission denied", False)
    assert found.hostname.problem == "not recorded"


@pytest.mark.parametrize(("text", "count"), [("0-19\n", 20), ("0\n", 1), ("0-4,10-14\n", 10), ("0,2-3", 3)])
def test_lists_of_cpus(text: str, count: int) -> None:
    assert count_cpus(text) == count


@pytest.mark.parametrize("text", ["", "0-", "x", "0-3;"])
def test_no_lists_of_cpus(text: str) -> None:
    with pytest.raises(CannotTell, match="not a list of CPUs"):
        count_cpus(text)
