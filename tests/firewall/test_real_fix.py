"""The printed fix, run against a real packet filter, lets real packets through."""

from __future__ import annotations

import shlex
import shutil
from collections.abc import Iterator

import pytest

from sparkdoctor.api import Cluster, Fact, Node
from sparkdoctor.host import Interface
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Result, Status, examine
from sparkdoctor.testing import healthy_host, healthy_node, healthy_spec
from tests.firewall.wire import NIC, OWN, OWN_SIDE, PEER, Wire, run, why_not

PEER_CHECK = builtin_check("firewall-drops-peer")
PORTS = (22, 4791, 25000, 40000)

RULES = {
    "nft": "table inet fw {\nchain in { type filter hook input priority 0; policy drop;\ntcp dport 22 accept\n}\n}",
    "nft, a jump": "table ip fw {\nchain sub { tcp dport 1024-65535 reject\n}\n"
    "chain in { type filter hook input priority -5;\njump sub\n}\n}",
    "nft, at the device": f"table netdev f {{\nchain in {{ type filter hook ingress device {NIC} priority 0;\n"
    "tcp dport 1024-65535 drop\n}\n}",
    "nft, two tables": "table inet a {\nchain in { type filter hook input priority 0; policy drop;\n}\n}\n"
    "table ip b {\nchain pre { type filter hook prerouting priority -300;\ntcp dport > 1023 drop\n}\n}",
    "nft, on the way out": "table inet fw {\nchain out { type filter hook output priority 0;\ntcp dport > 1023 drop\n}\n}",
}

IPTABLES = {
    "policy": "-P INPUT DROP; -A INPUT -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT; -A INPUT -p tcp --dport 22 -j ACCEPT",
    "a chain": "-N own; -A INPUT -p tcp -m multiport --dports 25000,32768:60999 -j own; -A own -m addrtype --dst-type LOCAL -j DROP",
    "raw": "-t raw -A PREROUTING -p tcp -m tcp --dport 1024:65535 -j DROP",
}

DOCKER = (
    "-t nat -N DOCKER; -t nat -A PREROUTING -m addrtype --dst-type LOCAL -j DOCKER;"
    "-t nat -A OUTPUT ! -d 127.0.0.0/8 -m addrtype --dst-type LOCAL -j DOCKER;"
    "-t nat -A POSTROUTING -s 172.17.0.0/16 ! -o docker0 -j MASQUERADE; -t nat -A DOCKER -i docker0 -j RETURN;"
    "-t nat -A DOCKER ! -i docker0 -p tcp -m tcp --dport 8000 -j DNAT --to-destination 172.17.0.2:8000;"
    "-P FORWARD DROP; -N DOCKER-USER; -N DOCKER-FORWARD; -A FORWARD -j DOCKER-USER; -A FORWARD -j DOCKER-FORWARD;"
    "-t raw -A PREROUTING -d 172.17.0.2/32 ! -i docker0 -j DROP"
)
"""What Docker 28 makes of a container that publishes port 8000, less what only forwarded packets meet."""


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    if why := why_not():
        pytest.skip(why)
    one = Wire()
    try:
        yield one
    finally:
        one.close()


def iptables(commands: str) -> None:
    if not shutil.which("iptables-nft", path="/usr/sbin:/sbin:/usr/bin"):
        pytest.skip("iptables-nft not installed")
    for command in commands.split(";"):
        run(f"ip netns exec {OWN_SIDE} iptables-nft {command.strip()}")


def judge(wire: Wire) -> Result:
    """The check on the head, whose network is the namespace; the other node is as it should be."""

    def node(rank: int, address: str, **changes: object) -> Node:
        host = healthy_host(
            rank,
            network__interfaces=Fact("ip address", (Interface(NIC, 2, True, True, 9000, (f"{address}/24",)),)),
            **changes,
        )
        return healthy_node(rank, host=host, spec=healthy_spec(rank, env={"MASTER_ADDR": OWN, "NCCL_SOCKET_IFNAME": NIC},
                                                               flags={"--master-addr": OWN}))  # fmt: skip

    head = node(0, OWN, network__firewall=Fact("nft --json list ruleset", wire.known()))
    return examine(PEER_CHECK, Cluster((head, node(1, PEER))))


def follow(wire: Wire) -> None:
    """What is found is real, and gone after the printed commands."""
    found = judge(wire)
    assert found.status is Status.FAILED, found
    (finding,) = found.findings
    for command in finding.fix.run:
        sudo, program, *words = shlex.split(command)
        program = {"iptables": "iptables-nft"}.get(program, program)
        assert sudo == "sudo"
        run(" ".join([f"ip netns exec {OWN_SIDE}", program, *words]))
    assert judge(wire).status is Status.PASSED
    assert all(wire.comes_in("tcp", port) for port in (25000, 40000))


@pytest.mark.parametrize("name", RULES)
def test_rules_of_nft(wire: Wire, name: str) -> None:
    wire.load(RULES[name])
    if "way out" not in name:
        assert not wire.comes_in("tcp", 40000)
    follow(wire)


@pytest.mark.parametrize("name", IPTABLES)
def test_rules_of_iptables(wire: Wire, name: str) -> None:
    wire.load("")
    iptables(IPTABLES[name])
    assert not wire.comes_in("tcp", 40000)
    follow(wire)


def test_rules_of_docker_drop_nothing_between_the_nodes(wire: Wire) -> None:
    wire.load("")
    iptables(DOCKER)
    assert judge(wire).status is Status.PASSED
    assert all(wire.comes_in("tcp", port) for port in PORTS)
