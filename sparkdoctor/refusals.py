"""What an engine's own exception says of what is to be changed, when no signature names it.

vLLM 0.33 and SGLang 0.5.23 have about eight thousand sentences of this kind. Two things in them stay the same from
release to release: what the sentence names (an option, a variable, what goes with what), and the folder of the file that
raises it, which tells the options that decide there. Pure.
"""

from __future__ import annotations

import re
from typing import NamedTuple


class Refusal(NamedTuple):
    """What is said of one exception."""

    why: str
    look: str
    """An imperative."""
    run: tuple[str, ...]
    refs: tuple[str, ...]


KINDS = {"ValueError", "NotImplementedError", "AssertionError", "RuntimeError", "TypeError", "ValidationError"}
"""Exceptions with which the engines refuse something; others have a meaning of their own."""
LONGEST = 800
"""Characters of a message that are looked at."""

_ENGINE = re.compile(r"(?:^|/)(?P<name>vllm|sglang)(?P<part>/[\w./-]*\.py)$")
_OPTION = re.compile(r"(?<![\w-])--[a-z][a-z0-9]*(?:-[a-z0-9]+)+")
_VARIABLE = re.compile(r"\b(?:VLLM|SGLANG)_[A-Z0-9_]{4,60}\b")
_NEEDS = re.compile(
    r"^(?P<what>[^;:]{2,120}?) (?:currently |still )?(?:requires?|needs?) (?:that )?(?P<need>[^.;]{2,160})"
)
_ONLY = re.compile(
    r"^(?P<what>.{2,120}?) (?:(?:currently )?only supports?|(?:is|are) (?:currently )?only "
    r"(?:supported|available|valid|compatible|implemented)|can only be|only works?)\b"
)
_NOT = re.compile(
    r"^(?P<what>.{2,120}?) (?:(?:does|do) not (?:yet |currently )?(?:support|implement)|(?:is|are) (?:currently )?not (?:yet "
    r"|currently )?(?:supported|implemented|compatible|available|allowed|applicable)|cannot (?:yet )?be|"
    r"(?:is|are) incompatible)\b"
)
_VALUE = re.compile(
    r"(?P<name>\b[a-z][a-z0-9]*_[a-z0-9_]+)(?:[ =]?\([^)]{0,60}\)|=\S{1,40})? (?:must|should|has to|cannot|exceeds)\b"
)
_UNKNOWN = re.compile(r"\b(?:[Uu]nknown|[Uu]nsupported|[Ii]nvalid|[Uu]nrecognized) (?P<what>[^.]{2,100})")


class _Place(NamedTuple):
    """Files of an engine that decide the same things."""

    files: re.Pattern[str]
    why: str
    vllm: str
    sglang: str


_PLACES = (
    _Place(
        re.compile(r"/(?:kv_transfer|ec_transfer|weight_transfer|disaggregation|kv_events|mooncake\w*|storage|hicache\w*)\b"),
        "It was raised where KV cache or weights are handed between processes or to a store",
        "start once without --kv-transfer-config, --ec-transfer-config and --kv-offloading-size; if that runs, correct the JSON value of the one that was removed, the same on both sides",
        "start once without --enable-hierarchical-cache, --hicache-storage-backend and --disaggregation-mode; if that runs, correct the one that was removed, the same on both sides",
    ),
    _Place(
        re.compile(r"/(?:fused_moe|moe|\w+_moe|expert_pack|eplb|elastic_ep)\b"),
        "It was raised where the kernels of the experts (MoE) are chosen or called",
        "choose another back end for the experts: --moe-backend marlin (or triton for unquantized and FP8 weights), without --all2all-backend, --enable-eplb and VLLM_USE_FLASHINFER_MOE_*",
        "choose another back end for the experts: --moe-runner-backend triton (or marlin for 4-bit weights), with --moe-a2a-backend none and without --enable-eplb",
    ),
    _Place(
        re.compile(r"/quantization\b"),
        "It was raised where the quantized weights meet their kernel",
        "remove --quantization, --dtype and --kv-cache-dtype, so that config.json decides; if it stays, take the checkpoint in a format that runs on GB10 (NVFP4 with --linear-backend marlin, FP8, AWQ) or a newer image",
        "remove --quantization, --dtype and --kv-cache-dtype, so that config.json decides; if it stays, take the checkpoint in another format (FP8, AWQ) or a newer image",
    ),
    _Place(
        re.compile(r"/(?:attention|flashinfer)\b"),
        "It was raised where an attention back end is chosen or called",
        "start once with --attention-backend TRITON_ATTN (TRITON_MLA for DeepSeek-like models) and without --kv-cache-dtype; then put back one at a time",
        "start once with --attention-backend triton and without --kv-cache-dtype; then put back one at a time",
    ),
    _Place(
        re.compile(r"/(?:spec_decode|speculative\w*)\b"),
        "It was raised where speculative decoding is set up",
        "start once without --speculative-config; if that runs, correct its method, model and num_speculative_tokens to those that the draft model's card names for this image",
        "start once without the --speculative-... options; if that runs, correct them to those that the draft model's card names for this image",
    ),
    _Place(
        re.compile(r"/(?:model_loader|transformers_utils|configs|hf_transformers\w*|model_config)\b"),
        "It was raised while the model's folder was read",
        "see that the folder is whole and what its config.json says (hf download <model> again completes it), then remove --hf-overrides, --load-format and --tokenizer-mode; if it stays, the model is newer than the image: take a newer one",
        "see that the folder is whole and what its config.json says (hf download <model> again completes it), then remove --json-model-override-args and --load-format; if it stays, the model is newer than the image: take a newer one",
    ),
    _Place(
        re.compile(r"/(?:distributed|parallel\w*|executor|ray)\b"),
        "It was raised where the ranks are laid out over GPUs and nodes",
        "compare --tensor-parallel-size, --pipeline-parallel-size, --data-parallel-size, --nnodes and --node-rank of all nodes: a GB10 has one GPU, so their product is the number of boxes; remove --enable-eplb and context parallelism",
        "compare --tp-size, --pp-size, --dp-size, --nnodes and --node-rank of all nodes: a GB10 has one GPU, so their product is the number of boxes",
    ),
    _Place(
        re.compile(r"/(?:mem_cache|kv_cache\w*|kv_cache_utils|block_pool)\b"),
        "It was raised where the KV cache is laid out",
        "remove --kv-cache-dtype, --block-size, --mamba-block-size and --num-gpu-blocks-override, and set --max-model-len smaller; then put back one at a time",
        "remove --kv-cache-dtype, --page-size and --max-total-tokens, and set --context-length smaller; then put back one at a time",
    ),
    _Place(
        re.compile(r"/(?:config|arg_utils|arg_groups|server_args\w*|platforms|entrypoints|compilation|lora|worker|engine|managers|model_executor|utils)\b"),
        "It was raised while the options were checked, before anything was loaded",
        "remove from the command the option that the sentence is about and start again; the values that this image takes: vllm serve --help=all",
        "remove from the command the option that the sentence is about and start again; the values that this image takes: python3 -m sglang.launch_server --help",
    ),
)  # fmt: skip

