"""The whole experience: command, exit code, standard output and error, on recorded machines.

The recorded Sparks stand in for hardware that is not at hand; gpu-h100 and no-rdma are real.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from inline_snapshot import snapshot

from sparkdoctor import archive
from sparkdoctor.archive import Entry

ROOT = Path(__file__).resolve().parents[1]
MACHINES = ROOT / "tests/machines"

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """A command line in a folder with the example launch and snapshots of both its ranks."""
    place = tmp_path / "here"
    shutil.copytree(ROOT / "examples/dual-spark", place)
    shutil.copytree(ROOT / "examples/logs", place, dirs_exist_ok=True)

    def start(line: str, **settings: str) -> str:
        env = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CONFIG_HOME": str(tmp_path), "COLUMNS": "100", **settings}
        command = f"{sys.executable} -m {line}".replace("MACHINES", str(MACHINES))
        done = subprocess.run(command, shell=True, cwd=place, env=env, capture_output=True, text=True, check=False)
        parts = [f"[exit {done.returncode}]\n", done.stdout, f"[stderr]\n{done.stderr}" if done.stderr else ""]
        return "".join(parts)

    for number, env_file in ((1, "head.env"), (2, "worker.env")):
        start(
            f"sparkdoctor collect --machine MACHINES/spark-{number}.ttar -f compose.yaml --env-file {env_file}"
            f" -o spark-{number}.json"
        )
    return start


def edit(tmp_path: Path, old: str, new: str, name: str = "compose.yaml") -> None:
    path = tmp_path / "here" / name
    assert old in path.read_text()
    path.write_text(path.read_text().replace(old, new))


def test_a_machine_without_gpu_rdma_or_launch(run: Run, tmp_path: Path) -> None:
    (tmp_path / "here/compose.yaml").unlink()
    assert run("sparkdoctor check --machine MACHINES/no-rdma.ttar") == snapshot("""\
[exit 3]
workstation  no NVIDIA GPU seen, Linux 6.18.44
no launch to judge here; name one: -f COMPOSE, --container NAME, --pid PID, --shell, or a snapshot

could not look: memory-held-by-cache on workstation: NVML: libnvidia-ml.so.1 is not installed, so there is no NVIDIA driver here

no problems found, but 1 check could not look; 1 passed, 68 skipped.
""")


def test_a_kernel_that_leaks_cma_is_a_reported_fix_with_its_cost(run: Run, tmp_path: Path) -> None:
    assert run("sparkdoctor check --machine MACHINES/spark-kho.ttar --env-file head.env --select kernel") == snapshot("""\
[exit 1]
spark-kho  GX10, NVIDIA GB10, driver 580.173.02, DGX OS 7.5.0, Linux 7.0.0-1019-nvidia; compose.yaml (service vllm), head.env

error[kernel-cma-from-kho] 918.6 MiB of memory is free as CMA that the kernel does not own (CmaTotal 0 B)  spark-kho
   | CmaFree, CmaTotal  918.6 MiB, 0 B                (wants CmaFree within CmaTotal)  /proc/meminfo
   | kernel             7.0.0-1019-nvidia             /proc/sys/kernel/osrelease
   | kho=               not set                       (wants kho=off)  /proc/cmdline
   | ranks              nnodes=2 tensor=2 pipeline=1  compose.yaml:43
   try: in /etc/default/grub.d/kho.cfg:
          GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX kho=off"
        then:
          sudo update-grub
          sudo reboot
        (needs root and a reboot of this machine)

1 problem; nothing passed. Why and how, at length: sparkdoctor explain kernel-cma-from-kho
""")


def test_the_same_finding_is_said_once_and_what_differs_by_node(run: Run, tmp_path: Path) -> None:
    edit(tmp_path, 'NCCL_IB_GID_INDEX: "3"', 'NCCL_IB_GID_INDEX: "1"')
    line = "sparkdoctor check --from spark-1.json spark-2.json -f compose.yaml head.env worker.env --select gid"
    assert run(line) == snapshot("""\
[exit 1]
spark-1  DGX Spark, NVIDIA GB10, driver 580.159.03, DGX OS 7.5.0, Linux 6.17.0-1021-nvidia; compose.yaml (service vllm), head.env
spark-2  DGX Spark, NVIDIA GB10, driver 580.159.03, DGX OS 7.5.0, Linux 6.17.0-1021-nvidia; compose.yaml (service vllm), worker.env

