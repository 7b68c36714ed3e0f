"""What packets between the ranks meet on a machine, and the commands that let them through. No checks here."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from typing import Literal

from sparkdoctor.api import CannotTell, Certainty, Cluster, Fact, Finding, Fix, Found, Host, Node, Seen, Skip
from sparkdoctor.firewall import Drop, Dropped, Packet, Span, Unknown, spans

from ._fix import on_node

PLACE = "<address of the other node>"


@dataclass(frozen=True)
class Stream:
    """Packets that differ in their port or in their length only."""

    packet: Packet
    numbers: tuple[int, int]
    """First and last port of TCP, first and last length of RoCE."""
    because: Seen
    """What says that they will be sent."""

    @property
    def varies(self) -> Literal["dport", "length"]:
        return "dport" if self.packet.protocol == "tcp" else "length"

    @property
    def peer(self) -> str:
        found = self.packet.saddr if self.packet.way == "input" else self.packet.daddr
        return found or "the other node"

    def words(self, parts: Iterable[tuple[int, int]]) -> str:
        """The stream, or the parts of it that matter."""
        runs = " and ".join(f"{first}" if first == last else f"{first}-{last}" for first, last in parts)
        if self.packet.protocol == "tcp":
            what = f"TCP {{}} port{'' if runs.isdigit() else 's'} {runs}"
        elif runs == f"{self.numbers[0]}-{self.numbers[1]}":
            what = "RoCE packets {} UDP port 4791"
        else:
            what = f"RoCE packets of {runs} bytes {{}} UDP port 4791"
        way = f"from {self.peer} to" if self.packet.way == "input" else f"to {self.peer},"
        return what.format(way)


@dataclass
class _Lost:
    """What one machine drops."""

    words: list[str] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    drops: list[tuple[Drop, Packet]] = field(default_factory=list)


def each(cluster: Cluster, judge: Callable[[Node], Found]) -> Found:
    """What is found on every node. A node that cannot be judged keeps no finding of another back."""
    problems: list[CannotTell] = []
    skips: list[Skip] = []
    for node in cluster.nodes:
        try:
            yield from judge(node)
        except CannotTell as why:
            problems.append(why)
        except Skip as why:
            skips.append(why)
    if problems:
        raise problems[0]
    if len(skips) == len(cluster.nodes) and skips:
        raise skips[0]


def judged(node: Node, streams: Iterable[Stream]) -> Found:
    """One finding for all that the machine drops of these streams. Raises CannotTell where no drop is certain
    and something is not."""
    known = node.machine().network.firewall
    lost = _Lost()
    doubts: list[str] = []
    for stream in streams:
        first, last = stream.numbers
        found = spans(known.value, stream.packet, stream.varies, first, last)
        dropped = [span for span in found if isinstance(span.verdict, Dropped)]
        if dropped:
            _note(lost, stream, dropped)
        unsure = [span.verdict.why for span in found if isinstance(span.verdict, Unknown)]
        if unsure:
            doubts.append(f"{stream.words([stream.numbers])} on {stream.packet.interface}: {unsure[0]}")
        elif not dropped:
            yield Seen(f"{stream.words([stream.numbers])} on {node.name}", "not dropped", known.where)
    if lost.drops:
        interfaces = " and ".join(dict.fromkeys(packet.interface for _, packet in lost.drops))
        more = f", and {len(lost.words) - 1} more" if len(lost.words) > 1 else ""
        message = f"{node.name} drops {lost.words[0]} on {interfaces}{more}"
        yield Finding(message, tuple(dict.fromkeys(lost.seen)), on_node(node, _fix(node, lost.drops)))
    elif doubts:
        raise CannotTell(known.where, doubts[0])


def _note(lost: _Lost, stream: Stream, dropped: list[Span]) -> None:
    """Neighbouring spans that different rules drop are one run to the reader."""
    runs: list[tuple[int, int]] = []
    for span in dropped:
        if runs and runs[-1][1] + 1 == span.first:
            runs[-1] = (runs[-1][0], span.last)
        else:
            runs.append((span.first, span.last))
    shown = runs if len(runs) <= 3 else [(runs[0][0], runs[-1][1])]
    lost.words.append(stream.words(shown))
    lost.seen.append(stream.because)
    for span in dropped:
        assert isinstance(span.verdict, Dropped)
        for drop in span.verdict.drops:
            lost.seen.append(Seen("drops it", drop.text, drop.where, wanted=f"accept for {stream.peer}"))
            lost.drops.append((drop, stream.packet))


def peers(cluster: Cluster, node: Node, interface: str, head: str = "") -> tuple[str, ...]:
    """The addresses from which the other nodes reach this one over an interface, as they were collected; else that
    of `head` in the launch; else one empty text for an address that is not known."""
    networks = [one.network for one in _addresses(node.machine(), interface)]
    found = [
        str(address.ip)
        for other in cluster.nodes
        if other is not node and other.host is not None and other.host.network.interfaces.is_known
        for one in other.host.network.interfaces.value
        for address in _addresses(other.host, one.name)
        if any(address.ip in network for network in networks)
    ]
    if not found and any(_is_in(head, network) for network in networks):
        found = [head]
    return tuple(dict.fromkeys(found)) or ("",)


def _addresses(host: Host, name: str) -> list[ipaddress.IPv4Interface]:
    """IPv4 addresses of an interface, loopback left out."""
    found = (one for one in host.network.interfaces.value if one.name == name and not one.loopback)
    parsed = (ipaddress.ip_interface(address) for one in found for address in one.addresses)
    return [address for address in parsed if isinstance(address, ipaddress.IPv4Interface)]


def _is_in(text: str, network: ipaddress.IPv4Network) -> bool:
    """Whether this is an address, and no name, of that network."""
    try:
        return ipaddress.ip_address(text) in network
    except ValueError:
        return False


def own_address(host: Host, interface: str) -> str:
    """The first IPv4 address. Raises CannotTell when there is none."""
    found = _addresses(host, interface)
    if not found:
        raise CannotTell(host.network.interfaces.where, f"{interface} has no IPv4 address")
    return str(found[0].ip)


def both_ways(stream: Stream) -> Iterator[Stream]:
    """What comes in, and what goes out to the same numbers."""
    yield stream
    packet = stream.packet
    out = Packet("output", packet.interface, packet.daddr, packet.saddr, packet.protocol, packet.dport, packet.length)
    yield replace(stream, packet=out)


def ephemeral(host: Host) -> tuple[Fact[tuple[int, int]], Seen]:
    """The ports that listeners get that ask for none."""
    ports = host.network.ephemeral
    first, last = ports.value
    return ports, Seen("ports of NCCL's bootstrap and of Gloo", f"any of {first}-{last}", ports.where)


def _fix(node: Node, drops: list[tuple[Drop, Packet]]) -> Fix:
    commands = [command for drop, packet in drops for command in _commands(drop, packet, node.machine())]
    known = all(packet.saddr and packet.daddr for _, packet in drops)
    what = " and ".join(dict.fromkeys(_allowed(packet) for _, packet in drops))
    lasting = any(command.startswith(("sudo nft", "sudo ip")) for command in commands)
    cost = (
        "needs root; gone after a restart unless the file that loads the rules has it too" if lasting else "needs root"
    )
    certainty = Certainty.EXACT if known else Certainty.FILL_IN
    return Fix(what, run=tuple(dict.fromkeys(commands)), certainty=certainty, cost=cost)


def _allowed(packet: Packet) -> str:
    if packet.way == "input":
        return f"let {packet.saddr or 'the other node'} in on {packet.interface}"
    return f"let packets to {packet.daddr or 'the other node'} out on {packet.interface}"


def _commands(drop: Drop, packet: Packet, host: Host) -> tuple[str, ...]:
    """What lets the packet through the base chain that drops it, in the words of whoever made that chain."""
    base, incoming = drop.base, packet.way == "input"
    peer = (packet.saddr if incoming else packet.daddr) or PLACE
    chains = {chain.name for chain in host.network.firewall.value.chains if chain.table == base.table}
    if base.table == "firewalld" and incoming:
        return (f"sudo firewall-cmd --permanent --zone=trusted --add-source={peer}", "sudo firewall-cmd --reload")
    if "ufw-user-input" in chains and base.name in ("INPUT", "OUTPUT") and not drop.chain.name.startswith("ufw-before"):
        allow = "prepend allow" if drop.chain.name.startswith("ufw-user") else "allow"
        way = f"in on {packet.interface} from {peer}" if incoming else f"out on {packet.interface} to {peer}"
        return (f"sudo ufw {allow} {way}",)
    if base.family in ("ip", "ip6") and base.name == base.hook.upper():
        program = "iptables" if base.family == "ip" else "ip6tables"
        table = "" if base.table == "filter" else f" -t {base.table}"
        way = f"-i {packet.interface} -s {peer}" if incoming else f"-o {packet.interface} -d {peer}"
        return (f"sudo {program}{table} -I {base.name} {way} -j ACCEPT",)
    way = f'iifname "{packet.interface}" ip saddr' if incoming else f'oifname "{packet.interface}" ip daddr'
    return (f"sudo nft insert rule {base.family} {base.table} {base.name} {way} {peer} accept",)
