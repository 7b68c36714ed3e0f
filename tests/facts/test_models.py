from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from sparkdoctor.facts import CachedModel
from sparkdoctor.facts.models import cache, parse_config
from sparkdoctor.host import ModelCache
from sparkdoctor.system import Live
from tests.recordings import absent, machine, problem

MODEL = "deepseek-ai/DeepSeek-V4-Flash"
COMMIT = "0" * 40
CONFIG = {
    "architectures": ["DeepseekV4ForCausalLM"],
    "num_attention_heads": 64,
    "rope_scaling": {"factor": 40},
    "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]},
}


def safetensors(
    tensor_bytes: int = 16, header: str = '{"a":{"dtype":"F8_E4M3","shape":[16],"data_offsets":[0,16]}}'
) -> bytes:
    return len(header).to_bytes(8, "little") + header.encode() + bytes(tensor_bytes)


class Hub:
    """A hub folder on this machine, laid out as huggingface_hub does: files are links into blobs/."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.model = root / f"models--{MODEL.replace('/', '--')}"
        self.snapshot = self.model / "snapshots" / COMMIT
        self.snapshot.mkdir(parents=True)
        (self.model / "blobs").mkdir()
        self.write("config.json", json.dumps(CONFIG).encode())
        self.write("tokenizer.json", b"{}")
        self.index("model-1.safetensors", "model-2.safetensors")
        self.write("model-1.safetensors", safetensors())
        self.write("model-2.safetensors", safetensors())
        (self.model / "refs").mkdir()
        (self.model / "refs/main").write_text(COMMIT)

    def write(self, name: str, content: bytes) -> None:
        blob = self.model / "blobs" / f"blob-{name}"
        blob.write_bytes(content)
        link = self.snapshot / name
        link.unlink(missing_ok=True)
        link.symlink_to(os.path.relpath(blob, self.snapshot))

    def index(self, *names: str) -> None:
        weights = {f"layers.{at}.weight": name for at, name in enumerate(names)}
        self.write("model.safetensors.index.json", json.dumps({"metadata": {}, "weight_map": weights}).encode())

    def look(self, **wanted: Any) -> ModelCache:
        return cache(Live(), CachedModel(**{"hub": str(self.root), "model": MODEL, **wanted}))


@pytest.fixture
def hub(tmp_path: Path) -> Hub:
    return Hub(tmp_path)


def test_a_complete_model(hub: Hub) -> None:
    found = hub.look()
    assert (found.hub, found.model) == (str(hub.root), MODEL)
    assert (found.missing.value, found.missing.where) == ((), str(hub.snapshot))
    assert found.config.value == {
        "architectures": "DeepseekV4ForCausalLM",
        "num_attention_heads": "64",
        "quant_method": "fp8",
        "fmt": "e4m3",
    }


def test_a_recorded_one() -> None:
    found = cache(machine("spark-1"), CachedModel("/home/user/.cache/huggingface/hub", MODEL))
    assert found.missing.value == ()
    assert (found.config.value["quant_method"], found.config.value["fmt"]) == ("fp8", "e4m3")


def test_a_shard_that_is_not_there_or_whose_blob_is_not(hub: Hub) -> None:
    (hub.snapshot / "model-1.safetensors").unlink()
    (hub.model / "blobs/blob-model-2.safetensors").unlink()
    assert hub.look().missing.value == ("model-1.safetensors", "model-2.safetensors")


def test_a_download_that_did_not_finish_is_named_only_beside_what_is_missing(hub: Hub) -> None:
    (hub.model / "blobs/ab12.incomplete").write_bytes(b"x")
    assert hub.look().missing.value == ()
    (hub.snapshot / "model-2.safetensors").unlink()
    assert hub.look().missing.value == ("model-2.safetensors", "blobs/ab12.incomplete")


def test_files_that_are_there_and_are_not_the_weights(hub: Hub) -> None:
    hub.write("model-1.safetensors", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 4\n")
    hub.write("model-2.safetensors", b"")
    assert hub.look().missing.value == (
        "model-1.safetensors (a git-lfs pointer, not the file)",
        "model-2.safetensors (empty)",
    )


def test_weights_cut_off_within_their_header(hub: Hub) -> None:
    hub.write("model-1.safetensors", safetensors()[:20])
    hub.write("model-2.safetensors", b"1234")
    assert hub.look().missing.value == (
        "model-1.safetensors (20 bytes, shorter than its own header)",
        "model-2.safetensors (4 bytes, shorter than its own header)",
    )


def test_config_and_tokenizer_are_wanted_too(hub: Hub) -> None:
    (hub.snapshot / "config.json").unlink()
    (hub.snapshot / "tokenizer.json").unlink()
    found = hub.look()
    assert found.missing.value == ("config.json", "a tokenizer")
    assert found.config.absent


def test_one_file_of_weights_needs_no_index(hub: Hub) -> None:
    (hub.snapshot / "model.safetensors.index.json").unlink()
    assert hub.look().missing.value == ("the weights (model.safetensors or its index)",)
    hub.write("model.safetensors", safetensors())
    assert hub.look().missing.value == ()


def test_a_snapshot_that_refs_does_not_lead_to(hub: Hub) -> None:
    (hub.model / "refs/main").write_text("1" * 40)
    found = hub.look()
    assert found.missing.value == (f"snapshots/{'1' * 40}/",)
    assert found.config.problem == "there is no snapshot of this model"


def test_a_revision_that_was_never_downloaded_and_one_given_by_commit(hub: Hub) -> None:
    assert hub.look(revision="v2").missing.value == ("refs/v2",)
    assert hub.look(revision=COMMIT).missing.value == ()


def test_a_model_that_was_never_downloaded(tmp_path: Path) -> None:
    folder = f"{tmp_path}/models--a--b"
    found = cache(Live(), CachedModel(str(tmp_path), "a/b"))
    assert (found.missing.value, found.missing.where) == ((f"{folder}/",), folder)


def test_a_model_in_a_folder_of_its_own(hub: Hub) -> None:
    assert hub.look(hub="", model=str(hub.snapshot)).missing.value == ()
    assert hub.look(hub="", model=f"{hub.root}/none").missing.value == (f"{hub.root}/none/",)


def test_an_index_that_is_no_index(hub: Hub) -> None:
    hub.write("model.safetensors.index.json", b'{"weight_map": {"a": 7}}')
    missing = hub.look().missing
    assert missing.problem.startswith("not understood: ")
    assert missing.where == f"{hub.snapshot}/model.safetensors.index.json"


def test_a_cache_of_root_is_not_a_cache_without_the_model() -> None:
    """`docker run` as root leaves a cache that the user may not read."""
    folder = "/home/user/.cache/huggingface/hub/models--deepseek-ai--DeepSeek-V4-Flash"
    system = machine("spark-1", {folder: problem("Permission denied")})
    found = cache(system, CachedModel("/home/user/.cache/huggingface/hub", MODEL))
    assert (found.missing.where, found.missing.problem) == (folder, "Permission denied")
    assert found.config.problem == "Permission denied"


def test_what_is_missing_is_missing_even_where_begun_downloads_cannot_be_looked_for() -> None:
    folder = "/home/user/.cache/huggingface/hub/models--deepseek-ai--DeepSeek-V4-Flash"
    complete = cache(machine("spark-1"), CachedModel("/home/user/.cache/huggingface/hub", MODEL))
    shard = f"{complete.missing.where}/model-00002-of-00003.safetensors"
    system = machine("spark-1", {f"head {shard}": absent(), f"{folder}/blobs": problem("Permission denied")})
    found = cache(system, CachedModel("/home/user/.cache/huggingface/hub", MODEL))
    assert found.missing.value == ("model-00002-of-00003.safetensors",)


def test_config_of_a_model_with_pictures_and_of_other_quantizers() -> None:
    text = json.dumps(
        {
            "architectures": ["A", "B"],
            "text_config": {"num_hidden_layers": 43, "dtype": "bfloat16"},
            "quantization_config": {"quant_method": "modelopt", "quant_algo": "NVFP4", "kv_cache_scheme": {"x": 1}},
        }
    )
    assert parse_config(text) == {
        "architectures": "A,B",
        "dtype": "bfloat16",
        "num_hidden_layers": "43",
        "quant_algo": "NVFP4",
        "quant_method": "modelopt",
    }
    with pytest.raises(ValueError, match="Expected `object`"):
        parse_config("[]")
