"""The door to a machine: the live one that runs the tests, folders that stand in for one, and recordings."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from sparkdoctor.fact import Fact
from sparkdoctor.secrets import REMOVED
from sparkdoctor.system import (
    COMMANDS,
    HEAD,
    MAX_FILE,
    NO_GID,
    Door,
    DoorClosed,
    Head,
    Live,
    Recorded,
    Recording,
    System,
)
from tests.recordings import absent, files, folder, problem, unprivileged

# Live


def test_files_of_proc_sys_are_readable() -> None:
    """They answer ENOMEM to a read whose buffer is larger than the kernel may allocate (4 MiB here, once 8)."""
    assert Live().read("/proc/sys/kernel/osrelease") == Fact("/proc/sys/kernel/osrelease", os.uname().release + "\n")
    assert Live().read("/proc/sys/net/ipv4/ip_local_port_range").is_known


def test_what_is_not_there_is_absent_and_says_why() -> None:
    for answer in (
        Live().read("/no/such"),
        Live().folder("/no/such"),
        Live().link("/no/such"),
        Live().head("/no/such"),
    ):
        assert answer.absent
        assert answer.problem == "No such file or directory"
        assert answer.where == "/no/such"


def test_what_is_there_and_cannot_be_read_is_not_absent(tmp_path: Path) -> None:
    answer = Live().read(str(tmp_path))
    assert (answer.problem, answer.absent) == ("Is a directory", False)


def test_a_file_of_somebody_else() -> None:
    with tempfile.TemporaryDirectory() as folder:  # tmp_path may be entered by its owner only
        Path(folder).chmod(0o755)
        (Path(folder) / "f").touch(mode=0o000)
        (Path(folder) / "d").mkdir(mode=0o000)
        with unprivileged():
            assert Live().folder(folder).value == ("d", "f")
            for answer in (Live().read(f"{folder}/f"), Live().head(f"{folder}/f"), Live().folder(f"{folder}/d")):
                assert (answer.problem, answer.absent) == ("Permission denied", False)


def test_a_path_with_a_nul_character() -> None:
    assert "embedded null" in Live().read("/etc/\0hosts").problem  # byte, or character from Python 3.13 on


def test_a_named_pipe_does_not_block(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    assert Live().read(str(tmp_path / "pipe")).value == ""


def test_a_file_that_is_too_large(tmp_path: Path) -> None:
    with open(tmp_path / "huge", "wb") as file:
        file.truncate(MAX_FILE + 1)
    assert Live().read(str(tmp_path / "huge")).problem == "larger than 32 MiB"


def test_undecodable_bytes_become_replacement_characters(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"a\xffb")
    (tmp_path / os.fsdecode(b"n\xff")).touch()
    assert Live().read(str(tmp_path / "f")).value == "a\ufffdb"
    assert Live().folder(str(tmp_path)).value == ("f", "n\ufffd")


def test_names_may_have_blanks(tmp_path: Path) -> None:
    (tmp_path / "model card.md").touch()
    (tmp_path / "a\u2028b").touch()
    assert Live().folder(str(tmp_path)).value == ("a\u2028b", "model card.md")
    assert Live().folder(str(tmp_path / "..")).is_known
    (tmp_path / "empty").mkdir()
    assert Live().folder(str(tmp_path / "empty")).value == ()


def test_size_and_beginning_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(bytes(range(100)))
    (tmp_path / "link").symlink_to("f")
    assert Live().head(str(tmp_path / "link")).value == Head(100, bytes(range(HEAD)))


def test_a_file_system_has_a_size() -> None:
    space = Live().space("/").value
    assert 0 < space.free <= space.size


def test_sysconf() -> None:
    assert Live().sysconf("SC_PAGESIZE") == Fact("getconf PAGESIZE", os.sysconf("SC_PAGESIZE"))


def test_a_process_without_its_secrets() -> None:
    code = "import sys; print(flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", code, "--api-key", "open sesame", ""]
    env = {"HF_TOKEN": "open sesame", "NCCL_IB_HCA": "rocep1s0f0", "EMPTY": ""}
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=env) as process:
        assert process.stdout is not None
        process.stdout.readline()
        env_seen, argv_seen = Live().environ(process.pid), Live().cmdline(process.pid)
        process.communicate(b"")
    assert env_seen.where == f"/proc/{process.pid}/environ"
    assert {name: env_seen.value[name] for name in env} == {**env, "HF_TOKEN": REMOVED}
    assert argv_seen.value[-3:] == ("--api-key", REMOVED, "")


def test_a_process_that_renamed_itself(tmp_path: Path) -> None:
    from sparkdoctor.doors import files as door

    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/cmdline").write_bytes(b"VLLM::EngineCore\0\0\0\0\0")
    assert door.ask(str(tmp_path), "cmdline", "7") == '["VLLM::EngineCore"]'
    for name in ("cmdline", "environ"):
        (tmp_path / "proc/7" / name).write_bytes(b"")  # a zombie, or between fork and exec
        with pytest.raises(DoorClosed, match="has ended or has only just started"):
            door.ask(str(tmp_path), name, "7")


def test_commands_of_administrators_are_found_with_the_path_of_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(COMMANDS, "nft", (("ldconfig", "--version"), 5.0))  # in /sbin wherever there is a C library
    assert Live().command("nft").value.startswith("ldconfig")


def test_only_named_commands_are_run() -> None:
    with pytest.raises(KeyError):
        Live().command("rm")


def test_another_root_stands_in_for_files_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/dgx-release").write_text("X=1\n")
    system = Live(str(tmp_path))
    assert system.read("/etc/dgx-release") == Fact("/etc/dgx-release", "X=1\n")
    for answer in (system.processes(), system.netlink("links"), system.nvml(), system.sysconf("SC_PAGESIZE")):
        assert answer.problem == f"not asked: only files under {tmp_path} are looked at"
        assert not answer.absent


def test_links_in_a_container_stay_in_the_container(tmp_path: Path) -> None:
    """The kernel would follow an absolute link below /proc/PID/root to our own files."""
    inside = tmp_path / "proc/77/root"
    (inside / "usr/lib").mkdir(parents=True)
    (inside / "usr/lib/f").write_text("the container's")
    (inside / "opt").symlink_to("/usr/lib")
    (inside / "up").symlink_to("../../../../../../../../etc")
    (inside / "around").symlink_to("/around")
    (inside / "file").symlink_to("/opt/f")
    system = Live(str(tmp_path))
    assert system.read("/proc/77/root/opt/f").value == "the container's"
    assert system.read("/proc/77/root/file").value == "the container's"
    assert system.folder("/proc/77/root/opt").value == ("f",)
    assert system.link("/proc/77/root/opt").value == "/usr/lib"
    assert system.folder("/proc/77/root/up").absent
    assert system.read("/proc/77/root/around").problem == "Too many levels of symbolic links"


# Recorded


def test_a_recording_says_absent_only_where_it_knows() -> None:
    system = files(
        {"/dev": folder("null"), "/etc/docker": absent(), "/sys/class/net/lo/mtu": "65536\n", "/x": problem("Nope")}
    )
    assert system.read("/dev/infiniband").absent
    assert system.folder("/dev/infiniband").absent
    assert system.read("/etc/docker/daemon.json").absent
    assert (system.read("/sys/class/net/lo/speed").problem, system.read("/sys/class/net/lo/speed").absent) == (
        "not recorded",
        False,
    )
    assert system.docker("info").problem == "not recorded"
    assert (system.read("/x").problem, system.read("/x").absent) == ("Nope", False)


def test_folders_of_a_recording() -> None:
    system = files({"/sys/class/net/lo/mtu": "1\n", "/sys/class/net/eth0/mtu": "1\n", "/empty": folder()})
    assert system.folder("/sys/class/net").value == ("eth0", "lo")
    assert system.folder("/sys/class/net/").value == ("eth0", "lo")
    assert system.folder("/empty").value == ()


def test_links_of_a_recording_are_followed() -> None:
    from sparkdoctor.archive import Entry

    system = files(
        {
            "/sys/class/infiniband/mlx5_0": Entry(link="../../devices/0000:01:00.0/mlx5_0"),
            "/sys/devices/0000:01:00.0/mlx5_0/fw_ver": "28.45.4028\n",
            "/loop": Entry(link="/loop"),
        }
    )
    assert system.read("/sys/class/infiniband/mlx5_0/fw_ver").value == "28.45.4028\n"
    assert system.folder("/sys/class/infiniband/mlx5_0").value == ("fw_ver",)
    assert system.link("/sys/class/infiniband/mlx5_0").value == "../../devices/0000:01:00.0/mlx5_0"
    assert system.read("/loop").problem == "not recorded"


# Recording


class Answering(System):
    """A machine of given answers."""

    def __init__(self, answers: dict[tuple[Door, str], Fact[str]]) -> None:
        self.answers = answers

    def ask(self, door: Door, subject: str) -> Fact[str]:
        return self.answers[door, subject]


def test_what_was_recorded_is_answered_again() -> None:
    answers: dict[tuple[Door, str], Fact[str]] = {
        ("file", "/a"): Fact("/a", "text without end"),
        ("file", "/b"): Fact("/b", ""),
        ("file", "/c"): Fact("/c", problem="Permission denied"),
        ("folder", "/d"): Fact("/d", "x y\nz"),
        ("folder", "/e"): Fact("/e", ""),
        ("link", "/f"): Fact("/f", "../g"),
        ("file", "/f"): Fact("/f", "what the link leads to\n"),
        ("file", "/d"): Fact("/d", problem="Is a directory"),
        ("head", "/a"): Fact("/a", "16 00ff"),
        ("docker", "info"): Fact("docker info", problem="no", absent=True),
        ("docker", "containers"): Fact("docker ps --all", "[]"),
    }
    recording = Recording(Answering(answers))
    heard = {question: recording.ask(*question) for question in answers}
    assert heard == answers
    again = Recorded(recording.text())
    assert {question: again.ask(*question) for question in answers if question != ("docker", "containers")} == {
        question: answer for question, answer in answers.items() if question != ("docker", "containers")
    }
    assert again.docker("containers").value == []


def test_a_recording_of_this_machine_gives_the_same_answers() -> None:
    recording = Recording(Live())
    paths = ("/proc/meminfo", "/proc/sys/kernel/hostname", "/no/such", "/sys/class/net/lo/speed")
    heard = [recording.read(path) for path in paths]
    tables = [recording.netlink("links"), recording.netlink("addresses"), recording.netlink("routes")]
    names = recording.folder("/sys/class")
    again = Recorded(recording.text())
    assert [again.read(path) for path in paths] == heard
    assert [again.netlink("links"), again.netlink("addresses"), again.netlink("routes")] == tables
    assert again.folder("/sys/class") == names


def test_a_recording_leaves_out_unused_gid_slots_and_connections() -> None:
    table = "/sys/class/infiniband/x/ports/1/gids"
    used = "fe80:0000:0000:0000:5054:00ff:fe00:0110\n"
    tcp = "  sl  local_address rem_address   st\n   0: 00:0016 00:0000 0A\n   1: 00:0016 01:1234 01\n"
    source = files({f"{table}/0": used, f"{table}/1": NO_GID, f"{table}/2": used, "/proc/net/tcp": tcp})
    recording = Recording(source)
    slots = [f"{table}/{slot}" for slot in recording.folder(table).value]
    heard = [recording.read(path) for path in (*slots, "/proc/net/tcp")]
    assert "0000:0000:0000:0000:0000:0000:0000:0000" not in recording.text()
    again = Recorded(recording.text())
    assert again.folder(table).value == ("0", "1", "2")
    assert [again.read(path) for path in slots] == heard[:-1]
    assert again.read("/proc/net/tcp").value == "\n".join(tcp.split("\n")[:2]) + "\n"
    assert again.read(f"{table}/3").absent


def test_a_recording_on_disk_keeps_its_line_ends(tmp_path: Path) -> None:
    recording = Recording(files({"/a": "one\r\ntwo\n"}))
    recording.read("/a")
    (tmp_path / "m.ttar").write_bytes(recording.text().encode())
    assert Recorded.load(tmp_path / "m.ttar").read("/a").value == "one\r\ntwo\n"
