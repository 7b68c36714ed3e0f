"""A packet's way through the chains: nft(8), "Chains" and "Statements"."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from sparkdoctor.firewall.match import Truth, compare, holds
from sparkdoctor.firewall.packet import ABSENT, Joined, Packet, read
from sparkdoctor.firewall.words import words
from sparkdoctor.host import Chain, Data, Firewall, Rule

HOOKS = {"input": ("ingress", "prerouting", "input"), "output": ("output", "postrouting", "egress")}
"""The hooks that a packet for this machine, or from it, meets, in order."""

DECIDING = {"accept", "drop", "reject", "return", "continue", "jump", "goto"}
SILENT = {"log", "counter", "last", "dup", "flow", "ct helper", "ct timeout", "ct expectation", "secmark"}
"""Statements after which the rule goes on."""
FINAL = {"snat", "masquerade"}
"""Statements that let the packet go on with another source."""
ELSEWHERE = {"dnat", "redirect", "tproxy", "queue", "fwd", "synproxy"}
"""Statements after which something else decides."""


class Drop(Data, frozen=True):
    """Where a packet is dropped."""

    base: Chain
    """The chain of the hook."""
    chain: Chain
    """The one with the rule."""
    rule: Rule | None
    """None when no rule applies and the base chain's policy is to drop."""

    @property
    def text(self) -> str:
        return words(self.rule) if self.rule is not None else f"policy {self.base.policy}"

    @property
    def where(self) -> str:
        """How a person would look at it."""
        place = f"nft -a list chain {self.chain.family} {self.chain.table} {self.chain.name}"
        return f"{place} (handle {self.rule.handle})" if self.rule is not None else place


class Accepted(Data, frozen=True):
    """The packet goes on: up to a socket, or out."""


class Dropped(Data, frozen=True):
    """The packet is dropped or rejected; one drop for every base chain that does so."""

    drops: tuple[Drop, ...]


class Unknown(Data, frozen=True):
    why: str


Verdict: TypeAlias = Accepted | Dropped | Unknown


def verdict(firewall: Firewall, packet: Packet) -> Verdict:
    """What becomes of a packet. A drop in any chain is final; an accept ends only the chain it is in."""
    return _Walk(firewall, packet).verdict()


@dataclass
class _Ends:
    """All that may become of the packet in one chain."""

    accepted: bool = False
    dropped: list[Drop] = field(default_factory=list)
    elsewhere: bool = False
    through: bool = False
    """It may come back from the chain undecided."""

    def add(self, other: _Ends) -> None:
        self.accepted |= other.accepted
        self.dropped += other.dropped
        self.elsewhere |= other.elsewhere


