"""How far a launch got and what it chose: over real logs, and over put-together ones where a corner needs it."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from sparkdoctor.api import Severity
from sparkdoctor.ask import Ask
from sparkdoctor.explaining import Answer, explain, summary_code
from sparkdoctor.logs.match import Hit, Matcher
from sparkdoctor.logs.phases import Course, Courses, Tracker
from sparkdoctor.logs.read import Block
from sparkdoctor.logs.scan import Logs
from sparkdoctor.registry import load_registry
from sparkdoctor.render.summary import render_courses, render_stop
from sparkdoctor.run import Exit
from sparkdoctor.signatures import Knowledge
from sparkdoctor.snapshot import Snapshot, to_json
from sparkdoctor.system import Live
from sparkdoctor.testing import healthy_node

LOGS = Path(__file__).parent
HEAD = LOGS / "healthy" / "vllm-two-ranks-head.log"
WORKER = LOGS / "healthy" / "vllm-two-ranks-worker.log"


@cache
def knowledge() -> Knowledge:
    return load_registry().knowledge


@cache
def matcher() -> Matcher:
    return Matcher(knowledge().patterns())


def courses(*paths: Path) -> Courses:
    found = Courses(knowledge())
    logs = Logs([str(path) for path in paths], matcher())
    assert list(found.without_marks(logs.hits())) is not None
    assert logs.problems == []
    return found


def course(path: Path) -> Course:
    [found] = courses(path).all()
    return found


def explained(*paths: Path, snapshots: tuple[str, ...] = ()) -> Answer:
    files = [str(path) for path in paths]
    return explain(files, snapshots, ask=Ask(machine_only=True), system=Live(), environ={}, here=False)


def written(tmp_path: Path, *lines: str) -> Path:
    path = tmp_path / "x.log"
    path.write_text("".join(f"{line}\n" for line in lines))
    return path


def test_every_sample_of_a_mark_is_found_and_every_near_miss_is_not() -> None:
    def found(sample: str) -> set[str]:
        return {hit.signature for hit in matcher().scan([Block(1, sample.encode())], "x")}

    for mark in knowledge().marks.values():
        for sample in mark.matches:
            assert mark.name in found(sample)
        for sample in mark.ignores:
            assert mark.name not in found(sample)


def test_no_sample_of_a_mark_is_the_line_of_a_failure() -> None:
    names = {
        (mark.name, hit.signature)
        for mark in knowledge().marks.values()
        for sample in mark.matches
        for hit in matcher().scan([Block(1, sample.encode())], "x")
        if (known := knowledge().signatures.get(hit.signature)) and known.severity is not Severity.NOTE
    }
    assert names == set()


def test_a_head_that_serves() -> None:
    found = course(HEAD)
    assert [step.phase for step in found.steps] == [
        "server-start",
        "engine-start",
        "rank-meeting",
        "nccl-ready",
        "weights-loading",
        "memory-profiling",
        "kv-cache",
        "api-start",
        "api-serving",
    ]
    assert found.arrived
    told = {(one.topic, one.text) for one in found.told}
    assert ("vLLM", "0.32.0") in told
    assert ("KV cache", "4,194,304 tokens") in told
    assert ("API", "http://127.0.0.1:8213") in told


def test_versions_that_were_printed_before_the_launch_began(tmp_path: Path) -> None:
    """Real lines of an image's banner, a kernel, nvidia-smi and collect_env, before a real launch."""
    log = tmp_path / "x.log"
    log.write_text(
        "PyTorch Version 2.6.0a0+ecf3bae\n"
        "  Using CUDA 13.1 driver version 590.48.01 with kernel driver version 580.126.09.\n"
        "| NVIDIA-SMI 580.159.03             Driver Version: 580.159.03     CUDA Version: 13.0     |\n"
        "PyTorch version              : 2.13.0+cu130\n" + HEAD.read_text()
    )
    told = [(one.topic, one.text) for one in course(log).told]
    assert told[:4] == [
        ("PyTorch", "2.6.0a0+ecf3bae, in an image of NVIDIA"),
        ("driver", "580.126.09 in the kernel, 590.48.01 for CUDA 13.1 in the image (forward compatibility)"),
        ("driver", "580.159.03, CUDA 13.0 (nvidia-smi)"),
        ("PyTorch", "2.13.0+cu130"),
    ]
    assert ("vLLM", "0.32.0") in told


