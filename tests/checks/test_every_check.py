"""Over all checks that ship: names, manuals, messages, and what they say of a healthy pair."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from sparkdoctor.api import Check, Cluster, Finding, Node
from sparkdoctor.fact import Fact, unread
from sparkdoctor.registry import load_checks
from sparkdoctor.run import Result, Status, examine, run_checks
from sparkdoctor.testing import changed, healthy_host, healthy_node, healthy_pair, healthy_spec
from tests.checks.forms import running, shell, through_snapshot

ROOT = Path(__file__).resolve().parents[2]
CHECKS = load_checks().by_name
REMEDIES = ("no", "check", "use", "set", "unset", "fix", "add", "remove", "should")
HEADINGS = ["## Why it matters", "## How to fix it", "## References"]

every_check = pytest.mark.parametrize("check", CHECKS.values(), ids=CHECKS)


def test_checks_are_found() -> None:
    assert not load_checks().troubles
    assert len(CHECKS) > 20


@every_check
def test_the_name_states_what_is_wrong(check: Check) -> None:
    words = check.name.split("-")
    assert words[0] not in REMEDIES
    assert words[-1] not in ("ok", "check")


@every_check
def test_the_first_word_is_the_file(check: Check) -> None:
    assert Path(sys.modules[check.run.__module__].__file__ or "").stem == check.family


@every_check
def test_the_manual_has_its_headings_and_addresses(check: Check) -> None:
    assert re.findall(r"^## .*$", check.docs, re.MULTILINE) == HEADINGS
    first, blank = check.docs.split("\n")[:2]
    assert first.endswith(".")
    assert len(first) <= 120
    assert not blank
    parts = re.split(r"^## .*\n", check.docs, flags=re.MULTILINE)
    assert all(part.strip() for part in parts)
    references = parts[-1].strip().splitlines()
    assert all(line.startswith("- ") for line in references), references
    assert any(line.startswith("- https://") for line in references), references


@every_check
def test_what_it_comes_after_exists(check: Check) -> None:
    for leader in check.after:
        assert leader in CHECKS
        assert check.name not in CHECKS[leader].after
    assert check.name not in check.after


@every_check
@pytest.mark.parametrize("form", ["launch file", "process", "snapshot"])
def test_a_healthy_pair_has_no_fault(check: Check, form: str) -> None:
    for result in results(form):
        if result.check == check.name:
            assert result.status in (Status.PASSED, Status.SKIPPED), result.findings or result.reason or result.trace
            assert result.status is not Status.PASSED or result.seen


def test_most_checks_look_at_a_healthy_pair() -> None:
    passed = {result.check for result in results("launch file") if result.status is Status.PASSED}
    assert len(passed) >= len(CHECKS) / 2


@cache
def results(form: str) -> tuple[Result, ...]:
    if form == "launch file":
        pair = healthy_pair()
    elif form == "process":
        pair = healthy_pair(running(0), running(1))
    else:
        pair = healthy_pair(through_snapshot(healthy_node(0)), through_snapshot(healthy_node(1)))
    return tuple(run_checks(CHECKS.values(), pair))


@every_check
def test_where_nothing_is_known_nothing_passes(check: Check) -> None:
    node = Node("spark-1")
    target = node if check.scope is Node else Cluster((node, node))
    assert examine(check, target).status in (Status.SKIPPED, Status.UNKNOWN)


def unreadable_hosts() -> Iterator[Node]:
    """Nodes of which one room of facts could not be read."""
    denied = unread("/proc", "Permission denied")
    host = healthy_host()
    for path in (
        "memory__meminfo", "memory__shm", "limits__dockerd", "network__interfaces", "network__routes", "rdma__hcas",
        "rdma__device_files", "gpus__devices", "docker__images", "docker__containers", "machine__kernel",
    ):  # fmt: skip
        yield healthy_node(host=changed(host, **{path: denied}))
    for path in ("env", "argv", "memlock", "shm_size", "ipc", "network_mode", "devices", "image"):
        spec = healthy_spec()
        if path == "env":
            yield healthy_node(spec=changed(spec, env=denied))
            yield healthy_node(spec=changed(spec, env=Fact("x", {name: denied for name in spec.env.value})))
        else:
            yield healthy_node(spec=changed(spec, **{path: denied}))


@every_check
def test_what_cannot_be_read_is_never_a_crash_or_a_fault(check: Check) -> None:
    for node in unreadable_hosts():
        target = node if check.scope is Node else healthy_pair(node)
        result = examine(check, target)
        assert result.status is not Status.CRASHED, result.trace
        assert result.status is not Status.FAILED, result.findings


def faults() -> Iterator[Node]:
    """Nodes with something wrong, so that there are messages to judge."""
    variables = {
        "NCCL_IB_HCA": ("mlx5_0", "rocep1s0f0,mlx5_0", "^roce", "rocep1s0f1"),
        "NCCL_IB_GID_INDEX": ("1", "300"),
        "NCCL_SOCKET_IFNAME": ("eth0", "eth0,enP7s7", "enp1s0f1np1", "^en,lo,docker"),
        "NCCL_IB_DISABLE": ("1", "true"),
        "NCCL_NET": ("RoCE", "Socket"),
        "MASTER_ADDR": ("127.0.0.1", "192.168.7.7"),
        "TORCH_CUDA_ARCH_LIST": ("9.0",),
        "NODE_RANK": ("1",),
    }
    for name, values in variables.items():
        for value in values:
            yield healthy_node(spec=healthy_spec(env={name: value}))
            yield running(env={name: value})
            yield shell({"NCCL_NET": "IB", name: value})
    for field in ("memlock", "devices", "network_mode"):
        yield healthy_node(spec=changed(healthy_spec(), **{field: None}))
    yield healthy_node(spec=healthy_spec(ipc=None, shm_size=None))
    yield healthy_node(host=changed(healthy_host(), rdma__hcas=Fact("/sys/class/infiniband", ())))


@cache
def findings() -> tuple[tuple[str, Finding], ...]:
    found = []
    for node in faults():
        for result in run_checks(CHECKS.values(), healthy_pair(node)):
            assert result.status is not Status.CRASHED, result.trace
            found += [(result.check, finding) for finding in result.findings]
    return tuple(found)


def test_messages_state_facts_in_the_house_style() -> None:
    assert len({name for name, _ in findings()}) > 10
    for name, finding in findings():
        message = finding.message
        assert "\n" not in message, name
        assert not message.endswith("."), (name, message)
        assert not message[0].isupper() or re.match(r"[A-Z]\S*[A-Z_0-9]|GID|NCCL|HCA", message), (name, message)
        assert not re.search(r"\b(simply|just|please|invalid|illegal)\b", message, re.IGNORECASE), (name, message)


def test_evidence_names_its_place() -> None:
    for name, finding in findings():
        assert finding.seen, name
        assert all(seen.where and seen.value for seen in finding.seen), (name, finding.seen)


def test_fixes_are_lines_to_have_and_commands_to_run() -> None:
    for name, finding in findings():
        fix = finding.fix
        assert fix.do, name
        assert "\n" not in fix.do, name
        assert not fix.do.endswith("."), (name, fix.do)
        assert all(line == line.rstrip() for line in fix.edit.splitlines()), (name, fix.edit)
        assert not any(command.startswith("$") or "\n" in command for command in fix.run), (name, fix.run)
        places = re.findall(r"<[a-z][^>]*>", " ".join([fix.do, fix.edit, *fix.run]))
        assert bool(places) <= (fix.certainty.value != "exact"), (name, places)


def test_a_check_needs_no_terminal_library_and_no_door() -> None:
    """Loading all checks imports none of the heavy packages."""
    code = (
        "import sys; from sparkdoctor.registry import load_checks; load_checks();"
        "print(sorted({'rich', 'click', 'docker', 'pynvml', 'pyroute2', 'psutil', 'yaml'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
