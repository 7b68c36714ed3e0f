"""The recipe of examples/dual-spark, read for both ranks."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkdoctor.fact import Fact
from sparkdoctor.host import UNLIMITED, Mount
from sparkdoctor.launch.compose import ranks, read_compose
from sparkdoctor.launch.resolve import resolve
from sparkdoctor.launch.types import LaunchError, Spec
from sparkdoctor.system import Live
from sparkdoctor.testing import healthy_host

EXAMPLE = Path(__file__).resolve().parents[2] / "examples/dual-spark"


def rank(env_file: str, monkeypatch: pytest.MonkeyPatch) -> Spec:
    monkeypatch.chdir(EXAMPLE)
    (spec,) = read_compose(Live(), ["compose.yaml"], [env_file])
    return spec


@pytest.mark.parametrize(("number", "env_file"), [(0, "head.env"), (1, "worker.env")])
def test_a_rank_of_the_recipe(number: int, env_file: str, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = rank(env_file, monkeypatch)
    assert ranks([spec]) == (spec,)
    assert spec.remarks == ()
    assert (spec.title, spec.env_file) == ("compose.yaml (service vllm)", env_file)
    assert spec.env.value["NODE_RANK"].value == str(number)
    assert spec.env.value["NODE_RANK"].where.endswith(f" (NODE_RANK from {env_file}:1)")
    assert spec.env.value["HEADLESS"].value == ("1" if number else "")
    assert spec.env.value["NCCL_IB_HCA"].value == "rocep1s0f0,roceP2p1s0f0"
    assert spec.mounts is not None
    assert spec.mounts.value[0] == Mount("/home/user/.cache/huggingface", "/cache/huggingface")
    launch = resolve(spec, healthy_host(number))
    assert launch.memlock.value == UNLIMITED
    assert launch.shm.where.startswith(f"/dev/shm of spark-{number + 1}; ipc: host")
    assert launch.infiniband.value
    assert launch.host_network.value
    flags = {name: fact.value for name, fact in launch.flags.value.items()}
    assert flags["model"] == "deepseek-ai/DeepSeek-V4-Flash"
    assert flags["node-rank"] == str(number)
    assert flags["master-addr"] == "192.168.0.8"
    assert flags["speculative-config"] == '{"method":"mtp","num_speculative_tokens":2}'
    assert flags["default-chat-template-kwargs.thinking"] == "true"
    assert ("headless" in flags) is (number == 1)


def test_what_differs_between_the_ranks_is_what_the_env_files_say(monkeypatch: pytest.MonkeyPatch) -> None:
    head, worker = rank("head.env", monkeypatch), rank("worker.env", monkeypatch)
    differs = {name for name in head.env.value if head.env.value[name].value != worker.env.value[name].value}
    assert differs == {"NODE_RANK", "HEADLESS"}
    after = head.argv.value.index("--node-rank")
    assert worker.argv.value == (*head.argv.value[: after + 1], "1", *head.argv.value[after + 2 :], "--headless")


def test_without_an_env_file_the_recipes_own_words_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLE)
    with pytest.raises(LaunchError) as caught:
        read_compose(Live(), ["compose.yaml"])
    line = next(
        number
        for number, text in enumerate((EXAMPLE / "compose.yaml").read_text().splitlines(), 1)
        if "NODE_RANK:?" in text
    )
    assert caught.value.where == f"compose.yaml:{line}"
    assert caught.value.problem == "required variable NODE_RANK is missing a value: set 0 on head, 1 on worker"


def test_the_shell_beats_the_env_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLE)
    (spec,) = read_compose(Live(), ["compose.yaml"], ["head.env"], environ={"NODE_RANK": "7"})
    fact = spec.env.value["NODE_RANK"]
    assert isinstance(fact, Fact)
    assert fact.value == "7"
    assert "NODE_RANK from the shell" in fact.where
