"""The network that a container is put into."""

from __future__ import annotations

from sparkdoctor.api import CannotTell, Finding, Fix, Found, Node, Seen, check

from ._fix import set_service
from ._rdma import several_ranks

DOCKERS_OWN = ("", "default", "bridge")


@check("network-not-host")
def network_not_host(node: Node) -> Found:
    """The rank's container has a bridge network, and the launch has ranks on several machines.

    ## Why it matters
    NCCL, Gloo and vLLM open ports of their own choice and tell the peer the address of their
    interface: in a bridge network 172.17.x.x, which the other machine cannot reach, so the launch
    hangs until a timeout. RDMA fails too: the interfaces that the GIDs belong to are outside of
    the container (`ibv_modify_qp failed with 19 No such device`).

    ## How to fix it
    Give the service `network_mode: host`, and take `ports:` and `networks:` away from it.

    ## References
    - https://docs.docker.com/engine/network/drivers/host/
    - https://docs.docker.com/reference/compose-file/services/#network_mode
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/bootstrap.cc (bootstrapNetInit)
    """
    why = several_ranks(node)
    launch = node.launched()
    seen = Seen("network", "the machine's own", launch.host_network.where)
    if launch.host_network.value:
        yield seen
        return
    mode = launch.spec.network_mode
    if mode is not None and mode.value not in DOCKERS_OWN:
        raise CannotTell(mode.where, f"what network `{mode.value}` reaches was not looked at")
    told = mode.value if mode is not None and mode.value else "Docker's default, a bridge"
    yield Finding(
        "the container has a network of its own, which the other machine cannot reach",
        (Seen("network_mode", told, launch.host_network.where, wanted="host"), why),
        set_service(
            node, "network_mode: host", "--network=host", bare=Fix("start the server on the machine's network")
        ),
    )
