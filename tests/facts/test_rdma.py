from __future__ import annotations

import pytest

from sparkdoctor.archive import Entry
from sparkdoctor.facts.rdma import parse_rate, rdma
from sparkdoctor.system import NO_GID, Live
from tests.recordings import absent, files, folder, machine, problem

CLASS = "/sys/class/infiniband"
GID = "fe80:0000:0000:0000:5054:00ff:fe00:0110\n"


def port(hca: str, **changes: str | Entry) -> dict[str, str | Entry]:
    """The files of an HCA with one port in a good state."""
    device = f"{CLASS}/{hca}"
    return {
        f"{device}/device": Entry(link="../../../0000:01:00.0"),
        f"{device}/fw_ver": "28.45.4028\n",
        f"{device}/ports/1/state": "4: ACTIVE\n",
        f"{device}/ports/1/phys_state": "5: LinkUp\n",
        f"{device}/ports/1/link_layer": "Ethernet\n",
        f"{device}/ports/1/rate": "200 Gb/sec (2X NDR)\n",
        f"{device}/ports/1/gids/0": GID,
        f"{device}/ports/1/gid_attrs/types/0": "RoCE v2\n",
        f"{device}/ports/1/gid_attrs/ndevs/0": "enp1s0f0np0\n",
        **{f"{device}/{path}": change for path, change in changes.items()},
    }


def test_the_hcas_of_a_spark() -> None:
    found = rdma(machine("spark-1"))
    assert [hca.name for hca in found.hcas.value] == ["roceP2p1s0f0", "roceP2p1s0f1", "rocep1s0f0", "rocep1s0f1"]
    twin, _, first, uncabled = found.hcas.value
    assert (first.pci.value, first.firmware.value, first.netdev.value) == ("0000:01:00.0", "28.45.4028", "enp1s0f0np0")
    (port,) = first.ports.value
    assert (port.number, port.state.value, port.phys_state.value) == (1, "ACTIVE", "LinkUp")
    assert (port.link_layer.value, port.rate.value, port.gid_slots.value) == ("Ethernet", 200_000, 255)
    assert [(gid.index, gid.type.value, gid.netdev.value) for gid in port.gids.value] == [
        (0, "IB/RoCE v1", "enp1s0f0np0"),
        (1, "RoCE v2", "enp1s0f0np0"),
        (2, "IB/RoCE v1", "enp1s0f0np0"),
        (3, "RoCE v2", "enp1s0f0np0"),
    ]
    assert port.gids.value[3].gid == "0000:0000:0000:0000:0000:ffff:c0a8:0008"
    assert twin.ports.value[0].gids.value[3].gid == "0000:0000:0000:0000:0000:ffff:c0a8:0108"
    assert (uncabled.ports.value[0].state.value, uncabled.ports.value[0].rate.value) == ("DOWN", 40_000)
    assert found.device_files.value == ("rdma_cm", "uverbs0", "uverbs1", "uverbs2", "uverbs3")


def test_a_machine_without_rdma_is_known_to_have_none() -> None:
    for system in (machine("no-rdma"), files({"/sys/class": folder("net"), "/dev": folder("null")})):
        found = rdma(system)
        assert (found.hcas.value, found.hcas.where) == ((), CLASS)
        assert (found.device_files.value, found.device_files.where) == ((), "/dev/infiniband")


def test_a_machine_whose_sysfs_is_hidden_may_have_some() -> None:
    found = rdma(files({CLASS: absent(), "/sys/class": problem("Permission denied"), "/dev/infiniband": problem("no")}))
    assert (found.hcas.where, found.hcas.problem) == ("/sys/class", "Permission denied")
    assert found.device_files.problem == "no"


def test_this_machine() -> None:
    found = rdma(Live())
    assert found.hcas.is_known
    assert found.device_files.is_known


def test_unused_slots_are_left_out_and_not_asked_for_their_type() -> None:
    """Asking answers EINVAL; here it would be `not recorded`."""
    system = files(port("a", **{"ports/1/gids/1": NO_GID, "ports/1/gids/10": GID, "ports/1/gids/2": NO_GID}))
    (found,) = rdma(system).hcas.value[0].ports.value
    assert [gid.index for gid in found.gids.value] == [0, 10]
    assert found.gids.value[1].type.problem == "not recorded"
    assert found.gid_slots.value == 4


