"""Whether a model lies complete in a Hugging Face cache, and what its config.json says.

Layout: huggingface_hub docs/source/en/guides/manage-cache.md (refs, snapshots, blobs).
"""

from __future__ import annotations

from typing import Any

import msgspec

from sparkdoctor.fact import CannotTell, Fact, unread
from sparkdoctor.facts.wanted import CachedModel
from sparkdoctor.host import ModelCache
from sparkdoctor.system import System
from sparkdoctor.typed import decode

INDEXES = ("model.safetensors.index.json", "pytorch_model.bin.index.json", "consolidated.safetensors.index.json")
WHOLE = ("model.safetensors", "consolidated.safetensors", "pytorch_model.bin")
TOKENIZERS = ("tokenizer", "tekken", "vocab", "tiktoken", "spiece")
GIT_LFS = b"version https://git-lfs"
CONFIG = (
    "model_type", "dtype", "torch_dtype", "expert_dtype", "num_attention_heads", "num_key_value_heads",
    "num_hidden_layers", "max_position_embeddings", "n_routed_experts", "num_experts", "num_local_experts",
)  # fmt: skip


def cache(system: System, wanted: CachedModel) -> ModelCache:
    """What is missing of one model, and the facts of its config.json.

    Looked at: the snapshot that the revision names, config.json, a tokenizer, every file of
    the weights' index (or the one weights file), that none is a git-lfs pointer and that each
    safetensors file is longer than its own header says.
    """
    folder = wanted.model if wanted.model.startswith("/") else f"{wanted.hub}/models--{wanted.model.replace('/', '--')}"
    try:
        missing, snapshot = _look(system, folder, wanted)
    except CannotTell as why:
        problem = unread(why.where, why.problem)
        return ModelCache(wanted.hub, wanted.model, missing=problem, config=problem)
    config = (
        system.read(f"{snapshot}/config.json").map(parse_config)
        if snapshot
        else unread(folder, "there is no snapshot of this model", absent=True)
    )
    return ModelCache(wanted.hub, wanted.model, missing=Fact(snapshot or folder, tuple(missing)), config=config)


def _look(system: System, folder: str, wanted: CachedModel) -> tuple[list[str], str]:
    """What is missing, and the snapshot's folder (empty: none). Raises CannotTell."""
    if _listing(system, folder) is None:
        return [f"{folder}/"], ""
    if wanted.model.startswith("/"):
        return _incomplete(system, folder), folder
    reference = system.read(f"{folder}/refs/{wanted.revision}")
    commit = wanted.revision if reference.absent else reference.value.strip()
    snapshot = f"{folder}/snapshots/{commit}"
    if _listing(system, snapshot) is None:
        lost = f"snapshots/{commit}/" if reference.is_known else f"refs/{wanted.revision}"
        return [lost, *_unfinished(system, folder)], ""
    missing = _incomplete(system, snapshot)
    return missing + (_unfinished(system, folder) if missing else []), snapshot


def _listing(system: System, folder: str) -> tuple[str, ...] | None:
    """The names in a folder, None when there is no such folder. Raises CannotTell."""
    names = system.folder(folder)
    return None if names.absent else names.value


def _unfinished(system: System, folder: str) -> list[str]:
    """Downloads that were begun. One may lie beside a complete model for ever, so it is no fault by itself,
    and that it cannot be looked for takes nothing from what is missing for certain."""
    blobs = system.folder(f"{folder}/blobs")
    return [f"blobs/{name}" for name in blobs.value if name.endswith(".incomplete")] if blobs.is_known else []


def _incomplete(system: System, snapshot: str) -> list[str]:
    names = _listing(system, snapshot) or ()
    missing = [] if "config.json" in names else ["config.json"]
    if not any(word in name for word in TOKENIZERS for name in names):
        missing.append("a tokenizer")
    weights = _weights(system, snapshot, names)
    if not weights:
        missing.append("the weights (model.safetensors or its index)")
    for name in weights:
        fault = _fault(system, f"{snapshot}/{name}")
        if fault is not None:
            missing.append(f"{name}{fault}")
    return missing


def _weights(system: System, snapshot: str, names: tuple[str, ...]) -> list[str]:
    """Names of the weight files: those of the index, else the one file, else every GGUF."""
    for index in INDEXES:
        if index in names:
            return system.read(f"{snapshot}/{index}").map(parse_index).value
    whole = [name for name in WHOLE if name in names][:1]
    return whole or [name for name in names if name.endswith(".gguf")]


def _fault(system: System, path: str) -> str | None:
    """None for a file that is all there, else what to say after its name."""
    head = system.head(path)
    if head.absent:
        return ""
    size, start = head.value.size, head.value.start
    if start.startswith(GIT_LFS):
        return " (a git-lfs pointer, not the file)"
    if size == 0:
        return " (empty)"
    if path.endswith(".safetensors") and (size < 8 or int.from_bytes(start[:8], "little") + 8 > size):
        return f" ({size} bytes, shorter than its own header)"
    return None


class Index(msgspec.Struct):
    """A weights index: which file holds which tensor."""

    weight_map: dict[str, str]


def parse_index(text: str) -> list[str]:
    """The files that an index names, sorted."""
    return sorted(set(decode(text, Index).weight_map.values()))


def parse_config(text: str) -> dict[str, str]:
    """The scalars of `quantization_config` and of CONFIG, and `architectures` joined by commas, as texts."""
    config = decode(text, dict[str, Any])
    inner = config.get("text_config")
    merged = {**(inner if isinstance(inner, dict) else {}), **config}
    quantization = merged.get("quantization_config")
    scalars = {name: merged[name] for name in CONFIG if name in merged}
    scalars.update(quantization if isinstance(quantization, dict) else {})
    found = {name: str(value) for name, value in scalars.items() if isinstance(value, str | int | float)}
    architectures = merged.get("architectures")
    if isinstance(architectures, list):
        found["architectures"] = ",".join(str(name) for name in architectures)
    return found
