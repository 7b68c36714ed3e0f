"""NCCL's configuration files in what a rank sees. The files are real ones, in a folder in place of /."""

from __future__ import annotations

from pathlib import Path

from sparkdoctor.fact import Fact, unread
from sparkdoctor.facts.nccl_conf import conf_files
from sparkdoctor.launch.nccl_conf import joined
from sparkdoctor.launch.seen import of_shell
from sparkdoctor.predict import predict
from sparkdoctor.registry import builtin_check
from sparkdoctor.run import Status
from sparkdoctor.system import Live
from sparkdoctor.testing import changed, examine, healthy_host, healthy_node, healthy_spec


def env(**values: str) -> Fact[dict[str, Fact[str]]]:
    return Fact("environ", {name: Fact("environ", value) for name, value in values.items()})


def test_the_environment_beats_the_files_and_the_first_file_the_second() -> None:
    own = Fact("/root/.nccl.conf", "# mine\nNCCL_IB_HCA=mlx5_0\nNCCL_NET=IB\n")
    system = Fact("/etc/nccl.conf", "NCCL_NET=Socket\nNCCL_IB_GID_INDEX=3\n")
    found = joined(env(NCCL_IB_HCA="", PATH="/bin"), (own, system)).value
    assert found["NCCL_IB_HCA"] == Fact("environ", "", over=("/root/.nccl.conf:2",))
    assert found["NCCL_NET"] == Fact("/root/.nccl.conf:3", "IB", over=("/etc/nccl.conf:1",))
    assert found["NCCL_IB_GID_INDEX"] == Fact("/etc/nccl.conf:2", "3")


def test_a_file_that_cannot_be_read_may_have_set_anything() -> None:
    found = joined(env(NCCL_NET="IB"), (unread("/etc/nccl.conf", "Permission denied"),)).value
    assert found["NCCL_NET"].value == "IB"
    assert found["NCCL_IB_HCA"] == Fact("/etc/nccl.conf", problem="Permission denied")
    spec = healthy_spec(env={"NCCL_IB_HCA": None}, nccl_conf=(unread("/etc/nccl.conf", "Permission denied"),))
    result = examine(builtin_check("hca-unknown"), healthy_node(spec=spec))
    assert (result.status, result.reason) == (Status.UNKNOWN, "/etc/nccl.conf: Permission denied")


def test_files_are_read_where_the_process_sees_them(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/nccl.conf").write_text("NCCL_DEBUG=INFO\n")
    (tmp_path / "mine.conf").write_text("NCCL_NET=IB\n")
    found = conf_files(Live(), str(tmp_path), Fact("environ", {"HOME": "/root", "NCCL_CONF_FILE": "/mine.conf"}))
    assert [(Path(file.where).name, file.value) for file in found] == [
        ("mine.conf", "NCCL_NET=IB\n"),
        ("nccl.conf", "NCCL_DEBUG=INFO\n"),
    ]
    assert conf_files(Live(), str(tmp_path / "none"), Fact("environ", {"HOME": "/root"})) == ()


def test_a_leftover_file_changes_what_a_shell_and_a_process_will_use() -> None:
    host = healthy_host(machine__nccl_conf=(Fact("/etc/nccl.conf", "NCCL_IB_HCA=mlx5_7\n"),))
    own = Fact("environ", {"NCCL_NET": "IB"})
    spec = of_shell(own, host.limits.own, host.machine.nccl_conf)
    node = healthy_node(host=host, spec=changed(spec, argv=healthy_spec().argv))
    result = examine(builtin_check("hca-unknown"), node)
    assert result.status is Status.FAILED
    assert "/etc/nccl.conf:1" in {seen.where for finding in result.findings for seen in finding.seen}
    assert predict(node).selection.transport is None
