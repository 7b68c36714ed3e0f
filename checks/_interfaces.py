"""Which interface to name to a program that would otherwise choose one itself. No checks here."""

from __future__ import annotations

import ipaddress

from sparkdoctor.api import CannotTell, Certainty, Fix, Interface, Node

from ._fix import set_env
from ._ranks import Address, resolved


def name_interface(node: Node, variable: str) -> Fix:
    """Set the variable to the interface that reaches MASTER_ADDR, else to the only one with an IPv4 address,
    else leave the choice."""
    found = node.machine().network.interfaces.value
    usable = [one for one in found if one.running and not one.loopback and ipv4(one)]
    usable = [one for one in usable if not one.name.startswith(("docker", "br-", "veth", "virbr"))]
    master = _master(node)
    toward = [one for one in usable if master is not None and any(master in own.network for own in ipv4(one))]
    best = toward or (usable if len(usable) == 1 else [])
    if best:
        return set_env(node, variable, best[0].name)
    choice = f"<one of {', '.join(one.name for one in usable)}>" if usable else "<an interface with an IPv4 address>"
    return set_env(node, variable, choice, certainty=Certainty.FILL_IN)


def ipv4(one: Interface) -> list[ipaddress.IPv4Interface]:
    """An interface's IPv4 addresses, each with its network."""
    parsed = [ipaddress.ip_interface(address) for address in one.addresses]
    return [address for address in parsed if isinstance(address, ipaddress.IPv4Interface)]


def _master(node: Node) -> Address | None:
    """Where the ranks meet, as this machine resolves it; None when that is not told or not known here."""
    told = node.env("MASTER_ADDR") or (node.flag("master-addr") if node.launched().flags.is_known else None)
    try:
        return resolved(node.host, told.value) if told is not None else None
    except CannotTell:
        return None  # a name that only DNS knows leaves the choice to the user
