"""The b12x kernels: a fork's switch, and upstream's package."""

from __future__ import annotations

from sparkdoctor.api import Certainty, Fact, Finding, Fix, Found, Node, Seen, Severity, check, skip

from ._fix import RESTART, drop_env, drop_flag, set_image
from ._software import software, version_seen, within

SWITCH = "VLLM_USE_B12X_MOE"
FORK_IMAGE = "aidendle94/sparkrun-vllm-ds4-gb10:production-ready"
"""Carries the fork whose envs.py knows SWITCH (local-inference-lab/vllm, branch dev/unholy-fusion)."""

OPTIONS = ("moe-backend", "linear-backend", "attention-backend")
"""Options of vLLM 0.28.0 and newer that take the value `b12x`."""


@check("b12x-unknown-to-vllm", Severity.WARNING)
def unknown_to_vllm(node: Node) -> Found:
    """VLLM_USE_B12X_MOE is set, and this vLLM does not know it.

    ## Why it matters
    No release of vLLM has this variable; a fork has it (local-inference-lab/vllm). Any other vLLM
    warns once, `Unknown vLLM environment variable detected: VLLM_USE_B12X_MOE`, and takes other MoE
    kernels: on GB10 that is Marlin, which the write-up measured at half the prefill speed. Nothing
    fails, so it is found out late.

    ## How to fix it
    Use an image that has the fork, or take the variable away and use what upstream has: from
    0.28.0 on, `--moe-backend b12x` with the package b12x installed. `auto` never chooses it.

    ## References
    - https://github.com/local-inference-lab/vllm
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/config/kernel.py (MoEBackend)
    - https://docs.vllm.ai/en/stable/configuration/env_vars.html
    """
    fact = node.env(SWITCH)
    if fact is None or not _on(fact):
        skip(f"{SWITCH} is not set")
    found = software(node)
    seen = Seen(SWITCH, fact.value, fact.where, wanted=f"a name that {found.vllm_env.where} has")
    if SWITCH in found.vllm_env.value:
        yield Seen(SWITCH, fact.value, found.vllm_env.where)
        return
    version = found.packages.value.get("vllm", "")
    yield Finding(
        f"{SWITCH}={fact.value} is set, and vllm {version} here does not know it",
        (seen, version_seen(found, "vllm"), version_seen(found, "b12x")),
        _instead(node, version, "b12x" in found.packages.value),
    )


@check("b12x-not-installed")
def not_installed(node: Node) -> Found:
    """An option asks for b12x kernels, and the package b12x is not installed.

    ## Why it matters
    vLLM asks the package whether the GPU is supported, and without it takes the answer for no:
    `Mxfp4 MoE backend 'B12X_MXFP4_BF16' does not support the deployment configuration since kernel
    does not support current device`. The launch ends, and the message blames the GPU.

    ## How to fix it
    Install the b12x that this vLLM names in its extra (`pip install 'vllm[b12x]'`), in the image,
    or leave the choice of kernels to vLLM.

    ## References
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/utils/b12x.py
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/model_executor/layers/fused_moe/b12x.py
    """
    option, fact = _asked(node)
    found = software(node)
    if "b12x" in found.packages.value:
        yield version_seen(found, "b12x")
        return
    yield Finding(
        f"--{option} {fact.value} is given, and the package b12x is not installed",
        (Seen(f"--{option}", fact.value, fact.where), version_seen(found, "b12x", wanted="installed")),
        _derive(node, f"'vllm[b12x]=={found.packages.value.get('vllm', '')}'"),
    )


@check("b12x-dsl-too-old")
def dsl_too_old(node: Node) -> Found:
    """The b12x package refuses the installed CUTLASS DSL.

    ## Why it matters
    b12x 1.1.0 and newer look at the version of nvidia-cutlass-dsl when they are imported and
    raise ImportError below 4.6.0. vLLM swallows that and calls the GPU unsupported, as when b12x
    were not installed.

    ## How to fix it
    Install b12x and the DSL that the vLLM of the image names: b12x 1.2.6 and DSL 4.6.2 with 0.29.0,
    b12x 1.5.1 and DSL 4.8.0 with 0.32.0 and 0.33.0. For 0.28.0, 0.30.0 and 0.31.0 no pair of
    releases satisfies both packages.

    ## References
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/utils/b12x.py
    - b12x/_lib/gating.py of the wheels b12x 1.1.0 and 1.5.1 (MIN_CUTLASS_DSL)
    """
    option, fact = _asked(node)
    found = software(node)
    b12x, dsl = (found.packages.value.get(name) for name in ("b12x", "nvidia-cutlass-dsl"))
    if b12x is None:
        skip("the package b12x is not installed")
    fits = not within(b12x, ">=1.1.0") or (dsl is not None and within(dsl, ">=4.6.0"))
    if fits:
        yield version_seen(found, "b12x")
        yield version_seen(found, "nvidia-cutlass-dsl")
        return
    yield Finding(
        f"b12x {b12x} refuses nvidia-cutlass-dsl {dsl or '(not installed)'}, and --{option} {fact.value} needs it",
        (
            Seen(f"--{option}", fact.value, fact.where),
            version_seen(found, "b12x"),
            version_seen(found, "nvidia-cutlass-dsl", wanted=">=4.6.0"),
        ),
        _derive(node, f"'vllm[b12x]=={found.packages.value.get('vllm', '')}'"),
    )


def _on(fact: Fact[str]) -> bool:
    """Whether a variable of vLLM's is true: `1` or `true` (vllm/envs.py of the fork, as of its neighbours)."""
    return fact.value.strip().lower() in ("1", "true")


def _asked(node: Node) -> tuple[str, Fact[str]]:
    """The option that asks for b12x. Raises Skip when none does."""
    for option in OPTIONS:
        fact = node.flag(option)
        if fact is not None and fact.value.lower() == "b12x":
            return option, fact
    skip("no option asks for b12x")


def _instead(node: Node, version: str, installed: bool) -> Fix:
    """What there is for this vLLM: its own option, the same after a package, or an image that has the fork."""
    if version and within(version, ">=0.28.0"):
        package = "" if installed else f", with the package: pip install 'vllm[b12x]=={version}' in the image"
        return drop_env(node, SWITCH, f"add --moe-backend b12x to the command{package}")
    return set_image(node, FORK_IMAGE, certainty=Certainty.TRY)


def _derive(node: Node, what: str) -> Fix:
    image = node.launched().spec.image
    if image is None:
        return Fix("in the Python environment of the server, install", run=(f"pip install {what}", "pip check"))
    option, _ = _asked(node)
    without = drop_flag(node, option).do
    return Fix(
        f"derive an image from {image.value} whose Dockerfile has these lines, or {without}",
        edit=f"RUN pip install {what}",
        certainty=Certainty.TRY,
        cost=RESTART,
    )
