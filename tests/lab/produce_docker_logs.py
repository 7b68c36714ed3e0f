"""Make real failures of Docker and Compose in one guest of the lab: one log a case.

    python -m tests.lab.produce_docker_logs FOLDER [CASE...]

The logs kept in tests/logs/docker were made by this script. It is not a test.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tests.lab.docker import IMAGE, start_engine
from tests.lab.guest import Guest
from tests.lab.pair import virtual_pair

USR = "-v /usr:/usr:ro"
"""The image has no programs of its own."""
RUN = f"docker run --rm {IMAGE}"
COMPOSE = "docker compose -f /tmp/compose.yaml up --abort-on-container-exit"

COMMANDS = {
    "image-not-here": "docker run --rm spark.local:5000/vllm:26.10 true",
    "gpus-without-toolkit": f"docker run --rm --gpus all {IMAGE} true",
    "runtime-nvidia-unknown": f"docker run --rm --runtime nvidia {IMAGE} true",
    "cdi-device-unknown": f"docker run --rm --device nvidia.com/gpu=all {IMAGE} true",
    "device-missing": f"docker run --rm --device /dev/nvidia0 {IMAGE} true",
    "command-missing": f"{RUN} sglang serve",
    "command-of-another-machine": f"echo garbage > /tmp/x; chmod +x /tmp/x; docker run --rm -v /tmp/x:/x {IMAGE} /x",
    "command-not-executable": f"echo > /tmp/y; docker run --rm -v /tmp/y:/y {IMAGE} /y",
    "name-taken": f"docker run -d --name vllm {USR} {IMAGE} sleep 60; docker run --name vllm {IMAGE} true;"
    " docker rm -f vllm > /dev/null",
    "mount-source-missing": f"docker run --rm --mount type=bind,source=/data/models,target=/models {IMAGE} true",
    "mount-folder-on-file": f"mkdir -p /tmp/folder; docker run --rm {USR} -v /tmp/folder:/usr/lib/os-release {IMAGE} true",
    "no-permission": "sudo -u nobody docker ps",
    "daemon-not-running": "DOCKER_HOST=unix:///run/elsewhere.sock docker ps",
    "ulimit-soft-over-hard": f"docker run --rm --ulimit memlock=-1:8192 {IMAGE} true",
    "shm-size-unreadable": f"docker run --rm --shm-size 64x {IMAGE} true",
    "cpus-not-there": f"docker run --rm --cpuset-cpus 0-19 {IMAGE} true",
    "sysctl-with-host-network": f"docker run --rm --network host --sysctl net.core.somaxconn=4096 {IMAGE} true",
    "ipc-of-nobody": f"docker run --rm --ipc container:ray-head {IMAGE} true",
    "killed-for-memory": f"docker run --memory 32m --name big {USR} {IMAGE} "
    "python3 -c 'print(\"loading\", flush=True); b = [bytes([1]) * (1 << 20) for _ in range(200)]';"
    " docker inspect --format 'OOMKilled {{.State.OOMKilled}} exit code {{.State.ExitCode}}' big;"
    " docker rm big > /dev/null; sudo dmesg | grep -A70 'invoked oom-killer'",
    "no-space-left": "sudo mount -o remount,size=$(($(df --output=used -k /var/lib/docker | tail -1) + 8))k"
    f" /var/lib/docker; docker run --rm {USR} {IMAGE} bash -c 'head -c 99M /dev/zero > /root/x';"
    " sudo mount -o remount,size=50% /var/lib/docker",
}

SERVICE = f"services:\n  vllm:\n    image: {IMAGE}\n"

COMPOSE_FILES = {
    "compose-not-yaml": SERVICE + "    command: sleep 1\n   ipc: host\n",
    "compose-key-unknown": SERVICE + "    shm-size: 16gb\n",
    "compose-wrong-type": SERVICE + "    ulimits: unlimited\n",
    "compose-env-file-missing": SERVICE + "    env_file: cluster.env\n",
    "compose-volume-undefined": SERVICE + "    volumes: [models:/models]\n",
    "compose-network-missing": SERVICE + "    networks: [fabric]\nnetworks:\n  fabric:\n    external: true\n",
    "compose-depends-on-nobody": SERVICE + "    depends_on: [ray-head]\n",
    "compose-variable-unset": SERVICE + "    command: echo ${HEAD_IP:?set it in .env}\n",
    "compose-gpu-without-toolkit": SERVICE
    + "    command: sleep 60\n    deploy:\n      resources:\n        reservations:\n          devices:\n"
    "            - {driver: nvidia, count: all, capabilities: [gpu]}\n",
    "compose-dependency-unhealthy": SERVICE
    + "    command: sleep 60\n    network_mode: host\n    volumes: [/usr:/usr:ro]\n    healthcheck:\n"
    "      {test: [CMD, 'false'], interval: 1s, retries: 2}\n"
    f"  webui:\n    image: {IMAGE}\n    command: sleep 60\n    network_mode: host\n    depends_on:\n      vllm: {{condition: service_healthy}}\n",
    "compose-command-fails": SERVICE
    + "    network_mode: host\n    volumes: [/usr:/usr:ro]\n    command: bash -c 'echo starting; exit 3'\n",
}


def produce(guest: Guest, folder: Path, wanted: list[str]) -> None:
    for name in wanted or [*COMMANDS, *COMPOSE_FILES]:
        if name in COMPOSE_FILES:
            guest.write("/tmp/compose.yaml", COMPOSE_FILES[name], "spark")
        command = COMMANDS.get(
            name, f"{COMPOSE}; code=$?; docker compose -f /tmp/compose.yaml down 2> /dev/null; exit $code"
        )
        done = guest.run(f"({command}) 2>&1", "spark", check=False, timeout=300)
        (folder / f"{name}.log").write_text(done.stdout)
        print(f"== {name} [exit {done.returncode}]\n{done.stdout}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("cases", nargs="*")
    asked = parser.parse_args()
    asked.folder.mkdir(parents=True, exist_ok=True)
    with virtual_pair("arm64") as pair:
        start_engine(pair.first)
        produce(pair.first, asked.folder, asked.cases)


if __name__ == "__main__":
    main()
