"""Whether the parallel sizes fit the machines and the model."""

from __future__ import annotations

from sparkdoctor.api import CannotTell, Certainty, Finding, Fix, Found, Node, Seen, check, skip
from sparkdoctor.launch.spread import Spread, spread

from ._fix import set_flag
from ._weights import config_of

SIZES = ("tensor-parallel-size", "pipeline-parallel-size", "prefill-context-parallel-size", "data-parallel-size")


@check("tp-size-wrong", after=("nnodes-differ", "command-options-lost"))
def size_wrong(node: Node) -> Found:
    """The parallel sizes do not fit the GPUs of the launch.

    ## Why it matters
    Tensor times pipeline times data parallel size is the number of GPUs that the whole launch uses,
    and every machine gives the same share; a Spark has one. With a product that --nnodes does not
    divide, vLLM ends: `--nnodes 2 must evenly divide the total world size (1)`. With a share larger
    than the machine's GPUs it ends too: without --nnodes as `World size (2) is larger than the
    number of available GPUs (1) in this node`.

    ## How to fix it
    On two Sparks: `--tensor-parallel-size 2 --nnodes 2`. When --nnodes stands in the file and is not
    seen here, look for a `#` inside a folded command: what follows it is a comment of the shell.

    ## References
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/config/parallel.py (ParallelConfig)
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/engine/arg_utils.py (create_engine_config)
    """
    launch = node.launched()
    view = spread(launch)
    sizes = [(name, launch.flags.value[name]) for name in SIZES if name in launch.flags.value]
    if not sizes and view.nnodes is None:
        skip("neither parallel sizes nor --nnodes are given")
    if view.executor is not None and view.executor.value in ("ray", "external_launcher"):
        skip(f"the executor is {view.executor.value}, which finds its machines itself")
    seen = [Seen(f"--{name}", fact.value, fact.where) for name, fact in sizes]
    if view.nnodes is not None:
        seen.append(Seen("--nnodes", str(view.nodes), view.nnodes.where))
    if view.nodes < 1 or view.world % view.nodes:
        yield Finding(
            f"--nnodes {view.nodes} does not divide {_gpus(view.world)}, which the parallel sizes ask for",
            tuple(seen) or (Seen("--nnodes", str(view.nodes), launch.flags.where),),
            _fit(node, view),
        )
        return
    gpus = node.machine().gpus.devices
    share = view.world // view.nodes
    seen.append(Seen(f"GPUs of {node.name}", str(len(gpus.value)), gpus.where, wanted=f"at least {share}"))
    if not gpus.value:
        raise CannotTell(gpus.where, "this machine has no GPU that can be seen")
    if share > len(gpus.value):
        nodes = -(-view.world // len(gpus.value))
        what = f"--nnodes {view.nodes}" if view.nnodes is not None else "no --nnodes"
        yield Finding(
            f"the parallel sizes ask for {_gpus(share)} on {node.name} ({what}), which has {len(gpus.value)}",
            tuple(seen),
            set_flag(node, "nnodes", str(nodes)) if view.nnodes is None else _fit(node, view),
        )
        return
    yield from seen


@check("tp-heads-undivided", after=("tp-size-wrong",))
def heads_undivided(node: Node) -> Found:
    """The tensor parallel size does not divide the model's attention heads.

    ## Why it matters
    Each rank takes an equal share of the heads. Where that is not whole, vLLM ends: `Total number of
    attention heads (64) must be divisible by tensor parallel size (3)`.

    ## How to fix it
    Use a size that divides them (1, 2, 4, ...), and pipeline parallelism for the other machines.

    ## References
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/config/model.py (verify_with_parallel_config)
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    """
    view = spread(node.launched())
    if view.tensor is None or view.tensor.value < 2:
        skip("no tensor parallelism")
    config = config_of(node)
    heads = config.value.get("num_attention_heads", "")
    if not heads.isdigit():
        skip(f"{config.where} has no num_attention_heads")
    seen = (
        Seen("--tensor-parallel-size", str(view.tensor.value), view.tensor.where),
        Seen("num_attention_heads", heads, config.where),
    )
    if int(heads) % view.tensor.value == 0:
        yield from seen
        return
    whole = next(size for size in range(view.tensor.value, 0, -1) if int(heads) % size == 0)
    yield Finding(
        f"--tensor-parallel-size {view.tensor.value} does not divide the {heads} attention heads of the model",
        seen,
        set_flag(node, "tensor-parallel-size", str(whole)),
    )


def _fit(node: Node, view: Spread) -> Fix:
    """One GPU a machine: as many machines as the sizes ask for when those are fewer, else a size for the machines."""
    if 1 < view.world < view.nodes:
        return set_flag(node, "nnodes", str(view.world), certainty=Certainty.TRY)
    others = view.world // (view.tensor.value if view.tensor is not None else 1)
    if others > 1 or view.nodes < 2:
        return set_flag(node, "nnodes", str(view.world), certainty=Certainty.TRY)
    return set_flag(node, "tensor-parallel-size", str(view.nodes))


def _gpus(count: int) -> str:
    return f"{count} GPU" if count == 1 else f"{count} GPUs"
