"""sparkdoctor.nccl against NCCL itself: random machines and variables, on which both must choose the same."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from packaging.version import Version

from sparkdoctor.fact import CannotTell
from sparkdoctor.nccl import Selection, select
from sparkdoctor.nccl.conf import conf_paths, with_conf
from tests.lab import facts
from tests.lab.disks import NCCL
from tests.lab.guest import Guest
from tests.lab.nccl import Choice, choices
from tests.lab.pair import Pair

ROUNDS = int(os.environ.get("SPARKDOCTOR_LAB_ROUNDS", "2"))
"""Each round has two machines, and on each the environments below under every version of NCCL."""

ENVIRONMENTS = 15

COMPARED: Counter[str] = Counter()
"""Cases by what NCCL did in them."""

HCAS = ("rocep1s0f0", "rocep1s0f1", "roceP2p1s0f0", "roceP2p1s0f1")
NICS = ("enP7s7", "enp1s0f0np0", "enp1s0f1np1", "enP2p1s0f0np0", "wlP9s9", "lo", "docker0", "ib0", "virbr0")


@dataclass(frozen=True)
class Machine:
    """What is changed on a healthy node before NCCL looks at it."""

    commands: tuple[str, ...]
    unplugged: frozenset[str]
    system_conf: str
    home_conf: str


def lists(names: tuple[str, ...]) -> st.SearchStrategy[str]:
    """Texts for a variable that lists names: prefixes, ports, `^`, `=`, blanks, empty entries."""
    name = st.sampled_from([*names, *(name[:4] for name in names), "mlx5_0", "ROCEP1S0F0", " enP7s7", ""])
    entry = st.builds(str.__add__, name, st.sampled_from(["", "", "", "", ":1", ":2", ":", ":x", ":1:0"]))
    sign = st.sampled_from(["", "", "", "^", "=", "^=", "=^"])
    return st.builds(lambda sign, entries: sign + ",".join(entries), sign, st.lists(entry, max_size=3))


VARIABLES: dict[str, st.SearchStrategy[str]] = {
    "NCCL_IB_HCA": lists(HCAS),
    "NCCL_SOCKET_IFNAME": lists(NICS),
    "NCCL_IB_GID_INDEX": st.sampled_from(["-1", "0", "1", "2", "3", "5", "0x1", " 1", "x", "", "200", "5000"]),
    "NCCL_IB_ADDR_FAMILY": st.sampled_from(["AF_INET", "AF_INET6", "af_inet6", ""]),
    "NCCL_IB_ADDR_RANGE": st.sampled_from(
        [
            "192.168.0.0/24",
            "192.168.0.0/16",
            "169.254.0.0/16",
            "fd00::/8",
            "::/0",
            "10.0.0.0/8",
            "192.168.0.0/99",
            "x/y",
        ]
    ),
    "NCCL_IB_ROCE_VERSION_NUM": st.sampled_from(["1", "2", "3", ""]),
    "NCCL_IB_DEVICE_PCI_ORDER": st.sampled_from(["0", "1"]),
    "NCCL_IB_DISABLE": st.sampled_from(["0", "1", "true", ""]),
    "NCCL_NET": st.sampled_from(["IB", "ib", "Socket", "SOCKET", "RoCE", ""]),
    "NCCL_SOCKET_FAMILY": st.sampled_from(["AF_INET", "AF_INET6", "inet"]),
}

ENV = st.fixed_dictionaries({}, optional=VARIABLES)

# The variables that hide all others would leave little to compare, so they are kept rare.
ENVS = st.lists(
    st.builds(
        lambda env, keep: {
            name: text for name, text in env.items() if keep or name not in ("NCCL_NET", "NCCL_IB_DISABLE")
        },
        ENV,
        st.integers(0, 3).map(lambda number: number == 0),
    ),
    min_size=ENVIRONMENTS,
    max_size=ENVIRONMENTS,
)

CHANGES = st.sampled_from(
    [
        "ip address add 169.254.7.7/16 dev enp1s0f0np0",
        "ip address add 192.168.0.77/24 dev enp1s0f0np0",
        "ip address add fd00::7/64 dev enp1s0f0np0",
        "ip address add fd00:1::7/64 dev enP2p1s0f0np0",
        "ip address add 192.168.1.77/24 dev enP2p1s0f0np0",
        "ip address add 192.168.2.7/24 dev enp1s0f1np1",
        "ip address del 192.168.0.0/24 dev enp1s0f0np0 2>/dev/null; ip -4 address flush dev enp1s0f0np0",
        "ip -4 address flush dev enP2p1s0f0np0",
        "ip -4 address flush dev enP7s7",
        "ip link set enP2p1s0f0np0 down",
        "ip link set enp1s0f0np0 down",
        "ip link add ib0 type dummy; ip link set ib0 up; ip address add 172.31.0.1/24 dev ib0",
        "ip link add virbr0 type dummy; ip link set virbr0 up; ip address add 192.168.122.1/24 dev virbr0",
        "ip link add docker0 type dummy; ip link set docker0 up; ip address add 172.17.0.1/16 dev docker0",
        "umount /sys/devices/virtual/infiniband/rocep1s0f0; rdma link delete rocep1s0f0",
        "umount /sys/devices/virtual/infiniband/roceP2p1s0f0; rdma link delete roceP2p1s0f0",
        "chmod 600 /dev/infiniband/uverbs0",
    ]
)

CONF = st.builds(
    lambda pairs, extra: "".join(f"{name}={text}\n" for name, text in pairs.items()) + extra,
    st.fixed_dictionaries({}, optional={name: VARIABLES[name] for name in ("NCCL_IB_HCA", "NCCL_SOCKET_IFNAME")}),
    st.sampled_from(["", "# NCCL_NET=RoCE\n", "no equals sign\n"]),
)

MACHINES = st.builds(
    Machine,
    st.lists(CHANGES, max_size=4, unique=True).map(tuple),
    st.sets(st.sampled_from(["enp1s0f0np0", "enP2p1s0f0np0"]), max_size=1).map(frozenset),
    st.one_of(st.just(""), st.just(""), CONF),
    st.one_of(st.just(""), st.just(""), CONF),
)


@pytest.fixture(scope="module", autouse=True)
def _installed(running_pair: Pair) -> None:
    facts.install(running_pair)


Case = tuple[Machine, Machine, list[dict[str, str]]]


def _cases() -> list[Case]:
    """Made up by hypothesis before any test runs, so that each round is a test of its own."""
    made: list[Case] = []

    @seed(1)
    @settings(max_examples=ROUNDS + 1, phases=[Phase.generate], database=None, suppress_health_check=list(HealthCheck))
    @given(MACHINES, MACHINES, ENVS)
    def keep(first: Machine, second: Machine, envs: list[dict[str, str]]) -> None:
        made.append((first, second, envs))

    keep()
    return made[1:]  # the first is always the simplest: a healthy pair without a variable


@pytest.mark.parametrize("case", _cases(), ids=lambda case: f"{len(case[0].commands)}+{len(case[1].commands)} changes")
def test_the_prediction_is_what_nccl_does(pair: Pair, case: Case) -> None:
    first, second, envs = case
    with ThreadPoolExecutor() as both:
        found = list(both.map(_differences, pair, (first, second), (envs, envs)))
    different = "\n\n".join(difference for differences in found for difference in differences)
    assert not different, different


def test_enough_was_compared(capsys: pytest.CaptureFixture[str]) -> None:
    """Agreement counts only if NCCL used each of its networks and failed in between."""
    with capsys.disabled():
        print(f"\nprediction and NCCL compared: {dict(COMPARED)}")
    assert COMPARED.keys() >= {"IB", "Socket", "failed"}


def _differences(guest: Guest, machine: Machine, envs: list[dict[str, str]]) -> list[str]:
    """Make the machine, ask both, and say where they differ."""
    for nic in machine.unplugged:
        guest.cable(nic, plugged=False)
    files = f"printf %s {shlex.quote(machine.system_conf)} > /etc/nccl.conf\n"
    files += f"printf %s {shlex.quote(machine.home_conf)} > /root/.nccl.conf\n"
    guest.run(files + "\n".join(machine.commands) + "\ntrue")
    read = facts.fabric(guest.run("python3 -", stdin=facts.NETWORK_AND_RDMA).stdout)
    different = []
    for version in NCCL:
        for env, choice in zip(envs, choices(guest, version, envs), strict=True):
            texts = {"/etc/nccl.conf": machine.system_conf, "/root/.nccl.conf": machine.home_conf}
            paths = conf_paths(env | {"HOME": "/root"}, "/root", Version(version))
            full = with_conf(env, [texts[path] for path in paths], Version(version))
            COMPARED[choice.net or "failed"] += 1
            difference = _compare(read, full, Version(version), choice)
            if difference:
                different.append(f"NCCL {version} on {machine} with {env}: {difference}\n{choice.log}")
    return different


def _compare(read: facts.Fabric, env: Mapping[str, str], version: Version, choice: Choice) -> str:
    """In what prediction and choice differ, empty when they agree."""
    rdma, interfaces = read.rdma, read.network.interfaces.value
    try:
        predicted = select(rdma.hcas.value, rdma.device_files.value, interfaces, env, version)
    except CannotTell as why:
        return "" if _no_choice(choice, str(why)) else f"no prediction ({why}), NCCL chose {choice}"
    if "crash" in choice.steps:
        return f"NCCL crashed: {choice.steps['crash']}"
    return _first_difference(predicted, choice)


def _no_choice(choice: Choice, why: str) -> bool:
    """Where the function says that NCCL ends or that its choice is undefined, it must not have been sound."""
    failed = any(result != "ncclSuccess" for result in choice.steps.values())
    return failed if "ends here" in why else "undefined" in why


def _first_difference(predicted: Selection, choice: Choice) -> str:
    bootstrap = predicted.bootstrap and (predicted.bootstrap.name, predicted.bootstrap.address)
    if bootstrap != choice.bootstrap:
        return f"bootstrap: predicted {bootstrap}, chosen {choice.bootstrap}"
    silent = [message.text for message in predicted.messages if message.text not in choice.log]
    if silent:
        return f"messages that NCCL did not print: {silent}"
    if bootstrap is None:
        return ""
    if predicted.transport != choice.net:
        return f"network: predicted {predicted.transport}, chosen {choice.net}"
    if predicted.transport != "IB":
        return ""
    side = predicted.side_channel and (predicted.side_channel.name, predicted.side_channel.address)
    if side != choice.side_channel:
        return f"side channel: predicted {side}, chosen {choice.side_channel}"
    ports = tuple((port.port.hca, port.port.port.number) for port in predicted.ports)
    if ports != choice.devices:
        return f"devices: predicted {ports}, chosen {choice.devices}"
    for at, port in enumerate(predicted.ports):
        if at in choice.gid_indexes and choice.gid_indexes[at] != port.gid_index:
            return f"GID index of device {at}: predicted {port.gid_index}, chosen {choice.gid_indexes[at]}"
        if at not in choice.gid_indexes and port.gid is not None:
            return f"GID index of device {at}: predicted {port.gid_index}, NCCL chose none: {choice.steps}"
    return ""
