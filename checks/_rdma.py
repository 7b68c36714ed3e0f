"""Whether a launch sends its collectives over RDMA. No checks here."""

from __future__ import annotations

from sparkdoctor.api import CannotTell, Hca, Interface, Node, Seen, skip
from sparkdoctor.launch.spread import spread
from sparkdoctor.nccl import HcaPort, list_ports
from sparkdoctor.nccl.select import ib_disabled, wanted
from sparkdoctor.predict import nccl_env, nccl_version


def several_ranks(node: Node) -> Seen:
    """What says that the launch has ranks on several machines. Raises Skip when it has one rank.

    The server's own options decide: more nodes than one, or more ranks than this machine has GPUs
    (one on a Spark). A command line that says nothing of ranks (`ray start`, a shell) leaves it to
    the environment: who sets NCCL_IB_* means to cross machines.
    """
    launch = node.launched()
    if launch.flags.is_known:
        view = spread(launch)
        sizes = (("nnodes", view.nnodes), ("tensor", view.tensor), ("pipeline", view.pipeline), ("data", view.data))
        given = " ".join(f"{name}={size.value}" for name, size in sizes if size is not None)
        if view.nodes > 1 or view.rank > 0 or view.world > _gpus(node):
            return Seen("ranks", given or f"node rank {view.rank}", launch.flags.where)
        if given or "model" in launch.flags.value:
            skip(f"one rank on one machine ({given or 'no option asks for more'}; {launch.flags.where})")
    for name, fact in launch.env.value.items():
        if name.startswith("NCCL_IB_") and name != "NCCL_IB_DISABLE" and fact.is_known and fact.value:
            return Seen(name, fact.value, fact.where)
    named = node.env("NCCL_NET")
    if named is not None and named.value.lower() == "ib":
        return Seen("NCCL_NET", named.value, named.where)
    if not launch.flags.is_known:
        raise CannotTell(launch.flags.where, launch.flags.problem)
    skip(f"nothing in {launch.spec.title} says that the launch has ranks on several machines")


def over_rdma(node: Node) -> Seen:
    """What says that the launch wants RDMA. Raises Skip when it has one rank or was told to use TCP."""
    why = several_ranks(node)
    env = nccl_env(node, ("NCCL_IB_DISABLE", "NCCL_NET"))
    for name, off in (("NCCL_IB_DISABLE", ib_disabled(env)), ("NCCL_NET", not wanted("IB", env))):
        fact = node.env(name)
        if off and fact is not None:
            skip(f"{name}={fact.value} ({fact.where}) keeps this launch off RDMA")
    return why


def hcas(node: Node) -> tuple[Hca, ...]:
    """This machine's HCAs. Raises Skip when it has none: rdma-hardware-missing says so."""
    return node.machine().rdma.hcas.value or skip("this machine has no RDMA device")


def nccl_ports(node: Node) -> tuple[HcaPort, ...]:
    """The ports NCCL will use, in its order."""
    return list_ports(hcas(node), nccl_env(node, ("NCCL_IB_HCA",)), nccl_version(node))


def nccl_interfaces(node: Node) -> list[tuple[Hca, Interface]]:
    """The HCAs that NCCL will use over Ethernet, in its order, each with its network interface.

    Raises Skip when there is none, and CannotTell when an HCA's interface is not known.
    """
    own_network(node)
    interfaces = node.machine().network.interfaces
    by_name = {one.name: one for one in interfaces.value}
    devices = {hca.name: hca for hca in hcas(node)}
    found = []
    for port in nccl_ports(node):
        if port.port.link_layer.value == "Ethernet":
            hca = devices[port.hca]
            if hca.netdev.value not in by_name:
                raise CannotTell(interfaces.where, f"{hca.netdev.value}, the interface of {hca.name}, is not in it")
            found.append((hca, by_name[hca.netdev.value]))
    return found or skip("NCCL uses no RoCE port here")


def own_network(node: Node) -> None:
    """Raise CannotTell when the rank has network interfaces of its own: the machine's say nothing about them."""
    host_network = node.launched().host_network
    if not host_network.value:
        raise CannotTell(
            host_network.where, "the container has network interfaces of its own, which were not looked at"
        )


def _gpus(node: Node) -> int:
    """GPUs of this machine; a Spark has one."""
    if node.host is None or not node.host.gpus.devices.is_known:
        return 1
    return max(1, len(node.host.gpus.devices.value))
