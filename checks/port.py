"""The ports that a rank opens on its machine."""

from __future__ import annotations

from sparkdoctor.api import Finding, Fix, Found, Node, Seen, check, skip
from sparkdoctor.launch.spread import API_PORT, MASTER_PORT, Spread, spread

from ._fix import set_either, set_flag


@check("port-clash", after=("command-options-lost",))
def clash(node: Node) -> Found:
    """The API and the ranks' meeting point are given the same port.

    ## Why it matters
    Node 0 opens both. The second one to come finds the port taken: `The server socket has failed to
    listen on any local network address` (EADDRINUSE), and the launch ends.

    ## How to fix it
    Give --master-port another number on every rank (vLLM's default is 29501).

    ## References
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    - https://docs.pytorch.org/docs/stable/distributed.html (TCPStore)
    """
    ports = _ports(node)
    if len(ports) < 2:
        skip("this rank opens at most one port of its own")
    seen = tuple(Seen(what, str(port), where) for what, (port, where) in ports.items())
    numbers = {port for port, _ in ports.values()}
    if len(numbers) == len(ports):
        yield from seen
        return
    api = ports["API port"][0]
    free = MASTER_PORT if api != MASTER_PORT else MASTER_PORT + 1
    yield Finding(
        f"the API and the master port are both {api}",
        seen,
        set_either(node, "master-port", "MASTER_PORT", str(free)),
    )


@check("port-taken", after=("port-clash",))
def taken(node: Node) -> Found:
    """Another program listens on a port that the rank will open.

    ## Why it matters
    With the host's network (and RDMA launches need it) two programs cannot have one port. For the
    API it is `OSError: [Errno 98] Address already in use`, for the master port `The server socket has
    failed to listen on any local network address`. Mostly it is an earlier server that still runs.
    What compose replaces when it starts this service is not counted.

    ## How to fix it
    See who it is and stop it, or give another port; the master port must then be the same on every
    rank.

    ## References
    - https://man7.org/linux/man-pages/man2/bind.2.html
    - https://man7.org/linux/man-pages/man8/ss.8.html
    """
    launch = node.launched()
    if launch.seen and launch.spec.kind != "shell":
        skip("the launch runs, so its ports are its own")
    ports = _ports(node)
    if not ports:
        skip("this rank opens no port of its own")
    if not launch.host_network.value:
        skip(f"the container has a network of its own ({launch.host_network.where})")
    replaced = _replaced(node)
    if replaced:
        skip(f"container {replaced} of this service runs and will be replaced, so its ports will be free")
    listening = node.machine().network.listening
    by_port = {listener.port: listener for listener in listening.value}
    free = True
    for what, (port, where) in ports.items():
        listener = by_port.get(port)
        if listener is None:
            yield Seen(what, f"{port}, free", where)
            continue
        free = False
        yield Finding(
            f"port {port}, the {what} of this rank, is taken on {node.name}",
            (
                Seen(what, str(port), where),
                Seen("listener", f"{listener.address}:{listener.port}", listening.where, wanted="none"),
            ),
            _move(node, what, port),
        )
    if free:
        yield Seen("listeners", str(len(listening.value)), listening.where)


def _ports(node: Node) -> dict[str, tuple[int, str]]:
    """What the rank opens: the API unless it is headless, the store on node 0 of several."""
    launch = node.launched()
    if not launch.flags.value:
        skip("the command line shows no vLLM option")
    view: Spread = spread(launch)
    default = f"{launch.spec.title}, vLLM's default"
    ports = {}
    if not view.headless.value and "uds" not in launch.flags.value:
        ports["API port"] = (view.port.value, view.port.where) if view.port is not None else (API_PORT, default)
    if view.nodes > 1 and view.rank == 0:
        port = view.master_port
        ports["master port"] = (port.value, port.where) if port is not None else (MASTER_PORT, default)
    return ports


def _move(node: Node, what: str, port: int) -> Fix:
    """Who it is, is for root to see; the API can go to another port, the master port only on all ranks at once."""
    if what == "API port":
        other = f"give the server `{set_flag(node, 'port', str(port + 1)).edit}`"
    else:
        other = f"give every rank `--master-port {port + 1}`"
    return Fix(
        f"stop what listens on {port}, or {other}; to see what it is",
        run=(f"sudo ss -ltnp 'sport = :{port}'",),
        cost="needs root",
    )


def _replaced(node: Node) -> str:
    """The name of the running container that compose will replace when it starts this service, empty when none."""
    spec = node.launched().spec
    containers = node.machine().docker.containers
    for container in containers.value if containers.is_known and spec.kind == "compose" else ():
        if container.running and container.compose_file and container.compose_service == spec.service:
            return container.name
    return ""