error[gid-not-roce-v2] NCCL_IB_GID_INDEX=1 is not a RoCE v2 GID with an IPv4 address on 2 of 2 ports  spark-1
   | NCCL_IB_GID_INDEX                   1                             compose.yaml:35
   | rocep1s0f0 GID 1                    RoCE v2, link-local           (wants RoCE v2, IPv4)  /sys/class/infiniband/rocep1s0f0/ports/1/gids
   | roceP2p1s0f0 GID 1                  RoCE v2, link-local           (wants RoCE v2, IPv4)  /sys/class/infiniband/roceP2p1s0f0/ports/1/gids
   | NCCL's own choice for rocep1s0f0    3, RoCE v2, IPv4 192.168.0.8  /sys/class/infiniband/rocep1s0f0/ports/1/gids
   | NCCL's own choice for roceP2p1s0f0  3, RoCE v2, IPv4 192.168.1.8  /sys/class/infiniband/roceP2p1s0f0/ports/1/gids
   | NCCL                                2.28.9                        nvidia-nccl-cu13 in aidendle94/sparkrun-vllm-ds4-gb10:production-ready /opt/env/lib/python3.12/site-packages
   fix: remove NCCL_IB_GID_INDEX (compose.yaml:35) and let NCCL find the GID of each port:
          docker compose --env-file head.env up -d --force-recreate vllm
        (restarts the model)

error[gid-not-roce-v2] NCCL_IB_GID_INDEX=1 is not a RoCE v2 GID with an IPv4 address on 2 of 2 ports  spark-2
   | NCCL_IB_GID_INDEX                   1                             compose.yaml:35
   | rocep1s0f0 GID 1                    RoCE v2, link-local           (wants RoCE v2, IPv4)  /sys/class/infiniband/rocep1s0f0/ports/1/gids
   | roceP2p1s0f0 GID 1                  RoCE v2, link-local           (wants RoCE v2, IPv4)  /sys/class/infiniband/roceP2p1s0f0/ports/1/gids
   | NCCL's own choice for rocep1s0f0    3, RoCE v2, IPv4 192.168.0.9  /sys/class/infiniband/rocep1s0f0/ports/1/gids
   | NCCL's own choice for roceP2p1s0f0  3, RoCE v2, IPv4 192.168.1.9  /sys/class/infiniband/roceP2p1s0f0/ports/1/gids
   | NCCL                                2.28.9                        nvidia-nccl-cu13 in aidendle94/sparkrun-vllm-ds4-gb10:production-ready /opt/env/lib/python3.12/site-packages
   fix: remove NCCL_IB_GID_INDEX (compose.yaml:35) and let NCCL find the GID of each port:
          docker compose --env-file worker.env up -d --force-recreate vllm
        (restarts the model)

2 problems; 3 passed. Why and how, at length: sparkdoctor explain gid-not-roce-v2
""")


def test_facts_of_the_nodes_confirm_and_rule_out_causes(run: Run, tmp_path: Path) -> None:
    edit(tmp_path, "    ulimits:\n      memlock: -1\n      stack: 67108864\n", "")
    for number, env_file in ((1, "head.env"), (2, "worker.env")):
        run(
            f"sparkdoctor collect --machine MACHINES/spark-{number}.ttar -f compose.yaml --env-file {env_file}"
            f" -o spark-{number}.json"
        )
    assert run("sparkdoctor explain memlock.log --from spark-1.json --from spark-2.json") == snapshot("""\
