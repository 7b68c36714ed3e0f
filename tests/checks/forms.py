"""The healthy pair in the forms a check meets: a launch file, a running process, a snapshot.

The facts are made up (see sparkdoctor.testing); what turns them into a Launch is the real code.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sparkdoctor.api import UNLIMITED, Check, Cluster, Fact, Finding, Node
from sparkdoctor.host import Container, Host, Mount, Process, Space
from sparkdoctor.launch.resolve import resolve
from sparkdoctor.launch.seen import of_process, of_shell
from sparkdoctor.registry import load_checks
from sparkdoctor.run import Result, Status, examine, run_checks
from sparkdoctor.snapshot import Snapshot, from_json, to_json
from sparkdoctor.testing import IMAGE, changed, healthy_host, healthy_node, healthy_spec

PID = 4211
CONTAINER = "4f1d2c3b4a59"


def running(
    rank: int = 0, *, env: Mapping[str, str | None] | None = None, host: Host | None = None, **process: Any
) -> Node:
    """The recipe as it runs: a process in the container that compose made. `process` replaces its fields."""
    spec = healthy_spec(rank, env=env)
    place = f"/proc/{PID}"
    seen = Process(
        pid=PID,
        name="vllm",
        argv=Fact(f"{place}/cmdline", spec.argv.value),
        env=Fact(f"{place}/environ", {name: fact.value for name, fact in spec.env.value.items()}),
        memlock=Fact(f"{place}/limits", UNLIMITED),
        capabilities=Fact(f"{place}/status", 0xA80425FB),  # Docker's default set, without CAP_IPC_LOCK
        container=CONTAINER,
        shm=Fact(f"df {place}/root/dev/shm", Space(64 << 30, 64 << 30)),
        infiniband=Fact(f"{place}/root/dev/infiniband", ("rdma_cm", "uverbs0", "uverbs1", "uverbs2", "uverbs3")),
    )
    seen = changed(seen, **process)
    machine = host or healthy_host(rank)
    machine = changed(
        machine, docker__containers=Fact("docker ps --all", (container(),)), processes=Fact("/proc", (seen,))
    )
    return Node(machine.name, machine, resolve(of_process(seen, container() if seen.container else None), machine))


def container(**changes: Any) -> Container:
    made = Container(
        id=CONTAINER,
        name="vllm-1",
        running=True,
        pid=PID,
        image=IMAGE,
        image_id="sha256:0a",
        env=Fact("docker inspect vllm-1", {}),
        argv=(),
        ulimits={"memlock": UNLIMITED},
        shm_size=64 << 20,
        ipc="host",
        network_mode="host",
        privileged=False,
        cap_add=(),
        devices=("/dev/infiniband",),
        gpus=True,
        mounts=(Mount("/home/user/.cache/huggingface", "/cache/huggingface"),),
        compose_file="/home/user/ds4/compose.yaml",
        compose_service="vllm",
    )
    return changed(made, **changes)


def shell(env: dict[str, str], *, host: Host | None = None, memlock: int = UNLIMITED) -> Node:
    """A server started from this shell would see this."""
    machine = host or healthy_host()
    spec = of_shell(Fact("/proc/self/environ", env), Fact("/proc/self/limits", memlock))
    return Node(machine.name, machine, resolve(spec, machine))


def through_snapshot(node: Node) -> Node:
    """The same node after its facts and launch went to a file and came back."""
    assert node.host is not None
    assert node.launch is not None
    back = from_json(to_json(Snapshot(node.host, (node.launch.spec,))), "spark.json")
    return Node(back.host.name, back.host, resolve(back.specs[0], back.host))


def of_version(node: Node, nccl: str) -> Node:
    """The node with another NCCL in its Python environment."""
    assert node.launch is not None
    software = changed(node.launch.software, packages=Fact("METADATA", {"nvidia-nccl-cu13": nccl}))
    return Node(node.name, node.host, changed(node.launch, software=software))


def only_finding(check: Check, node: Node) -> Finding:
    """The one finding of a check that must fail on this node."""
    result = examine(check, node)
    assert result.status is Status.FAILED, result.reason
    assert len(result.findings) == 1
    return result.findings[0]


def failed(*nodes: Node) -> dict[str, Result]:
    """The findings over this pair (the healthy one fills up), of all built-in checks, without what is folded under
    another; by check. Fails when a check crashed."""
    ranks = [*nodes, *(healthy_node(rank) for rank in range(len(nodes), 2))]
    results = run_checks(load_checks().by_name.values(), Cluster(tuple(ranks)))
    assert not [result.trace for result in results if result.status is Status.CRASHED]
    folded = {name for result in results for name in result.with_it}
    return {result.check: result for result in results if result.status is Status.FAILED and result.check not in folded}