def test_a_gid_without_type_or_interface_is_still_a_gid() -> None:
    einval = problem("Invalid argument")
    system = files(port("a", **{"ports/1/gid_attrs/types/0": einval, "ports/1/gid_attrs/ndevs/0": einval}))
    hca = rdma(system).hcas.value[0]
    (gid,) = hca.ports.value[0].gids.value
    assert (gid.type.problem, gid.netdev.problem) == ("Invalid argument", "Invalid argument")
    assert hca.netdev.problem == "its GID table names no interface"


def test_a_gid_that_cannot_be_read_leaves_the_table_unknown() -> None:
    (found,) = rdma(files(port("a", **{"ports/1/gids/0": problem("Input/output error")}))).hcas.value[0].ports.value
    assert (found.gids.where, found.gids.problem) == (f"{CLASS}/a/ports/1/gids/0", "Input/output error")
    assert found.state.value == "ACTIVE"


def test_soft_roce_has_no_pci_device_and_names_its_parent() -> None:
    """As rdma_rxe of Linux 6.1 has it: no `device`, an empty fw_ver, `parent`."""
    rate = "2.5 Gb/sec (1X SDR)\n"
    changes: dict[str, str | Entry] = {"device": absent(), "fw_ver": "\n", "parent": "eth0\n", "ports/1/rate": rate}
    system = files(port("rxe0", **changes, **{"ports/1/gids/0": NO_GID}))
    (hca,) = rdma(system).hcas.value
    assert (hca.pci.problem, hca.pci.absent) == ("no PCI device, a software device", True)
    assert hca.netdev.value == "eth0"
    assert hca.firmware.value == ""
    assert hca.ports.value[0].rate.value == 2500


def test_the_interface_of_an_empty_table_is_that_of_the_pci_function() -> None:
    changes: dict[str, str | Entry] = {
        "ports/1/gids/0": NO_GID,
        "parent": absent(),
        "device/net": folder("enp1s0f0np0"),
    }
    system = files(port("a", **changes))
    assert rdma(system).hcas.value[0].netdev.value == "enp1s0f0np0"


def test_ports_that_cannot_be_listed() -> None:
    hca = rdma(files({f"{CLASS}/a/fw_ver": "1\n", f"{CLASS}/a/ports": problem("Permission denied")})).hcas.value[0]
    assert hca.ports.problem == "Permission denied"
    assert hca.firmware.value == "1"


def test_states_of_another_form() -> None:
    (found,) = (
        rdma(files(port("a", **{"ports/1/state": "ACTIVE\n", "ports/1/rate": "fast\n"}))).hcas.value[0].ports.value
    )
    assert found.state.problem == "not understood: 'ACTIVE'"
    assert found.rate.problem == "not understood: 'fast'"


@pytest.mark.parametrize(
    ("text", "rate"),
    [("200 Gb/sec (2X NDR)\n", 200_000), ("2.5 Gb/sec (1X SDR)\n", 2500), ("100 Gb/sec (4X EDR)", 100_000)],
)
def test_rates(text: str, rate: int) -> None:
    assert parse_rate(text) == rate


def test_a_soft_roce_device_has_a_parent_even_below_a_pci_function() -> None:
    """`device` may be laid over sysfs, or a driver may set it; `parent` is rdma_rxe's alone."""
    (card,) = rdma(files({**port("rocep1s0f0"), f"{CLASS}/rocep1s0f0/parent": absent()})).hcas.value
    (soft,) = rdma(files({**port("rocep1s0f0"), f"{CLASS}/rocep1s0f0/parent": "enp1s0f0np0\n"})).hcas.value
    (closed,) = rdma(
        files({**port("rocep1s0f0"), f"{CLASS}/rocep1s0f0/parent": problem("Permission denied")})
    ).hcas.value
    assert (card.soft.value, soft.soft.value, closed.soft.is_known) == (False, True, False)
    assert soft.pci.is_known
