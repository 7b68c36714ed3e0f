"""How a launch spreads: what the options say, vLLM's defaults, and variables where no option shows."""

from __future__ import annotations

import pytest

from sparkdoctor.api import CannotTell, Fact, Launch, unread
from sparkdoctor.launch.spread import spread
from sparkdoctor.testing import changed, healthy_node, healthy_spec
from tests.checks.forms import shell


def launch(*words: str, **env: str) -> Launch:
    node = healthy_node(spec=changed(healthy_spec(env=env), argv=Fact("compose.yaml:45", words)))
    assert node.launch is not None
    return node.launch


def test_the_recipe() -> None:
    node = healthy_node(1)
    assert node.launch is not None
    view = spread(node.launch)
    assert (view.nodes, view.rank, view.world, view.headless.value) == (2, 1, 2, True)
    assert view.master_addr is not None
    assert view.master_addr.value == "192.168.0.8"
    assert view.master_port is not None
    assert view.master_port.value == 25000


def test_defaults() -> None:
    view = spread(launch("vllm", "serve", "m", NODE_RANK="1", HEADLESS="1"))
    assert (view.nodes, view.rank, view.world, view.headless.value) == (1, 0, 1, False)
    assert view.master_addr is view.executor is view.load_balancer is None


def test_short_forms_and_the_product_of_all_sizes() -> None:
    view = spread(launch("vllm", "serve", "m", "-tp=2", "-pp", "3", "-dp", "2", "-n", "6", "-r", "5"))
    assert (view.world, view.nodes, view.rank) == (12, 6, 5)


def test_variables_count_where_a_script_makes_the_command() -> None:
    node = shell({"NODE_RANK": "1", "NNODES": "2", "HEADLESS": "1", "MASTER_ADDR": "10.0.0.8", "MASTER_PORT": ""})
    assert node.launch is not None
    view = spread(node.launch)
    assert (view.nodes, view.rank, view.headless.value) == (2, 1, True)
    assert view.master_port is None  # empty is not set


@pytest.mark.parametrize(
    ("text", "value"),
    [("$NODE_RANK", 1), ("${NODE_RANK}", 1), ("${OTHER:-3}", 3), ("${NODE_RANK:-3}", 1), ("${EMPTY:-4}", 4)],
)
def test_variables_of_the_command_line(text: str, value: int) -> None:
    view = spread(launch("vllm", "serve", "m", "--node-rank", text, NODE_RANK="1", EMPTY=""))
    assert view.rank == value


def test_what_nothing_sets_and_what_is_no_number() -> None:
    view = spread(launch("vllm", "serve", "m", "--node-rank", "$RANK_OF_NODE"))
    with pytest.raises(CannotTell, match="needs RANK_OF_NODE, which nothing sets"):
        _ = view.rank
    view = spread(launch("vllm", "serve", "m", "--nnodes", "two"))
    with pytest.raises(CannotTell, match="--nnodes is 'two', which is not a number"):
        _ = view.nodes


def test_a_command_line_that_could_not_be_read() -> None:
    node = healthy_node()
    assert node.launch is not None
    with pytest.raises(CannotTell, match="a script"):
        spread(changed(node.launch, flags=unread("compose.yaml:45", "a script")))
