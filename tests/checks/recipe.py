"""The write-up's recipe as files, one compose file and an .env file a rank, on the healthy pair.

The text is the forum post's (forums.developer.nvidia.com, topic 372268), shortened to what decides
how the ranks find each other; the machines are sparkdoctor.testing's.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from sparkdoctor.api import Cluster, Node
from sparkdoctor.host import Host
from sparkdoctor.launch.compose import read_compose
from sparkdoctor.launch.resolve import resolve
from sparkdoctor.system import Live
from sparkdoctor.testing import healthy_host

COMPOSE = """\
services:
  vllm:
    image: aidendle94/sparkrun-vllm-ds4-gb10:production-ready
    network_mode: host
    ipc: host
    ulimits:
      memlock: -1
    gpus: all
    devices:
      - /dev/infiniband:/dev/infiniband
    volumes:
      - ${HF_CACHE}:/cache/huggingface
    environment:
      HF_HOME: /cache/huggingface
      HF_HUB_OFFLINE: "1"
      VLLM_USE_B12X_MOE: "1"
      NCCL_NET: IB
      NCCL_IB_HCA: "rocep1s0f0,roceP2p1s0f0"
      NCCL_SOCKET_IFNAME: "enP7s7,enp1s0f0np0"
      NCCL_IB_GID_INDEX: "3"
      NODE_RANK: "${NODE_RANK:?set 0 on head, 1 on worker}"
      HEADLESS: "${HEADLESS:-}"
      MASTER_ADDR: "${MASTER_ADDR:?head-node IP}"
    command:
      - bash
      - -lc
      - >
        exec /usr/local/bin/dsv4-vllm-entrypoint serve deepseek-ai/DeepSeek-V4-Flash
        --host 0.0.0.0 --port 8000 --trust-remote-code
        --tensor-parallel-size 2 --pipeline-parallel-size 1
        --kv-cache-dtype fp8 --max-model-len 1000000
        --gpu-memory-utilization 0.82
        --distributed-executor-backend mp
        --nnodes 2 --node-rank ${NODE_RANK}
        --master-addr ${MASTER_ADDR} --master-port 25000
        ${HEADLESS:+--headless}
"""

HEAD = {"NODE_RANK": "0", "HEADLESS": "", "MASTER_ADDR": "192.168.0.8", "HF_CACHE": "/home/user/.cache/huggingface"}
WORKER = {**HEAD, "NODE_RANK": "1", "HEADLESS": "1"}


def pair(
    folder: Path,
    *,
    head: Mapping[str, str | None] | None = None,
    worker: Mapping[str, str | None] | None = None,
    edit: tuple[str, str] = ("", ""),
    worker_edit: tuple[str, str] = ("", ""),
    hosts: tuple[Host | None, Host | None] | None = None,
) -> Cluster:
    """Both ranks. `head` and `worker` change lines of their .env files (None takes one away), `edit` a text of
    the compose file, `worker_edit` of the worker's copy of it."""
    machines = hosts or (healthy_host(0), healthy_host(1))
    nodes = []
    for name, values, changes, machine in (
        ("head", HEAD, head, machines[0]),
        ("worker", WORKER, worker, machines[1]),
    ):
        text = COMPOSE.replace(*edit) if edit[0] else COMPOSE
        if name == "worker" and worker_edit[0]:
            assert worker_edit[0] in text
            text = text.replace(*worker_edit)
        lines = {**values, **(changes or {})}
        env_file, compose = folder / f"{name}.env", folder / f"{name}.yaml"
        env_file.write_text("".join(f"{key}={value}\n" for key, value in lines.items() if value is not None))
        compose.write_text(text)
        (spec,) = read_compose(Live(), [str(compose)], [str(env_file)])
        nodes.append(Node(machine.name if machine else env_file.name, machine, resolve(spec, machine)))
    return Cluster(tuple(nodes))
