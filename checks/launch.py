"""What the ranks' launches must have in common."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from sparkdoctor.api import Cluster, Fact, Finding, Fix, Found, Node, Seen, Severity, check
from sparkdoctor.nccl.select import ib_disabled

from ._fix import drop_env, drop_flag, on_node, set_env, set_flag
from ._ranks import all_ranks

# Options that shape what every rank computes, with vLLM 0.33.0's defaults. Each worker sizes its buffers, its
# profiling run and its CUDA graphs by its own (vllm/v1/worker/gpu_worker.py, gpu_model_runner.py), and those run
# collectives: with other sizes or another number of them NCCL waits for ever or mixes data up.
SHARED: dict[str, str] = {
    "tensor-parallel-size": "1",
    "pipeline-parallel-size": "1",
    "prefill-context-parallel-size": "1",
    "decode-context-parallel-size": "1",
    "data-parallel-size": "1",
    "dtype": "auto",
    "kv-cache-dtype": "auto",
    "block-size": "",
    "quantization": "",
    "max-model-len": "",
    "max-num-seqs": "",
    "max-num-batched-tokens": "",
    "speculative-config": "",
    "compilation-config": "",
    "cudagraph-capture-sizes": "",
    "max-cudagraph-capture-size": "",
    "enforce-eager": "off",
    "enable-expert-parallel": "off",
    "enable-eplb": "off",
    "enable-lora": "off",
    "moe-backend": "auto",
    "attention-backend": "",
    "all2all-backend": "",
    "hf-overrides": "",
    "revision": "",
    "distributed-executor-backend": "",
}

# NCCL variables that every rank of a communicator must have alike (NCCL 2.30.7), with their defaults: those that
# choose the transport (src/plugin/net.cc), algorithm and protocol (src/graph/tuning.cc, computed by each rank for
# itself), buffer sizes (src/init.cc) and the handshake (src/misc/socket.cc).
NCCL_SHARED: dict[str, str] = {
    "NCCL_NET": "",
    "NCCL_NET_PLUGIN": "",
    "NCCL_IB_DISABLE": "0",
    "NCCL_ALGO": "",
    "NCCL_PROTO": "",
    "NCCL_BUFFSIZE": "4194304",
    "NCCL_LL_BUFFSIZE": "",
    "NCCL_LL128_BUFFSIZE": "",
    "NCCL_SOCKET_MAGIC": "",
    "NCCL_COMM_ID": "",
}

# Names of this machine's own things, and what only changes what is printed.
NCCL_OWN = (
    "NCCL_IB_HCA",
    "NCCL_IB_GID_INDEX",
    "NCCL_SOCKET_IFNAME",
    "NCCL_OOB_NET_IFNAME",
    "NCCL_IB_ADDR_RANGE",
    "NCCL_HOSTID",
    "NCCL_CONF_FILE",
    "NCCL_TOPO_FILE",
    "NCCL_TOPO_DUMP_FILE",
    "NCCL_GRAPH_DUMP_FILE",
    "NCCL_DEBUG",
    "NCCL_RAS_ADDR",
)


@check("launch-model-differs", after=("rank-duplicate",))
def model_differs(cluster: Cluster) -> Found:
    """The ranks serve different models.

    ## Why it matters
    Each rank loads its share of the model that its own command names. Shares of two models do not make
    one: the launch fails when the shapes meet, or answers nonsense where they happen to fit.

    ## How to fix it
    Name the same model, and the same --revision, on every rank. Where one rank names a folder and the
    other an id, see that both are the same snapshot.

    ## References
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    """
    nodes = [node for node, _ in all_ranks(cluster)]
    seen = tuple(_flag(node, "model", "not given") for node in nodes)
    names = {each.value for each in seen}
    if len(names) == 1 or (any(name.startswith("/") for name in names) and len({_base(name) for name in names}) == 1):
        yield from seen
        return
    head = nodes[0]
    odd = next(node for node, each in zip(nodes, seen, strict=True) if each.value != seen[0].value)
    right = head.flag("model")
    fix = set_flag(odd, "model", right.value if right is not None else "")
    yield Finding(
        f"{odd.name} serves {seen[nodes.index(odd)].value}, {head.name} {seen[0].value}",
        seen,
        on_node(odd, Fix(fix.do, f"serve {right.value}" if right is not None else "", fix.run, cost=fix.cost)),
    )


@check("launch-flags-differ", after=(
    "tp-size-wrong", "tp-heads-undivided", "nnodes-differ", "nnodes-with-ray", "moe-backend-unknown",
    "moe-backend-unfit", "marlin-fp4-with-fp8", "b12x-not-installed", "b12x-dsl-too-old", "command-options-lost"))  # fmt: skip
def flags_differ(cluster: Cluster) -> Found:
    """The ranks are given different options for what they compute together.

    ## Why it matters
    A headless worker takes its sizes from its own command line: batch, length, types, kernels. Where
    they differ from the head's, the ranks run collectives of other sizes or another number of them,
    while they profile memory and capture CUDA graphs, and NCCL waits for ever. Options of the API
    server (port, parsers, names) do not matter on a worker and are not compared.

    ## How to fix it
    Give the worker the command of the head, and let only rank, `--headless` and what names the
    machine's own devices differ.

    ## References
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/usage/collectives.html
    """
    nodes = [node for node, _ in all_ranks(cluster)]
    head, same = nodes[0], []
    for name in _options(nodes):
        values = [_value(node, name) for node in nodes]
        if len({_comparable(value) for value in values}) == 1:
            same.append(name)
            continue
        odd = next(
            node for node, value in zip(nodes, values, strict=True) if _comparable(value) != _comparable(values[0])
        )
        seen = tuple(_flag(node, name, SHARED[name] or "left to vLLM") for node in nodes)
        right = head.flag(name)
        fix = set_flag(odd, name, right.value) if right is not None else drop_flag(odd, name)
        yield Finding(
            f"--{name} is {' and '.join(f'{each.value} on {node.name}' for node, each in zip(nodes, seen, strict=True))}",
            seen,
            on_node(odd, fix),
        )
    yield Seen("options alike", ", ".join(f"--{name}" for name in same) or "none given", head.launched().flags.where)


@check("launch-nccl-differs", after=("rdma-disabled", "rdma-transport-unknown", "rdma-hardware-missing"))
def nccl_differs(cluster: Cluster) -> Found:
    """The ranks give NCCL different orders about what they do together.

    ## Why it matters
    Transport, algorithm, protocol and buffer sizes are chosen by each rank for itself, out of its own
    environment; NCCL does not compare them. Two ranks that choose differently connect and then wait
    for ever, or do not connect.

    ## How to fix it
    Set these variables alike on every rank, or on none. (NCCL_IB_HCA, NCCL_SOCKET_IFNAME and
    NCCL_IB_GID_INDEX name the machine's own devices and may differ.)

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/graph/tuning.cc
    """
    yield from _compare_env(cluster, NCCL_SHARED, NCCL_SHARED)


@check("launch-settings-differ", Severity.WARNING, after=("launch-nccl-differs",))
def settings_differ(cluster: Cluster) -> Found:
    """The ranks give NCCL different settings.

    ## Why it matters
    Most of them are agreed on when the ranks meet, so the worse of two holds for both: a setting that
    was meant to help is there, and does not. Usually one file was changed and the other forgotten.

    ## How to fix it
    Set them alike on every rank. What names the machine's own devices (NCCL_IB_HCA,
    NCCL_SOCKET_IFNAME, NCCL_IB_GID_INDEX) and NCCL_DEBUG are not compared.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html
    """
    nodes = [node for node, _ in all_ranks(cluster)]
    names = {name for node in nodes for name in node.launched().env.value if name.startswith("NCCL_")}
    rest = {name for name in names if name not in NCCL_SHARED and not name.startswith(NCCL_OWN)}
    yield from _compare_env(cluster, rest, {})


def _compare_env(cluster: Cluster, names: Iterable[str], defaults: Mapping[str, str]) -> Found:
    nodes = [node for node, _ in all_ranks(cluster)]
    head, same = nodes[0], []
    for name in sorted(names):
        facts = [node.env(name) for node in nodes]
        values = [_meaning(name, fact, defaults.get(name, "")) for fact in facts]
        if len(set(values)) == 1 or _no_choice(name, values):
            same += [name] if any(fact is not None for fact in facts) else []
            continue
        odd = next(index for index, value in enumerate(values) if value != values[0])
        seen = tuple(_variable(node, name, fact) for node, fact in zip(nodes, facts, strict=True))
        right = facts[0]
        fix = set_env(nodes[odd], name, right.value) if right is not None else drop_env(nodes[odd], name)
        yield Finding(
            f"{name} is {' and '.join(f'{each.value} on {node.name}' for node, each in zip(nodes, seen, strict=True))}",
            seen,
            on_node(nodes[odd], fix),
        )
    yield Seen("NCCL variables alike", ", ".join(same) or "none set", head.launched().env.where)


def _meaning(name: str, fact: Fact[str] | None, default: str) -> str:
    """A value as NCCL takes it: names in any case, blank as unset, NCCL_IB_DISABLE as a number."""
    if fact is None or not fact.value.strip():
        return default
    if name == "NCCL_IB_DISABLE":
        return "1" if ib_disabled({name: fact.value}) else "0"
    return fact.value.strip().lower()


def _no_choice(name: str, values: list[str]) -> bool:
    """NCCL_NET=IB beside none: IB is what NCCL takes anyway when it works, and the hardware is another check's."""
    return name == "NCCL_NET" and set(values) <= {"", "ib"}


