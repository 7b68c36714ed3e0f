"""CUTLASS DSL against the packages that are written in it."""

from __future__ import annotations

from typing import NamedTuple

from sparkdoctor.api import Certainty, Finding, Fix, Found, Node, Seen, Severity, Software, check, skip

from ._fix import RESTART
from ._software import software, version_seen, within

DSL = "nvidia-cutlass-dsl"


class Rule(NamedTuple):
    """Versions of `package` that need versions `dsl` of nvidia-cutlass-dsl, because of `name`."""

    package: str
    versions: str
    dsl: str
    name: str
    """What is missing otherwise; it stands in the AttributeError."""


# Each read in the published wheels (aarch64, where there is one) and, for FlashInfer, in its git tags.
# "Imported" was tried with both packages really installed (x86_64, Python 3.11, no GPU).
AT_IMPORT = (
    # cutlass/cute/nvgpu/common.py of nvidia-cutlass-dsl-libs-base: not in 4.4.2 nor 4.5.0.dev0, in 4.5.0.
    # FlashInfer v0.6.12 does not name it, v0.6.13 does in 14 files (commit bff85f345). Imported.
    Rule("flashinfer-python", ">=0.6.13,<0.6.18", ">=4.5.0", "cute.nvgpu.OperandMajorMode"),
    # cutlass/__init__.py: not in 4.3.5, in 4.4.2. FlashInfer reads it from 0.6.18 on. Imported.
    Rule("flashinfer-python", ">=0.6.18,<0.7.1", ">=4.4.0", "cutlass.CUDA_VERSION"),
    # cutlass/cute/core.py of nvidia-cutlass-dsl-libs-core: not in 4.6.0, in 4.6.2. FlashInfer 0.7.1 and
    # 0.7.2.post1 name it (flashinfer/gdn_kernels), 0.7.0.post1 does not. Imported.
    Rule("flashinfer-python", ">=0.7.1", ">=4.6.2", "cute.FastDivmodDivisorV2"),
)

# In modules that load only when a kernel is wanted.
WHEN_USED = (
    # quack/tensor_spec.py, quack/sm90_utils.py of 0.5.0; `import quack` loads neither.
    Rule("quack-kernels", ">=0.5.0", ">=4.5.0", "cute.nvgpu.OperandMajorMode"),
    # cutlass/cute/core.py: ThrMma is in 4.4.2 and 4.5.0, not in 4.6.0 (cute.ThrMma stays).
    Rule("flashinfer-python", ">=0.6.8,<0.6.13", "<4.6.0.dev0", "cute.core.ThrMma"),
    Rule("quack-kernels", "<=0.5.0", "<4.6.0.dev0", "cute.core.ThrMma"),
    Rule("vllm", ">=0.20.0,<0.26.0", "<4.6.0.dev0", "cute.core.ThrMma"),
)


@check("cutlass-dsl-mismatch")
def dsl_mismatch(node: Node) -> Found:
    """FlashInfer or quack needs another CUTLASS DSL than the one that is installed.

    ## Why it matters
    These packages name parts of the DSL while they are imported. One that is not there ends
    every worker: `AttributeError: module 'cutlass.cute.nvgpu' has no attribute
    'OperandMajorMode'` is FlashInfer 0.6.13 or newer on a DSL older than 4.5.0. It comes of
    putting a newer FlashInfer, or a vLLM built from its main branch, over the packages of an
    older image; pip warns and goes on.

    ## How to fix it
    Take an image whose packages were resolved together, or install in one call the DSL that
    FlashInfer needs and that the vLLM of the image pins. All nvidia-cutlass-dsl* packages must
    have one version.

    ## References
    - https://github.com/flashinfer-ai/flashinfer/commit/bff85f345
    - https://docs.nvidia.com/cutlass/latest/media/docs/pythonDSL/quick_start.html
    """
    yield from _judge(node, AT_IMPORT, "its import fails")


