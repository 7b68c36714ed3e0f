from __future__ import annotations

import json
import resource

import pytest

from sparkdoctor.facts.limits import limits
from sparkdoctor.facts.processes import processes
from sparkdoctor.host import UNLIMITED
from sparkdoctor.system import Live
from tests.recordings import absent, files, folder, machine, problem

HEAD = "Limit                     Soft Limit           Hard Limit           Units     \n"


def table(memlock: str, nofile: str = "1024") -> str:
    return f"{HEAD}Max open files            {nofile:<20} 524288               files     \nMax locked memory         {memlock:<20} unlimited            bytes     \n"


def daemons(*kinds: str) -> str:
    return json.dumps([{"pid": pid, "name": kind, "kind": kind, "container": ""} for pid, kind in enumerate(kinds, 10)])


def test_this_process() -> None:
    found = limits(Live())
    memlock, _ = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    nofile, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert found.own.value == (UNLIMITED if memlock == resource.RLIM_INFINITY else memlock)
    assert found.nofile.value == nofile
    assert found.own.where == "/proc/self/limits"


@pytest.mark.parametrize(("text", "value"), [("unlimited", UNLIMITED), ("8388608", 8 << 20), ("0", 0)])
def test_the_soft_limit_counts(text: str, value: int) -> None:
    assert limits(files({"/proc/self/limits": table(text)})).own.value == value


def test_a_table_without_the_line() -> None:
    found = limits(files({"/proc/self/limits": HEAD}))
    assert found.own.problem == "not understood: no line 'Max locked memory'"
    assert found.nofile.problem == "not understood: no line 'Max open files'"


def test_containers_inherit_from_containerd() -> None:
    found = limits(machine("spark-1")).dockerd
    assert found.value == 8 << 20
    assert found.where == "/proc/1187/limits (containerd)"


def test_without_a_containerd_of_its_own_from_dockerd() -> None:
    system = files({"processes all": daemons("dockerd"), "/proc/10/limits": table("65536")})
    assert (limits(system).dockerd.value, limits(system).dockerd.where) == (65536, "/proc/10/limits (dockerd)")


def test_two_containerds_that_agree_and_two_that_do_not() -> None:
    both = {"processes all": daemons("containerd", "containerd"), "/proc/10/limits": table("65536")}
    assert limits(files({**both, "/proc/11/limits": table("65536")})).dockerd.value == 65536
    found = limits(files({**both, "/proc/11/limits": table("unlimited")})).dockerd
    assert found.problem == "2 processes called containerd have different limits"
    assert found.where == "/proc/10/limits (containerd), /proc/11/limits (containerd)"


def test_no_daemon() -> None:
    found = limits(files({"processes all": "[]"})).dockerd
    assert (found.problem, found.absent) == ("neither containerd nor dockerd is seen running here", True)


def test_daemons_that_could_not_be_listed_or_read() -> None:
    assert limits(files({"processes all": problem("no")})).dockerd.problem == "no"
    system = files({"processes all": daemons("containerd"), "/proc/10/limits": problem("Permission denied")})
    assert limits(system).dockerd.problem == "Permission denied"


ID = "4f" * 32
SERVER = json.dumps([{"pid": 7, "name": "VLLM::EngineCor", "kind": "server", "container": ID}])


def test_a_server_in_a_container() -> None:
    system = files(
        {
            "processes all": SERVER,
            "cmdline 7": '["VLLM::EngineCore"]',
            "environ 7": '{"NCCL_NET": "IB"}',
            "/proc/7/limits": table("8388608"),
            "/proc/7/status": "Name:\tVLLM::EngineCor\nCapPrm:\t0000000000000000\nCapEff:\t00000000a80465fb\n",
            "link /proc/7/cwd": "/workspace",
            "link /proc/7/exe": "/usr/bin/python3.12",
            "space /proc/7/root/dev/shm": "67108864 67108000",
            "/proc/7/root/dev": folder("null", "shm"),
            "/proc/7/root/dev/infiniband": absent(),
        }
    )
    (server,) = processes(system).value
    assert (server.pid, server.name, server.container) == (7, "VLLM::EngineCor", ID)
    assert server.argv.value == ("VLLM::EngineCore",)
    assert server.env.value == {"NCCL_NET": "IB"}
    assert server.memlock.value == 8 << 20
    assert server.capabilities.value == 0xA80465FB
    assert (server.cwd.value, server.exe.value) == ("/workspace", "/usr/bin/python3.12")
    assert server.shm.value.size == 64 << 20
    assert (server.infiniband.value, server.infiniband.where) == ((), "/proc/7/root/dev/infiniband")


def test_a_server_of_somebody_else() -> None:
    """Limits and status are world-readable; environment, links and the root are not."""
    denied = problem("Permission denied")
    system = files(
        {
            "processes all": SERVER,
            "cmdline 7": '["vllm", "serve"]',
            "environ 7": denied,
            "/proc/7/limits": table("unlimited"),
            "/proc/7/status": "CapEff:\t0\n",
            "link /proc/7/cwd": denied,
            "link /proc/7/exe": denied,
            "space /proc/7/root/dev/shm": denied,
            "/proc/7/root/dev/infiniband": denied,
        }
    )
    (server,) = processes(system).value
    assert server.memlock.value == UNLIMITED
    for fact in (server.env, server.cwd, server.exe, server.shm, server.infiniband):
        assert (fact.problem, fact.absent) == ("Permission denied", False)


def test_a_dev_that_cannot_be_listed_does_not_mean_no_devices() -> None:
    system = files(
        {
            "processes all": SERVER,
            "/proc/7/root/dev/infiniband": absent(),
            "/proc/7/root/dev": problem("Permission denied"),
        }
    )
    (server,) = processes(system).value
    assert (server.infiniband.where, server.infiniband.problem) == ("/proc/7/root/dev", "Permission denied")


def test_no_server_is_known_and_a_failed_listing_is_not() -> None:
    assert processes(machine("spark-1")).value == ()
    assert processes(files({"processes all": problem("no")})).problem == "no"
    assert processes(files({"processes all": '[{"pid": "7"}]'})).problem.startswith("not understood: ")
