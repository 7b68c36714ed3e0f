"""A Llama of a megabyte with random weights and a tokenizer of its own, and the damage done to copies of it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}assistant:"

Damage = Callable[[Path], None]


def make(folder: Path) -> None:
    """The sound model, in two files with an index, as a big one is."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    symbols = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {symbol: number for number, symbol in enumerate(["<s>", "</s>", *symbols])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>")
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    config = LlamaConfig(
        vocab_size=320,
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        head_dim=32,
        max_position_embeddings=2048,
        bos_token_id=0,
        eos_token_id=1,
        dtype="bfloat16",
    )
    LlamaForCausalLM(config).bfloat16().save_pretrained(folder, max_shard_size="400KB")


def shards(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.safetensors"))


def config(**values: Any) -> Damage:
    """config.json with these values; None removes the key."""

    def change(folder: Path) -> None:
        path = folder / "config.json"
        document = {**json.loads(path.read_text()), **values}
        path.write_text(json.dumps({key: value for key, value in document.items() if value is not None}, indent=2))

    return change


def write(name: str, text: str) -> Damage:
    def change(folder: Path) -> None:
        (folder / name).write_text(text)

    return change


def remove(*names: str) -> Damage:
    def change(folder: Path) -> None:
        for name in names:
            for path in folder.glob(name):
                path.unlink()

    return change


def both(*damages: Damage) -> Damage:
    def change(folder: Path) -> None:
        for damage in damages:
            damage(folder)

    return change


def last_shard(data: Callable[[bytes], bytes]) -> Damage:
    def change(folder: Path) -> None:
        path = shards(folder)[-1]
        path.write_bytes(data(path.read_bytes()))

    return change


def without_last_shard(folder: Path) -> None:
    shards(folder)[-1].unlink()


def cut(name: str, share: float) -> Damage:
    def change(folder: Path) -> None:
        text = (folder / name).read_text()
        (folder / name).write_text(text[: int(len(text) * share)])

    return change


def dangling(folder: Path) -> None:
    """A snapshot of the hub's cache that was copied without the blobs its links point to."""
    for path in shards(folder):
        path.unlink()
        os.symlink(f"../../blobs/{'0' * 64}", path)


def unreadable(folder: Path) -> None:
    for path in shards(folder):
        path.chmod(0o600)


def extra_tensor(folder: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    path = shards(folder)[0]
    tensors = load_file(path)
    tensors["model.layers.0.self_attn.sinks"] = torch.zeros(4)
    save_file(tensors, path, metadata={"format": "pt"})


def gguf_only(folder: Path) -> None:
    for path in [*shards(folder), folder / "config.json", folder / "model.safetensors.index.json"]:
        path.unlink()
    (folder / "tiny-Q4_K_M.gguf").write_bytes(b"GGUF\x03\x00\x00\x00" + bytes(64))


def adapter_only(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()
    (folder / "adapter_config.json").write_text(
        json.dumps({"peft_type": "LORA", "r": 8, "base_model_name_or_path": "tiny"})
    )


REMOTE = """
from transformers import LlamaConfig
import {module}

class TinyConfig(LlamaConfig):
    model_type = "tiny_custom"
"""


def remote_code(module: str) -> Damage:
    return both(
        write("configuration_tiny.py", REMOTE.format(module=module)),
        config(model_type="tiny_custom", auto_map={"AutoConfig": "configuration_tiny.TinyConfig"}),
    )
