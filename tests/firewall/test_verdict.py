"""Verdicts of recorded firewalls, and spans of ports."""

from __future__ import annotations

from sparkdoctor.facts.firewall import firewall
from sparkdoctor.firewall import Accepted, Dropped, Packet, Unknown, spans, verdict
from sparkdoctor.host import Chain, Firewall, Rule
from tests.firewall.recorded import recorded
from tests.recordings import problem

SYN = Packet("input", "enP7s7", "192.168.0.9", "192.168.0.8", "tcp", 40000, 60)


def told(name: str, packet: Packet, first: int = 1, last: int = 65535) -> list[tuple[int, int, str]]:
    found = spans(firewall(recorded(name)).value, packet, "dport", first, last)
    return [
        (span.first, span.last, span.verdict.drops[0].text if isinstance(span.verdict, Dropped) else type(span.verdict).__name__)
        for span in found
    ]  # fmt: skip


def test_ufw_drops_by_its_policy_what_it_was_not_told_to_let_in() -> None:
    assert told("ufw", SYN, 20, 3000) == [
        (20, 21, "policy drop"),
        (22, 22, "Accepted"),
        (23, 138, "policy drop"),
        (139, 139, "-A ufw-skip-to-policy-input -j DROP"),
        (140, 444, "policy drop"),
        (445, 445, "-A ufw-skip-to-policy-input -j DROP"),
        (446, 2221, "policy drop"),
        (2222, 2222, "Unknown"),  # `ufw limit`: whether a packet is one too many it does not tell
        (2223, 3000, "policy drop"),
    ]


def test_ufw_lets_in_whom_it_was_told_to() -> None:
    known = firewall(recorded("ufw")).value
    fabric = Packet("input", "enp1s0f0np0", "192.168.0.9", "192.168.0.8", "tcp", 40000, 60)
    assert verdict(known, fabric) == Accepted()
    assert verdict(known, Packet("output", "enp1s0f0np0", "192.168.0.8", "192.168.0.9", "tcp", 40000, 60)) == Accepted()


def test_a_sender_that_is_not_known_is_not_guessed() -> None:
    anybody = Packet("input", "enp1s0f0np0", "", "192.168.0.8", "tcp", 40000, 60)
    said = verdict(firewall(recorded("ufw")).value, anybody)
    assert isinstance(said, Unknown)
    assert "-s 192.168.0.9/32 -i enp1s0f0np0 -j ACCEPT" in said.why


def test_ufw_without_iptables_save_is_unknown() -> None:
    known = firewall(recorded("ufw", {"command iptables": problem("iptables-nft-save is not installed")})).value
    said = verdict(known, SYN)
    assert isinstance(said, Unknown)
    assert "xt match conntrack" in said.why


def test_firewalld_rejects_all_but_ssh_in_its_zone_public() -> None:
    assert told("firewalld", SYN) == [
        (1, 21, "reject with icmpx"),
        (22, 22, "Accepted"),
        (23, 65535, "reject with icmpx"),
    ]


def chain(*statements: dict[str, object], **changes: object) -> Chain:
    rules = tuple(Rule(at, (statement,)) for at, statement in enumerate(statements, 2))
    return Chain("inet", "t", "in", rules, "filter", "input", **changes)  # type: ignore[arg-type]


def test_an_unknown_statement_does_not_let_through() -> None:
    said = verdict(Firewall((chain({"novelty": {}}, {"accept": None}, policy="drop"),)), SYN)
    assert said == Accepted()  # it stood alone in its rule; the next one accepts whatever it did
    both = Rule(2, ({"novelty": {}}, {"accept": None}))
    said = verdict(Firewall((Chain("inet", "t", "in", (both,), "filter", "input", policy="drop"),)), SYN)
    assert isinstance(said, Unknown)


def test_every_chain_that_drops_is_named() -> None:
    first = chain({"drop": None}, priority=-10)
    second = Chain("ip", "filter", "INPUT", (), "filter", "input", policy="drop")
    said = verdict(Firewall((second, first)), SYN)
    assert isinstance(said, Dropped)
    assert [drop.where for drop in said.drops] == [
        "nft -a list chain inet t in (handle 2)",
        "nft -a list chain ip filter INPUT",
    ]


def test_a_rewritten_packet_is_unknown() -> None:
    """Docker publishes a port: who gets the packet is for other rules to say."""
    nat = Chain("ip", "nat", "PREROUTING", (Rule(2, ({"dnat": None},)),), "nat", "prerouting", -100)
    assert isinstance(verdict(Firewall((nat,)), SYN), Unknown)
