import pytest

from sparkdoctor.api import UNLIMITED, Certainty, Fact, Finding, Node, unread
from sparkdoctor.host import Host
from sparkdoctor.launch.resolve import resolve
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status, examine
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_spec
from tests.checks.forms import container, failed, only_finding, running, shell, through_snapshot

CHECK = builtin_check("memlock-limited")
MIB8 = 8 << 20


def only(node: Node) -> Finding:
    return only_finding(CHECK, node)


def predicted(host: Host | None = None, **spec: object) -> Node:
    return healthy_node(host=host, spec=healthy_spec(**spec))  # type: ignore[arg-type]


def test_unlimited_passes() -> None:
    result = examine(CHECK, healthy_node())
    assert result.status is Status.PASSED
    assert [(seen.value, seen.where) for seen in result.seen] == [("unlimited", "compose.yaml:9")]


def test_a_launch_file_without_the_limit_gets_dockers() -> None:
    finding = only(predicted(memlock=None))
    assert finding.message == "the rank may lock only 8 MiB of memory"
    assert "compose.yaml (service vllm) sets no ulimits.memlock" in finding.seen[0].where
    assert finding.fix.do == "in compose.yaml, under services.vllm"
    assert finding.fix.edit == "ulimits:\n  memlock: -1"
    assert finding.fix.run == ("docker compose up -d --force-recreate vllm",)
    assert finding.fix.certainty is Certainty.EXACT
    assert finding.fix.cost == "restarts the model"


@pytest.mark.parametrize("limit", [0, 65536, MIB8, 64 << 20, (8 << 30) - 1])
def test_too_little(limit: int) -> None:
    assert only(healthy_node(memlock=Fact("compose.yaml:9", limit))).seen[0].where == "compose.yaml:9"


@pytest.mark.parametrize("limit", [8 << 30, 64 << 30, UNLIMITED])
def test_more_than_nccl_can_pin(limit: int) -> None:
    assert examine(CHECK, healthy_node(memlock=Fact("compose.yaml:9", limit))).status is Status.PASSED


def test_a_kv_cache_that_is_moved_is_pinned_too() -> None:
    node = predicted(memlock=Fact("compose.yaml:9", 64 << 30), flags={"--kv-transfer-config": '{"kv_role":"kv_both"}'})
    assert only(node).seen[1].what == "--kv-transfer-config"


def test_privileged_and_ipc_lock_make_the_limit_moot() -> None:
    assert examine(CHECK, predicted(memlock=None, privileged=Fact("compose.yaml:8", True))).status is Status.PASSED
    caps = Fact("compose.yaml:8", ("IPC_LOCK",))
    assert examine(CHECK, predicted(memlock=None, cap_add=caps)).status is Status.PASSED
    only(predicted(memlock=None, cap_add=caps, user=Fact("compose.yaml:7", "1000:1000")))


def test_a_running_process_tells_its_own_limit() -> None:
    finding = only(running(memlock=Fact("/proc/4211/limits", MIB8)))
    assert finding.seen[0].where == "/proc/4211/limits"
    assert finding.fix.do == "in /home/user/ds4/compose.yaml, under services.vllm"
    assert finding.fix.run == ("docker compose -f /home/user/ds4/compose.yaml up -d --force-recreate vllm",)
    assert examine(CHECK, running()).status is Status.PASSED


def test_a_running_process_with_cap_ipc_lock() -> None:
    node = running(memlock=Fact("/proc/4211/limits", MIB8), capabilities=Fact("/proc/4211/status", 1 << 14))
    assert examine(CHECK, node).status is Status.PASSED


def test_a_container_that_compose_did_not_make() -> None:
    node = running(memlock=Fact("/proc/4211/limits", MIB8))
    assert node.host is not None
    by_hand = changed(node.host, docker__containers=Fact("docker ps --all", (container(compose_file=""),)))
    finding = only(Node(node.name, by_hand, node.launch))
    assert (finding.fix.do, finding.fix.edit) == ("create container vllm-1 again with", "--ulimit memlock=-1")


def test_a_shell() -> None:
    finding = only(shell({"NCCL_IB_HCA": "rocep1s0f0"}, memlock=MIB8))
    assert "limits.d" in finding.fix.do
    assert "soft memlock unlimited" in finding.fix.edit
    assert "root" in finding.fix.cost


def test_a_process_on_the_machine_itself() -> None:
    finding = only(running(container="", memlock=Fact("/proc/4211/limits", MIB8)))
    assert "restart process 4211" in finding.fix.do
    assert finding.fix.cost == "needs root, restarts the model"


