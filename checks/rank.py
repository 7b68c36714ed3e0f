"""Which rank is which: numbers, and who serves."""

from __future__ import annotations

from sparkdoctor.api import Certainty, Cluster, Finding, Fix, Found, Node, Seen, Severity, check, skip
from sparkdoctor.launch.spread import Spread

from ._fix import on_node, set_either, set_flag
from ._ranks import addresses, all_ranks, over_nodes, resolved, shown


@check("rank-out-of-range", after=("command-options-lost",))
def out_of_range(node: Node) -> Found:
    """The rank's number does not exist in a launch of this size.

    ## Why it matters
    Ranks count from 0 to nnodes - 1. With another number vLLM ends at once: `--node-rank must be
    between 0 and 1; got --node-rank 2`. Older releases go on, and both sides wait for a rank that
    will never come.

    ## How to fix it
    Number the machines from 0; the head, which serves the API, is 0.

    ## References
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/engine/arg_utils.py (create_engine_config)
    """
    view = over_nodes(node)
    if view.nnodes is None:
        skip("no --nnodes is given")
    rank = shown("node rank", view.node_rank, 0, node, wanted=f"0 to {view.nodes - 1}")
    nnodes = shown("nnodes", view.nnodes, 1, node)
    if 0 <= view.rank < view.nodes:
        yield rank
        yield nnodes
        return
    certainty = Certainty.FILL_IN if view.nodes > 2 else Certainty.EXACT
    number = "<0 on the head, else 1, 2, ...>" if view.nodes > 2 else "1"
    ranks = f"{view.nodes} nodes have ranks 0 to {view.nodes - 1}" if view.nodes > 1 else "--nnodes is 1"
    yield Finding(
        f"node rank {view.rank} is out of range: {ranks}",
        (rank, nnodes),
        set_either(node, "node-rank", "NODE_RANK", number, certainty=certainty),
    )


@check("rank-duplicate", after=("rank-out-of-range", "command-options-lost"))
def duplicate(cluster: Cluster) -> Found:
    """Two machines have the same rank.

    ## Why it matters
    Each rank announces itself to the store at MASTER_ADDR under its number. With two of one number,
    one is missing: two zeros open two stores and wait in silence for a worker, two ones find no
    store. Neither prints an error for half an hour (torch.distributed waits 1800 s).

    ## How to fix it
    Give each machine a number of its own: NODE_RANK=0 in the head's file, 1 in the worker's. The
    usual cause is an .env file that was copied whole.

    ## References
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    - https://docs.pytorch.org/docs/stable/distributed.html
    """
    ranks = all_ranks(cluster)
    numbers = [view.rank for _, view in ranks]
    double = sorted({number for number in numbers if numbers.count(number) > 1})
    if not double:
        for node, view in ranks:
            yield shown("node rank", view.node_rank, 0, node)
        return
    for number in double:
        same = [(node, view) for node, view in ranks if view.rank == number]
        names = " and ".join(node.name for node, _ in same)
        yield Finding(
            f"{names} both have node rank {number}" if len(same) == 2 else f"{names} all have node rank {number}",
            tuple(shown("node rank", view.node_rank, 0, node) for node, view in same),
            _renumber(same, number, set(numbers)),
        )


@check("rank-headless-wrong", after=("rank-duplicate", "rank-out-of-range", "command-options-lost"))
def headless_wrong(node: Node) -> Found:
    """The head has no API server, or a worker has one.

    ## Why it matters
    Node 0 serves HTTP and drives the others, which run `--headless`. A headless head waits for an
    API server that nobody starts. A worker without `--headless` tries to be one: its engine ends
    with `collective_rpc should not be called on follower node`. (With external or hybrid load
    balancing every node serves, and none is judged here.)

    ## How to fix it
    In the worker's file HEADLESS=1, in the head's HEADLESS= (empty), where the command has
    `${HEADLESS:+--headless}`; else `--headless` in the command of every node but 0.

    ## References
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/entrypoints/cli/serve.py (run_headless)
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/v1/executor/multiproc_executor.py (collective_rpc)
    """
    view = over_nodes(node)
    _served_by_one(node, view)
    headless = view.headless.value
    rank = shown("node rank", view.node_rank, 0, node)
    wanted = "not given" if view.rank == 0 else "--headless"
    seen = Seen("--headless", "given" if headless else "not given", view.headless.where, wanted=wanted)
    if headless == (view.rank != 0):
        yield rank
        yield Seen("--headless", seen.value, seen.where)
        return
    variable = node.env("HEADLESS")
    evidence = (
        (rank, seen) if variable is None else (rank, seen, Seen("HEADLESS", repr(variable.value), variable.where))
    )
    yield Finding(
        f"rank {view.rank} is headless, so nobody serves the API"
        if headless
        else f"rank {view.rank} is not headless, so it starts an API server of its own",
        evidence,
        set_either(node, "headless", "HEADLESS", "" if headless else "1", switch=True),
    )