[exit 0]
cause[nccl-reg-mr-enomem] NCCL could not pin memory for the NIC
  --> memlock.log:11 (spark-2, 2026-11-23 15:14:29)
   | …_ibv_reg_mr_iova2) NCCL WARN Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory
   why: ibv_reg_mr_iova2 hands a buffer to the NIC, and the kernel has to pin every page of it. It
        answered ENOMEM. Three things make the same line: the process may lock only so much memory
        (RLIMIT_MEMLOCK, without CAP_IPC_LOCK); a kernel 7.0.0 put the pages into memory that Kexec
        HandOver had reserved and that cannot be pinned; or the memory that GPU and CPU share is
        used up. The rank that prints it is the sick one; the other rank only sees its connection
        close.
   confirmed: memlock-limited  the rank may lock only 8 MiB of memory  spark-1, spark-2
      | memlock  8 MiB                         (wants unlimited, or at least 8 GiB)  /proc/1187/limits (containerd); compose.yaml (service vllm) sets no ulimits.memlock
      | ranks    nnodes=2 tensor=2 pipeline=1  compose.yaml:40
   ruled out: kernel-cma-from-kho  CmaFree, CmaTotal 67.7 MiB, 128 MiB (/proc/meminfo)  spark-1, spark-2
   ruled out: memory-exhausted  MemAvailable 115.5 GiB (/proc/meminfo); free in blocks of 2 MiB 111.2 GiB (/proc/buddyinfo)  spark-1, spark-2
   fix: in compose.yaml, under services.vllm:
          ulimits:
            memlock: -1
        then on spark-1:
          docker compose --env-file head.env up -d --force-recreate vllm
        then on spark-2:
          docker compose --env-file worker.env up -d --force-recreate vllm
        (restarts the model)
   see: https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/misc/ibvwrap.cc#L213
   follows: 6 lines (NCCL stopped because a call to the system or to the NIC failed; the other rank
        closed its connection; NCCL lost the other rank; a vLLM worker failed; the vLLM engine did
        not start); -v shows them

1 diagnosis; judged by the facts of spark-1, spark-2
Why and how, at length: sparkdoctor explain memlock-limited
""")


# Of the nodes that wrote the same line: no memlock in the compose file; the kernel and the memory of spark-kho; and
# what was left on a node where the driver failed too, 0.49 GiB in blocks of 2 MiB beside 7.1 GiB available
# (NVIDIA/open-gpu-kernel-modules issue 1358).
ENOMEM: dict[str, dict[str, str | None]] = {
    "memlock-limited": {},
    "kernel-cma-from-kho": {"/proc/sys/kernel/osrelease": None, "/proc/meminfo": None},
    "memory-exhausted": {
        "/proc/meminfo": "MemTotal: 127535084 kB\nMemFree: 980000 kB\nMemAvailable: 7444889 kB\n"
        "CmaTotal: 131072 kB\nCmaFree: 69320 kB\n",
        "/proc/buddyinfo": "Node 0, zone Normal 912 643 380 241 129 70 38 19 9 51 100 \n",
    },
}


@pytest.mark.parametrize("wanted", ENOMEM)
def test_the_same_log_has_the_first_cause_that_the_facts_of_its_machine_give(
    run: Run, tmp_path: Path, wanted: str
) -> None:
    if wanted == "memlock-limited":
        edit(tmp_path, "    ulimits:\n      memlock: -1\n      stack: 67108864\n", "")
    kho = archive.parse((MACHINES / "spark-kho.ttar").read_text(), "spark-kho")
    changes = {path: kho[path] if text is None else Entry(text=text) for path, text in ENOMEM[wanted].items()}
    entries = archive.parse((MACHINES / "spark-2.ttar").read_text(), "spark-2") | changes
    (tmp_path / "here/sick.ttar").write_text(archive.render(entries))
    run("sparkdoctor collect --machine sick.ttar -f compose.yaml --env-file worker.env -o sick.json")

    document = json.loads(run("sparkdoctor explain memlock.log --from sick.json --json").removeprefix("[exit 0]\n"))
    first = document["diagnoses"][0]
    assert (first["name"], first["cause"]) == ("nccl-reg-mr-enomem", wanted)
    verdicts = {cause["name"]: (cause["verdict"], cause["on"]) for cause in first["causes"]}
    assert verdicts == {name: ("confirmed" if name == wanted else "ruled-out", ["spark-2"]) for name in ENOMEM}
    assert first["fixes"] == first["causes"][0]["fixes"] != []


def test_what_could_not_be_looked_at_is_exit_3(run: Run) -> None:
    told = run(
        "sparkdoctor check -f compose.yaml head.env worker.env --machine MACHINES/spark-1.ttar --select memlock,shm"
    )
    assert told == snapshot("""\