def test_a_snapshot() -> None:
    only(through_snapshot(running(memlock=Fact("/proc/4211/limits", MIB8))))
    only(through_snapshot(predicted(memlock=None)))
    assert examine(CHECK, through_snapshot(healthy_node())).status is Status.PASSED


def test_unreadable() -> None:
    result = examine(CHECK, running(memlock=unread("/proc/4211/limits", "Permission denied")))
    assert result.status is Status.UNKNOWN
    assert result.reason == "/proc/4211/limits: Permission denied"
    assert examine(CHECK, healthy_node(env=unread("compose.yaml:19", "not a mapping"))).status is Status.UNKNOWN


def test_a_launch_file_whose_machine_was_not_looked_at() -> None:
    spec = healthy_spec(memlock=None)
    assert examine(CHECK, Node("spark-9", None, resolve(spec, None))).status is Status.UNKNOWN


ONE_RANK = {"--nnodes": None, "--tensor-parallel-size": None, "--node-rank": None}


@pytest.mark.parametrize(
    ("env", "flags", "reason"),
    [
        ({}, ONE_RANK, "one rank"),
        ({}, {**ONE_RANK, "--tensor-parallel-size": "1"}, "one rank"),
        ({"NCCL_IB_DISABLE": "1"}, {}, "NCCL_IB_DISABLE=1"),
        ({"NCCL_NET": "Socket"}, {}, "NCCL_NET=Socket"),
    ],
)
def test_without_rdma_nothing_is_pinned(env: dict[str, str], flags: dict[str, str | None], reason: str) -> None:
    result = examine(CHECK, predicted(memlock=None, env=env, flags=flags))
    assert result.status is Status.SKIPPED
    assert reason in result.reason


def test_tensor_parallel_over_more_gpus_than_the_machine_has_crosses_machines() -> None:
    only(predicted(memlock=None, flags={"--nnodes": None}))
    two = changed(healthy_host(), gpus__devices=Fact("NVML", healthy_host().gpus.devices.value * 2))
    assert examine(CHECK, predicted(two, memlock=None, flags={"--nnodes": None})).status is Status.SKIPPED


def test_without_a_command_line_the_environment_decides() -> None:
    ray = Fact("compose.yaml:45", ("ray", "start", "--head"))
    only(predicted(memlock=None, argv=ray))
    bare = {name: None for name in ("NCCL_NET", "NCCL_IB_HCA", "NCCL_IB_GID_INDEX")}
    assert examine(CHECK, predicted(memlock=None, argv=ray, env=bare)).status is Status.SKIPPED


def test_a_server_with_no_option_has_one_rank() -> None:
    argv = Fact("compose.yaml:45", ("vllm", "serve", "m"))
    result = examine(CHECK, predicted(memlock=None, argv=argv))
    assert result.status is Status.SKIPPED
    assert "no option asks for more" in result.reason


def test_a_second_rank_that_says_nothing_of_the_first() -> None:
    argv = Fact("compose.yaml:45", ("vllm", "serve", "m", "--node-rank", "1"))
    assert only(predicted(memlock=None, argv=argv)).seen[1].value == "node rank 1"


def test_asking_for_ib_is_asking_for_rdma() -> None:
    ray = Fact("compose.yaml:45", ("ray", "start", "--head"))
    names = ("NCCL_IB_HCA", "NCCL_IB_GID_INDEX")
    assert only(predicted(memlock=None, argv=ray, env=dict.fromkeys(names))).seen[1].what == "NCCL_NET"


def test_a_machine_whose_gpus_are_not_known_counts_as_a_spark() -> None:
    blind = changed(healthy_host(), gpus__devices=unread("NVML", "no driver"))
    only(predicted(blind, memlock=None, flags={"--nnodes": None}))


def test_a_number_of_ranks_that_is_no_number() -> None:
    result = examine(CHECK, predicted(memlock=None, flags={"--nnodes": "two"}))
    assert result.status is Status.UNKNOWN
    assert "--nnodes is 'two', which is not a number" in result.reason


def test_a_number_that_the_containers_shell_fills_in() -> None:
    argv = Fact("compose.yaml:45", ("vllm", "serve", "m", "--nnodes", "${NNODES}", "-tp", "1"))
    only(predicted(memlock=None, argv=argv, env={"NNODES": "2"}))
    assert examine(CHECK, predicted(memlock=None, argv=argv, env={"NNODES": "1"})).status is Status.SKIPPED
    assert examine(CHECK, predicted(memlock=None, argv=argv)).status is Status.UNKNOWN


def test_without_a_launch() -> None:
    assert examine(CHECK, Node("spark-1", healthy_host())).status is Status.SKIPPED


def test_the_fault_alone() -> None:
    assert list(failed(predicted(memlock=None))) == ["memlock-limited"]
