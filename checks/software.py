"""Whether all ranks run the same software."""

from __future__ import annotations

from collections.abc import Callable

from sparkdoctor.api import CannotTell, Certainty, Cluster, Finding, Fix, Found, Node, Seen, Severity, Software, check

from ._fix import load_image
from ._ranks import all_ranks
from ._software import software


@check("software-differs")
def differs(cluster: Cluster) -> Found:
    """The ranks have different versions of vLLM or NCCL.

    ## Why it matters
    NCCL compares versions when the ranks meet, and refuses: `Mismatched NCCL version detected`, an
    invalid usage error on every rank. vLLM does not compare: node 0 sends the workers pickled
    objects of its own classes, and a worker of another version fails on the first that it does not
    know, or works with other shapes.

    ## How to fix it
    Start the same image, named by its digest, on every node.

    ## References
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/init.cc (initTransportsRank)
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/distributed/device_communicators/shm_broadcast.py
    """
    yield from _compare(cluster, _decisive)


@check(
    "software-drifts",
    Severity.WARNING,
    after=(
        "software-differs",
        "cutlass-dsl-mismatch",
        "cutlass-kernels-unfit",
        "cutlass-libs-differ",
        "b12x-not-installed",
        "b12x-dsl-too-old",
        "vllm-requirement-unmet",
    ),
)
def drifts(cluster: Cluster) -> Found:
    """The ranks have different versions of the packages that compute.

    ## Why it matters
    The ranks compute parts of one result. With other kernels (torch, Triton, FlashInfer, the CUTLASS DSL)
    they may round or choose otherwise, compile for a different time, or one of them may fail where the
    others do not: differences that no log explains.

    ## How to fix it
    Start the same image, named by its digest, on every node.

    ## References
    - https://docs.vllm.ai/en/stable/serving/parallelism_scaling.html
    """
    yield from _compare(cluster, _computes)


def _decisive(name: str) -> bool:
    return name in ("vllm", "nvidia-nccl-cu12", "nvidia-nccl-cu13")


def _computes(name: str) -> bool:
    computing = (
        "torch",
        "triton",
        "flashinfer-python",
        "flashinfer-cubin",
        "quack-kernels",
        "b12x",
        "deep-gemm",
        "transformers",
    )
    return name in computing or name.startswith(("nvidia-cutlass-dsl", "nvidia-cudnn"))


def _compare(cluster: Cluster, matters: Callable[[str], bool]) -> Found:
    ranks = [(node, software(node)) for node, _ in all_ranks(cluster)]
    names = sorted({name for _, found in ranks for name in found.packages.value if matters(name)})
    if not names:
        raise CannotTell(ranks[0][1].packages.where, "none of the packages to compare is installed")
    different = [name for name in names if len({_version(found, name) for _, found in ranks}) > 1]
    for name in names:
        if name not in different:
            yield Seen(name, _version(ranks[0][1], name), ranks[0][1].packages.where)
    for name in different:
        versions = " and ".join(f"{_version(found, name)} on {node.name}" for node, found in ranks)
        yield Finding(
            f"{name} is {versions}",
            tuple(Seen(f"{name} on {node.name}", _version(found, name), found.packages.where) for node, found in ranks),
            _same_image(ranks[0][0], ranks[-1][0]),
        )


def _version(found: Software, name: str) -> str:
    return found.packages.value.get(name, "not installed")


def _same_image(head: Node, other: Node) -> Fix:
    """Bring the head's image to the other node."""
    image = head.launched().spec.image
    if image is None:
        return Fix(
            f"on {other.name}, install what {head.name} has",
            run=(f"ssh {head.name} pip freeze > {head.name}.txt", f"pip install -r {head.name}.txt"),
            certainty=Certainty.TRY,
        )
    return load_image(other, head, image.value)
