"""The recorded pair, the typed pair of sparkdoctor.testing, and what the checks say of both."""

from __future__ import annotations

import pytest

from sparkdoctor.api import Cluster, Node
from sparkdoctor.facts import gather
from sparkdoctor.host import Host
from sparkdoctor.launch.resolve import resolve
from sparkdoctor.registry import load_checks
from sparkdoctor.run import Status, run_checks
from sparkdoctor.testing import healthy_host, healthy_spec
from tests.facts.test_gather import WANTED
from tests.recordings import machine


@pytest.fixture(scope="module")
def pair() -> tuple[Host, Host]:
    return gather(machine("spark-1"), WANTED), gather(machine("spark-2"), WANTED)


def launched(*hosts: Host) -> Cluster:
    """The write-up's recipe on these machines."""
    return Cluster(tuple(Node(host.name, host, resolve(healthy_spec(rank), host)) for rank, host in enumerate(hosts)))


def test_every_check_passes_or_has_nothing_to_look_at(pair: tuple[Host, Host]) -> None:
    results = run_checks(load_checks().by_name.values(), launched(*pair))
    assert not [
        (result.check, result.on, result.status, result.reason, [finding.message for finding in result.findings])
        for result in results
        if result.status not in (Status.PASSED, Status.SKIPPED)
    ]
    assert len([result for result in results if result.status is Status.PASSED]) > 40


def test_one_machine_with_the_kernel_that_hands_memory_over(pair: tuple[Host, Host]) -> None:
    cluster = launched(gather(machine("spark-kho"), WANTED), pair[1])
    failed = [
        (result.check, result.on)
        for result in run_checks(load_checks().by_name.values(), cluster)
        if result.status is Status.FAILED
    ]
    assert ("kernel-cma-from-kho", ("spark-kho",)) in failed
    assert {check for check, _ in failed} <= {"kernel-cma-from-kho", "software-kernel-differs"}


@pytest.mark.parametrize("rank", [0, 1])
def test_the_typed_pair_is_the_recorded_one(rank: int, pair: tuple[Host, Host]) -> None:
    """What checks look at is the same in both, so that a test with one says something of the other."""
    recorded, typed = pair[rank], healthy_host(rank)
    assert recorded.name == typed.name
    assert [hca.name for hca in recorded.rdma.hcas.value] == [hca.name for hca in typed.rdma.hcas.value]
    for one, other in zip(recorded.rdma.hcas.value, typed.rdma.hcas.value, strict=True):
        (port,), (twin) = one.ports.value, other.ports.value[0]
        assert (one.pci.value, one.netdev.value, one.firmware.value) == (
            other.pci.value, other.netdev.value, other.firmware.value
        )  # fmt: skip
        assert (port.state.value, port.rate.value, port.gid_slots.value) == (
            twin.state.value, twin.rate.value, twin.gid_slots.value
        )  # fmt: skip
        assert [(gid.index, gid.type.value) for gid in port.gids.value] == [
            (gid.index, gid.type.value) for gid in twin.gids.value
        ]
        assert [gid.gid for gid in port.gids.value[2:]] == [gid.gid for gid in twin.gids.value[2:]]
    ours = {each.name: each for each in recorded.network.interfaces.value}
    for interface in typed.network.interfaces.value:
        same = ours[interface.name]
        assert (same.up, same.running, same.mtu) == (interface.up, interface.running, interface.mtu)
        assert set(interface.addresses) <= set(same.addresses)
    for name in ("own", "dockerd", "nofile"):
        assert getattr(recorded.limits, name).value == getattr(typed.limits, name).value
    assert recorded.rdma.device_files.value == typed.rdma.device_files.value
    (software,), (twin_software) = recorded.software, typed.software[0]
    assert software.key == twin_software.key
    assert twin_software.packages.value.items() <= software.packages.value.items()
    assert set(twin_software.vllm_env.value) <= set(software.vllm_env.value)
    (cache,), twin_cache = recorded.caches, typed.caches[0]
    assert (cache.hub, cache.model, cache.missing.value) == (twin_cache.hub, twin_cache.model, twin_cache.missing.value)
    assert twin_cache.config.value.items() <= cache.config.value.items()
