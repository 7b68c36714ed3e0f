"""What a fix costs, as far as its own words tell."""

from __future__ import annotations

import pytest

from sparkdoctor.cost import implied_cost


@pytest.mark.parametrize(
    ("texts", "cost"),
    [
        (("copy the name from the page",), ""),
        (("docker logs <container>",), ""),
        (("sudo apt install x",), "needs root"),
        (("reboot this node",), "ends everything that runs on the node"),
        (("update", "sudo systemctl reboot"), "needs root; ends everything that runs on the node"),
        (("sudo systemctl restart docker",), "needs root; restarts all containers of the node"),
        (("export NCCL_IB_HCA==rocep1s0f0",), "restarts the model"),
        (("journalctl --unit docker",), ""),
        (("--kv-cache-dtype auto",), "restarts the model"),
        (("add --moe-backend marlin",), "restarts the model"),
        (("docker compose up -d --force-recreate",), "restarts the model"),
        (("sudo systemctl edit <unit>",), "needs root; undo: sudo systemctl revert <unit>"),
        (("sudo systemctl stop ollama (undo: sudo systemctl start ollama)",), "needs root"),
        (("sudo swapoff -a",), "needs root; undo: sudo swapon -a"),
    ],
)
def test_what_a_fix_costs(texts: tuple[str, ...], cost: str) -> None:
    assert implied_cost(texts) == cost
