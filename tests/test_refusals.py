"""Sentences with which an engine refuses something, when no signature names them."""

from __future__ import annotations

import pytest

from sparkdoctor.refusals import Refusal, refused

PACKAGES = "/usr/local/lib/python3.12/dist-packages"


def of(message: str, path: str, kind: str = "ValueError") -> Refusal:
    refusal = refused(kind, message, f"{PACKAGES}/{path}")
    assert refusal is not None
    return refusal


@pytest.mark.parametrize(
    ("message", "named"),
    [
        ("FlashInfer ReplaySSM does not support prefix caching; use --disable-prefix-caching", "--disable-prefix-caching"),
        ("trace replay with VLLM_USE_V2_MODEL_RUNNER=0 is not possible", "VLLM_USE_V2_MODEL_RUNNER"),
        ("fly_window_size (9) must be smaller than num_speculative_tokens", "--fly-window-size"),
        ("AuxOutput Connector requires prefix caching.", "provide prefix caching"),
        ("HiSparse does not support pipeline parallelism.", "leave out HiSparse"),
        ("Async EPLB is only supported with the default policy.", "leave out Async EPLB"),
        ("Unknown all2all backend: foo", "spelling"),
    ],
)  # fmt: skip
def test_the_sentence_tells_what_is_to_be_changed(message: str, named: str) -> None:
    assert named in of(message, "vllm/config/vllm.py").look


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("vllm/config/speculative.py", "--speculative-config"),
        ("vllm/model_executor/layers/fused_moe/b12x.py", "--moe-backend marlin"),
        ("vllm/model_executor/layers/quantization/modelopt.py", "--quantization"),
        ("vllm/v1/attention/backends/b12x.py", "TRITON_ATTN"),
        ("vllm/v1/core/kv_cache_utils.py", "--max-model-len"),
        ("vllm/distributed/parallel_state.py", "--node-rank"),
        ("vllm/distributed/kv_transfer/kv_connector/factory.py", "--kv-transfer-config"),
        ("vllm/model_executor/model_loader/weight_utils.py", "hf download"),
        ("vllm/engine/arg_utils.py", "vllm serve --help=all"),
        ("sglang/srt/layers/moe/utils.py", "--moe-runner-backend triton"),
        ("sglang/srt/layers/attention/triton_backend.py", "--attention-backend triton"),
        ("sglang/srt/server_args.py", "sglang.launch_server --help"),
    ],
)
def test_the_place_tells_the_options_that_decide_there(path: str, named: str) -> None:
    assert named in of("scales are no match for this layer", path, "AssertionError").look


def test_the_manual_of_a_named_option_is_looked_up() -> None:
    assert of("set --page-size to 64", "sglang/srt/arg_groups/moe_hook.py").run == (
        "python3 -m sglang.launch_server --help | grep -A 3 -e --page-size",
    )


@pytest.mark.parametrize(
    ("kind", "path"),
    [
        ("KeyError", "vllm/config/vllm.py"),
        ("ValueError", "transformers/modeling_utils.py"),
        ("ValueError", "vllm/x.py"),
    ],
)
def test_of_other_exceptions_and_programs_nothing_is_said(kind: str, path: str) -> None:
    assert refused(kind, "nothing that is known", f"{PACKAGES}/{path}") is None
    assert refused("ValueError", "a requires b", "") is None
