"""Comparing a packet's value with what a rule wants: true, false, or None for what cannot be told."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from sparkdoctor.firewall.packet import ABSENT, Address, Flags, Joined, Names, Special, Value

Sets = Callable[[str], "tuple[Any, ...] | None"]
"""The elements of a set of the rule's table by its name; None when there is none."""

Truth = bool | None


def compare(value: Value, op: str, wanted: Any, sets: Sets) -> Truth:
    """Whether a match of libnftables-json(5) applies."""
    if value is ABSENT or (isinstance(value, Joined) and any(part is ABSENT for part in value)):
        return False
    match op:
        case "==":
            return holds(value, wanted, sets)
        case "!=":
            if isinstance(value, Flags) and _several(wanted) is not None:
                # Releases differ in whether this asks for another mask or for none of the bits.
                return None if value & {*map(str, _several(wanted) or ())} else True
            return _not(holds(value, wanted, sets))
        case "in":
            bits = _several(wanted) or [wanted]
            return bool(value & {*bits}) if isinstance(value, Flags) and all(isinstance(b, str) for b in bits) else None
        case "<" | ">" | "<=" | ">=":
            return _ordered(value, op, wanted)
    return None


def holds(value: Value, wanted: Any, sets: Sets) -> Truth:
    """Whether a value is the one, or among those, that a rule names."""
    match wanted:
        case {"set": [*elements]}:
            return some(holds(value, element, sets) for element in elements)
        case str(name) if name.startswith("@"):
            named = sets(name[1:])
            return None if named is None else some(holds(value, element, sets) for element in named)
        case {"elem": {"val": inner}}:
            return holds(value, inner, sets)
        case {"concat": [*parts]}:
            if not isinstance(value, Joined) or len(parts) != len(value):
                return None
            return every(holds(one, part, sets) for one, part in zip(value, parts, strict=True))
        case {"prefix": {"addr": str(address), "len": int(length)}}:
            if not isinstance(value, Address):
                return None
            network = _network(f"{address}/{length}")
            return None if network is None else value in network
        case {"range": [first, last]}:
            return every((_ordered(value, ">=", first), _ordered(value, "<=", last)))
    return _equal(value, wanted)


def some(truths: Iterable[Truth]) -> Truth:
    found: Truth = False
    for truth in truths:
        if truth:
            return True
        found = None if truth is None else found
    return found


def every(truths: Iterable[Truth]) -> Truth:
    return _not(some(_not(truth) for truth in truths))


def _not(truth: Truth) -> Truth:
    return None if truth is None else not truth


def _equal(value: Value, wanted: Any) -> Truth:
    match value:
        case Flags():
            bits = _several(wanted) or [wanted]
            return value == frozenset(bits) if all(isinstance(bit, str) for bit in bits) else None
        case Names() if isinstance(wanted, str):
            return any(_is_named(name, wanted) for name in value if isinstance(name, str))
        case Names() if isinstance(wanted, int) and not isinstance(wanted, bool):
            numbers = [name for name in value if isinstance(name, int)]
            return wanted in numbers if numbers else None
        case ipaddress.IPv4Address() | ipaddress.IPv6Address() if isinstance(wanted, str):
            address = _address(wanted)
            return None if address is None else value == address
        case int() if isinstance(wanted, int) and not isinstance(wanted, bool):
            return value == wanted
    return None


def _is_named(name: str, wanted: str) -> bool:
    if wanted.endswith("*") and not wanted.endswith("\\*"):
        return name.startswith(wanted[:-1])
    return name == wanted.replace("\\*", "*")


def _ordered(value: Value, op: str, wanted: Any) -> Truth:
    bound = _address(wanted) if isinstance(wanted, str) else wanted
    if isinstance(value, Special | Flags | Names | Joined) or bound is None or isinstance(bound, bool):
        return None
    if isinstance(value, int) != isinstance(bound, int) or not isinstance(bound, int | Address):
        return None
    left, right = int(value), int(bound)
    return {"<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right}[op]


def _several(wanted: Any) -> list[Any] | None:
    match wanted:
        case [*bits] | {"|": [*bits]}:
            return list(_flat(bits))
    return None


def _flat(bits: Iterable[Any]) -> Iterator[Any]:
    for bit in bits:
        inner = _several(bit)
        yield from inner if inner is not None else [bit]


def _address(text: str) -> Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
