"""Ports, transports and the whole selection, on the healthy pair."""

import json

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from sparkdoctor.fact import CannotTell, Fact, unread
from sparkdoctor.host import Hca, Host
from sparkdoctor.nccl import Selection, list_ports, select
from sparkdoctor.testing import changed, healthy_host

HOST = healthy_host()
HCAS = HOST.rdma.hcas.value
CABLED = ["rocep1s0f0", "roceP2p1s0f0"]


def chosen(env: dict[str, str], host: Host = HOST, version: str = "2.30.7") -> Selection:
    return select(
        host.rdma.hcas.value,
        host.rdma.device_files.value,
        host.network.interfaces.value,
        env,
        Version(version),
    )


def with_port(name: str, **changes: object) -> tuple[Hca, ...]:
    return tuple(
        changed(hca, ports=Fact("ports", tuple(changed(port, **changes) for port in hca.ports.value)))
        if hca.name == name
        else hca
        for hca in HCAS
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        (None, CABLED),
        ("", CABLED),
        ("roceP2p1s0f0,rocep1s0f0", CABLED),
        ("rocep1s0f0,rocep1s0f1,roceP2p1s0f0,roceP2p1s0f1", CABLED),
        ("roceP2", ["roceP2p1s0f0"]),
        ("^rocep1s0f0", ["roceP2p1s0f0"]),
        ("rocep1s0f0:1", ["rocep1s0f0"]),
        ("rocep1s0f0:2", []),
        ("rocep1s0f1", []),
        ("mlx5_0", []),
        ("^", []),
    ],
)
def test_ports_in_bus_order(text: str | None, names: list[str]) -> None:
    env = {} if text is None else {"NCCL_IB_HCA": text}
    assert [port.hca for port in list_ports(HCAS, env)] == names


def test_a_device_without_pci_comes_last() -> None:
    soft = tuple(
        changed(hca, pci=unread("device", "no PCI device, a software device", absent=True))
        if hca.name == "rocep1s0f0"
        else hca
        for hca in HCAS
    )
    assert [port.hca for port in list_ports(soft, {})] == ["roceP2p1s0f0", "rocep1s0f0"]


def test_an_unread_pci_address_matters_only_for_the_order() -> None:
    hcas = tuple(changed(hca, pci=unread("device", "Permission denied")) for hca in HCAS)
    assert [port.hca for port in list_ports(hcas, {"NCCL_IB_HCA": "rocep1s0f0"})] == ["rocep1s0f0"]
    with pytest.raises(CannotTell, match="Permission denied"):
        list_ports(hcas, {})


def test_a_link_layer_that_nccl_does_not_know_is_passed_over() -> None:
    assert [port.hca for port in list_ports(with_port("rocep1s0f0", link_layer=Fact("", "Unknown")), {})] == [
        "roceP2p1s0f0"
    ]


def test_an_unread_port_matters_only_when_the_list_takes_it() -> None:
    hcas = with_port("rocep1s0f1", state=unread("state", "Permission denied"))
    assert [port.hca for port in list_ports(hcas, {"NCCL_IB_HCA": "rocep1s0f0"})] == ["rocep1s0f0"]
    with pytest.raises(CannotTell, match="Permission denied"):
        list_ports(hcas, {})


def test_the_recipe_selects_rdma_over_both_twins() -> None:
    selection = chosen(
        {
            "NCCL_NET": "IB",
            "NCCL_IB_DISABLE": "0",
            "NCCL_IB_HCA": "rocep1s0f0,roceP2p1s0f0",
            "NCCL_SOCKET_IFNAME": "enP7s7,enp1s0f0np0",
            "NCCL_IB_GID_INDEX": "3",
        }
    )
    assert selection.transport == "IB"
    assert selection.bootstrap is not None
    assert selection.bootstrap.name == "enP7s7"
    assert selection.side_channel == selection.bootstrap
    assert [(one.port.hca, one.gid_index) for one in selection.ports] == [("rocep1s0f0", 3), ("roceP2p1s0f0", 3)]
    assert not selection.fails
    assert selection.messages == ()


FALLS_BACK = [{"NCCL_IB_DISABLE": "1"}, {"NCCL_IB_HCA": "mlx5_0"}, {"NCCL_NET": "Socket"}, {"NCCL_NET": "socket"}]


@pytest.mark.parametrize("env", FALLS_BACK)
def test_tcp(env: dict[str, str]) -> None:
    selection = chosen(env)
    assert selection.transport == "Socket"
    assert [one.name for one in selection.sockets] == ["enP7s7", "enp1s0f0np0", "enP2p1s0f0np0"]
    assert selection.ports == ()
    assert not selection.fails


