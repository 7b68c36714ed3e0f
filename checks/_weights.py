"""The model of a rank in the cache of its machine, and the format of its weights. No checks here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from sparkdoctor.api import CannotTell, Fact, ModelCache, Node, skip
from sparkdoctor.launch.cache import model_of, wanted_cache

Experts = Literal["fp8", "mxfp4", "nvfp4"]

FP4_METHODS = frozenset({"mxfp4", "gpt_oss_mxfp4", "modelopt_fp4", "nvfp4_per_token"})
"""Quantization methods of vLLM 0.33.0 whose weights are FP4 (model_executor/layers/quantization)."""


def cache_of(node: Node) -> ModelCache:
    """What was found of the rank's model. Raises Skip when the launch names none, CannotTell when nobody looked."""
    launch = node.launched()
    model = model_of(launch)
    if model is None:
        skip("the launch names no model of Hugging Face")
    wanted = wanted_cache(launch)
    if wanted is None:
        raise CannotTell(launch.spec.title, f"where the model cache of {model.value} lies on the machine is not known")
    for cache in node.machine().caches:
        if (cache.hub, cache.model) == (wanted.hub, wanted.model):
            return cache
    raise CannotTell(wanted.hub or wanted.model, f"{wanted.model} was not looked for on {node.name}")


def config_of(node: Node) -> Fact[dict[str, str]]:
    """config.json of the rank's model. Raises as `cache_of` does, and Skip when the model is not there yet."""
    cache = cache_of(node)
    if cache.config.absent:
        skip(f"{cache.model} is not on {node.name} yet ({cache.config.where})")
    return cache.config


def experts_format(config: Mapping[str, str]) -> Experts | None:
    """The format of the routed experts' weights, None when config.json does not tell.

    vllm 0.33.0 vllm/models/deepseek_v4/quant_config.py: a deepseek_v4 checkpoint says `quant_method:
    fp8` for its other layers and the experts' format in `expert_dtype`, `fp4` when it does not say.
    """
    method = config.get("quant_method", "")
    if method in ("fp8", "deepseek_v4_fp8"):
        mixed = config.get("model_type") == "deepseek_v4" or method == "deepseek_v4_fp8"
        if mixed and config.get("expert_dtype", "fp4") == "fp4":
            return "nvfp4" if config.get("moe_quant_algo", "").upper() == "NVFP4" else "mxfp4"
        return "fp8"
    if method in ("mxfp4", "gpt_oss_mxfp4"):
        return "mxfp4"
    if method.startswith("modelopt") and config.get("quant_algo", "").upper() == "NVFP4":
        return "nvfp4"
    return None


def has_experts(config: Mapping[str, str]) -> bool:
    """Whether the model is a mixture of experts, by the names that config.json files use for their number."""
    return any(
        config.get(name, "0") not in ("0", "1") for name in ("n_routed_experts", "num_experts", "num_local_experts")
    )