[exit 3]
spark-1  DGX Spark, NVIDIA GB10, driver 580.159.03, DGX OS 7.5.0, Linux 6.17.0-1021-nvidia; compose.yaml (service vllm), head.env
worker.env  machine not looked at; compose.yaml (service vllm), worker.env

could not look: shm-too-small on worker.env: ipc: host, compose.yaml:12: compose.yaml (service vllm) uses the machine's own /dev/shm, and the machine it will run on was not looked at

no problems found, but 1 check could not look; 3 passed.
""")
    allowed = run(
        "sparkdoctor check -f compose.yaml head.env worker.env --machine MACHINES/spark-1.ttar --select memlock --allow-unknown"
    )
    assert allowed.startswith("[exit 0]")


def test_verbose_shows_what_passed_and_by_what(run: Run) -> None:
    assert run("sparkdoctor check --from spark-1.json spark-2.json --select memlock,gid -v") == snapshot("""\
[exit 0]
spark-1  DGX Spark, NVIDIA GB10, driver 580.159.03, DGX OS 7.5.0, Linux 6.17.0-1021-nvidia; compose.yaml (service vllm), head.env
   NCCL 2.28.9 will use IB, bootstrap enP7s7 10.0.0.8  (nvidia-nccl-cu13 in aidendle94/sparkrun-vllm-ds4-gb10:production-ready /opt/env/lib/python3.12/site-packages)
     rocep1s0f0:1 GID 3 (RoCE v2, IPv4 192.168.0.8)
     roceP2p1s0f0:1 GID 3 (RoCE v2, IPv4 192.168.1.8)
spark-2  DGX Spark, NVIDIA GB10, driver 580.159.03, DGX OS 7.5.0, Linux 6.17.0-1021-nvidia; compose.yaml (service vllm), worker.env
   NCCL 2.28.9 will use IB, bootstrap enP7s7 10.0.0.9  (nvidia-nccl-cu13 in aidendle94/sparkrun-vllm-ds4-gb10:production-ready /opt/env/lib/python3.12/site-packages)
     rocep1s0f0:1 GID 3 (RoCE v2, IPv4 192.168.0.9)
     roceP2p1s0f0:1 GID 3 (RoCE v2, IPv4 192.168.1.9)

✓ gid-index-differs (spark-1, spark-2)
    spark-1 rocep1s0f0 GID 3    RoCE v2, IPv4 192.168.0.8  /sys/class/infiniband/rocep1s0f0/ports/1/gids
    spark-2 rocep1s0f0 GID 3    RoCE v2, IPv4 192.168.0.9  /sys/class/infiniband/rocep1s0f0/ports/1/gids
    spark-1 roceP2p1s0f0 GID 3  RoCE v2, IPv4 192.168.1.8  /sys/class/infiniband/roceP2p1s0f0/ports/1/gids
    spark-2 roceP2p1s0f0 GID 3  RoCE v2, IPv4 192.168.1.9  /sys/class/infiniband/roceP2p1s0f0/ports/1/gids
✓ gid-link-local (spark-1)
    rocep1s0f0 GID 3    RoCE v2, IPv4 192.168.0.8  (wants RoCE v2, IPv4)  /sys/class/infiniband/rocep1s0f0/ports/1/gids
    roceP2p1s0f0 GID 3  RoCE v2, IPv4 192.168.1.8  (wants RoCE v2, IPv4)  /sys/class/infiniband/roceP2p1s0f0/ports/1/gids
✓ gid-link-local (spark-2)
    rocep1s0f0 GID 3    RoCE v2, IPv4 192.168.0.9  (wants RoCE v2, IPv4)  /sys/class/infiniband/rocep1s0f0/ports/1/gids
    roceP2p1s0f0 GID 3  RoCE v2, IPv4 192.168.1.9  (wants RoCE v2, IPv4)  /sys/class/infiniband/roceP2p1s0f0/ports/1/gids
✓ gid-not-roce-v2 (spark-1)
    rocep1s0f0 GID 3    RoCE v2, IPv4 192.168.0.8  (wants RoCE v2, IPv4)  /sys/class/infiniband/rocep1s0f0/ports/1/gids
    roceP2p1s0f0 GID 3  RoCE v2, IPv4 192.168.1.8  (wants RoCE v2, IPv4)  /sys/class/infiniband/roceP2p1s0f0/ports/1/gids
