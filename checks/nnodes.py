"""How many machines the launch has."""

from __future__ import annotations

from sparkdoctor.api import CannotTell, Cluster, Finding, Found, Node, Seen, check, skip

from ._fix import on_node, set_either, set_flag
from ._ranks import all_ranks, over_nodes, shown


@check("nnodes-differ", after=("command-options-lost",))
def differ(cluster: Cluster) -> Found:
    """The ranks do not agree on how many machines there are, or there are more of them.

    ## Why it matters
    Every rank computes the size of the whole from its own --nnodes, and torch.distributed waits until
    so many have come. With different numbers some wait for ranks that do not exist, in silence, for
    half an hour.

    ## How to fix it
    Give the same --nnodes to every rank: the number of machines.

    ## References
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    """
    ranks = all_ranks(cluster)
    seen = tuple(shown("nnodes", view.nnodes, 1, node) for node, view in ranks)
    sizes = {view.nodes for _, view in ranks}
    if len(sizes) > 1 or max(sizes) < len(ranks):
        odd, _ = next((rank for rank in ranks if rank[1].nodes != len(ranks)), ranks[-1])
        numbers = ", ".join(f"{view.nodes} on {node.name}" for node, view in ranks)
        message = (
            f"--nnodes differs: {numbers}"
            if len(sizes) > 1
            else f"--nnodes is {max(sizes)}, and {len(ranks)} ranks are given"
        )
        yield Finding(message, seen, on_node(odd, set_either(odd, "nnodes", "NNODES", str(len(ranks)))))
        return
    yield from seen
    if max(sizes) > len(ranks):
        raise CannotTell(
            "",
            f"{len(ranks)} of the {max(sizes)} ranks are at hand; give the others' files or snapshots as well",
        )


@check("nnodes-with-ray", after=("command-options-lost",))
def with_ray(node: Node) -> Found:
    """--nnodes is given together with an executor that does not take it.

    ## Why it matters
    --nnodes and --node-rank belong to vLLM's own multi-node executor. With Ray, which finds its
    machines itself, the launch ends: `nnodes > 1 can only be set when distributed executor backend is
    mp, uni or external_launcher`.

    ## How to fix it
    Give `--distributed-executor-backend mp`, or keep Ray and take --nnodes, --node-rank and
    --master-addr away.

    ## References
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/config/parallel.py (ParallelConfig)
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    """
    view = over_nodes(node)
    if view.nnodes is None or view.nodes < 2:
        skip("no --nnodes is given")
    nnodes = Seen("--nnodes", str(view.nodes), view.nnodes.where)
    if view.executor is None:
        yield nnodes
        return
    executor = Seen("--distributed-executor-backend", view.executor.value, view.executor.where, wanted="mp")
    if view.executor.value != "ray":
        yield nnodes
        yield executor
        return
    yield Finding(
        f"--nnodes {view.nodes} is given, and the executor is ray",
        (nnodes, executor),
        set_flag(node, "distributed-executor-backend", "mp"),
    )
