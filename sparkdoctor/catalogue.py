"""All knowledge as one readable text, family by family: `list --knowledge`, and docs/knowledge.md in Markdown.

The manual of one name (sparkdoctor.manual) says more of it; here each entry has what is needed to judge it: the line,
what it means, what it may come from and what decides, what to do, and where that is known from.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from itertools import groupby

from sparkdoctor.api import Check
from sparkdoctor.late import late
from sparkdoctor.signatures import Cause, Knowledge, Maturity, Signature, cost_of, fill
from sparkdoctor.steps import steps

HEAD = """\
<!-- Written by `make docs` from knowledge/*.toml: change those. -->
# What sparkdoctor knows of

Each entry is a line of a log (the first sample of it), with what it means, what it may come from in the order of likelihood
on GB10, and what decides between those: a check that `sparkdoctor explain LOG --here` runs by itself, or a command under
[{causes}](#{anchor}). An `error` stops a launch or makes it wrong, a `warning` may, a `note` is normal and says so. A `cause`
is where things went wrong first, a `symptom` has several possible reasons, a `consequence` says only that something failed
before. `new` entries have been seen by few. `sparkdoctor explain NAME` prints the manual of any name,
`sparkdoctor list --knowledge` this page.
"""

CHAPTERS = {
    "vLLM": ("vllm", "engine", "flash", "xgrammar", "port", "queue"),
    "SGLang": ("sglang",),
    "TensorRT-LLM": ("trtllm",),
    "llama.cpp and Ollama": ("llama", "ollama"),
    "NCCL": ("nccl",),
    "RDMA, UCX, NIXL and MPI": ("rdma", "ucx", "nixl", "nvshmem", "mpi", "ibverbs", "mooncake", "kv"),
    "PyTorch and torch.distributed": (
        "torch", "torchrun", "torchvision", "torchcodec", "gloo", "inductor", "process", "dynamo", "parallel",
    ),
    "Ray": ("ray",),
    "Kernels and their compilers": (
        "flashinfer", "cutlass", "b12x", "deepgemm", "triton", "tvm", "ptxas", "ptx", "nvcc", "nvrtc", "nvjitlink",
        "llvm", "cuda13", "build", "cmake", "marlin", "quantization", "bitsandbytes", "quantized",
    ),
    "CUDA, cuBLAS and cuDNN": ("cuda", "cublas", "cudnn"),
    "The driver, NVML and Xid": ("driver", "nvidia", "nvml", "gpu", "xid", "field", "module"),
    "Models and Hugging Face": ("hf", "weights", "model", "tokenizer", "transformers", "huggingface"),
    "Python, pip and shared libraries": (
        "python", "pip", "uv", "numpy", "protobuf", "library", "libstdcxx", "glibc", "symbol", "static", "page",
        "extension", "json", "program", "pydantic", "typing", "xformers",
    ),
    "Docker and Compose": ("docker", "compose", "container", "shared", "disk"),
    "NVIDIA's container toolkit": ("toolkit",),
    "The kernel and the ConnectX-7": ("kernel", "linux", "mlx5"),
    "The operating system": ("systemd", "earlyoom", "ssh", "sudo", "mdns", "apt", "fwupd"),
}  # fmt: skip
"""Families, the first words of names, that are read together. One that is not here has a chapter of its own."""

_SOURCE = late(r"//(?:github|gitlab)\.com/([^/]+/[^/]+)/(?:-/)?(?:blob|tree|commit|raw)/([^/]+)")
_THREAD = late(
    r"/(?:issues|pull|discussions)/\d+|//forums?\.|//discuss\.|/comments/|//bugs\.|/T/|/t/[\w-]+/\d+|/\+bug/"
)

Text = Callable[[str], str]

CAUSES = "Causes that a command decides"


def provenance(ref: str) -> str:
    """What an address stands for: the program's own source, what somebody met, or a manual."""
    found = _SOURCE.search(ref)
    if found:
        return f"source of {found[1]} at {found[2]}"
    return "reported" if _THREAD.search(ref) else "manual"


def chapters(signatures: Iterable[Signature]) -> Iterator[tuple[str, list[Signature]]]:
    """Signatures by chapter, in the order of the chapters and then of names."""
    titles = {family: title for title, families in CHAPTERS.items() for family in families}
    order = {title: number for number, title in enumerate(CHAPTERS)}

    def place(signature: Signature) -> tuple[int, str]:
        family = signature.name.split("-")[0]
        title = titles.get(family, family)
        return order.get(title, len(order)), title

    listed = sorted(signatures, key=lambda one: (*place(one), one.name))
    for (_, title), group in groupby(listed, key=place):
        yield title, list(group)


def catalogue(
    knowledge: Knowledge, checks: Mapping[str, Check], only: Collection[str] | None = None, *, markdown: bool = False
) -> Iterator[str]:
    """Lines of text: of all entries, or of those named in `only` and the causes that they name.

    In Markdown, what a reader of HTML would take for a tag or an emphasis is escaped.
    """
    text: Text = _escaped if markdown else str
    told = [one for one in knowledge.signatures.values() if only is None or one.name in only]
    named = {name for one in told for name in one.causes}
    causes = sorted(
        (one for one in knowledge.causes.values() if only is None or one.name in {*only, *named}),
        key=lambda one: one.name,
    )
    parts = list(chapters(told))
    decided = sum(name in checks for name in named)
    yield f"{len(told)} signatures and {decided + len(causes)} causes: {decided} that a check decides, {len(causes)} that a command does."
    yield ""
    for title, signatures in parts:
        yield f"- {_link(title) if markdown else title}: {len(signatures)}"
    yield f"- {_link(CAUSES) if markdown else CAUSES}: {len(causes)}"
    by = _explainers(knowledge)
    for title, signatures in parts:
        yield from ("", f"## {title}")
        for signature in signatures:
            yield from _signature(signature, checks, knowledge, by.get(signature.name, []), text)
    if causes:
        yield from ("", f"## {CAUSES}")
        for cause in causes:
            yield from _cause(
                cause, [one.name for one in knowledge.signatures.values() if cause.name in one.causes], text
            )


def document(knowledge: Knowledge, checks: Mapping[str, Check], only: Collection[str]) -> str:
    """docs/knowledge.md."""
    head = HEAD.format(causes=CAUSES, anchor=_anchor(CAUSES))
    return "\n".join([head, *catalogue(knowledge, checks, only, markdown=True)]) + "\n"


def _signature(
    signature: Signature, checks: Mapping[str, Check], knowledge: Knowledge, by: Iterable[str], text: Text
) -> Iterator[str]:
    captured = {name: f"<{name}>" for name in re.compile(signature.match).groupindex}

    def shown(what: str) -> str:
        return text(fill(what, captured).strip())

    new = ", new" if signature.status is Maturity.NEW else ""
    yield from ("", f"### {signature.name}", "")
    yield f"{signature.severity.value}, {signature.role.value}{new}: {shown(signature.title)}"
    yield from ("", shown(signature.why), "", *(f"    {sample}" for sample in signature.matches[:1]))
    if signature.causes:
        yield ""
        for number, name in enumerate(signature.causes, 1):
            if name in checks:
                yield f"{number}. {text(checks[name].title.removesuffix('.'))}: `sparkdoctor check --select {name}`"
            else:
                yield f"{number}. {text(knowledge.causes[name].title)}: {name}"
    if signature.fix:
        block = (signature.edit.splitlines(), signature.run)
        yield from _mending(
            fill(signature.fix, captured).strip(), (fill(line, captured) for part in block for line in part), text
        )
        yield from _cost(cost_of(signature), text)
    elif signature.causes:
        yield from ("", f"To mend it, go by the cause: `sparkdoctor explain {signature.causes[0]}`")
    explains = ", ".join(signature.explains)
    yield from (["", f"Explains: {explains}"] if explains else [])
    followed = ", ".join(by)
    yield from (["", f"Follows from: {followed}"] if followed else [])
    versions = f" ({text(signature.versions)})" if signature.versions else ""
    yield from ("", f"Seen in {text(', '.join(signature.seen_in) or 'no named version')}{versions}")
    yield from ("", *(f"- {provenance(ref)}: <{ref}>" for ref in signature.refs))


def _cause(cause: Cause, named_by: Iterable[str], text: Text) -> Iterator[str]:
    yield from ("", f"### {cause.name}", "", text(cause.title), "", text(cause.why.strip()))
    yield from ("", "To tell:", *_block([cause.decide]))
    yield from _mending(cause.fix.strip(), (*cause.edit.splitlines(), *cause.run), text)
    yield from _cost(cost_of(cause), text)
    yield from ("", f"Named by: {', '.join(named_by)}")
    yield from ("", *(f"- {provenance(ref)}: <{ref}>" for ref in cause.refs))


def _block(lines: Iterable[str]) -> list[str]:
    shown = [f"    {line}".rstrip() for line in lines]
    return ["", *shown] if shown else []


def _cost(cost: str, text: Text) -> list[str]:
    return ["", f"It costs: {text(cost)}"] if cost else []


def _explainers(knowledge: Knowledge) -> dict[str, list[str]]:
    by: dict[str, list[str]] = {}
    for signature in knowledge.signatures.values():
        for name in signature.explains:
            by.setdefault(name, []).append(signature.name)
    return by


def _anchor(title: str) -> str:
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def _link(title: str) -> str:
    return f"[{title}](#{_anchor(title)})"


def _mending(fix: str, block: Iterable[str], text: Text) -> Iterator[str]:
    told, lines = steps(fix), list(block)
    if len(told) == 1:
        lines = [*told[0].run, *lines]
        yield from ("", f"To mend it: {text(told[0].words)}{':' if told[0].run else ''}", *_block(lines))
        return
    yield from ("", "To mend it:", "")
    for words, run in told:
        yield text(f"{words}: {'; '.join(f'`{command}`' for command in run)}" if run else words)
    yield from ["", "As lines and commands:"] if lines else []  # a list would swallow the block
    yield from _block(lines)


def _escaped(text: str) -> str:
    """With code between backticks as it is."""
    parts = text.split("`")
    odd = len(parts) % 2 == 0
    return "`".join(
        part if number % 2 and not (odd and number == len(parts) - 1) else re.sub(r"([<>*\\\[\]])", r"\\\1", part)
        for number, part in enumerate(parts)
    )


def main(path: str) -> None:
    """Write the page of what is built in."""
    from sparkdoctor.registry import BUILT_IN, load_registry

    registry = load_registry()
    only = [name for name, origin in registry.origin.items() if origin == BUILT_IN]
    with open(path, "w", encoding="utf-8") as file:
        file.write(document(registry.knowledge, registry.checks.by_name, only))


if __name__ == "__main__":
    main(*sys.argv[1:])
