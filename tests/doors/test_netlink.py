from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from sparkdoctor.doors import netlink as door
from sparkdoctor.fact import CannotTell
from sparkdoctor.facts.network import network, parse_speed
from sparkdoctor.host import Interface, Route
from sparkdoctor.system import Live
from tests.recordings import files, problem


def test_the_loopback_interface_of_this_machine() -> None:
    found = {interface.name: interface for interface in network(Live()).interfaces.value}
    loopback = found["lo"]
    assert (loopback.index, loopback.loopback, loopback.mtu) == (1, True, 65536)
    assert "127.0.0.1/8" in loopback.addresses
    assert all(len(route.destination) > 0 and route.interface in found for route in network(Live()).routes.value)


NAMESPACE = """
import json, sys
sys.path.insert(0, {path!r})
from pyroute2 import IPRoute
with IPRoute() as ip:
    for name, address in (("enp1s0f0np0", "192.168.0.8"), ("enP2p1s0f0np0", "192.168.1.8")):
        ip.link("add", ifname=name, kind="veth", peer=name[:10] + "-peer", mtu=9000)
        (index,) = ip.link_lookup(ifname=name)
        ip.link("set", index=ip.link_lookup(ifname=name[:10] + "-peer")[0], state="up")
        ip.addr("add", index=index, address=address, prefixlen=24)
        ip.link("set", index=index, state="up")
    first, second = ip.link_lookup(ifname="enp1s0f0np0")[0], ip.link_lookup(ifname="enP2p1s0f0np0")[0]
    ip.route("add", dst="default", gateway="192.168.0.1")
    ip.route("add", dst="10.9.0.0/16", multipath=[
        {{"gateway": "192.168.0.2", "hops": 1}}, {{"gateway": "192.168.1.2", "hops": 1}}])
    ip.route("add", dst="10.8.0.0/16", oif=second, table=100)
    ip.route("add", dst="10.7.0.0/16", type="blackhole")
from sparkdoctor.doors import netlink
print(json.dumps([json.loads(netlink.ask(table)) for table in ("links", "addresses", "routes")]))
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may make a network namespace with `unshare --net`")
def test_a_network_of_our_own_making() -> None:
    """The kernel's own tables: a default route, a multipath one, one of another table and one that drops."""
    script = NAMESPACE.format(path=os.getcwd())
    done = subprocess.run(
        ["unshare", "--net", sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    if "Operation not supported" in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip(f"this kernel has no veth interfaces: {done.stderr.strip().splitlines()[-1]}")
    assert done.returncode == 0, done.stderr
    links, addresses, routes = json.loads(done.stdout)
    by_name = {link["name"]: link for link in links}
    assert by_name["enp1s0f0np0"]["mtu"] == 9000
    assert by_name["enp1s0f0np0"]["flags"] & 0x1
    assert not by_name["lo"]["flags"] & 0x1
    index = by_name["enP2p1s0f0np0"]["index"]
    assert {"index": index, "address": "192.168.1.8/24"} in addresses
    assert routes == [
        {"destination": "default", "interface": "enp1s0f0np0", "gateway": "192.168.0.1"},
        {"destination": "10.9.0.0/16", "interface": "enp1s0f0np0", "gateway": "192.168.0.2"},
        {"destination": "10.9.0.0/16", "interface": "enP2p1s0f0np0", "gateway": "192.168.1.2"},
        {"destination": "192.168.0.0/24", "interface": "enp1s0f0np0"},
        {"destination": "192.168.1.0/24", "interface": "enP2p1s0f0np0"},
    ]


def test_an_unknown_table() -> None:
    with pytest.raises(KeyError):
        door.ask("neighbours")


LINKS = (
    '[{"index": 2, "name": "b", "flags": 4099, "mtu": 1500}, {"index": 1, "name": "a", "flags": 69699, "mtu": 9000}]'
)
ADDRESSES = '[{"index": 1, "address": "192.168.0.8/24"}, {"index": 1, "address": "fe80::1/64"}]'


def test_interfaces_in_index_order_with_their_addresses() -> None:
    machine = files(
        {
            "netlink links": LINKS,
            "netlink addresses": ADDRESSES,
            "netlink routes": '[{"destination": "default", "interface": "a", "gateway": "192.168.0.1"}]',
            "/sys/class/net/a/speed": "200000\n",
            "/sys/class/net/b/speed": problem("Invalid argument"),
        }
    )
    first, second = network(machine).interfaces.value
    assert first.speed.value == 200_000
    assert first == Interface("a", 1, True, True, 9000, ("192.168.0.8/24", "fe80::1/64"), first.speed)
    assert (second.name, second.up, second.running, second.addresses) == ("b", True, False, ())
    assert (second.speed.problem, second.speed.where) == ("Invalid argument", "/sys/class/net/b/speed")
    assert network(machine).routes.value == (Route("default", "a", "192.168.0.1"),)


def test_addresses_that_could_not_be_read_leave_the_interfaces_unknown() -> None:
    machine = files({"netlink links": LINKS, "netlink addresses": problem("Operation not permitted")})
    interfaces = network(machine).interfaces
    assert (interfaces.where, interfaces.problem) == ("ip address", "Operation not permitted")


def test_links_of_another_form() -> None:
    machine = files({"netlink links": '[{"index": "one"}]', "netlink addresses": "[]"})
    assert network(machine).interfaces.problem.startswith("not understood: ")


def test_a_speed_that_the_driver_does_not_know() -> None:
    with pytest.raises(CannotTell, match=r"the driver does not know it \(-1\)"):
        parse_speed("-1\n")
