"""The kernel's own nftables against `verdict`: the same rules, real packets."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from sparkdoctor.firewall import Accepted, Dropped, Packet, Unknown, verdict
from sparkdoctor.firewall.packet import CONNTRACK
from tests.firewall.wire import NIC, OWN, OWN6, PEER, PEER6, PORTS, Wire, why_not

SYN = 60
"""Bytes of Linux's first TCP packet over IPv4: 20 of IP, 40 of TCP with its options."""


@pytest.fixture(scope="module")
def wire() -> Iterator[Wire]:
    if why := why_not():
        pytest.skip(why)
    one = Wire()
    try:
        yield one
    finally:
        one.close()


PLAIN = (
    f'iifname "{NIC}"', 'iifname != "lo"', 'iifname "en*"', 'iifname { "lo", "wl0" }', f'iif "{NIC}"', f'oifname "{NIC}"',
    'oifname != "lo"', "meta length > 1500", "meta length <= 1500", "meta length 1501-9000",
)  # fmt: skip
OF_PROTOCOL = (
    "meta l4proto tcp", "meta l4proto { tcp, udp }", "meta l4proto != udp", "meta l4proto icmp", "udp dport 4791",
    "tcp dport 22", "tcp dport != 22", "tcp dport { 22, 25000-40000 }", "meta l4proto { tcp, udp } th dport 1024-65535",
    "udp dport >= 25000", "tcp dport > 40000", "tcp dport < 40000", "udp length > 1480", "tcp flags syn",
    "tcp flags & (fin|syn|rst|ack) == syn", "tcp flags & (fin|syn) == fin",
)  # fmt: skip
OF_IP = (
    f"ip saddr {PEER}", "ip saddr 10.9.0.0/28", f"ip saddr != {PEER}", "ip saddr { 10.9.0.1-10.9.0.8, 192.168.0.0/16 }",
    f"ip daddr {OWN}", "ip daddr 10.9.0.8/31", "ip protocol udp", "ip length > 1500", "icmp type echo-request",
    f"ip saddr . tcp dport {{ {PEER} . 22, {PEER} . 25000 }}", f"ip6 saddr {PEER6}", "ip6 nexthdr tcp", "meta nfproto ipv4",
    "ip saddr @peers", "ip saddr @timed", "ip saddr != @peers", "tcp dport @ports", f'iifname . ip saddr {{ "{NIC}" . {PEER} }}',
    "meta protocol ip",
)  # fmt: skip
OF_STATE = (
    "ct state new", "ct state established,related", "ct state { new, untracked }", "ct state invalid", "ct state != new",
    "ct state new,established", "ct direction original", "ct status dnat", "fib saddr type local",
    "fib daddr type local", "fib daddr type { broadcast, multicast }",
)  # fmt: skip
MAPS = (
    "tcp dport vmap { 22 : accept, 25000-40000 : drop }", "meta l4proto vmap { tcp : jump sub, udp : goto sub }",
    "ip saddr vmap @verdicts", "ct state vmap { established : accept, new : jump sub, invalid : drop }",
)  # fmt: skip
VERDICTS = ("accept", "drop", "return", "continue", "jump sub", "goto sub", "counter accept", 'log prefix "x" drop')

INCOMING = (
    ("prerouting", -300), ("prerouting", -150), ("input", -5), ("input", 0), ("input", 10),
)  # fmt: skip
OUTGOING = (("output", -150), ("output", 0), ("postrouting", 50))

SETS = (
    f"set peers {{ type ipv4_addr; flags interval; elements = {{ {PEER}, 172.16.0.0/12 }} }}\n"
    f'set timed {{ type ipv4_addr; flags timeout; elements = {{ {PEER} timeout 1h comment "x" }} }}\n'
    "set ports { type inet_service; elements = { 22, 40000 } }\n"
    f"map verdicts {{ type ipv4_addr : verdict; elements = {{ {PEER} : jump sub, 10.9.0.7 : drop }} }}\n"
)


def rules(hook: str, priority: int, *, sub: bool = False) -> st.SearchStrategy[str]:
    """A few rules for a chain of this hook."""
    groups: list[tuple[str, ...]] = [PLAIN, OF_PROTOCOL, *([OF_IP] if hook != "ingress" else [])]
    maps: tuple[str, ...] = MAPS[:3]
    verdicts = [one for one in VERDICTS if not (sub and "sub" in one)]
    if priority > CONNTRACK and hook in ("prerouting", "input"):
        groups.append(OF_STATE)
        maps = MAPS
    if sub:
        maps = ()
    if hook in ("input", "output") and not sub:
        verdicts.append("reject")
    term = st.one_of(*(st.sampled_from(group) for group in groups))
    plain = st.tuples(term, st.sampled_from(verdicts)).map(" ".join)
    both = st.tuples(st.sampled_from(PLAIN), st.sampled_from(OF_PROTOCOL), st.sampled_from(verdicts)).map(" ".join)
    mapped = st.sampled_from(maps) if maps else plain
    return st.lists(st.one_of(plain, both, mapped), max_size=5).map("\n".join)