✓ gid-not-roce-v2 (spark-2)
    rocep1s0f0 GID 3    RoCE v2, IPv4 192.168.0.9  (wants RoCE v2, IPv4)  /sys/class/infiniband/rocep1s0f0/ports/1/gids
    roceP2p1s0f0 GID 3  RoCE v2, IPv4 192.168.1.9  (wants RoCE v2, IPv4)  /sys/class/infiniband/roceP2p1s0f0/ports/1/gids
✓ memlock-limited (spark-1, spark-2)
    memlock  unlimited  (wants unlimited, or at least 8 GiB)  compose.yaml:15

no problems found; 7 passed.
""")


def test_json_has_every_result_unfolded(run: Run, tmp_path: Path) -> None:
    told = run("sparkdoctor check --from spark-1.json spark-2.json --select memlock,rank --json")
    document = json.loads(told.removeprefix("[exit 0]\n"))
    assert (document["schema"], document["exit"], document["not_loaded"]) == ("sparkdoctor.check/1", 0, [])
    assert [(node["name"], node["looked_at"], node["launch"]["env_file"]) for node in document["nodes"]] == [
        ("spark-1", True, "head.env"),
        ("spark-2", True, "worker.env"),
    ]
    assert [(r["check"], r["on"], r["status"]) for r in document["results"] if r["check"] == "memlock-limited"] == [
        ("memlock-limited", ["spark-1"], "passed"),
        ("memlock-limited", ["spark-2"], "passed"),
    ]
    keys = {"check", "severity", "on", "status", "reason", "seen", "findings", "with_it"}
    assert all(set(result) == keys for result in document["results"])


def test_json_of_explain(run: Run) -> None:
    document = json.loads(run("sparkdoctor explain memlock.log --json").removeprefix("[exit 0]\n"))
    assert document["schema"] == "sparkdoctor.explain/1"
    first = document["diagnoses"][0]
    assert {"name", "title", "role", "severity", "cause", "causes", "fixes", "evidence"} <= set(first)
    assert (first["name"], first["role"], first["cause"]) == ("nccl-reg-mr-enomem", "cause", "memlock-limited")
    assert [(cause["name"], cause["verdict"]) for cause in first["causes"]] == [
        ("memlock-limited", "open"),
        ("kernel-cma-from-kho", "open"),
        ("memory-exhausted", "open"),
    ]


def test_colour_is_asked_for_or_not(run: Run) -> None:
    line = "sparkdoctor check --from spark-1.json spark-2.json --select memlock"
    assert "\x1b[" not in run(line)
    line = "sparkdoctor explain memlock.log"
    assert "\x1b[" not in run(line)
    assert "\x1b[" in run(f"{line} --color always", TERM="xterm-256color")
    assert "\x1b[" not in run(f"{line} --color never", FORCE_COLOR="1")


def test_a_log_line_cannot_act_on_the_terminal(run: Run, tmp_path: Path) -> None:
    evil = "[bold]\x1b]0;owned\x07\x1b[2J Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory [/bold]"
    (tmp_path / "here/evil.log").write_text(evil + "\n")
    told = run("sparkdoctor explain evil.log --color always", TERM="xterm-256color")
    assert "\x1b]" not in told
    assert "\x07" not in told
    assert "\x1b[2J" not in told
    assert "[/bold]" in re.sub(r"\x1b\[[0-9;]*m", "", told)


def test_an_unknown_log_shows_how_it_ends(run: Run, tmp_path: Path) -> None:
    (tmp_path / "here/odd.log").write_text("started\nsomething nobody knows failed: error 77\n")
    told = re.sub(r"the \d+ known", "the N known", run("sparkdoctor explain odd.log"))
    assert told == snapshot("""\
[exit 1]
none of the N known signatures explains how odd.log ends
the last lines that look like errors, odd.log:
     2 | something nobody knows failed: error 77
a failure that is not known yet is worth a report, with these lines
""")


def test_bare_and_help(run: Run) -> None:
    assert run("sparkdoctor") == run("sparkdoctor --help")
    assert "Exit codes:" in run("sparkdoctor")
