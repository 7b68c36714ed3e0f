"""Where the ranks meet: MASTER_ADDR and its port."""

from __future__ import annotations

from sparkdoctor.api import CannotTell, Certainty, Cluster, Finding, Fix, Found, Host, Node, Seen, check, skip
from sparkdoctor.launch.spread import MASTER_PORT, Spread

from ._fix import on_node, set_either
from ._ranks import addresses, all_ranks, of_rank, over_nodes, resolved, shown


@check("master-addr-wrong", after=("rank-duplicate", "rank-out-of-range", "command-options-lost"))
def addr_wrong(node: Node) -> Found:
    """MASTER_ADDR does not lead to the head.

    ## Why it matters
    Node 0 opens the store of torch.distributed, and every rank, node 0 as well, connects to it at
    --master-addr. An address that is not the head's, or one that means "this machine" on a worker
    (127.0.0.1, its own address, a name that its /etc/hosts gives one of these), leaves everybody
    waiting: `TCP client failed to connect/validate to host`, for half an hour.

    ## How to fix it
    Give every rank the same address: one of the head's, on the network that the machines share.

    ## References
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    - https://docs.pytorch.org/docs/stable/distributed.html (TCP initialization)
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/distributed/parallel_state.py (init_distributed_environment)
    """
    view = over_nodes(node)
    if view.executor is not None and view.executor.value == "ray":
        skip("the executor is ray, which finds its machines itself")
    if view.master_addr is None:
        yield from _not_given(node, view)
        return
    seen = shown("MASTER_ADDR", view.master_addr, "", node)
    named = view.master_addr.value
    host = node.machine()
    if not node.launched().host_network.value:
        skip("the container has a network of its own, so its addresses are not this machine's")
    held = addresses(host)
    if view.rank == 0 and named not in ("127.0.0.1", "localhost", "::1"):
        if (address := resolved(host, named)) in held.value or address.is_loopback:
            # A name of the head's that it gives 127.0.1.1 serves: its store listens on every address.
            yield seen
            yield Seen("held by", held.value.get(address, "loopback"), held.where)
            return
        yield _finding(node, view, f"MASTER_ADDR is {named}, which {node.name}, rank 0, does not hold")
        return
    address = resolved(host, named)
    if address.is_loopback or address.is_unspecified:
        yield _finding(node, view, f"MASTER_ADDR is {named}, which every machine takes for itself")
    elif view.rank > 0 and address in held.value:
        yield _finding(
            node, view, f"MASTER_ADDR is {named}, which is an address of {node.name} itself, rank {view.rank}"
        )
    else:
        yield seen


@check(
    "master-addr-differs", after=("master-addr-wrong", "rank-duplicate", "rank-out-of-range", "command-options-lost")
)
def addr_differs(cluster: Cluster) -> Found:
    """The ranks do not look for the head at the same place.

    ## Why it matters
    A rank that looks elsewhere never comes, and the others wait for it. Two addresses are fine only
    when both are the head's.

    ## How to fix it
    Give every rank the address that the head's own file has.

    ## References
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    - https://docs.pytorch.org/docs/stable/distributed.html (TCP initialization)
    """
    ranks = all_ranks(cluster)
    seen = tuple(shown("MASTER_ADDR", view.master_addr, "127.0.0.1", node) for node, view in ranks)
    head = of_rank(ranks, 0)
    named = {view.master_addr.value for node, view in ranks if view.master_addr is not None}
    if len(named) < 2 or head is None:
        yield from seen
        return
    host, right = head[0].host, head[1].master_addr
    for node, view in ranks:
        if view.rank == 0 or view.master_addr is None or (right is not None and view.master_addr.value == right.value):
            continue
        if host is not None and _holds(host, view.master_addr.value):
            continue
        where = f", and rank 0 is at {right.value}" if right is not None else f", which {head[0].name} does not hold"
        yield Finding(
            f"{node.name} looks for rank 0 at {view.master_addr.value}{where}",
            seen,
            on_node(node, _fix(node, right.value if right is not None else "")),
        )
        return
    yield from seen


@check("master-port-differs", after=("command-options-lost",))
def port_differs(cluster: Cluster) -> Found:
    """The ranks do not use the same master port.

    ## Why it matters
    The head opens its store at its own --master-port; a worker that asks at another finds nobody, and
    both wait for half an hour.

    ## How to fix it
    Give every rank the same --master-port (vLLM's default is 29501).

    ## References
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/config/parallel.py (master_port)
    """
    ranks = all_ranks(cluster)
    seen = tuple(shown("master port", view.master_port, MASTER_PORT, node) for node, view in ranks)
    ports = {node.name: _port(view) for node, view in ranks}
    if len(set(ports.values())) == 1:
        yield from seen
        return
    head = of_rank(ranks, 0) or ranks[0]
    right = _port(head[1])
    odd = next(node for node, view in ranks if _port(view) != right)
    yield Finding(
        f"the master port is {right} on {head[0].name} and {ports[odd.name]} on {odd.name}",
        seen,
        on_node(odd, set_either(odd, "master-port", "MASTER_PORT", str(right))),
    )


def _not_given(node: Node, view: Spread) -> Found:
    """Without an address vLLM takes 127.0.0.1: enough for node 0, which listens on every address, for no other."""
    missing = shown("MASTER_ADDR", None, "127.0.0.1, vLLM's default", node)
    if view.rank == 0:
        yield missing
        return
    yield Finding(
        f"rank {view.rank} is given no MASTER_ADDR, so it looks for rank 0 on {node.name} itself",
        (missing, shown("node rank", view.node_rank, 0, node)),
        set_either(node, "master-addr", "MASTER_ADDR", "<address of the head>", certainty=Certainty.FILL_IN),
    )


def _finding(node: Node, view: Spread, message: str) -> Finding:
    """The machine's own addresses are evidence, and on the head the candidates."""
    host = node.machine()
    held = addresses(host)
    own = ", ".join(f"{address} ({interface})" for address, interface in held.value.items() if address.version == 4)
    evidence = (
        shown("MASTER_ADDR", view.master_addr, "", node, wanted="an address of rank 0"),
        shown("node rank", view.node_rank, 0, node),
        Seen(f"addresses of {node.name}", own or "none", held.where),
    )
    fix = _fix(node, _of_the_head(host) if view.rank == 0 else "")
    if view.rank == 0:
        fix = Fix(f"{fix.do}, and the same on every other rank", fix.edit, fix.run, fix.certainty, fix.cost)
    return Finding(message, evidence, fix)


def _of_the_head(host: Host) -> str:
    """The address of the fastest interface that has one, empty when none is faster than 10 Gb/s: the RoCE link."""
    fast = [
        interface
        for interface in host.network.interfaces.value
        if interface.speed.is_known and interface.speed.value > 10_000 and interface.addresses
    ]
    if not fast:
        return ""
    return max(fast, key=lambda interface: interface.speed.value).addresses[0].split("/")[0]


def _fix(node: Node, address: str) -> Fix:
    """Set MASTER_ADDR, to a placeholder when the right one is not known."""
    certainty = Certainty.EXACT if address else Certainty.FILL_IN
    return set_either(node, "master-addr", "MASTER_ADDR", address or "<address of the head>", certainty=certainty)


def _port(view: Spread) -> int:
    return view.master_port.value if view.master_port is not None else MASTER_PORT


def _holds(host: Host, named: str) -> bool:
    try:
        return resolved(host, named) in addresses(host).value
    except CannotTell:
        return False  # a name that rank 0 does not know: it cannot be told to be its own
