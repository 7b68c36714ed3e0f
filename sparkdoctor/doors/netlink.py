"""Links, addresses and routes of this network namespace, over rtnetlink(7)."""

from __future__ import annotations

import json
import socket
from typing import Any

from pyroute2 import IPRoute
from pyroute2.netlink.exceptions import NetlinkError

RT_TABLE_MAIN = 254
RTN_UNICAST = 1


def ask(table: str) -> str:
    """A JSON list, in the kernel's order. Raises OSError.

    `links`: index, name, flags (IFF_*), mtu. `addresses`: index, address (CIDR form), IPv4
    first. `routes`: destination, interface, gateway of the IPv4 unicast routes of the main table.
    """
    try:
        with IPRoute() as ip:
            match table:
                case "links":
                    answer = [_link(message) for message in ip.get_links()]
                case "addresses":
                    answer = [_address(message) for message in ip.get_addr()]
                case "routes":
                    names = {message["index"]: message.get("IFLA_IFNAME") for message in ip.get_links()}
                    messages = ip.get_routes(family=socket.AF_INET, table=RT_TABLE_MAIN)
                    answer = [route for message in messages for route in _routes(message, names)]
                case _:
                    raise KeyError(table)
    except NetlinkError as error:
        raise OSError(error.code, str(error)) from None
    return json.dumps(answer)


def _link(message: Any) -> dict[str, Any]:
    return {
        "index": message["index"],
        "name": message.get("IFLA_IFNAME"),
        "flags": message["flags"],
        "mtu": message.get("IFLA_MTU"),
    }


def _address(message: Any) -> dict[str, Any]:
    # IFA_LOCAL is this end of a point-to-point link, where IFA_ADDRESS is the other one (rtnetlink(7)).
    address = message.get("IFA_LOCAL") or message.get("IFA_ADDRESS")
    return {"index": message["index"], "address": f"{address}/{message['prefixlen']}"}


def _routes(message: Any, names: dict[int, str]) -> list[dict[str, str]]:
    """One entry a next hop."""
    if message["type"] != RTN_UNICAST:
        return []
    destination = message.get("RTA_DST")
    to = f"{destination}/{message['dst_len']}" if destination else "default"
    hops = message.get("RTA_MULTIPATH") or [message]
    found = []
    for hop in hops:
        index = hop["oif"] if hop is not message else message.get("RTA_OIF")
        route = {"destination": to, "interface": names.get(index) or f"if{index}"}
        gateway = hop.get("RTA_GATEWAY")
        found.append({**route, "gateway": gateway} if gateway else route)
    return found