@check("rank-variables-unused", Severity.WARNING, after=("tp-size-wrong", "command-options-lost"))
def variables_unused(node: Node) -> Found:
    """Variables say which rank this is, and the command does not pass them on.

    ## Why it matters
    vLLM takes --nnodes, --node-rank and --master-addr from its command line only; NODE_RANK and
    MASTER_ADDR are names that recipes give them. A command without these options starts a server of
    one machine, on each machine. Where they stand in the file all the same, a `#` inside a folded
    command is the usual reason: to the shell everything after it is a comment.

    ## How to fix it
    Give the command `--nnodes 2 --node-rank ${NODE_RANK} --master-addr ${MASTER_ADDR}`, and take comments
    out of it.

    ## References
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    - https://yaml.org/spec/1.2.2/#813-folded-style
    """
    launch = node.launched()
    flags = launch.flags.value
    if "model" not in flags:
        skip("the command line shows no vLLM server")
    set_here = [
        (name, fact) for name in ("NODE_RANK", "MASTER_ADDR") if (fact := node.env(name)) is not None and fact.value
    ]
    if not set_here:
        skip("neither NODE_RANK nor MASTER_ADDR is set")
    seen = tuple(Seen(name, fact.value, fact.where) for name, fact in set_here)
    given = [f"--{name}" for name in ("nnodes", "node-rank", "master-addr", "data-parallel-address") if name in flags]
    if not given:
        executor = flags.get("distributed-executor-backend")
        given = [f"--distributed-executor-backend {executor.value}"] if executor and executor.value != "mp" else []
    if given:
        yield from seen
        yield Seen("given", " ".join(given), launch.flags.where)
        return
    yield Finding(
        f"{' and '.join(name for name, _ in set_here)} are set, and the command has none of the options that take them",
        (
            *seen,
            Seen(
                "command",
                " ".join(f"--{name}" for name in flags if name != "model") or "no options",
                launch.flags.where,
                wanted="--nnodes, --node-rank, --master-addr",
            ),
        ),
        _pass_on(node),
    )


def _pass_on(node: Node) -> Fix:
    """All three options at once, filled with what the variables say."""
    options = [
        f"--{flag} {fact.value if (fact := node.env(name)) is not None and fact.value else missing}"
        for flag, name, missing in (
            ("node-rank", "NODE_RANK", "<0 on the head>"),
            ("master-addr", "MASTER_ADDR", "<its address>"),
        )
    ]
    fix = set_flag(node, "nnodes", "<number of machines>", certainty=Certainty.FILL_IN)
    return Fix(fix.do, f"--nnodes <number of machines> {' '.join(options)}", fix.run, fix.certainty, fix.cost)


def _served_by_one(node: Node, view: Spread) -> None:
    """Raises Skip when node 0 alone does not have to serve."""
    if view.load_balancer is not None:
        skip(f"every node serves ({view.load_balancer.where})")
    flags = node.launched().flags.value
    if not flags and node.env("HEADLESS") is None:
        skip("neither the command nor HEADLESS says who serves")


def _renumber(same: list[tuple[Node, Spread]], number: int, taken: set[int]) -> Fix:
    """Renumber the one that is not the head: the machine that holds MASTER_ADDR is rank 0."""
    free = next(candidate for candidate in range(len(taken) + len(same)) if candidate not in taken)
    heads = [node for node, view in same if _holds_master(node, view)]
    others = [node for node, _ in same if node not in heads]
    if len(heads) == 1 and number != 0:
        return on_node(heads[0], set_either(heads[0], "node-rank", "NODE_RANK", "0"))
    if len(heads) == 1 and len(others) == 1:
        return on_node(others[0], set_either(others[0], "node-rank", "NODE_RANK", str(free)))
    last = same[-1][0]
    fix = set_either(last, "node-rank", "NODE_RANK", str(free), certainty=Certainty.TRY)
    return on_node(last, fix)


def _holds_master(node: Node, view: Spread) -> bool:
    if node.host is None or view.master_addr is None or not view.master_addr.is_known:
        return False
    held = addresses(node.host)
    return held.is_known and resolved(node.host, view.master_addr.value) in held.value
