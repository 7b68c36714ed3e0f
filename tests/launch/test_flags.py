"""Options of vLLM command lines, held to what the parser of vLLM 0.33.0 makes of them.

The results were compared with FlexibleArgumentParser and make_arg_parser of vLLM 0.33.0 (4000
random command lines); the cases here are those that say something.
"""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sparkdoctor.fact import Fact, unread
from sparkdoctor.launch.flags import vllm_flags


def flags(*words: str) -> dict[str, str]:
    return {name: fact.value for name, fact in vllm_flags(Fact("c:1", words)).value.items()}


@pytest.mark.parametrize(
    ("words", "result"),
    [
        ("vllm serve M --port 80", {"model": "M", "port": "80"}),
        ("vllm serve M --port=80", {"model": "M", "port": "80"}),
        ("vllm serve M --tensor_parallel_size 2", {"model": "M", "tensor-parallel-size": "2"}),
        ("vllm serve M --tensor_parallel_size=2", {"model": "M", "tensor-parallel-size": "2"}),
        ("vllm serve M -tp 2 -pp=1 -n 2 -r1 -n3",
         {"model": "M", "tensor-parallel-size": "2", "pipeline-parallel-size": "1", "node-rank": "1", "nnodes": "3"}),
        ("vllm serve M -q fp8", {"model": "M", "quantization": "fp8"}),
        ("vllm serve M -qfp8", {"model": "M", "quantization": "fp8"}),
        # a unique beginning is enough (argparse allow_abbrev); one of many options is none
        ("vllm serve M --enable-chunked-prefil", {"model": "M", "enable-chunked-prefill": ""}),
        ("vllm serve M --tensor-p 2", {"model": "M", "tensor-parallel-size": "2"}),
        ("vllm serve M --enable", {"model": "M", "enable": ""}),
        # switches take no word, so the model may stand behind one
        ("vllm serve --trust-remote-code M", {"model": "M", "trust-remote-code": ""}),
        ("vllm serve M --headless --port 80", {"model": "M", "headless": "", "port": "80"}),
        ("vllm serve M --no-enable-prefix-caching", {"model": "M", "no-enable-prefix-caching": ""}),
        ("vllm serve M --disable-prefix-caching", {"model": "M", "no-enable-prefix-caching": ""}),
        ("vllm serve M --enable-custom-all-reduce", {"model": "M", "no-disable-custom-all-reduce": ""}),
        ("vllm serve M --no-enable-prefix-caching --enable-prefix-caching", {"model": "M", "enable-prefix-caching": ""}),
        # several words, one or none
        ("vllm serve M --served-model-name a b --port 80", {"model": "M", "served-model-name": "a b", "port": "80"}),
        ("vllm serve M --hf-token --port 80", {"model": "M", "hf-token": "", "port": "80"}),
        # the last one wins
        ("vllm serve M --port 80 -tp 2 --port 81", {"model": "M", "tensor-parallel-size": "2", "port": "81"}),
        ("vllm serve M --gpu-memory-utilization 0.8 --device-memory-utilization 0.7",
         {"model": "M", "gpu-memory-utilization": "0.7"}),
        # negative numbers and words with blanks are values
        ("vllm serve M --seed -5 --max-model-len -1", {"model": "M", "seed": "-5", "max-model-len": "-1"}),
        # dotted keys; they replace the JSON of their option
        ("vllm serve M --default-chat-template-kwargs.thinking=true --default-chat-template-kwargs.effort high",
         {"model": "M", "default-chat-template-kwargs.thinking": "true", "default-chat-template-kwargs.effort": "high"}),
        ("vllm serve M --speculative-config {} -sc.method mtp", {"model": "M", "speculative-config.method": "mtp"}),
        ("vllm serve M --default_chat_template_kwargs.a_b -1", {"model": "M", "default-chat-template-kwargs.a_b": "-1"}),
        # optimization level
        ("vllm serve M -O3", {"model": "M", "optimization-level": "3"}),
        ("vllm serve M -O 2", {"model": "M", "optimization-level": "2"}),
        ("vllm serve M -O=1", {"model": "M", "optimization-level": "1"}),
        # the old way to name the model
        ("vllm serve --model M --port 80", {"model": "M", "port": "80"}),
        ("python3 -m vllm.entrypoints.openai.api_server --model M", {"m": "vllm.entrypoints.openai.api_server", "model": "M"}),
        ("--model M --port 80", {"model": "M", "port": "80"}),
        ("/launch.sh vllm serve M --port 80", {"model": "M", "port": "80"}),
        ("vllm serve M -- --port 80", {"model": "M"}),
        ("vllm serve", {}),
        ("vllm serve M --port", {"model": "M", "port": ""}),
        # options that vLLM 0.33.0 does not know: a fork's
        ("vllm serve M --jit-monitor-mode warn --jit-monitor-verbose --port 80",
         {"model": "M", "jit-monitor-mode": "warn", "jit-monitor-verbose": "", "port": "80"}),
    ],
)  # fmt: skip
def test_options(words: str, result: dict[str, str]) -> None:
    assert flags(*words.split(" ")) == result


def test_words_with_blanks() -> None:
    json = '{"method":"mtp", "n": 2}'
    assert flags("vllm", "serve", "M", "--speculative-config", json, "--chat-template", "-a b") == {
        "model": "M",
        "speculative-config": json,
        "chat-template": "-a b",
    }


def test_other_servers_survive_and_keep_their_names() -> None:
    sglang = (
        "python3 -m sglang.launch_server --model-path M --tp 2 --nnodes 2 --node-rank 0 --dist-init-addr h:5 --enable-m"
    )
    assert flags(*sglang.split()) == {
        "m": "sglang.launch_server",
        "model-path": "M",
        "tp": "2",
        "nnodes": "2",
        "node-rank": "0",
        "dist-init-addr": "h:5",
        "enable-m": "",
    }
    assert flags("ray", "start", "--head", "--port=6379", "--block") == {"head": "", "port": "6379", "block": ""}
    assert flags("torchrun", "--nproc-per-node=1", "train.py") == {"nproc-per-node": "1"}
    assert flags("sleep", "infinity") == {}


def test_every_option_knows_its_place_and_what_it_replaced() -> None:
    words = ("vllm", "serve", "M", "--port", "80", "--headless", "--port", "81")
    places = tuple(f"c:{line}" for line in range(1, 9))
    assert vllm_flags(Fact("c:0", words), places).value == {
        "model": Fact("c:3", "M"),
        "headless": Fact("c:6", ""),
        "port": Fact("c:8", "81", over=("c:5",)),
    }
    assert vllm_flags(Fact("c:0", words)).value["port"] == Fact("c:0", "81", over=("c:0",))


def test_an_unknown_command_line_stays_unknown() -> None:
    fact = unread("/proc/7/cmdline", "Permission denied")
    assert vllm_flags(fact) == fact


@given(st.lists(st.text(alphabet="-=.O0123 +abnqrtp_", max_size=8), max_size=8))
def test_no_command_line_raises(words: list[str]) -> None:
    flags("vllm", "serve", *words)


def test_known_difference_two_spellings_of_one_dotted_option() -> None:
    # vLLM collects `-sc.x` and `--speculative-config.x` apart, and the later group replaces the other
    assert flags("vllm", "serve", "M", "--speculative-config.a=1", "-sc.b=2") == {
        "model": "M",
        "speculative-config.a": "1",
        "speculative-config.b": "2",
    }
