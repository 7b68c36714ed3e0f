"""The ranks of a launch over several machines. No checks here."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence

from sparkdoctor.api import CannotTell, Cluster, Fact, Host, Node, Seen, skip
from sparkdoctor.launch.spread import Spread, spread

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def over_nodes(node: Node) -> Spread:
    """How the launch of one rank spreads. Raises Skip when it is for one machine."""
    view = spread(node.launched())
    if view.nnodes is None and view.node_rank is None and view.master_addr is None:
        skip(f"nothing in {node.launched().spec.title} says that the launch has several ranks")
    if view.nnodes is not None and view.nnodes.value < 2 and view.rank == 0:
        skip(f"one node only ({view.nnodes.where})")
    return view


def all_ranks(cluster: Cluster) -> tuple[tuple[Node, Spread], ...]:
    """Every rank with its view. Raises Skip when there are fewer than two launches to compare."""
    nodes = [node for node in cluster.several() if node.launch is not None]
    if len(nodes) < 2:
        skip("one launch only, nothing to compare")
    ranks = tuple((node, spread(node.launched())) for node in nodes)
    if not any(view.nodes > 1 or view.rank > 0 or view.master_addr is not None for _, view in ranks):
        skip("none of the launches says that it has several ranks")
    return ranks


VARIABLES = {"node rank": "NODE_RANK", "nnodes": "NNODES", "MASTER_ADDR": "MASTER_ADDR", "master port": "MASTER_PORT"}
"""What recipes fill the options from."""


def shown(what: str, fact: Fact[int] | Fact[str] | None, default: object, node: Node, wanted: str = "") -> Seen:
    """A rank's setting as evidence; the variable that fills the option says best where the value comes from."""
    if fact is None:
        return Seen(f"{what} on {node.name}", f"not given ({default})", node.launched().spec.title, wanted=wanted)
    variable = node.env(VARIABLES[what])
    filled = variable is not None and variable.is_known and variable.value == str(fact.value)
    where = variable.where if variable is not None and filled else fact.where
    return Seen(f"{what} on {node.name}", str(fact.value), where, wanted=wanted)


def addresses(host: Host) -> Fact[dict[Address, str]]:
    """The addresses of a machine, loopback left out, each with its interface."""
    return host.network.interfaces.map(
        lambda interfaces: {
            ipaddress.ip_interface(address).ip: interface.name
            for interface in interfaces
            if not interface.loopback
            for address in interface.addresses
        }
    )


def resolved(host: Host | None, name: str) -> Address:
    """An address, or what this machine's /etc/hosts makes of a name. Raises CannotTell."""
    try:
        return ipaddress.ip_address(name)
    except ValueError:
        pass
    if host is None:
        raise CannotTell("MASTER_ADDR", f"{name} is a name, and the machine that resolves it was not looked at")
    known = host.network.hosts.value.get(name)
    if known is None:
        raise CannotTell(host.network.hosts.where, f"{name} is not in it; what DNS answers was not asked")
    return ipaddress.ip_address(known[0])


def of_rank(ranks: Sequence[tuple[Node, Spread]], number: int) -> tuple[Node, Spread] | None:
    """The one rank of this number, None when none or several have it."""
    found = [(node, view) for node, view in ranks if view.rank == number]
    return found[0] if len(found) == 1 else None