@check("cutlass-kernels-unfit", Severity.WARNING, after=("cutlass-dsl-mismatch",))
def kernels_unfit(node: Node) -> Found:
    """Kernels that load when they are wanted name what the CUTLASS DSL does not have.

    ## Why it matters
    nvidia-cutlass-dsl 4.6.0 took ThrMma, ThrCopy, ProxyKind and SharedSpace out of the modules
    where kernels of 2025 and early 2026 look for them, and quack 0.5.0 looks for names that came
    with 4.5.0. Such kernels are imported only when they are wanted, so the server may start, and
    fail at the first of them: `module 'cutlass.cute.core' has no attribute 'ThrMma'`. vLLM 0.20
    asks for `>=4.4.2` without an upper bound, so a fresh install of it gets such a DSL.

    ## How to fix it
    Install the DSL that the vLLM of the image was made for: 4.4.2 for 0.20 and 0.21, 4.5.2 for
    0.22 to 0.25.

    ## References
    - https://github.com/vllm-project/vllm/pull/47442
    - https://docs.nvidia.com/cutlass/latest/media/docs/pythonDSL/quick_start.html
    """
    yield from _judge(node, WHEN_USED, "kernels that need it fail")


@check("cutlass-libs-differ", after=("cutlass-dsl-mismatch",))
def libs_differ(node: Node) -> Found:
    """The parts of the CUTLASS DSL have different versions.

    ## Why it matters
    Since 4.4 nvidia-cutlass-dsl is an empty package; the code is in nvidia-cutlass-dsl-libs-base,
    -core, -cu12 and -cu13. Upgrading it without the `[cu13]` extra leaves an old libs-cu13 behind.
    Then Python code and native library are of two versions: either `import cutlass` fails
    (`module 'cutlass._mlir._mlir_libs._cutlass_ir._mlir.ir' has no attribute 'OpOperands'`: 4.7.1
    under 4.8.0), or it works and kernels are built by the wrong one.

    ## How to fix it
    Install all of it again as one version, with the extra.

    ## References
    - https://docs.nvidia.com/cutlass/latest/media/docs/pythonDSL/quick_start.html
    """
    found = software(node)
    parts = {name: found.packages.value[name] for name in sorted(found.packages.value) if name.startswith(DSL)}
    if DSL not in parts:
        skip(f"{DSL} is not installed ({found.packages.where})")
    version = parts[DSL]
    seen = tuple(version_seen(found, name, wanted=version if parts[name] != version else "") for name in parts)
    others = [name for name in parts if parts[name] != version]
    if not others:
        yield from seen
        return
    yield Finding(
        f"{others[0]} is {parts[others[0]]} beside {DSL} {version}",
        seen,
        _install(node, f"'{DSL}[cu13]=={version}'"),
    )


def _judge(node: Node, rules: tuple[Rule, ...], consequence: str) -> Found:
    found = software(node)
    packages = found.packages.value
    dsl = packages.get(DSL)
    if dsl is None:
        skip(f"{DSL} is not installed ({found.packages.where})")
    broken = []
    for rule in rules:
        installed = packages.get(rule.package)
        if installed is not None and within(installed, rule.versions):
            if within(dsl, rule.dsl):
                yield Seen(rule.package, f"{installed}, fits {DSL} {dsl}", found.packages.where)
            else:
                broken.append(rule)
    for rule in broken:
        yield Finding(
            f"{rule.package} {packages[rule.package]} uses {rule.name}, which {DSL} {dsl} does not have, so {consequence}",
            (version_seen(found, rule.package), version_seen(found, DSL, wanted=rule.dsl)),
            _install(node, _matching(found, [each.dsl for each in broken])),
        )
    if not broken:
        yield version_seen(found, DSL)


def _matching(found: Software, wanted: list[str]) -> str:
    """What pip should install: the DSL that the installed vLLM pins when that mends it, else whatever fits."""
    for line in found.requires.value if found.requires.is_known else ():
        name, equals, pin = line.split(";")[0].strip().partition("==")
        if name.split("[")[0] == DSL and equals and all(within(pin, specifiers) for specifiers in wanted):
            return f"'{DSL}[cu13]=={pin}'"
    return f"'{DSL}[cu13]{','.join(dict.fromkeys(wanted))}'"


def _install(node: Node, what: str) -> Fix:
    """In an image there is nothing to edit on this machine: its Dockerfile, or another image."""
    command = f"pip install --force-reinstall {what}"
    image = node.launched().spec.image
    if image is None:
        return Fix("in the Python environment of the server, install", run=(command, "pip check"))
    return Fix(
        f"take an image whose packages fit, or derive one from {image.value} whose Dockerfile has",
        edit=f"RUN {command}",
        certainty=Certainty.TRY,
        cost=RESTART,
    )
