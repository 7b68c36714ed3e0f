"""Rules as iptables-save writes them, as statements of nftables (iptables(8), iptables-extensions(8))."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Container, Sequence
from typing import Any

from sparkdoctor.host import Rule

Statement = dict[str, Any]

TARGETS = {
    "ACCEPT": "accept", "DROP": "drop", "RETURN": "return", "REJECT": "reject", "NOTRACK": "notrack",
    "DNAT": "dnat", "REDIRECT": "redirect", "SNAT": "snat", "MASQUERADE": "masquerade",
}  # fmt: skip
PASSING = {
    "LOG",
    "NFLOG",
    "TCPMSS",
    "CHECKSUM",
    "DSCP",
    "TOS",
    "TTL",
    "HL",
    "CLASSIFY",
    "TRACE",
    "AUDIT",
    "MARK",
    "CONNMARK",
}
"""Targets after which the next rule is looked at."""
BARE = {"comment", "tcp", "udp", "conntrack", "state", "multiport", "addrtype"}
"""Modules whose options say all there is to say; another one counts as not understood."""


def read_save(text: str) -> dict[tuple[str, str], tuple[Rule, ...]]:
    """The rules of each (table, chain), in order. What cannot be put into statements is an `xt` among them.

    Raises ValueError for a line that is none of iptables-save's.
    """
    found: dict[tuple[str, str], tuple[Rule, ...]] = {}
    table = ""
    chains: set[str] = set()
    for line in text.splitlines():
        if line.startswith("*"):
            table, chains = line[1:].strip(), set()
        elif line.startswith(":"):
            chains.add(line[1:].split(" ")[0])
        elif line.startswith("-A ") and table:
            _, chain, *words = shlex.split(line)
            rule = Rule(0, tuple(translate(words, chains)), line)
            found[table, chain] = (*found.get((table, chain), ()), rule)
        elif line and not line.startswith(("#", "COMMIT")):
            raise ValueError(f"{line[:60]!r} is no line of iptables-save")
    return found


def translate(words: Sequence[str], chains: Container[str]) -> list[Statement]:
    """The statements of one rule, from its words behind `-A CHAIN`; `chains` are those it may jump to."""
    found: list[Statement] = []
    left = list(words)
    while left:
        op = "=="
        if left[0] == "!":
            op = "!="
            del left[0]
        word = left.pop(0)
        if word in ("-j", "-g"):
            return [*found, _target(word, left, chains)]
        if word == "--comment":
            del left[:1]  # any text, dashes and all
            continue
        values = list(itertools.takewhile(lambda value: value != "!" and not value.startswith("-"), left))
        del left[: len(values)]
        if word == "-m" and len(values) == 1:
            found += [] if values[0] in BARE else [_unknown(values[0])]
        elif word in OPTIONS and len(values) == 1:
            found.append(OPTIONS[word](values[0], op))
        elif not any("xt" in one for one in found):
            found.append(_unknown(word))  # an option of a module that is not understood itself says nothing more
    return found


def _target(word: str, words: Sequence[str], chains: Container[str]) -> Statement:
    name = words[0]
    if name in chains:
        return {"goto" if word == "-g" else "jump": {"target": name}}
    if name in PASSING:
        return {"log": None}
    if name == "CT" and "--notrack" in words:
        return {"notrack": None}
    if name in TARGETS:
        return {TARGETS[name]: None}
    return {"xt": {"type": "target", "name": name}}


def _unknown(name: str) -> Statement:
    return {"xt": {"type": "match", "name": name.lstrip("-")}}


def _match(left: dict[str, Any]) -> Callable[[str, str], Statement]:
    return lambda value, op: {"match": {"op": op, "left": left, "right": _value(value)}}


def _value(text: str) -> Any:
    first, colon, last = text.partition(":")
    if colon and (first + last).isdigit():
        return {"range": [int(first), int(last)]}
    return int(text) if text.isdigit() else text


def _address(field: str) -> Callable[[str, str], Statement]:
    def match(value: str, op: str) -> Statement:
        address, slash, length = value.partition("/")
        if slash and not length.isdigit():  # a mask that is no prefix
            return _unknown(field)
        family = "ip6" if ":" in address else "ip"
        right = {"prefix": {"addr": address, "len": int(length)}} if slash else address
        return {"match": {"op": op, "left": _payload(family, field), "right": right}}

    return match


def _interface(key: str) -> Callable[[str, str], Statement]:
    def match(value: str, op: str) -> Statement:
        name = f"{value[:-1]}*" if value.endswith("+") else value
        return {"match": {"op": op, "left": {"meta": {"key": key}}, "right": name}}

    return match


def _states(value: str, op: str) -> Statement:
    states = [state.lower() for state in value.split(",")]
    if not {*states} <= {"new", "established", "related", "invalid", "untracked"}:
        return _unknown("conntrack")  # SNAT and DNAT are states there
    return {"match": {"op": op, "left": {"ct": {"key": "state"}}, "right": {"set": states}}}


def _ports(field: str) -> Callable[[str, str], Statement]:
    def match(value: str, op: str) -> Statement:
        ports = [_value(port) for port in value.split(",")]
        return {"match": {"op": op, "left": _payload("th", field), "right": {"set": ports}}}

    return match


def _address_type(field: str) -> Callable[[str, str], Statement]:
    def match(value: str, op: str) -> Statement:
        right = {"set": [kind.lower() for kind in value.split(",")]}
        return {"match": {"op": op, "left": {"fib": {"result": "type", "flags": [field]}}, "right": right}}

    return match


def _protocol(value: str, op: str) -> Statement:
    return {"match": {"op": op, "left": {"meta": {"key": "l4proto"}}, "right": _value(value)}}


def _payload(protocol: str, field: str) -> Statement:
    return {"payload": {"protocol": protocol, "field": field}}


OPTIONS: dict[str, Callable[[str, str], Statement]] = {
    "-p": _protocol,
    "-s": _address("saddr"),
    "-d": _address("daddr"),
    "-i": _interface("iifname"),
    "-o": _interface("oifname"),
    "--dport": _ports("dport"),
    "--sport": _ports("sport"),
    "--dports": _ports("dport"),
    "--sports": _ports("sport"),
    "--ctstate": _states,
    "--state": _states,
    "--dst-type": _address_type("daddr"),
    "--src-type": _address_type("saddr"),
}
