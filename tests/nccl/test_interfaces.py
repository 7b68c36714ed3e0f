"""Interface choice, on the healthy pair's interfaces and on small made-up ones."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.version import Version

from sparkdoctor.fact import CannotTell
from sparkdoctor.host import Interface
from sparkdoctor.nccl.interfaces import Chosen, bootstrap_interface, find_interfaces, scan
from sparkdoctor.testing import healthy_host

SPARK = healthy_host().network.interfaces.value
OLD = Version("2.27.7")


def names(chosen: tuple[Chosen, ...]) -> list[str]:
    return [one.name for one in chosen]


def interface(name: str, index: int, *addresses: str, running: bool = True) -> Interface:
    return Interface(name, index, True, running, 1500, addresses)


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("enP7s7,enp1s0f0np0", ["enP7s7", "enp1s0f0np0"]),
        ("enp1s0f0np0,enP7s7", ["enP7s7", "enp1s0f0np0"]),
        ("enp1s0f0np0", ["enp1s0f0np0"]),
        ("enp1s0f0", ["enp1s0f0np0"]),
        ("en", ["enP7s7", "enp1s0f0np0", "enP2p1s0f0np0"]),
        ("=en", []),
        ("=enP7s7", ["enP7s7"]),
        ("^enP7s7,lo,docker", ["enp1s0f0np0", "enP2p1s0f0np0"]),
        ("^=en", ["lo", "enP7s7", "enp1s0f0np0", "enP2p1s0f0np0"]),
        ("^,", []),
        ("docker0", []),
        ("enp1s0f1np1", []),
        ("enp1s0f0np0:1", ["enp1s0f0np0"]),
        (" enP7s7", []),
        ("ENP7S7", []),
    ],
)
def test_scan(spec: str, expected: list[str]) -> None:
    assert names(scan(spec, SPARK)) == expected


def test_before_2_28_3_an_interface_need_not_run() -> None:
    assert names(scan("docker0", SPARK, OLD)) == ["docker0"]
    assert names(scan("docker0", SPARK, Version("2.28.3"))) == []


def test_ipv4_of_any_interface_comes_before_ipv6() -> None:
    both = (interface("b", 2, "fd00::1/64"), interface("c", 3, "10.0.0.1/8", "fe80::1/64"))
    assert names(scan("^x", both)) == ["c", "b"]
    assert scan("c", both, family="AF_INET6") == (Chosen("c", "fe80::1"),)
    assert names(scan("b", both, family="AF_INET")) == []


def test_the_ipv6_loopback_is_passed_over() -> None:
    assert scan("lo", (interface("lo", 1, "::1/128"),)) == ()


def test_the_limit() -> None:
    many = tuple(interface(f"e{at}", at, f"10.0.{at}.1/24") for at in range(1, 21))
    assert len(scan("e", many)) == 16
    assert names(scan("e", many, limit=1)) == ["e1"]


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, "enP7s7"),
        ({"NCCL_SOCKET_IFNAME": ""}, "enP7s7"),
        ({"NCCL_SOCKET_IFNAME": "^"}, "enP7s7"),
        ({"NCCL_SOCKET_IFNAME": "enp1s0f0np0"}, "enp1s0f0np0"),
        ({"NCCL_SOCKET_IFNAME": "enp1s0f0np0,enP7s7"}, "enP7s7"),
        ({"NCCL_SOCKET_IFNAME": "eth0"}, None),
        ({"NCCL_SOCKET_FAMILY": "AF_INET6"}, None),
        ({"NCCL_SOCKET_FAMILY": "ipv4"}, "enP7s7"),
        ({"NCCL_COMM_ID": "192.168.1.9:5000", "NCCL_SOCKET_IFNAME": "enP7s7"}, "enP2p1s0f0np0"),
        ({"NCCL_COMM_ID": "172.17.0.9:5000"}, "docker0"),
        ({"NCCL_COMM_ID": "8.8.8.8:5000"}, None),
        ({"NCCL_COMM_ID": ""}, None),
        ({"NCCL_COMM_ID": "10"}, None),
        ({"NCCL_COMM_ID": ",10.0.0.9:5000"}, "enP7s7"),
        ({"NCCL_COMM_ID": "[fd00::1:5000"}, None),
    ],
)
def test_bootstrap_on_a_spark(env: dict[str, str], expected: str | None) -> None:
    chosen, _ = bootstrap_interface(SPARK, env)
    assert (chosen.name if chosen else None) == expected


def test_what_nccl_says_without_an_interface() -> None:
    assert bootstrap_interface(SPARK, {"NCCL_SOCKET_IFNAME": "eth0"})[1] == ("Bootstrap : no socket interface found",)
    assert bootstrap_interface(SPARK, {"NCCL_COMM_ID": "8.8.8.8:1"})[1] == (
        "NET/Socket : No usable listening interface found",
    )
    assert bootstrap_interface(SPARK, {"NCCL_COMM_ID": ""})[1] == (
        "Net : string is null",
        "Invalid NCCL_COMM_ID, please use format: <ipv4>:<port> or [<ipv6>]:<port> or <hostname>:<port>",
    )


def test_a_host_name_in_comm_id_is_not_guessed() -> None:
    with pytest.raises(CannotTell, match="spark-1"):
        bootstrap_interface(SPARK, {"NCCL_COMM_ID": "spark-1:5000"})


def test_ipv6_comm_ids_compare_their_scope() -> None:
    two = (interface("a", 2, "fe80::a/64"), interface("b", 3, "fe80::b/64", "fd00::b/64"))
    assert bootstrap_interface(two, {"NCCL_COMM_ID": "[fe80::1%b]:5000"})[0] == Chosen("b", "fe80::b")
    assert bootstrap_interface(two, {"NCCL_COMM_ID": "[fd00::1]:5000"})[0] == Chosen("b", "fd00::b")
    assert bootstrap_interface(two, {"NCCL_COMM_ID": "[fe80::1]:5000"})[0] is None


def test_an_ib_interface_comes_first_and_virbr_last() -> None:
    some = (interface("virbr0", 2, "192.168.122.1/24"), interface("docker0", 3, "172.17.0.1/16"))
    assert names(find_interfaces(some, {})) == ["docker0"]
    assert names(find_interfaces(some, {}, OLD)) == ["virbr0"]
    assert names(find_interfaces(some, {}, Version("2.28.3"))) == ["docker0"]
    assert names(find_interfaces((*some, interface("ibs1", 9, "10.1.0.1/24")), {})) == ["ibs1"]
    assert names(find_interfaces(some[:1], {})) == ["virbr0"]


def test_comm_id_is_a_hint_for_the_other_connections() -> None:
    assert names(find_interfaces(SPARK, {"NCCL_COMM_ID": "192.168.1.9:5000"})) == ["enP2p1s0f0np0"]
    assert names(find_interfaces(SPARK, {"NCCL_COMM_ID": "8.8.8.8:5000"}))[0] == "enP7s7"
    with_ib = (*SPARK, interface("ibs1", 12, "10.9.0.1/24"))
    assert names(find_interfaces(with_ib, {"NCCL_COMM_ID": "192.168.1.9:5000"})) == ["ibs1"]


machines = st.lists(
    st.builds(
        interface,
        st.sampled_from(["lo", "enP7s7", "enp1s0f0np0", "docker0", "virbr0", "ib0", "eth0"]),
        st.integers(1, 20),
        st.sampled_from(["10.0.0.1/24", "192.168.0.8/24", "fd00::1/64", "fe80::1/64"]),
        running=st.booleans(),
    ),
    max_size=5,
    unique_by=(lambda one: one.name, lambda one: one.index),
)
specs = st.text(alphabet="enP17lodck0,^=:", max_size=12)


@given(machines, specs)
def test_a_named_interface_runs_has_an_address_and_matches(machine: list[Interface], spec: str) -> None:
    found = {one.name: one for one in machine}
    for chosen in find_interfaces(machine, {"NCCL_SOCKET_IFNAME": spec}):
        assert found[chosen.name].running
        assert any(address.split("/")[0] == chosen.address for address in found[chosen.name].addresses)


@given(machines)
def test_without_a_name_something_is_found_if_anything_runs(machine: list[Interface]) -> None:
    assert bool(find_interfaces(machine, {})) == any(one.running for one in machine)


@given(machines, specs)
def test_the_bootstrap_takes_the_first_of_what_the_socket_transport_takes(machine: list[Interface], spec: str) -> None:
    env = {"NCCL_SOCKET_IFNAME": spec}
    every = find_interfaces(machine, env)
    assert bootstrap_interface(machine, env)[0] == (every[0] if every else None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("[fd00::9:1", "Net : No valid [IPv6]:port pair found"),
        (":5000", "Net : No valid <IPv4_or_hostname>:<port> pair found"),
        ("1", "Net : string is null"),
        ("10", "NET/Socket : No usable listening interface found"),
        (",,", "Net : No valid <IPv4_or_hostname>:<port> pair found"),
    ],
)
def test_why_a_comm_id_is_refused(text: str, why: str) -> None:
    assert bootstrap_interface(SPARK, {"NCCL_COMM_ID": text})[1][0] == why
