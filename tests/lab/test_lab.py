"""The lab itself: that the guests are what the other tests take them for."""

from __future__ import annotations

import pytest

from tests.lab.disks import NCCL, NEWEST
from tests.lab.docker import docker_run
from tests.lab.nccl import RECIPE, choices, rank_command, run_commands, run_ranks
from tests.lab.pair import RAILS, Pair
from tests.lab.poll import wait_for

MIB = 1 << 20


def test_names_and_addresses_are_those_of_a_spark(pair: Pair) -> None:
    for node, guest in enumerate(pair, 8):
        assert guest.text("hostname") == guest.name
        assert guest.text("ls /sys/class/infiniband").split() == [
            "roceP2p1s0f0", "roceP2p1s0f1", "rocep1s0f0", "rocep1s0f1",
        ]  # fmt: skip
        addresses = guest.text("ip -4 -brief address show up")
        for address in (f"192.168.0.{node}/24", f"192.168.1.{node}/24", f"10.42.0.{node}/24"):
            assert address in addresses
        assert guest.text("cat /sys/class/infiniband/rocep1s0f0/ports/1/rate") == "200 Gb/sec (4X HDR)"


def test_nodes_reach_each_other_and_nothing_else(pair: Pair) -> None:
    pair.first.run("ping -c 1 -W 5 192.168.0.9 && ping -c 1 -W 5 192.168.1.9 && ping -c 1 -W 5 10.42.0.9")
    assert pair.first.text("ssh -o StrictHostKeyChecking=yes spark@spark-02 hostname", "spark") == "spark-02"
    assert "default" not in pair.first.text("ip route")


def test_gid_table_follows_the_addresses(pair: Pair) -> None:
    guest = pair.first
    gid = "/sys/class/infiniband/rocep1s0f0/ports/1"
    assert guest.text(f"cat {gid}/gids/1") == "0000:0000:0000:0000:0000:ffff:c0a8:0008"
    assert guest.text(f"cat {gid}/gid_attrs/types/1") == "RoCE v2"
    assert guest.text(f"ls {gid}/gids | wc -l") == "255"
    empty = guest.run(f"cat {gid}/gid_attrs/types/3", check=False)
    assert "Invalid argument" in empty.stderr
    guest.run("ip address del 192.168.0.8/24 dev enp1s0f0np0")
    assert guest.text(f"cat {gid}/gids/1") == "0000:0000:0000:0000:0000:0000:0000:0000"


def test_a_pulled_cable_takes_both_ports_down(pair: Pair) -> None:
    pair.cable("enp1s0f0np0", plugged=False)
    for guest in pair:
        wait_for("the port to go down", lambda guest=guest: "rocep1s0f0/1 state DOWN" in guest.text("rdma link"), 30)  # type: ignore[misc]
        assert "roceP2p1s0f0/1 state ACTIVE" in guest.text("rdma link")


def test_locked_memory_is_limited_for_a_user(pair: Pair) -> None:
    assert pair.first.text("ulimit -l", "spark") == "8192"
    ranks = run_ranks(pair, user="spark", size=16 * MIB)
    assert "" not in [rank.failure for rank in ranks]
    # The second to get there may only see that the first is gone.
    limited = [rank for rank in ranks if rank.failure == "IB register memory: ncclSystemError"]
    assert limited, [rank.failure for rank in ranks]
    for rank in limited:
        assert "Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory" in rank.warnings


@pytest.mark.parametrize("version", NCCL)
def test_nccl_sends_data_over_both_rails(pair: Pair, version: str) -> None:
    for rank in run_ranks(pair, versions=(version, version)):
        assert rank.failure == ""
        assert rank.outcome["net"] == "IB"
        assert [device["name"] for device in rank.outcome["devices"]] == list(RAILS)
        assert rank.outcome["bytes"] == 2 << 16
        assert rank.warnings == []


def test_nccl_says_what_it_chose(pair: Pair) -> None:
    (choice,) = choices(pair.first, NEWEST, [RECIPE])
    assert choice.net == "IB"
    assert choice.bootstrap == choice.side_channel == ("enp1s0f0np0", "192.168.0.8")
    assert choice.devices == (("rocep1s0f0", 1), ("roceP2p1s0f0", 1))
    assert choice.gid_indexes == {0: 1, 1: 1}


def test_nccl_sends_data_from_container_to_container(docker_pair: Pair) -> None:
    options = ("--device", "/dev/infiniband", "--ulimit", "memlock=-1", "--ipc", "host")
    commands = [docker_run(rank_command(rank, {}, size=16 * MIB), RECIPE, *options) for rank in (0, 1)]
    for rank in run_commands(docker_pair, (commands[0], commands[1])):
        assert rank.failure == ""
        assert rank.outcome["bytes"] == 32 * MIB