@pytest.mark.parametrize("text", ["true", "yes", "0", "", "no", "0x0"])
def test_what_does_not_disable_rdma(text: str) -> None:
    assert chosen({"NCCL_IB_DISABLE": text}).transport == "IB"


@pytest.mark.parametrize("name", ["RoCE", "ib0", "IB ", "", "rdma"])
def test_a_network_of_another_name_does_not_exist(name: str) -> None:
    selection = chosen({"NCCL_NET": name})
    assert selection.fails
    assert [message.text for message in selection.messages] == ["Failed to initialize any NET plugin"]
    assert chosen({"NCCL_NET": name}, version="2.27.3").messages == selection.messages
    old = chosen({"NCCL_NET": name}, version="2.26.6")
    assert [message.text for message in old.messages] == [f"Error: network {name} not found."]


def test_ib_wanted_without_a_device() -> None:
    bare = changed(HOST, rdma__hcas=Fact("/sys/class/infiniband", ()))
    assert [(one.level, one.text) for one in chosen({"NCCL_NET": "ib"}, bare).messages] == [
        ("INFO", "NET/IB : No device found."),
        ("INFO", "Failed to initialize NET plugin IB"),
        ("WARN", "Failed to initialize any NET plugin"),
    ]
    assert len(chosen({"NCCL_NET": "ib"}, bare, "2.28.3").messages) == 3
    assert len(chosen({"NCCL_NET": "ib"}, bare, "2.27.7").messages) == 2
    assert chosen({}, bare).transport == "Socket"


def test_without_device_files_libibverbs_lists_nothing() -> None:
    hidden = changed(HOST, rdma__device_files=Fact("/dev/infiniband", ("rdma_cm",)))
    assert chosen({}, hidden).transport == "Socket"


def test_no_interface_ends_it_before_any_transport() -> None:
    selection = chosen({"NCCL_SOCKET_IFNAME": "eth0"})
    assert selection.fails
    assert [message.text for message in selection.messages] == ["Bootstrap : no socket interface found"]


def test_the_bootstrap_may_find_what_the_side_channel_does_not() -> None:
    selection = chosen({"NCCL_COMM_ID": "10.0.0.9:5000", "NCCL_SOCKET_IFNAME": "eth0"})
    assert selection.bootstrap is not None
    assert [message.text for message in selection.messages] == [
        "NET/IB : No IP interface found.",
        "Failed to initialize NET plugin IB",
        "NET/Socket : no interface found",
        "Failed to initialize any NET plugin",
    ]


def test_an_index_past_the_end_costs_newer_releases_the_whole_transport() -> None:
    """2.30.7 fails when it connects; 2.31.2 and 2.32.3 were seen to go on over TCP."""
    env = {"NCCL_IB_GID_INDEX": "5000"}
    assert chosen(env, version="2.30.7").transport == "IB"
    newer = chosen(env, version="2.31.2")
    assert newer.transport == "Socket"
    assert [message.text for message in newer.messages] == [
        "Call to ibv_query_gid failed",
        "Failed to initialize NET plugin IB",
    ]
    assert chosen({"NCCL_IB_GID_INDEX": "9"}, version="2.31.2").transport == "IB", "an empty slot is in the table"


def test_a_selection_survives_json() -> None:
    selection = chosen({})
    assert msgspec.json.decode(json.dumps(msgspec.to_builtins(selection)), type=Selection) == selection


values = st.one_of(st.none(), st.sampled_from(["", "^", "0", "1", "true", "IB", "Socket", "RoCE", "rocep1", "=en", "enp1", "^en", "-1", "3"]))  # fmt: skip


@given(
    st.fixed_dictionaries(
        {
            name: values
            for name in ("NCCL_NET", "NCCL_IB_DISABLE", "NCCL_IB_HCA", "NCCL_SOCKET_IFNAME", "NCCL_IB_GID_INDEX")
        }
    ),
    st.sampled_from(["2.18.1", "2.21.5", "2.28.9", "2.30.7"]),
)
def test_every_environment_has_one_outcome(env: dict[str, str | None], version: str) -> None:
    selection = chosen({name: value for name, value in env.items() if value is not None}, version=version)
    assert (selection.transport == "IB") == bool(selection.ports)
    assert (selection.transport == "Socket") == bool(selection.sockets)
    assert not selection.fails or selection.messages
    assert all(one.port.hca in CABLED for one in selection.ports)