_MANUALS = {
    "vllm": "https://docs.vllm.ai/en/latest/cli/serve/",
    "sglang": "https://docs.sglang.io/advanced_features/server_arguments.html",
}
_HELP = {
    "vllm": "vllm serve --help=all | grep -A 3 -e {}",
    "sglang": "python3 -m sglang.launch_server --help | grep -A 3 -e {}",
}


def refused(kind: str, message: str, path: str) -> Refusal | None:
    """None if it was not an engine that raised it, or if neither sentence nor place tells anything."""
    found = _ENGINE.search(path)
    if found is None or kind not in KINDS:
        return None
    engine = found["name"]
    text = " ".join(message[:LONGEST].split())
    place = next((place for place in _PLACES if place.files.search(found["part"].removesuffix(".py"))), None)
    checked = place is None or place is _PLACES[-1]
    why, look = _sentence(text, checked)
    options = list(dict.fromkeys(_OPTION.findall(text)))[:3]
    if place is not None:
        why = f"{place.why}. {why}".rstrip()
        other = place.vllm if engine == "vllm" else place.sglang
        if not look:
            look = other
        elif not checked:
            look = f"1. {look}; 2. if that is not it, {other}"
        look = f"{look}; the same on every node"
    if not look:
        return None
    run = tuple(_HELP[engine].format(option) for option in options)
    return Refusal(why, look, run, (_MANUALS[engine],))


def _sentence(text: str, checked: bool) -> tuple[str, str]:
    """Why, and what to do; both empty if the sentence has no known form.

    Only where options are `checked` is an unknown value one that was written in the command.
    """
    options = list(dict.fromkeys(_OPTION.findall(text)))[:3]
    if options:
        named = " and ".join(options)
        if len(options) > 1:
            return f"The sentence names {named}.", f"change or leave out, as the sentence says, one of {named}"
        return f"The sentence names {named}.", f"change {named} in the command as the sentence says, or leave it out"
    variables = list(dict.fromkeys(_VARIABLE.findall(text)))[:2]
    if variables:
        named = " and ".join(variables)
        return (
            f"The sentence names the variable {named}.",
            f"change {named} in the container's environment as the sentence says, or unset it",
        )
    if found := _VALUE.search(text):
        option = "--" + found["name"].replace("_", "-")
        return (
            f"A value is outside what is allowed: {found['name']}.",
            f"set {found['name']} (on the command line {option}, in a JSON value by this name) to a value that the sentence allows",
        )
    if found := _NEEDS.search(text):
        return (
            f"{found['what']} was asked for without what it needs: {found['need']}.",
            f"provide {found['need']}, or leave out {found['what']}",
        )
    if found := _ONLY.search(text) or _NOT.search(text):
        return (
            f"This release does not have the combination that was asked for: {found['what']}.",
            f"leave out {found['what']}, or what the sentence says it does not go with",
        )
    if checked and (found := _UNKNOWN.search(text)):
        return (
            f"This release does not know the value: {found['what']}.",
            "correct its spelling, or use the image for which the recipe was written",
        )
    return "", ""
