"""Verdicts for a run of ports or lengths, without asking for each one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from sparkdoctor.firewall.packet import Packet
from sparkdoctor.firewall.walk import Verdict, verdict
from sparkdoctor.host import Data, Firewall


class Span(Data, frozen=True):
    """Numbers, both ends included, that all have one verdict."""

    first: int
    last: int
    verdict: Verdict


def spans(
    firewall: Firewall, packet: Packet, field: Literal["dport", "length"], first: int, last: int
) -> tuple[Span, ...]:
    """The verdicts of a packet for every value of `field` from `first` to `last`, neighbours with the same one joined.

    A verdict can change only at a number that the rules name, plus what stands between that number and
    the field: the headers of Ethernet, IP and IPv6 for a length.
    """
    offsets = (0,) if field == "dport" else (0, -14, 20, 40)
    edges = {number + after + offset for number in _numbers(firewall) for after in (0, 1) for offset in offsets}
    starts = [first, *sorted(edge for edge in edges if first < edge <= last)]
    ends = [*(start - 1 for start in starts[1:]), last]
    found: list[Span] = []
    for start, end in zip(starts, ends, strict=True):
        one = verdict(firewall, msgspec.structs.replace(packet, **{field: start}))
        if found and found[-1].verdict == one:
            found[-1] = Span(found[-1].first, end, one)
        else:
            found.append(Span(start, end, one))
    return tuple(found)


def _numbers(firewall: Firewall) -> set[int]:
    numbers = {number for chain in firewall.chains for rule in chain.rules for number in _in(rule.statements)}
    return numbers.union(number for named in firewall.sets for number in _in(named.elements))


def _in(value: Any) -> Iterator[int]:
    if isinstance(value, int):
        yield value
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _in(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _in(inner)
