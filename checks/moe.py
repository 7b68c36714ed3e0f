"""The kernels that compute a mixture of experts."""

from __future__ import annotations

from sparkdoctor.api import Finding, Found, Node, Seen, check, skip
from sparkdoctor.nearest import nearest

from ._fix import drop_flag, set_flag
from ._software import software, version_seen
from ._weights import Experts, config_of, experts_format, has_experts

# The keys of map_fp8_backend, map_mxfp4_backend and map_nvfp4_backend of vllm 0.33.0
# (vllm/model_executor/layers/fused_moe/oracle/); any other word of MoEBackend raises ValueError there.
TAKES: dict[Experts, tuple[str, ...]] = {
    "fp8": (
        "triton", "deep_gemm", "cutlass", "flashinfer_trtllm", "flashinfer_cutlass", "marlin", "humming", "aiter", "hpc",
    ),
    "mxfp4": (
        "b12x", "deep_gemm", "flashinfer_trtllm", "flashinfer_trtllm_afp8", "flashinfer_cutlass", "flashinfer_cutlass_afp8",
        "flashinfer_moe_ep_cutedsl", "flashinfer_moe_ep_mega_deep_gemm", "triton", "triton_unfused", "humming", "marlin",
        "aiter", "emulation",
    ),
    "nvfp4": (
        "b12x", "cutlass", "flashinfer_trtllm", "flashinfer_cutlass", "flashinfer_cutedsl", "flashinfer_moe_ep_cutedsl",
        "flashinfer_b12x", "marlin", "humming", "emulation",
    ),
}  # fmt: skip


@check("moe-backend-unknown")
def backend_unknown(node: Node) -> Found:
    """This vLLM has no MoE backend of the name given.

    ## Why it matters
    `--moe-backend` takes only the words that the installed vLLM lists, and the list grows:
    `flashinfer_b12x` came with 0.22.0, `b12x` with 0.28.0. With any other word the launch ends at
    once: `argument --moe-backend: invalid choice`.

    ## How to fix it
    Give a word that this vLLM has, or leave the option out: `auto` takes what fits.

    ## References
    - https://docs.vllm.ai/en/stable/cli/serve.html
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/config/kernel.py (MoEBackend)
    """
    fact = node.flag("moe-backend")
    if fact is None:
        skip("no --moe-backend is given")
    word = _word(fact.value)
    if word == "auto":
        skip("the choice of MoE kernels is left to vLLM")
    known = software(node).moe_backends
    seen = Seen("--moe-backend", fact.value, fact.where, wanted=f"one of {', '.join(known.value)} ({known.where})")
    if word in known.value:
        yield seen
        return
    like = nearest(word, known.value, 1)
    fix = set_flag(node, "moe-backend", like[0]) if like else drop_flag(node, "moe-backend")
    yield Finding(
        f"--moe-backend {fact.value} is given, and this vLLM has no such backend",
        (seen, version_seen(software(node), "vllm")),
        fix,
    )


@check("moe-backend-unfit", after=("moe-backend-unknown",))
def backend_unfit(node: Node) -> Found:
    """The MoE backend given cannot compute the format of the model's experts.

    ## Why it matters
    Each backend takes some formats of expert weights. Asked for one that does not take this
    model's, vLLM does not choose another: `moe_backend='b12x' is not supported for FP8 MoE`, and
    the launch ends. DeepSeek-V4 checkpoints mix formats: the other layers are FP8, the experts FP4
    in DeepSeek-V4-Flash and FP8 in DeepSeek-V4-Flash-Base (`expert_dtype` in config.json).

    ## How to fix it
    Leave the option out, or give a backend for the format of this checkpoint.

    ## References
    - https://github.com/vllm-project/vllm/tree/v0.33.0/vllm/model_executor/layers/fused_moe/oracle
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/models/deepseek_v4/quant_config.py
    """
    fact = node.flag("moe-backend")
    if fact is None or _word(fact.value) == "auto":
        skip("the choice of MoE kernels is left to vLLM")
    config = config_of(node)
    if not has_experts(config.value):
        skip(f"the model has no experts ({config.where})")
    experts = experts_format(config.value)
    judged = {word for words in TAKES.values() for word in words}
    if experts is None or _word(fact.value) not in judged:
        skip(f"no rule for {fact.value} and the experts that {config.where} describes")
    seen = (
        Seen("--moe-backend", fact.value, fact.where, wanted=f"one of {', '.join(TAKES[experts])}"),
        Seen("experts", experts.upper(), config.where),
    )
    if _word(fact.value) in TAKES[experts]:
        yield from seen
        return
    yield Finding(
        f"--moe-backend {fact.value} does not compute {experts.upper()} experts, which this model has",
        seen,
        drop_flag(node, "moe-backend"),
    )


def _word(value: str) -> str:
    """The value as vLLM compares it (vllm/engine/arg_utils.py: lower case, underscores)."""
    return value.lower().replace("-", "_")
