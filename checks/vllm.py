"""vLLM itself: what it was made for, and which variables it knows."""

from __future__ import annotations

import re

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sparkdoctor.api import CannotTell, Certainty, Finding, Fix, Found, Node, Seen, Severity, Software, check, skip
from sparkdoctor.nearest import nearest

from ._fix import RESTART, drop_env
from ._software import software, within

REPLACED = {
    "VLLM_ATTENTION_BACKEND": "--attention-backend",
    "VLLM_USE_FLASHINFER_MOE_FP4": "--moe-backend",
    "VLLM_USE_FLASHINFER_MOE_FP8": "--moe-backend",
    "VLLM_USE_FLASHINFER_MOE_FP16": "--moe-backend",
    "VLLM_FLASHINFER_MOE_BACKEND": "--moe-backend",
    "VLLM_MXFP4_USE_MARLIN": "--moe-backend marlin",
    "VLLM_TEST_FORCE_FP8_MARLIN": "--linear-backend marlin",
    "VLLM_NVFP4_GEMM_BACKEND": "--linear-backend",
}
"""Variables that a release took away in favour of an option (vllm/envs.py of 0.12.0 to 0.33.0 compared)."""

OWN_CHECK = {"VLLM_USE_B12X_MOE"}
"""Judged elsewhere."""


@check(
    "vllm-requirement-unmet",
    Severity.WARNING,
    after=("cutlass-dsl-mismatch", "cutlass-kernels-unfit", "cutlass-libs-differ"),
)
def requirement_unmet(node: Node) -> Found:
    """A package is not of the version that the installed vLLM asks for.

    ## Why it matters
    vLLM pins the packages whose insides it uses: torch (its extensions are compiled against one
    version), FlashInfer, the CUTLASS DSL, quack. A later `pip install` in the same environment
    replaces one of them, says so in a line that nobody reads, and exits 0. What breaks shows when
    the engine loads its kernels, or not at all.

    ## How to fix it
    Install vLLM again in one call, so that pip resolves all of it together, and look at
    `pip check`. An image that was built so on purpose can be left alone when it works.

    ## References
    - https://packaging.python.org/en/latest/specifications/core-metadata/#requires-dist-multiple-use
    - https://docs.vllm.ai/en/stable/getting_started/installation/gpu.html
    """
    found = software(node)
    packages = found.packages.value
    unmet = []
    for line in found.requires.value:
        requirement = _parsed(line)
        if requirement is None:
            continue
        if requirement.marker is not None and not requirement.marker.evaluate(_platform(node, found)):
            continue
        name = canonicalize_name(requirement.name)
        installed = packages.get(name)
        if installed is None or not within(installed, str(requirement.specifier)):
            wanted = str(requirement.specifier) or "any version"
            unmet.append(Seen(name, installed or "not installed", found.packages.where, wanted=wanted))
    if not unmet:
        yield Seen("Requires-Dist of vllm", f"{len(found.requires.value)} requirements, all met", found.requires.where)
        return
    first = unmet[0]
    more = f" and {len(unmet) - 1} more" if len(unmet) > 1 else ""
    yield Finding(
        f"vllm {packages.get('vllm', '')} wants {first.what} {first.wanted} and finds {first.value}{more}",
        tuple(unmet),
        _reinstall(node, packages.get("vllm", "")),
    )


@check("vllm-env-unknown", Severity.WARNING)
def env_unknown(node: Node) -> Found:
    """A VLLM_* variable is set that the installed vLLM does not know.

    ## Why it matters
    vLLM does nothing with it. Since 0.17.0 it says so in one line of the log, `Unknown vLLM
    environment variable detected`, and goes on; older ones say nothing. It is a slip of the pen, a
    variable that a release took away, or one of a fork whose image this is not: then what it was
    meant to switch on is off. With --fail-on-environ-validation the launch ends instead.

    ## How to fix it
    Take the variable away, or write it as this vLLM has it; where an option took its place, give
    that.

    ## References
    - https://docs.vllm.ai/en/stable/configuration/env_vars.html
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/platforms/interface.py (validate_environ)
    """
    set_here = {name: fact for name, fact in node.launched().env.value.items() if name.startswith("VLLM_")}
    if not set_here:
        skip("no VLLM_* variable is set")
    known = software(node).vllm_env
    for name, fact in sorted(set_here.items()):
        if name in OWN_CHECK:
            continue
        value = fact.value if fact.is_known else "set"
        if name in known.value:
            yield Seen(name, value, fact.where)
            continue
        like = nearest(name, known.value, 3)
        wanted = f"a name that {known.where} has" + (f": {', '.join(like)}" if like else "")
        option = REPLACED.get(name)
        yield Finding(
            f"{name}={value} is set, and this vLLM has no such variable",
            (Seen(name, value, fact.where, wanted=wanted),),
            drop_env(node, name, f"give {option} instead" if option else ""),
        )
    yield Seen("names known", str(len(known.value)), known.where)


def _parsed(line: str) -> Requirement | None:
    """A line of Requires-Dist; None for one that is not of the standard form (PEP 508)."""
    try:
        return Requirement(line)
    except InvalidRequirement:
        return None


def _platform(node: Node, found: Software) -> dict[str, str]:
    """The variables of PEP 508 markers as the rank's Python would have them; no extra is asked for."""
    arch = node.host.machine.arch if node.host is not None else None
    version = re.search(r"/python(3\.\d+)/", found.packages.where)
    if version is None:
        raise CannotTell(found.packages.where, "the Python version of this environment is not known")
    return {
        "python_version": version[1],
        "python_full_version": f"{version[1]}.0",
        "platform_machine": arch.value if arch is not None and arch.is_known else "aarch64",
        "platform_system": "Linux",
        "platform_python_implementation": "CPython",
        "implementation_name": "cpython",
        "os_name": "posix",
        "sys_platform": "linux",
        "extra": "",
    }


def _reinstall(node: Node, version: str) -> Fix:
    command = f"pip install --force-reinstall 'vllm=={version}'"
    image = node.launched().spec.image
    if image is None:
        return Fix("in the Python environment of the server, install", run=(command, "pip check"))
    return Fix(
        f"take an image whose packages were resolved together, or mend the Dockerfile of {image.value}; to see all of it",
        run=(f"docker run --rm --entrypoint pip {image.value} check",),
        certainty=Certainty.TRY,
        cost=RESTART,
    )
