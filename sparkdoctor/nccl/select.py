"""All of NCCL's choices on one machine, in the order in which it makes them."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Literal

from packaging.version import Version

from sparkdoctor.host import Data, Gid, Hca, Interface
from sparkdoctor.nccl import since
from sparkdoctor.nccl.devices import HcaPort, list_ports
from sparkdoctor.nccl.gid import choose_gid, gid_at
from sparkdoctor.nccl.interfaces import Chosen, bootstrap_interface, find_interfaces
from sparkdoctor.nccl.numbers import integer

VARIABLES = (
    "NCCL_COMM_ID",
    "NCCL_IB_ADDR_FAMILY",
    "NCCL_IB_ADDR_RANGE",
    "NCCL_IB_DISABLE",
    "NCCL_IB_GID_INDEX",
    "NCCL_IB_HCA",
    "NCCL_IB_ROCE_VERSION_NUM",
    "NCCL_IB_ROUTABLE_FLID_GID_INDEX",
    "NCCL_NET",
    "NCCL_SOCKET_FAMILY",
    "NCCL_SOCKET_IFNAME",
)
"""The variables that decide."""

Transport = Literal["IB", "Socket"]
TRANSPORTS: tuple[Transport, ...] = ("IB", "Socket")
"""The built-in ones, in the order in which NCCL tries them."""


class Message(Data, frozen=True):
    """A line NCCL prints: WARN always, INFO with NCCL_DEBUG=INFO."""

    level: Literal["WARN", "INFO"]
    text: str


class SelectedPort(Data, frozen=True):
    """A port with the GID index NCCL uses on it."""

    port: HcaPort
    gid_index: int
    gid: Gid | None
    """What lies at the index; None when the slot is empty or past the end of the table."""


class Selection(Data, frozen=True):
    """What NCCL does on one machine. Without a transport or a bootstrap interface the launch fails."""

    transport: Transport | None
    bootstrap: Chosen | None
    side_channel: Chosen | None = None
    """The interface of the IB transport's own TCP connections (`OOB` in its log)."""
    ports: tuple[SelectedPort, ...] = ()
    """In NCCL's order; empty without the IB transport."""
    sockets: tuple[Chosen, ...] = ()
    """The interfaces of the Socket transport; empty without it."""
    messages: tuple[Message, ...] = ()
    """What fails or is passed over, in NCCL's words."""

    @property
    def fails(self) -> bool:
        return self.transport is None or self.bootstrap is None


def select(
    hcas: Iterable[Hca],
    device_files: Collection[str],
    interfaces: Iterable[Interface],
    env: Mapping[str, str],
    version: Version = since.NEWEST,
) -> Selection:
    """Predict a rank's choices from what it sees: devices, /dev/infiniband, interfaces, environment.

    `env` is its environment with the configuration files joined (sparkdoctor.nccl.conf).
    Follows bootstrapNetInit (src/bootstrap.cc), then ncclNetInit (src/plugin/net.cc) over the
    built-in transports. Raises CannotTell when a fact that decides could not be read.
    """
    found = tuple(interfaces)
    bootstrap, warnings = bootstrap_interface(found, env, version)
    if bootstrap is None:
        return Selection(None, None, messages=tuple(Message("WARN", text) for text in warnings))
    messages: list[Message] = []
    for transport in TRANSPORTS:
        if not wanted(transport, env):
            continue
        if transport == "Socket":
            sockets = find_interfaces(found, env, version)
            if sockets:
                return Selection("Socket", bootstrap, sockets=sockets, messages=tuple(messages))
            messages.append(Message("WARN", "NET/Socket : no interface found"))
            continue
        side = find_interfaces(found, env, version, limit=1)
        ports, lines = _ib(tuple(hcas), device_files, side, env, version)
        if ports:
            return Selection("IB", bootstrap, side[0], _with_gids(ports, env, version), messages=lines)
        messages += lines
    messages.append(none_left(env, version))
    return Selection(None, bootstrap, messages=tuple(messages))


def wanted(transport: Transport, env: Mapping[str, str]) -> bool:
    """Whether NCCL_NET leaves a transport in: strcasecmp in ncclNetInit, src/plugin/net.cc. Empty leaves none."""
    name = env.get("NCCL_NET")
    return name is None or name.lower() == transport.lower()


def ib_disabled(env: Mapping[str, str]) -> bool:
    """NCCL_IB_DISABLE: any number but 0 disables, and text that is no number is 0."""
    return integer(env.get("NCCL_IB_DISABLE"), 0) != 0


def none_left(env: Mapping[str, str], version: Version = since.NEWEST) -> Message:
    """What NCCL says when no transport is left: ncclNetInit, src/plugin/net.cc (src/net.cc before 2.25)."""
    if version >= since.NET_PLUGIN_LIST:
        return Message("WARN", "Failed to initialize any NET plugin")
    return Message("WARN", f"Error: network {env.get('NCCL_NET', '')} not found.")


def _ib(
    hcas: tuple[Hca, ...],
    device_files: Collection[str],
    side: tuple[Chosen, ...],
    env: Mapping[str, str],
    version: Version,
) -> tuple[tuple[HcaPort, ...], tuple[Message, ...]]:
    """The IB transport's ports, or none with what it says: ncclIbInitDevices, src/transport/net_ib/init.cc.

    libibverbs lists a device only when its /dev/infiniband/uverbsN is there (rdma-core,
    libibverbs/init.c); which N belongs to which device is not looked at.
    """
    failed = (Message("INFO", "Failed to initialize NET plugin IB"),) if version >= since.NAMED_FAILURE else ()
    if ib_disabled(env):
        return (), failed
    if not side:
        return (), (Message("WARN", "NET/IB : No IP interface found."), *failed)
    openable = any(name.startswith("uverbs") for name in device_files)
    ports = list_ports(hcas, env, version) if openable else ()
    if version >= since.GID_AT_INIT and any(_past_the_end(port, env, version) for port in ports):
        return (), (Message("WARN", "Call to ibv_query_gid failed"), *failed)
    return ports, () if ports else (Message("INFO", "NET/IB : No device found."), *failed)


def _past_the_end(port: HcaPort, env: Mapping[str, str], version: Version) -> bool:
    index = choose_gid(port.port, env, version)
    return gid_at(port.port, index) is None and index >= port.port.gid_slots.value


def _with_gids(ports: tuple[HcaPort, ...], env: Mapping[str, str], version: Version) -> tuple[SelectedPort, ...]:
    chosen = ((port, choose_gid(port.port, env, version)) for port in ports)
    return tuple(SelectedPort(port, index, gid_at(port.port, index)) for port, index in chosen)
