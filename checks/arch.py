"""For which GPU the kernels are built that are compiled on the machine."""

from __future__ import annotations

import re

from sparkdoctor.api import Fact, Finding, Found, Node, Seen, Severity, check, skip

from ._fix import set_env

TORCH, FLASHINFER = "TORCH_CUDA_ARCH_LIST", "FLASHINFER_CUDA_ARCH_LIST"

GB10 = "12.1a"
CAPABILITY = (12, 1)


@check("arch-list-malformed")
def list_malformed(node: Node) -> Found:
    """FLASHINFER_CUDA_ARCH_LIST is not written as FlashInfer reads it.

    ## Why it matters
    FlashInfer cuts the variable at single blanks and each piece at its one dot, while it is being
    imported. `12.1a;12.0a` and `12.1a,12.0a` end that with `ValueError: too many values to unpack`,
    `sm_121a`, `121a` and an empty value with `not enough values to unpack`, and the workers with it.
    PyTorch's TORCH_CUDA_ARCH_LIST does take semicolons: copying one to the other is how it happens.

    ## How to fix it
    Write `12.1a`; several with a single blank between them.

    ## References
    - https://github.com/flashinfer-ai/flashinfer/blob/v0.6.17/flashinfer/compilation_context.py
    - https://docs.flashinfer.ai/installation.html
    """
    fact = node.env(FLASHINFER)
    if fact is None:
        skip(f"{FLASHINFER} is not set")
    software = node.launched().software
    if software is not None and software.packages.is_known and "flashinfer-python" not in software.packages.value:
        skip(f"flashinfer-python is not installed ({software.packages.where})")
    seen = Seen(FLASHINFER, repr(fact.value), fact.where, wanted=f"{GB10}; several with single blanks between them")
    broken = [piece for piece in fact.value.split(" ") if not re.fullmatch(r"\d+\.(\d+|\w*[^\W\d_])", piece)]
    if not broken:
        yield seen
        return
    yield Finding(
        f"{FLASHINFER} is {fact.value!r}, and FlashInfer cannot read {broken[0]!r}",
        (seen,),
        set_env(node, FLASHINFER, _mended(fact.value)),
    )


@check("arch-list-without-gb10", Severity.WARNING, after=("arch-list-malformed",))
def list_without_gb10(node: Node) -> Found:
    """A list of GPU architectures leaves out the one of GB10.

    ## Why it matters
    What PyTorch extensions and FlashInfer compile when they are first wanted, they compile for the
    architectures listed. GB10 is 12.1. Code for another major version, or for `12.0a` alone, does
    not run on it (`no kernel image is available for execution on the device`); code for plain `12.0`
    or `12.1` runs, but has not the FP4 matrix instructions, which need `12.1a` (or the family,
    `12.0f`). Kernels that came compiled in the image are not touched by the variable.

    ## How to fix it
    Set it to `12.1a`, or leave it unset: then the GPU that is there decides. After a change remove
    what was compiled before (~/.cache/torch_extensions, ~/.cache/flashinfer).

    ## References
    - https://docs.pytorch.org/docs/stable/cpp_extension.html
    - https://github.com/flashinfer-ai/flashinfer/blob/v0.6.17/flashinfer/compilation_context.py
    - https://docs.nvidia.com/cuda/cuda-compiler-driver-nvcc/#gpu-feature-list
    """
    lists = [(name, fact) for name in (TORCH, FLASHINFER) if (fact := node.env(name)) is not None]
    if not lists:
        skip(f"neither {TORCH} nor {FLASHINFER} is set")
    capability = _capability(node)
    if capability.value != CAPABILITY:
        skip(f"the GPU is {'.'.join(map(str, capability.value))}, not a GB10 ({capability.where})")
    for name, fact in lists:
        yield _judge(node, name, fact)


def _judge(node: Node, name: str, fact: Fact[str]) -> Finding | Seen:
    seen = Seen(name, repr(fact.value), fact.where, wanted=GB10)
    pieces = re.split(r"[; ]" if name == TORCH else " ", fact.value)
    if any(_has_all(name, piece) for piece in pieces):
        return seen
    strange = [piece for piece in pieces if not re.fullmatch(r"\d+\.\d+[af]?(\+PTX)?|[A-Z][A-Za-z+]*", piece)]
    if strange and name == TORCH and fact.value:
        problem = f"PyTorch knows no architecture {strange[0]!r}"
    elif any(_runs(piece) for piece in pieces):
        problem = "what is compiled for it runs on this GPU (12.1) without its FP4 instructions"
    else:
        problem = "what is compiled for it does not run on this GPU (12.1)"
    return Finding(f"{name} is {fact.value!r}, and {problem}", (seen,), set_env(node, name, GB10))


def _has_all(name: str, piece: str) -> bool:
    """Whether code for this entry has all that GB10 offers.

    FlashInfer reads a plain 12.1 as 12.1a and a plain 12.0 as 12.0f (`_normalize_cuda_arch`); for
    PyTorch an entry is what it says.
    """
    plain = ("12.1", "12.0") if name == FLASHINFER else ()
    return piece.removesuffix("+PTX") in ("12.1a", "12.1f", "12.0f", *plain)


def _runs(piece: str) -> bool:
    """Whether code for this entry runs on 12.1: same major version and no newer minor, or PTX of anything older."""
    match = re.fullmatch(r"(\d+)\.(\d+)(\+PTX)?", piece)
    if match is None:
        return False
    version = (int(match[1]), int(match[2]))
    return version <= CAPABILITY and (version[0] == CAPABILITY[0] or bool(match[3]))


def _capability(node: Node) -> Fact[tuple[int, int]]:
    devices = node.machine().gpus.devices
    if not devices.value:
        skip(f"this machine has no GPU ({devices.where})")
    return devices.value[0].capability


def _mended(value: str) -> str:
    """The entries that FlashInfer can read, `sm_121a` spelt out, with GB10's among them."""
    entries = []
    for piece in re.split(r"[;, ]+", value):
        spelt = re.sub(r"^(?:sm_|compute_)?(\d+)(\d)([af]?)$", r"\1.\2\3", piece)
        if re.fullmatch(r"\d+\.\d+[af]?", spelt) and spelt not in entries:
            entries.append(spelt)
    return " ".join(entries) if any(_has_all(FLASHINFER, entry) for entry in entries) else " ".join([*entries, GB10])