def test_a_worker_has_no_more_to_say_once_the_memory_is_measured() -> None:
    found = course(WORKER)
    assert (found.phase, found.arrived) == ("memory-profiling", True)
    assert courses(WORKER).stops() == ()


def test_a_log_cut_while_a_worker_loads_ends_there(tmp_path: Path) -> None:
    lines = WORKER.read_text().splitlines()
    cut = written(tmp_path, *lines[: next(at for at, line in enumerate(lines) if "Loading weights took" in line)])
    [stop] = courses(cut).stops()
    assert stop.phase == "weights-loading"
    assert courses(HEAD, cut).stops() == ()  # a head that serves tells that its worker is well


def test_each_line_of_a_head_before_it_serves_is_a_stop_in_a_phase(tmp_path: Path) -> None:
    lines = HEAD.read_text().splitlines()
    first = next(at for at, line in enumerate(lines) if "version 0.32.0" in line)
    last = next(at for at, line in enumerate(lines) if "Application startup complete" in line)
    phases = []
    for end in range(first + 1, last + 1):
        answer = explained(written(tmp_path, *lines[:end]))
        assert all(diagnosis.severity is Severity.NOTE for diagnosis in answer.diagnoses)
        phases += [stop.phase for stop in answer.stops if stop.phase not in phases]
        assert answer.code is (Exit.OK if answer.stops or answer.diagnoses else Exit.FOUND)
    assert phases == ["server-start", "engine-start", "rank-meeting", *phases[3:]]
    assert phases[-1] == "api-start"


def test_a_container_that_was_started_again_tells_of_its_last_launch(tmp_path: Path) -> None:
    lines = HEAD.read_text().splitlines()
    again = written(tmp_path, *lines, *lines[:45])
    found = course(again)
    assert (found.launches, found.phase) == (2, "weights-loading")
    assert all(step.evidence.line > len(lines) for step in found.steps)


def test_nccl_that_comes_up_late_for_one_more_group_does_not_undo_the_phase() -> None:
    tracker = Tracker("x", knowledge())
    for number, name in enumerate(("vllm-loading", "nccl-init-begins", "nccl-init-complete"), 1):
        tracker.add(Hit(name, "x", number, "", {}))
    assert tracker.course().phase == "weights-loading"


def test_what_nccl_chose(tmp_path: Path) -> None:
    """The first lines are of two Sparks, published in KoyoImai/dgx_spark_cluster; the line with the GID is put
    together from the format in NCCL 2.30.7, net_ib/connect.cc."""
    path = written(
        tmp_path,
        "spark-fb97:23491:23491 [0] NCCL INFO NET/IB : Using [0]rocep1s0f1:1/RoCE [1]roceP2p1s0f1:1/RoCE [RO];"
        " OOB enp1s0f1np1:192.168.100.15<0>",
        "spark-fb97:23491:23491 [0] NCCL INFO Using network IB",
        "spark-fb97:23491:23491 [0] NCCL INFO comm 0xbca552dd2650 rank 0 nRanks 2 nNodes 2 localRanks 1 localRank 0"
        " MNNVL 0",
        "spark-fb97:23491:23491 [0] NCCL INFO Channel 00/0 : 1[0] -> 0[0] [receive] via NET/IB/0",
        "spark-fb97:23491:23491 [0] NCCL INFO Channel 01/0 : 1[0] -> 0[0] [receive] via NET/IB/1",
        "spark-fb97:23491:23502 [0] NCCL INFO NET/IB: ncclIbConnect: NCCL Dev 0 IbDev 0 Port 1 qp_num 1293 mtu 5"
        " GID 3 (0/800A8C0FFFF0000) ctsFifoRkey=0x1fff ctsFifoLkey=0x1fff",
    )
    assert [told.text for told in course(path).told] == [
        "[0]rocep1s0f1:1/RoCE [1]roceP2p1s0f1:1/RoCE [RO]; TCP beside it on enp1s0f1np1:192.168.100.15<0>",
        "NCCL uses IB",
        "2 ranks on 2 nodes, as NCCL sees it",
        "sends or receives via NET/IB/0",
        "sends or receives via NET/IB/1",
        "device 0 port 1: GID index 3",
    ]
    assert explained(path).diagnoses == ()