class _Walk:
    def __init__(self, firewall: Firewall, packet: Packet) -> None:
        self._packet = packet
        self._chains = {(chain.family, chain.table, chain.name): chain for chain in firewall.chains}
        self._sets = {(one.family, one.table, one.name): one.elements for one in firewall.sets}
        self._tracked = True
        self._doubts: list[str] = []

    def verdict(self) -> Verdict:
        drops: list[Drop] = []
        doubt = ""
        for base in self._bases():
            self._doubts = []
            ends = self._chain(base, base)
            if ends.through and base.policy == "drop":
                ends.dropped.append(Drop(base, base, None))
            elif ends.through:
                ends.accepted = True
            if ends.dropped and not ends.accepted and not ends.elsewhere:
                drops.append(ends.dropped[0])
            elif ends.dropped or ends.elsewhere:
                doubt = doubt or self._doubts[0]
        if drops:
            return Dropped(tuple(drops))
        return Unknown(doubt) if doubt else Accepted()

    def _bases(self) -> Iterator[Chain]:
        for hook in HOOKS[self._packet.way]:
            found = [chain for chain in self._chains.values() if chain.hook == hook and self._meets(chain)]
            yield from sorted(found, key=lambda chain: chain.priority)

    def _meets(self, chain: Chain) -> bool:
        if chain.hook in ("ingress", "egress"):
            return self._packet.interface in chain.devices
        return chain.family in ("inet", self._packet.family)

    def _chain(self, chain: Chain, base: Chain) -> _Ends:
        ends = _Ends()
        for rule in chain.rules:
            if not self._rule(rule, chain, base, ends):
                return ends
        ends.through = True
        return ends

    def _rule(self, rule: Rule, chain: Chain, base: Chain, ends: _Ends) -> bool:
        """Add to `ends` what the rule may do; whether the packet may come to the next rule."""
        sure = True
        for statement in rule.statements:
            kind, body = next(iter(statement.items())) if isinstance(statement, dict) and statement else ("", None)
            if kind == "match":
                truth = self._match(body, chain, base)
                if truth is False:
                    return True
                sure = sure and truth is True
            elif kind == "vmap":
                return self._map(rule, body, chain, base, ends, sure)
            elif kind == "notrack":
                self._tracked = False
            elif kind in DECIDING | FINAL | ELSEWHERE:
                return self._decide(rule, kind, body, chain, base, ends, sure)
            elif _alters(kind, body):
                ends.elsewhere = True
                self._doubt(rule, chain)
            elif kind not in SILENT and not _notes(kind, body):
                sure = False  # a limit, or something unheard of
        return True

    def _map(self, rule: Rule, body: Any, chain: Chain, base: Chain, ends: _Ends, sure: bool) -> bool:
        """A verdict map: the verdict of the element that the packet has, if it has one."""
        value = read(body["key"], self._packet, base, self._tracked)
        if value is ABSENT or (isinstance(value, Joined) and any(part is ABSENT for part in value)):
            return True
        named = body["data"]
        elements = named["set"] if isinstance(named, dict) else self._elements(chain, named[1:])
        goes_on = False
        for key, outcome in elements or ():
            truth = holds(value, key, lambda name: self._elements(chain, name))
            if truth is False:
                continue
            kind, inner = next(iter(outcome.items()))
            further = self._decide(rule, kind, inner, chain, base, ends, sure and truth is True)
            if truth:
                return further or goes_on
            goes_on = True
        if elements is None:
            ends.elsewhere = True
            self._doubt(rule, chain)
        return True

    def _decide(self, rule: Rule, kind: str, body: Any, chain: Chain, base: Chain, ends: _Ends, sure: bool) -> bool:
        """A statement that ends the rule; whether the packet may come to the next one."""
        goes_on = not sure
        before = (ends.accepted, len(ends.dropped), ends.elsewhere, ends.through)
        match kind:
            case "accept" | "snat" | "masquerade":
                ends.accepted = True
            case "drop" | "reject":
                ends.dropped.append(Drop(base, chain, rule))
            case "return":
                ends.through = True
            case "continue":
                goes_on = True
            case "jump" | "goto":
                target = self._chains.get((chain.family, chain.table, body["target"]))
                inside = self._chain(target, base) if target is not None else _Ends(elsewhere=True)
                ends.add(inside)
                if kind == "jump":
                    goes_on |= inside.through
                else:
                    ends.through |= inside.through
            case _:
                ends.elsewhere = True
        if ends.elsewhere or (not sure and before != (ends.accepted, len(ends.dropped), ends.elsewhere, ends.through)):
            self._doubt(rule, chain)
        return goes_on

    def _match(self, body: Any, chain: Chain, base: Chain) -> Truth:
        value = read(body["left"], self._packet, base, self._tracked)
        return compare(value, body["op"], body["right"], lambda name: self._elements(chain, name))

    def _elements(self, chain: Chain, name: str) -> tuple[Any, ...] | None:
        return self._sets.get((chain.family, chain.table, name))

    def _doubt(self, rule: Rule, chain: Chain) -> None:
        place = f"{chain.family} {chain.table} {chain.name}, handle {rule.handle}"
        self._doubts.append(f"what `{words(rule)}` does to it cannot be told ({place})")


def _alters(kind: str, body: Any) -> bool:
    """Whether a statement changes the packet, or is of iptables and not known to be a match."""
    return (kind == "mangle" and "payload" in body["key"]) or (kind == "xt" and (body or {}).get("type") != "match")


def _notes(kind: str, body: Any) -> bool:
    """Whether a statement only notes something: a mark, an element of a set that no limit goes with."""
    return kind == "mangle" or (kind in ("set", "map") and "stmt" not in body)
