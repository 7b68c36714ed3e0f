"""A rule as nft(8) would print it, for people."""

from __future__ import annotations

from typing import Any

from sparkdoctor.host import Rule

BARE = {"iif", "iifname", "iifgroup", "iifkind", "oif", "oifname", "oifgroup", "oifkind", "mark", "skuid", "skgid"}
"""Keys of `meta` that nft prints without that word."""


def words(rule: Rule) -> str:
    """One line. What nft would print otherwise than this is close enough to find the rule by."""
    return rule.text or " ".join(_statement(statement) for statement in rule.statements)


def _statement(statement: Any) -> str:
    match statement:
        case {"match": {"op": op, "left": left, "right": right}}:
            return " ".join([_value(left), *([] if op in ("==", "in") else [op]), _value(right)])
        case {"vmap": {"key": key, "data": {"set": [*elements]}}}:
            shown = ", ".join(f"{_value(one)} : {_statement(outcome)}" for one, outcome in elements)
            return f"{_value(key)} vmap {{ {shown} }}"
        case {"vmap": {"key": key, "data": data}}:
            return f"{_value(key)} vmap {data}"
        case {"jump": {"target": target}}:
            return f"jump {target}"
        case {"goto": {"target": target}}:
            return f"goto {target}"
        case {"reject": {"type": kind}}:
            return f"reject with {kind}"
        case {"limit": {"rate": rate, "per": per, **rest}}:
            return f"limit rate {'over ' if rest.get('inv') else ''}{rate}/{per}"
        case {"xt": {"type": kind, "name": name}}:
            return f"xt {kind} {name}"
        case {"log": {"prefix": prefix}}:
            return f'log prefix "{prefix}"'
        case dict() if statement:
            return str(next(iter(statement)))
    return str(statement)


def _value(value: Any) -> str:
    match value:
        case {"meta": {"key": key}}:
            return key if key in BARE else f"meta {key}"
        case {"payload": {"protocol": protocol, "field": field}}:
            return f"{protocol} {field}"
        case {"ct": {"key": key}}:
            return f"ct {key}"
        case {"fib": {"result": result, "flags": flags}}:
            return f"fib {' . '.join(flags)} {result}"
        case {"set": [*elements]}:
            return f"{{ {', '.join(_value(element) for element in elements)} }}"
        case {"concat": [*parts]}:
            return " . ".join(_value(part) for part in parts)
        case {"range": [first, last]}:
            return f"{_value(first)}-{_value(last)}"
        case {"prefix": {"addr": address, "len": length}}:
            return f"{address}/{length}"
        case {"elem": {"val": inner}}:
            return _value(inner)
        case {"&": [left, mask]}:
            return f"{_value(left)} & {_value(mask)}"
        case [*bits] | {"|": [*bits]}:
            return ",".join(_value(bit) for bit in bits)
        case dict() if value:
            return str(next(iter(value)))
    return str(value)
