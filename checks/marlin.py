"""FP4 Marlin kernels and FP8 weights."""

from __future__ import annotations

from sparkdoctor.api import Certainty, Fact, Finding, Fix, Found, Node, Seen, Severity, check, skip

from ._fix import drop_flag, set_image
from ._weights import FP4_METHODS, config_of, experts_format

FP4_IMAGES = ("lmxxf/vllm-deepseek-v4-dgx-spark",)
"""Images made to run the experts of DeepSeek-V4-Flash in FP4 through Marlin only: a build of jasl/vllm,
branch ds4-sm120 (lmxxf/deepseek-v4-deployment-on-dgx-spark, README.md and dockerhub-readme.md)."""

INSTEAD = "aidendle94/sparkrun-vllm-ds4-gb10:production-ready"
"""What the write-up uses in its place."""


@check("marlin-fp4-with-fp8")
def fp4_with_fp8(node: Node) -> Found:
    """FP4 Marlin kernels are asked for, and the weights are FP8.

    ## Why it matters
    Marlin unpacks FP4 weights on the fly; it is no kernel for weights that are stored as FP8. Two
    things ask for it: an image made for it alone, and `--quantization` with an FP4 method, which
    vLLM compares with config.json: `Quantization method specified in the model config (fp8) does
    not match the quantization method specified in the `quantization` argument`. The launch ends.

    ## How to fix it
    Leave --quantization out, so that config.json decides; take an image that runs the format of
    this checkpoint, or a checkpoint of the format that this image runs.

    ## References
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/config/model.py (_verify_quantization)
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/models/deepseek_v4/quant_config.py
    - https://github.com/lmxxf/deepseek-v4-deployment-on-dgx-spark
    """
    asked = _fp4_asked(node)
    if asked is None:
        skip("nothing asks for FP4 Marlin kernels")
    config = config_of(node)
    method = config.value.get("quant_method", "none")
    experts = experts_format(config.value)
    weights = Seen("quant_method", method, config.where)
    contradicts = asked.what == "--quantization" and method in ("fp8", "deepseek_v4_fp8")
    if not contradicts and experts != "fp8":
        yield asked
        yield weights
        return
    what = "FP8 weights" if contradicts else "FP8 experts"
    dtype = Seen("expert_dtype", config.value.get("expert_dtype", "not given"), config.where)
    yield Finding(
        f"{asked.what} {asked.value} is for FP4 weights, and this model has {what}",
        (asked, weights, dtype),
        _fix(node, asked),
    )


@check("marlin-fp4-image", Severity.WARNING, after=("marlin-fp4-with-fp8",))
def fp4_image(node: Node) -> Found:
    """The image is made for FP4 Marlin kernels, and the checkpoint is FP8 but for its experts.

    ## Why it matters
    The official DeepSeek-V4-Flash is a mixture: attention and shared layers FP8, routed experts FP4.
    An image that was built around FP4 Marlin was reported not to run it (the write-up's first dead
    end), while its own README starts it with this very checkpoint: which of its tags do and which
    do not is not known. Where it runs, Marlin computes the experts with unpacked weights, which
    is the slower way on GB10.

    ## How to fix it
    Try the image that the write-up ended with.

    ## References
    - https://forums.developer.nvidia.com/t/372268
    - https://github.com/lmxxf/deepseek-v4-deployment-on-dgx-spark
    """
    image = _fp4_image(node)
    if image is None:
        skip("the image is not known for FP4 Marlin kernels")
    config = config_of(node)
    method = config.value.get("quant_method", "none")
    weights = Seen("quant_method", method, config.where)
    if method not in ("fp8", "deepseek_v4_fp8"):
        yield image
        yield weights
        return
    yield Finding(
        f"image {image.value} is made for FP4 Marlin kernels, and the weights of this model are FP8 but for its experts",
        (image, weights, Seen("expert_dtype", config.value.get("expert_dtype", "not given"), config.where)),
        set_image(node, INSTEAD, certainty=Certainty.TRY),
    )


def _fp4_asked(node: Node) -> Seen | None:
    """What asks for FP4 kernels: a quantization method, or the image.

    `--moe-backend marlin` does not: it takes FP8 experts too, by other kernels (see moe-backend-unfit).
    """
    method = node.flag("quantization")
    if method is not None and method.value in FP4_METHODS:
        return Seen("--quantization", method.value, method.where)
    return _fp4_image(node)


def _fp4_image(node: Node) -> Seen | None:
    image: Fact[str] | None = node.launched().spec.image
    if image is None or not any(name in image.value for name in FP4_IMAGES):
        return None
    return Seen("image", image.value, image.where)


def _fix(node: Node, asked: Seen) -> Fix:
    if asked.what == "--quantization":
        return drop_flag(node, "quantization")
    return set_image(node, INSTEAD, certainty=Certainty.TRY)