def chains(hooks: tuple[tuple[str, int], ...]) -> st.SearchStrategy[str]:
    """A table with chains at some of these hooks, one that is jumped to, sets and a map."""

    def chain(hook: str, priority: int) -> st.SearchStrategy[str]:
        policy = st.sampled_from(("accept", "accept", "drop"))
        return st.tuples(rules(hook, priority), policy).map(
            lambda both: (
                f"chain {hook}{abs(priority)} {{ type filter hook {hook} priority {priority}; policy {both[1]};\n"
                f"{both[0]}\n}}"
            )
        )

    chosen = st.lists(st.sampled_from(hooks), min_size=1, max_size=3, unique=True)
    body = chosen.flatmap(lambda found: st.tuples(*(chain(*one) for one in found)).map("\n".join))
    sub = rules(hooks[-1][0], -300, sub=True)
    return st.tuples(sub, body).map(lambda both: f"table inet t {{\n{SETS}chain sub {{\n{both[0]}\n}}\n{both[1]}\n}}\n")


INGRESS = st.one_of(
    st.just(""),
    rules("ingress", -300, sub=True).map(
        lambda body: (
            f"table netdev f {{\nchain in {{ type filter hook ingress device {NIC} priority 0; policy accept;\n{body}\n}}\n}}\n"
        )
    ),
)

SLOW = settings(
    max_examples=60,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@SLOW
@given(
    filters=chains(INCOMING),
    ingress=INGRESS,
    protocol=st.sampled_from(("tcp", "udp")),
    length=st.sampled_from((64, 1500, 1501, 4156)),
    version=st.sampled_from((4, 4, 6)),
)
def test_a_packet_that_comes_in(
    wire: Wire, filters: str, ingress: str, protocol: str, length: int, version: int
) -> None:
    wire.load(filters + ingress)
    note(filters + ingress)
    known = wire.known()
    if protocol == "tcp":
        length = SYN if version == 4 else SYN + 20
    addresses = (PEER, OWN) if version == 4 else (PEER6, OWN6)
    for port in PORTS:
        said = verdict(known, Packet("input", NIC, *addresses, protocol, port, length))  # type: ignore[arg-type]
        assert not isinstance(said, Unknown), said
        assert isinstance(said, Accepted) == wire.comes_in(protocol, port, length, version), (port, said)


@SLOW
@given(filters=chains(OUTGOING), length=st.sampled_from((64, 1500, 1501, 4156)), version=st.sampled_from((4, 4, 6)))
def test_a_packet_that_goes_out(wire: Wire, filters: str, length: int, version: int) -> None:
    wire.load(filters)
    note(filters)
    known = wire.known()
    addresses = (OWN, PEER) if version == 4 else (OWN6, PEER6)
    for port in PORTS:
        said = verdict(known, Packet("output", NIC, *addresses, "udp", port, length))
        assert not isinstance(said, Unknown), said
        assert isinstance(said, Accepted) == wire.goes_out(port, length, version), (port, said)


UNDECIDED = (
    "limit rate 1000/second accept", "meta mark 0 accept", "meta cpu 0-100 accept", "ip ttl 64 accept",
    "ct mark 0 accept", "ether saddr 02:00:00:00:00:09 accept", "quota until 100 mbytes accept",
    "meta pkttype host accept",
)  # fmt: skip


@pytest.mark.parametrize("rule", UNDECIDED)
def test_what_a_packet_does_not_decide_is_not_called_dropped(wire: Wire, rule: str) -> None:
    wire.load(f"table inet t {{ chain in {{ type filter hook input priority 0; policy drop;\n{rule}\n}}\n}}")
    said = verdict(wire.known(), Packet("input", NIC, PEER, OWN, "udp", 4791, 64))
    assert wire.comes_in("udp", 4791, 64)
    assert isinstance(said, Unknown)
    assert "handle" in said.why


def test_the_rule_that_drops_is_named(wire: Wire) -> None:
    wire.load(
        "table inet fw { chain in { type filter hook input priority 0; policy accept;\n"
        "tcp dport 22 accept\nudp dport 4791 drop\n}\n}"
    )
    said = verdict(wire.known(), Packet("input", NIC, PEER, OWN, "udp", 4791, 64))
    assert isinstance(said, Dropped)
    (drop,) = said.drops
    assert drop.text == "udp dport 4791 drop"
    assert drop.where == "nft -a list chain inet fw in (handle 3)"
    assert not wire.comes_in("udp", 4791, 64)