def _variable(node: Node, name: str, fact: Fact[str] | None) -> Seen:
    if fact is None:
        return Seen(f"{name} on {node.name}", "not set", node.launched().spec.title)
    return Seen(f"{name} on {node.name}", fact.value or "empty", fact.where)


def _flag(node: Node, name: str, default: str) -> Seen:
    fact = node.flag(name)
    if fact is None:
        return Seen(f"--{name} on {node.name}", default, node.launched().spec.title)
    return Seen(f"--{name} on {node.name}", fact.value or "given", fact.where)


def _options(nodes: list[Node]) -> list[str]:
    """Those of SHARED that any rank gives, also as `--name.key=value`."""
    given = {name.partition(".")[0] for node in nodes for name in node.launched().flags.value}
    return [name for name in SHARED if name in given]


def _value(node: Node, name: str) -> str:
    """The option with its dotted parts, in one text; its default when it is not given."""
    flags = node.launched().flags.value
    parts = {key: fact.value for key, fact in flags.items() if key.partition(".")[0] == name}
    if set(parts) <= {name}:
        default = SHARED[name]
        return parts[name] or "on" if name in parts else default
    return json.dumps(parts, sort_keys=True)


def _comparable(value: str) -> str:
    """JSON without its white space and order; other texts as they are."""
    try:
        return json.dumps(json.loads(value), sort_keys=True)
    except ValueError:
        return value


def _base(model: str) -> str:
    """The name of a model without its organisation or folder."""
    return model.rstrip("/").rsplit("/", 1)[-1].lower()
