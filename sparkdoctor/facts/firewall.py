"""The packet filter of this network namespace: what nftables holds, rules made by iptables-nft among it.

Form: libnftables-json(5), schema version 1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import msgspec

from sparkdoctor.fact import CannotTell, Fact, unread
from sparkdoctor.facts.iptables import read_save
from sparkdoctor.host import Chain, Firewall, NamedSet, Rule
from sparkdoctor.system import System
from sparkdoctor.typed import decode

LEGACY = {"ip": "/proc/net/ip_tables_names", "ip6": "/proc/net/ip6_tables_names"}
"""The tables of the older iptables, which nft does not show; only root may read these."""
SAVE = {"ip": "iptables", "ip6": "ip6tables"}

AT_DEVICES = ("ingress", "egress")

NEEDS_ROOT = "only root may read it; run sparkdoctor with sudo"


def firewall(system: System) -> Fact[Firewall]:
    """All chains and sets of nftables. A rule with parts of iptables is taken from iptables-nft-save.

    nft's JSON says of such a part no more than its name, and that it is there.
    """
    for path in LEGACY.values():
        names = system.read(path)
        if names.is_known and names.value.strip():
            tables = ", ".join(names.value.split())
            return unread(path, f"iptables-legacy has tables of its own ({tables}), which nft does not show")
    answer = system.command("nft")
    if "Operation not permitted" in answer.problem or "must be root" in answer.problem:
        return unread(answer.where, NEEDS_ROOT)
    known = answer.map(parse_ruleset)
    if not known.is_known:
        return known
    chains = known.value.chains
    if any(chain.hook in AT_DEVICES and not chain.devices for chain in chains):
        devices = system.command("nft chains").map(parse_devices)
        if not devices.is_known:
            return unread(devices.where, devices.problem)
        chains = tuple(
            msgspec.structs.replace(chain, devices=devices.value.get((chain.family, chain.table, chain.name), ()))
            if chain.hook in AT_DEVICES
            else chain
            for chain in chains
        )
    for family, command in SAVE.items():
        if any(chain.family == family and _has_iptables(chain) for chain in chains):
            saved = system.command(command).map(read_save)
            chains = tuple(_filled(chain, saved) if chain.family == family else chain for chain in chains)
    return Fact(known.where, msgspec.structs.replace(known.value, chains=chains))


def parse_ruleset(text: str) -> Firewall:
    """What `nft --json list ruleset` prints. Raises ValueError for anything else."""
    try:
        entries = decode(text, dict[str, list[dict[str, Any]]])["nftables"]
        chains = {(*_place(body), body["name"]): _chain(body) for body in _all(entries, "chain")}
        rules: dict[tuple[str, ...], list[Rule]] = {key: [] for key in chains}
        for body in _all(entries, "rule"):
            rules[(*_place(body), body["chain"])].append(Rule(body["handle"], tuple(_statements(body["expr"]))))
        sets = tuple(
            NamedSet(*_place(body), body["name"], tuple(body.get("elem", ())))
            for kind in ("set", "map")
            for body in _all(entries, kind)
        )
        return Firewall(
            tuple(msgspec.structs.replace(chain, rules=tuple(rules[key])) for key, chain in chains.items()), sets
        )
    except (msgspec.DecodeError, KeyError, TypeError) as error:
        raise ValueError(f"{type(error).__name__}: {error}") from None


def parse_devices(text: str) -> dict[tuple[str, str, str], tuple[str, ...]]:
    """The interfaces of chains at a device, from `nft list chains`: the JSON of some releases (1.0.6) leaves them out."""
    found: dict[tuple[str, str, str], tuple[str, ...]] = {}
    table, chain = ("", ""), ""
    for line in text.splitlines():
        match line.split():
            case ["table", family, name, "{"]:
                table = (family, name)
            case ["chain", name, "{"]:
                chain = name
            case ["type", *words] if "hook" in words:
                devices = re.search(r" devices? (?:= \{ (?P<several>[^}]*) \}|(?P<one>\S+))", line)
                if devices:
                    names = devices["one"] or devices["several"]
                    found[*table, chain] = tuple(name.strip(' "') for name in names.split(","))
    return found


def _all(entries: list[dict[str, Any]], kind: str) -> Iterator[dict[str, Any]]:
    return (entry[kind] for entry in entries if kind in entry)


def _place(body: dict[str, Any]) -> tuple[str, str]:
    return body["family"], body["table"]


def _chain(body: dict[str, Any]) -> Chain:
    device = body.get("dev", ())
    return Chain(
        *_place(body),
        body["name"],
        type=body.get("type", ""),
        hook=body.get("hook", ""),
        priority=body.get("prio", 0),
        policy=body.get("policy", "accept"),
        devices=(device,) if isinstance(device, str) else tuple(device),
    )


def _statements(expressions: list[Any]) -> Iterator[Any]:
    """Counters change between two looks, and decide nothing."""
    return (one for one in expressions if not (isinstance(one, dict) and "counter" in one))


def _has_iptables(chain: Chain) -> bool:
    return any("xt" in statement for rule in chain.rules for statement in rule.statements)


def _filled(chain: Chain, saved: Fact[dict[tuple[str, str], tuple[Rule, ...]]]) -> Chain:
    """The chain with each rule that has parts of iptables as iptables-nft-save writes it.

    Where that could not be read, or has other rules than nft, the rules stay as they are: not understood.
    """
    try:
        lines = saved.value.get((chain.table, chain.name), ())
    except CannotTell:
        return chain
    if len(lines) != len(chain.rules):
        return chain
    rules = zip(chain.rules, lines, strict=True)
    return msgspec.structs.replace(
        chain,
        rules=tuple(
            Rule(rule.handle, line.statements, line.text)
            if any("xt" in statement for statement in rule.statements)
            else msgspec.structs.replace(rule, text=line.text)
            for rule, line in rules
        ),
    )