ASKED = "spark-1:412:412 [0] NCCL INFO NCCL_IB_HCA set to rocep1s0f0"
SOCKET = "spark-1:412:412 [0] NCCL INFO Using network Socket"
TWO = "spark-1:412:412 [0] NCCL INFO comm 0xbca552dd2650 rank 0 nRanks 2 nNodes 2 localRanks 1 localRank 0 MNNVL 0"
ONE = TWO.replace("nRanks 2 nNodes 2", "nRanks 1 nNodes 1")
CHANNEL = "spark-1:412:431 [0] NCCL INFO Channel 00/0 : 0[0] -> 1[0] [send] via NET/Socket/0"


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        ((ASKED, SOCKET, TWO), 1),
        ((ASKED, SOCKET), 1),
        ((SOCKET, TWO), 0),
        ((ASKED, SOCKET, ONE), 0),
        ((ASKED, SOCKET, TWO, CHANNEL), 1),
    ],
    ids=["asked for, two nodes", "asked for", "nobody asked", "one node", "said by the channels too"],
)
def test_tcp_where_the_log_asks_for_rdma(tmp_path: Path, lines: tuple[str, ...], expected: int) -> None:
    found = explained(written(tmp_path, *lines)).diagnoses
    assert [(diagnosis.name, diagnosis.count) for diagnosis in found] == [("nccl-traffic-over-tcp", 1)] * expected


def test_tcp_where_the_facts_ask_for_rdma(tmp_path: Path) -> None:
    node = healthy_node()
    assert node.host is not None
    assert node.launch is not None
    facts = tmp_path / "spark-1.json"
    log = written(tmp_path, SOCKET, TWO)
    facts.write_text(to_json(Snapshot(node.host, (node.launch.spec,))))
    asked = "NCCL_IB_HCA" in node.launch.spec.env.value
    found = explained(log, snapshots=(str(facts),)).diagnoses
    assert asked
    assert [diagnosis.name for diagnosis in found] == ["nccl-traffic-over-tcp"]


def test_a_summary_of_a_healthy_log_is_an_answer() -> None:
    answer = explained(LOGS / "healthy" / "vllm-two-ranks-worker.log")  # in which nothing known is but phases
    assert (answer.code, summary_code(answer)) == (Exit.FOUND, Exit.OK)


def test_a_log_with_an_error_does_not_merely_end(tmp_path: Path) -> None:
    lines = HEAD.read_text().splitlines()[:45]
    answer = explained(written(tmp_path, *lines, "RuntimeError: something that nobody knows"))
    assert answer.stops == ()
    assert answer.endings[0].error_like


def test_the_summary_as_text() -> None:
    lines = [line.plain for line in render_courses((course(HEAD),), 100)]
    assert [line.replace(str(HEAD), "head.log") for line in lines] == snapshot(
        [
            "head.log: serves",
            "  phases     server-start:4, engine-start:22, rank-meeting:37, nccl-ready:39, weights-loading:40,",
            "             memory-profiling:49, kv-cache:55, api-start:56, api-serving:106",
            "  vLLM       0.32.0  :4 and 1 more",
            "  ranks      rank 0 of 2, meeting at tcp://127.0.0.1:25013 (gloo)  :37",
            "  weights    0.00 GiB on disk, 20.95 GiB of memory free before  :42",
            "             read in 0.01 s  :49",
            "  KV cache   1.0 of 18.71 GiB, as asked for  :54",
            "             4,194,304 tokens  :55",
            "             2048.00 requests of 2,048 tokens at once  :55",
            "  engine     ready 3.82 s after the weights  :56",
            "  API        http://127.0.0.1:8213  :67",
        ]
    )


def test_the_end_of_a_log_as_text(tmp_path: Path) -> None:
    cut = written(tmp_path, *HEAD.read_text().splitlines()[:37])
    [stop] = courses(cut).stops()
    assert [line.plain.replace(str(cut), "head.log") for line in render_stop(stop, 100)] == snapshot(
        [
            "ends[rank-meeting] this log ends while it waits for the other ranks at the head",
            "  --> head.log:37",
            "   | …6] world_size=2 rank=0 local_rank=0 distributed_init_method=tcp://127.0.0.1:25013 backend=gloo",
            "   usually it waits for: a rank that was not started, or cannot reach MASTER_ADDR:MASTER_PORT",
            "        (address, route, firewall); read its log",
            "   to look: sparkdoctor check --select rank-out-of-range,rank-duplicate",
        ]
    )
