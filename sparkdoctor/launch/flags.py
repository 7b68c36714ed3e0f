"""The options of a vLLM command line, by long name.

Follows argparse as vLLM uses it (vllm/utils/argparse_utils.py, FlexibleArgumentParser):
underscores and hyphens are the same, `--x=y` and `--x y` are the same, the last one wins.
"""

from __future__ import annotations

from sparkdoctor.fact import Fact

SHORT = {
    "-tp": "tensor-parallel-size",
    "-pp": "pipeline-parallel-size",
    "-dp": "data-parallel-size",
    "-n": "nnodes",
    "-r": "node-rank",
    "-q": "quantization",
    "-O": "compilation-config",
}
"""Short options of `vllm serve` that matter here (vllm/engine/arg_utils.py, 0.33.0)."""


def vllm_flags(argv: Fact[tuple[str, ...]]) -> Fact[dict[str, Fact[str]]]:
    """Options by long name without dashes; a switch has the value "". The model is `model`."""

    def parse(words: tuple[str, ...]) -> dict[str, Fact[str]]:
        return {name: Fact(argv.where, value) for name, value in _parse(words).items()}

    return argv.map(parse)


def _parse(words: tuple[str, ...]) -> dict[str, str]:
    flags: dict[str, str] = {}
    at = 0
    while at < len(words):
        word = words[at]
        at += 1
        if word == "serve" and at < len(words) and not words[at].startswith("-"):
            flags["model"] = words[at]
            at += 1
        elif (word.startswith("--") and len(word) > 2) or word.split("=")[0] in SHORT:
            option, equals, value = word.partition("=")
            head, dot, key = option.removeprefix("--").partition(".")
            name = SHORT.get(option) or head.replace("_", "-") + dot + key
            if not equals and at < len(words) and not _is_option(words[at]):
                value = words[at]
                at += 1
            flags[name] = value
    return flags


def _is_option(word: str) -> bool:
    return word.startswith("-") and not word[1:2].isdigit() and word != "-"
