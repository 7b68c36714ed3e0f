"""`explain` on what a real Docker engine keeps of a container."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from tests.lab import facts
from tests.lab.docker import IMAGE, start_engine
from tests.lab.guest import Guest
from tests.lab.pair import Pair
from tests.lab.poll import wait_for

LINE = (
    "spark-01:7:9 [0] misc/ibvwrap.cc:212 NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory"
)
EXPLAIN = "PATH=$PATH:/usr/local/bin sparkdoctor explain"


@pytest.fixture(scope="module")
def node(running_pair: Pair) -> Guest:
    facts.install(running_pair)
    start_engine(running_pair.first)
    return running_pair.first


@pytest.fixture
def container(node: Guest) -> Iterator[str]:
    """A container that fails as a rank does, and goes on."""
    node.run(f"docker run -d --name vllm -v /usr:/usr:ro {IMAGE} bash -c 'echo \"{LINE}\" >&2; sleep 600'")
    yield "vllm"
    node.run("docker rm -f vllm")


def test_the_log_of_a_container_is_read_from_the_engine(node: Guest, container: str) -> None:
    wait_for("the container's line", lambda: "NCCL WARN" in node.run(f"docker logs {container}").stderr, 60)
    done = node.run(f"{EXPLAIN} --container {container} --json", check=False)
    found = json.loads(done.stdout)["diagnoses"]
    assert (done.returncode, found[0]["name"]) == (0, "nccl-reg-mr-enomem")
    assert found[0]["evidence"][0]["text"].endswith("Cannot allocate memory")


def test_a_container_that_is_not_there(node: Guest) -> None:
    done = node.run(f"{EXPLAIN} --container nobody", check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "nobody" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_container_is_followed_until_it_ends(node: Guest, container: str) -> None:
    with node.start(f"{EXPLAIN} --follow --container {container}") as following:
        assert following.stdout
        first = following.stdout.readline()
        assert "nccl-reg-mr-enomem" in first, first
        node.run(f"docker stop --time 0 {container}")
        assert "ibv_reg_mr_iova2" in following.stdout.read()
    assert following.returncode == 0
