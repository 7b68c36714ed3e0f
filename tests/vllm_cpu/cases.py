"""What is done to a launch of vLLM on a CPU: one case a log."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field

from .model import (
    Damage,
    adapter_only,
    config,
    cut,
    dangling,
    extra_tensor,
    gguf_only,
    last_shard,
    remote_code,
    remove,
    without_last_shard,
    write,
)

CHAT = {"model": "tiny", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 4}
TOOL = {"type": "function", "function": {"name": "clock", "parameters": {"type": "object", "properties": {}}}}
POINTER = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 17209920\n"


@dataclass(frozen=True)
class Case:
    damage: Damage | None = None
    args: str = ""
    env: dict[str, str] = field(default_factory=dict)
    model: str = "tiny"
    """The folder to serve, or a name on the hub if there is a slash in it."""
    requests: tuple[tuple[str, dict[str, object]], ...] = ()
    """Sent once the server answers."""
    signal: tuple[str, int] | None = None
    """Which process to signal once the server answers: a part of its title, or "serve" for the server itself."""
    shell: str = ""
    """Run by a shell before vLLM, in a mount namespace of its own."""
    hub: int | None = None
    """The status that a hub on this machine answers everything with."""
    hub_code: str = ""
    files: int = 0
    memory: int = 0
    """Limits of open files and of address space, where not 0."""
    compiled: bool = False
    """With torch.compile, which takes a minute."""
    limit: float = 90.0


def many(**values: object) -> str:
    return json.dumps(values)


CASES: dict[str, Case] = {
    # runs that go well
    "healthy-stopped": Case(requests=(("chat/completions", CHAT),), signal=("serve", 15), compiled=True),
    "healthy-eager": Case(
        args="--enforce-eager --enable-auto-tool-choice --tool-call-parser hermes",
        requests=(("chat/completions", {**CHAT, "tools": [TOOL]}), ("completions", {"model": "tiny", "prompt": "a"})),
        signal=("serve", 2),
    ),
    "healthy-two-ranks": Case(
        args="-tp 2 --enforce-eager", requests=(("chat/completions", CHAT),), signal=("serve", 15)
    ),
    # the model's folder
    "weights-shard-missing": Case(without_last_shard),
    "weights-header-random": Case(last_shard(lambda data: os.urandom(64) + data[64:])),
    "weights-empty-file": Case(last_shard(lambda data: b"")),
    "weights-html": Case(
        last_shard(lambda data: b"<!DOCTYPE html><html><head><title>504 Gateway Time-out</title>" * 40)
    ),
    "weights-shard-cut": Case(last_shard(lambda data: data[: len(data) // 2])),
    "weights-header-cut": Case(last_shard(lambda data: data[:100])),
    "weights-links-dangle": Case(dangling),
    "weights-extra-tensor": Case(extra_tensor),
    "weights-index-cut": Case(cut("model.safetensors.index.json", 0.5)),
    "weights-gguf-only": Case(gguf_only),
    "weights-adapter-only": Case(adapter_only),
    "config-missing": Case(remove("config.json")),
    "config-cut": Case(cut("config.json", 0.6)),
    "config-model-type-unknown": Case(config(model_type="qwen9_moe", architectures=["Qwen9MoeForCausalLM"])),
    "config-without-model-type": Case(config(model_type=None)),
    "config-hidden-size-wrong": Case(config(hidden_size=256)),
    "config-vocabulary-wrong": Case(config(vocab_size=512)),
    "config-layers-missing-in-weights": Case(config(num_hidden_layers=3)),
    "config-heads-wrong": Case(config(num_attention_heads=6, num_key_value_heads=4, head_dim=None)),
    "config-dtype-unknown": Case(config(dtype="float4_e2m1", torch_dtype="float4_e2m1")),
    "config-rope-type-unknown": Case(
        config(rope_parameters={"rope_type": "yarn9", "factor": 4.0, "rope_theta": 10000.0}, rope_scaling=None)
    ),
    "config-quantization-unknown": Case(config(quantization_config={"quant_method": "nvfp9"})),
    "config-quantization-modelopt": Case(
        config(
            quantization_config={
                "quant_method": "modelopt",
                "quantization": {"quant_algo": "NVFP4", "group_size": 16, "exclude_modules": ["lm_head"]},
            }
        )
    ),
    "config-quantization-gptq-other": Case(
        config(quantization_config={"quant_method": "gptq", "bits": 4, "group_size": 128, "desc_act": False}),
        "--quantization awq",
    ),
    "tokenizer-cut": Case(cut("tokenizer.json", 0.5)),
    "tokenizer-lfs-pointer": Case(write("tokenizer.json", POINTER)),
    "remote-code-not-trusted": Case(remote_code("math")),
    "remote-code-import": Case(remote_code("flash_attn"), "--trust-remote-code"),
    # the hub
    "hub-unreachable": Case(model="some-org/tiny", env={"HF_HUB_OFFLINE": "0"}),
    "hub-gated": Case(model="some-org/tiny", hub=403, hub_code="GatedRepo"),
    "hub-not-found": Case(model="some-org/tiny", hub=404, hub_code="RepoNotFound"),
    "hub-token-refused": Case(model="some-org/tiny", hub=401, env={"HF_TOKEN": "hf_0"}),
    "hub-too-many-requests": Case(model="some-org/tiny", hub=429),
    "hub-proxy-dead": Case(model="some-org/tiny", env={"HTTPS_PROXY": "http://127.0.0.1:9", "HF_HUB_OFFLINE": "0"}),
    "hub-name-malformed": Case(model="some-org/tiny/main"),
    # settings
    "length-over-model": Case(args="--max-model-len 131072"),
    "cache-not-a-number": Case(env={"VLLM_CPU_KVCACHE_SPACE": "4GiB"}),
    "memory-share-over-one": Case(args="--gpu-memory-utilization 90"),
    "batched-tokens-below-sequences": Case(args="--max-num-batched-tokens 64 --max-num-seqs 256"),
    "batched-tokens-below-length": Case(args="--max-num-batched-tokens 512 --no-enable-chunked-prefill"),
    "block-size-odd": Case(args="--block-size 7"),
    "tensor-parallel-not-dividing": Case(args="-tp 3"),
    "dtype-unknown": Case(args="--dtype nvfp4"),
    "quantization-awq-without-config": Case(args="--quantization awq"),
    "quantization-compressed-without-config": Case(args="--quantization compressed-tensors"),
    "quantization-bitsandbytes-missing": Case(args="--quantization bitsandbytes"),
    "quantization-misspelt": Case(args="--quantization nv-fp4"),
    "option-misspelt": Case(args="--max-model-length 4096"),
    "option-of-another-server": Case(args="--mem-fraction-static 0.8"),
    "option-value-missing": Case(args="--tensor-parallel-size"),
    "option-not-a-number": Case(args="--max-model-len 128k-tokens"),
    "option-overrides-not-json": Case(args="--hf-overrides {max_position_embeddings:4096}"),
    "compilation-key-unknown": Case(args="--compilation-config " + many(cudagraph_modes="FULL").replace(" ", "")),
    "option-file-missing": Case(args="--config /models/serve.yaml"),
    "port-in-use": Case(args="--port 8231", env={"TAKEN": "8231"}),
    "host-not-here": Case(args="--host 192.0.2.77"),
    "tls-key-missing": Case(args="--ssl-keyfile /models/key.pem --ssl-certfile /models/cert.pem"),
    "tool-parser-missing": Case(args="--enable-auto-tool-choice"),
    "tool-parser-unknown": Case(args="--enable-auto-tool-choice --tool-call-parser qwen9"),
    "chat-template-file-missing": Case(args="--chat-template /models/template.jinja"),
    "tokenizer-mode-mistral": Case(args="--tokenizer-mode mistral"),
    "tokenizer-path-wrong": Case(args="--tokenizer /models/tokenizer"),
    "lora-path-wrong": Case(args="--enable-lora --lora-modules chat=/models/adapter"),
    "speculative-method-unknown": Case(args='--speculative-config {"method":"mtp9","num_speculative_tokens":2}'),
    "speculative-mtp-on-llama": Case(args='--speculative-config {"method":"mtp","num_speculative_tokens":2}'),
    "speculative-draft-missing": Case(args='--speculative-config {"model":"/models/draft","num_speculative_tokens":2}'),
    "kv-connector-missing": Case(args='--kv-transfer-config {"kv_connector":"LMCacheConnectorV1","kv_role":"kv_both"}'),
    "kv-connector-nixl": Case(args='--kv-transfer-config {"kv_connector":"NixlConnector","kv_role":"kv_both"}'),
    "multimodal-on-text-model": Case(args='--limit-mm-per-prompt {"image":2} --mm-processor-kwargs {"a":1'),
    "expert-parallel-on-dense": Case(args="-tp 2 --enable-expert-parallel"),
    # more than one process or node
    "ray-missing": Case(args="-tp 2 --distributed-executor-backend ray"),
    "nodes-not-dividing": Case(args="-tp 1 --nnodes 2 --node-rank 0 --master-addr 127.0.0.1"),
    "gloo-interface-wrong": Case(args="-tp 2", env={"GLOO_SOCKET_IFNAME": "enp1s0f0np0"}),
    "port-variable-url": Case(args="-tp 2", env={"VLLM_PORT": "tcp://10.43.21.7:8000"}),
    "logging-level-unknown": Case(env={"VLLM_LOGGING_LEVEL": "VERBOSE"}),
    "engine-killed": Case(signal=("EngineCore", 9)),
    "worker-killed-while-serving": Case(args="-tp 2", signal=("Worker", 9)),
    # the machine
    "shm-tiny": Case(args="-tp 2", shell="mount -t tmpfs -o size=1m tmpfs /dev/shm"),
    "files-limited": Case(args="-tp 2", files=64),
}
