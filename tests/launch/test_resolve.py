"""What one rank will see: who wins over whom, each with the places that lost."""

from __future__ import annotations

from typing import Any

import pytest

from sparkdoctor.fact import CannotTell, Fact, unread
from sparkdoctor.host import UNLIMITED, Host, Image, Mount, Software, Space
from sparkdoctor.launch.resolve import resolve
from sparkdoctor.launch.types import Launch, Spec
from sparkdoctor.testing import changed, healthy_host, healthy_spec

GIB = 1 << 30
DAEMON = "/etc/docker/daemon.json"
DOCKERD = "/proc/1201/limits (dockerd)"


def compose(**fields: Any) -> Spec:
    """A compose service that says nothing but what is given."""
    return Spec(
        **{
            "kind": "compose",
            "title": "c.yaml (service a)",
            "source": "c.yaml",
            "env": Fact("c.yaml:9", {}),
            "argv": Fact("c.yaml:9", ()),
            **fields,
        }
    )


def with_image(env: dict[str, str] | None = None, argv: tuple[str, ...] = (), user: str = "") -> Host:
    image = Image("img:1", "sha256:1", "arm64", (), env or {}, argv, user)
    return healthy_host(docker__images=Fact("docker image inspect", (image,)))


IMAGE = Fact("c.yaml:2", "img:1")
INSPECT = "docker image inspect img:1"


class TestMemlock:
    def test_the_file_beats_the_daemon(self) -> None:
        host = healthy_host(docker__default_ulimits=Fact(DAEMON, {"memlock": 1 << 20}))
        spec = compose(memlock=Fact("c.yaml:5", 4096, over=("base.yaml:3",)))
        assert resolve(spec, host).memlock == Fact("c.yaml:5", 4096, over=("base.yaml:3", DAEMON))
        assert resolve(spec, healthy_host()).memlock == Fact("c.yaml:5", 4096, over=("base.yaml:3",))
        assert resolve(spec, None).memlock == spec.memlock

    def test_the_daemon_beats_what_dockerd_was_started_with(self) -> None:
        host = healthy_host(docker__default_ulimits=Fact(DAEMON, {"memlock": 1 << 20}))
        where = f"{DAEMON}; c.yaml (service a) sets no ulimits.memlock"
        assert resolve(compose(), host).memlock == Fact(where, 1 << 20, over=(DOCKERD,))

    def test_then_a_container_inherits_from_dockerd(self) -> None:
        where = f"{DOCKERD}; c.yaml (service a) sets no ulimits.memlock"
        assert resolve(compose(), healthy_host()).memlock == Fact(where, 8 << 20)

    @pytest.mark.parametrize("field", ["limits__dockerd", "docker__default_ulimits"])
    def test_unreadable_defaults_are_unknown(self, field: str) -> None:
        host = changed(healthy_host(), **{field: unread("/x", "Permission denied")})
        with pytest.raises(CannotTell, match="Permission denied"):
            _ = resolve(compose(), host).memlock.value

    def test_without_a_machine_only_what_is_written_is_known(self) -> None:
        with pytest.raises(
            CannotTell, match=r"sets no ulimits\.memlock, and the machine it will run on was not looked at"
        ):
            _ = resolve(compose(), None).memlock.value

    @pytest.mark.parametrize(
        ("fields", "why"),
        [
            ({"privileged": Fact("c.yaml:7", True)}, "c.yaml:7 (privileged, so the limit does not count)"),
            ({"cap_add": Fact("c.yaml:8", ("IPC_LOCK",))}, "c.yaml:8 (IPC_LOCK, so the limit does not count)"),
            ({"cap_add": Fact("c.yaml:8", ("cap_ipc_lock",))}, "c.yaml:8 (IPC_LOCK, so the limit does not count)"),
            ({"cap_add": Fact("c.yaml:8", ("SYS_PTRACE", "ALL"))}, "c.yaml:8 (IPC_LOCK, so the limit does not count)"),
        ],
    )
    def test_a_capability_makes_the_limit_moot(self, fields: dict[str, Any], why: str) -> None:
        spec = compose(memlock=Fact("c.yaml:5", 4096, over=("base.yaml:3",)), **fields)
        assert resolve(spec, healthy_host()).memlock == Fact(why, UNLIMITED, over=("c.yaml:5", "base.yaml:3"))
        assert resolve(spec, None).memlock.value == UNLIMITED

    @pytest.mark.parametrize("user", ["1000", "1000:1000", "vllm"])
    def test_not_for_another_user(self, user: str) -> None:
        spec = compose(memlock=Fact("c.yaml:5", 4096), privileged=Fact("c.yaml:7", True), user=Fact("c.yaml:8", user))
        assert resolve(spec, healthy_host()).memlock == Fact("c.yaml:5", 4096)

    @pytest.mark.parametrize("user", ["0", "root:root", ""])
    def test_but_for_root(self, user: str) -> None:
        spec = compose(memlock=Fact("c.yaml:5", 4096), privileged=Fact("c.yaml:7", True), user=Fact("c.yaml:8", user))
        assert resolve(spec, healthy_host()).memlock.value == UNLIMITED

    def test_the_image_names_the_user_when_the_file_does_not(self) -> None:
        spec = compose(memlock=Fact("c.yaml:5", 4096), privileged=Fact("c.yaml:7", True), image=IMAGE)
        assert resolve(spec, with_image(user="1000")).memlock == Fact("c.yaml:5", 4096)
        as_root = changed(spec, user=Fact("c.yaml:8", "root"))
        assert resolve(as_root, with_image(user="1000")).memlock.value == UNLIMITED

    def test_not_in_rootless_docker(self) -> None:
        spec = compose(memlock=Fact("c.yaml:5", 4096), cap_add=Fact("c.yaml:8", ("IPC_LOCK",)))
        host = healthy_host(docker__rootless=Fact("docker info", True))
        assert resolve(spec, host).memlock == Fact("c.yaml:5", 4096)

    def test_privileged_false_is_nothing(self) -> None:
        spec = compose(memlock=Fact("c.yaml:5", 4096), privileged=Fact("c.yaml:7", False))
        assert resolve(spec, healthy_host()).memlock == Fact("c.yaml:5", 4096)

    def test_a_process_knows_best(self) -> None:
        spec = compose(kind="process", memlock=Fact("/proc/7/limits", 4096), container="4f", privileged=Fact("x", True))
        host = healthy_host(docker__default_ulimits=Fact(DAEMON, {"memlock": 1}))
        assert resolve(spec, host).memlock == Fact("/proc/7/limits", 4096)

    def test_a_shell_on_the_host_has_its_own(self) -> None:
        assert resolve(compose(kind="shell"), healthy_host()).memlock == Fact("/proc/self/limits", UNLIMITED)


class TestShm:
    HOST = "/dev/shm of spark-1"

    def test_ipc_host_beats_shm_size(self) -> None:
        spec = compose(ipc=Fact("c.yaml:6", "host"), shm_size=Fact("c.yaml:7", GIB, over=("base.yaml:2",)))
        found = resolve(spec, healthy_host(memory__shm=Fact("df /dev/shm", Space(60 * GIB, GIB)))).shm
        assert found == Fact(f"{self.HOST}; ipc: host, c.yaml:6", 60 * GIB, over=("c.yaml:7", "base.yaml:2"))

    def test_a_mount_beats_both(self) -> None:
        spec = compose(
            ipc=Fact("c.yaml:6", "host"),
            shm_size=Fact("c.yaml:7", GIB),
            mounts=Fact("c.yaml:8", (Mount("/dev/shm", "/dev/shm/"),)),
        )
        found = resolve(spec, healthy_host(memory__shm=Fact("df /dev/shm", Space(60 * GIB, GIB)))).shm
        assert found == Fact(f"{self.HOST}; c.yaml:8 mounts it", 60 * GIB, over=("c.yaml:7", "c.yaml:6"))

    def test_a_mount_of_something_else_is_unknown(self) -> None:
        spec = compose(mounts=Fact("c.yaml:8", (Mount("/big", "/dev/shm"),)), shm_size=Fact("c.yaml:7", GIB))
        with pytest.raises(CannotTell, match=r"c\.yaml:8: /dev/shm is /big, whose size was not looked at"):
            _ = resolve(spec, healthy_host()).shm.value

    def test_a_tmpfs_of_its_own_is_its_size(self) -> None:
        spec = compose(
            ipc=Fact("c.yaml:6", "host"),
            mounts=Fact("c.yaml:8", (Mount("tmpfs", "/dev/shm"),)),
            shm_size=Fact("c.yaml:9", 2 * GIB),
        )
        assert resolve(spec, healthy_host()).shm == Fact("c.yaml:9", 2 * GIB)

    def test_shm_size_beats_the_default(self) -> None:
        spec = compose(shm_size=Fact("c.yaml:7", GIB), ipc=Fact("c.yaml:6", "private"))
        assert resolve(spec, healthy_host()).shm == Fact("c.yaml:7", GIB)

    def test_the_default_is_dockers(self) -> None:
        silent = "c.yaml (service a) sets neither shm_size nor ipc: host"
        assert resolve(compose(), healthy_host()).shm == Fact(f"Docker's default; {silent}", 64 << 20)
        host = healthy_host(docker__default_shm_size=Fact(DAEMON, 2 * GIB))
        assert resolve(compose(), host).shm == Fact(f"{DAEMON}; {silent}", 2 * GIB)
        assert resolve(compose(), None).shm == Fact(f"{silent}; Docker's default", 64 << 20)

    @pytest.mark.parametrize("mode", ["container:other", "service:head"])
    def test_that_of_another_container_is_unknown(self, mode: str) -> None:
        with pytest.raises(CannotTell, match=f"/dev/shm is that of {mode}"):
            _ = resolve(compose(ipc=Fact("c.yaml:6", mode)), healthy_host()).shm.value

    def test_ipc_none_has_no_shm(self) -> None:
        spec = compose(ipc=Fact("c.yaml:6", "none"), shm_size=Fact("c.yaml:7", GIB))
        assert resolve(spec, healthy_host()).shm == Fact(
            "c.yaml:6 (ipc: none mounts no /dev/shm)", 0, over=("c.yaml:7",)
        )

    def test_an_unreadable_or_unseen_machine_is_unknown(self) -> None:
        spec = compose(ipc=Fact("c.yaml:6", "host"))
        with pytest.raises(CannotTell, match="was not looked at"):
            _ = resolve(spec, None).shm.value
        host = healthy_host(memory__shm=unread("df /dev/shm", "Permission denied"))
        with pytest.raises(CannotTell, match="Permission denied"):
            _ = resolve(spec, host).shm.value
        with pytest.raises(CannotTell, match="Permission denied"):
            _ = resolve(compose(ipc=unread("docker inspect x", "Permission denied")), host).shm.value

    def test_a_process_knows_best_and_may_not_have_been_looked_at(self) -> None:
        spec = compose(kind="process", shm_size=Fact("df /proc/7/root/dev/shm", GIB), ipc=Fact("x", "host"))
        assert resolve(spec, healthy_host()).shm == Fact("df /proc/7/root/dev/shm", GIB)
        with pytest.raises(CannotTell, match="was not looked at"):
            _ = resolve(changed(spec, shm_size=None), healthy_host()).shm.value

    def test_a_shell_sees_the_machines(self) -> None:
        assert resolve(compose(kind="shell"), healthy_host()).shm.where == f"{self.HOST}; the process runs on the host"


class TestInfiniband:
    FILES = ("rdma_cm", "uverbs0", "uverbs1", "uverbs2", "uverbs3")

    def found(self, spec: Spec, host: Host | None) -> Fact[tuple[str, ...]]:
        return resolve(spec, host).infiniband

    def test_the_folder_passes_all(self) -> None:
        spec = compose(devices=Fact("c.yaml:5", ("/dev/infiniband/",)))
        assert self.found(spec, healthy_host()) == Fact("/dev/infiniband; c.yaml:5", self.FILES)

    def test_single_devices_pass_themselves(self) -> None:
        spec = compose(devices=Fact("c.yaml:5", ("/dev/infiniband/uverbs1", "/dev/infiniband/uverbs9", "/dev/fuse")))
        assert self.found(spec, healthy_host()) == Fact("/dev/infiniband; c.yaml:5", ("uverbs1",))

    def test_privileged_passes_all(self) -> None:
        spec = compose(privileged=Fact("c.yaml:4", True), devices=Fact("c.yaml:5", ("/dev/fuse",)))
        assert self.found(spec, healthy_host()) == Fact("/dev/infiniband; c.yaml:4", self.FILES)

    def test_none_is_passed(self) -> None:
        assert self.found(compose(), healthy_host()) == Fact("c.yaml (service a) passes no device", ())
        spec = compose(devices=Fact("c.yaml:5", ("/dev/fuse",)), privileged=Fact("c.yaml:4", False))
        assert self.found(spec, healthy_host()) == Fact("c.yaml:5", ())
        assert self.found(spec, None) == Fact("c.yaml:5", ())

    @pytest.mark.parametrize("target", ["/dev/infiniband", "/dev"])
    def test_a_mount_alone_gives_no_access_that_we_know_of(self, target: str) -> None:
        spec = compose(mounts=Fact("c.yaml:8", (Mount(target, target),)))
        with pytest.raises(CannotTell, match="no device is passed"):
            _ = self.found(spec, healthy_host()).value

    def test_unknown_stays_unknown(self) -> None:
        host = healthy_host()
        for fields in (
            {"devices": unread("docker inspect x", "no answer")},
            {"privileged": unread("docker inspect x", "no answer")},
        ):
            with pytest.raises(CannotTell, match="no answer"):
                _ = self.found(compose(**fields), host).value
        with pytest.raises(CannotTell, match="was not looked at"):
            _ = self.found(compose(devices=Fact("c.yaml:5", ("/dev/infiniband",))), None).value
        unreadable = healthy_host(rdma__device_files=unread("/dev/infiniband", "Permission denied"))
        with pytest.raises(CannotTell, match="Permission denied"):
            _ = self.found(compose(privileged=Fact("c.yaml:4", True)), unreadable).value

    def test_a_process_knows_best_and_the_host_sees_all(self) -> None:
        spec = compose(kind="process", container="4f", devices=Fact("/proc/7/root/dev/infiniband", ("uverbs0",)))
        assert self.found(spec, healthy_host()) == Fact("/proc/7/root/dev/infiniband", ("uverbs0",))
        assert self.found(compose(kind="shell"), healthy_host()) == Fact("/dev/infiniband", self.FILES)


class TestEnvironmentAndCommand:
    def test_the_file_beats_the_image(self) -> None:
        spec = compose(image=IMAGE, env=Fact("c.yaml:9", {"A": Fact("c.yaml:10", "1", over=("a.env:2",))}))
        launch = resolve(spec, with_image({"A": "0", "B": "2"}))
        assert launch.env == Fact(
            "c.yaml:9", {"A": Fact("c.yaml:10", "1", over=("a.env:2", INSPECT)), "B": Fact(INSPECT, "2")}
        )

    def test_an_unset_variable_takes_the_images_away(self) -> None:
        spec = compose(image=IMAGE, unset=("NCCL_IB_HCA",))
        assert resolve(spec, with_image({"NCCL_IB_HCA": "mlx5", "B": "2"})).env.value == {"B": Fact(INSPECT, "2")}

    def test_an_image_is_found_by_its_id_too(self) -> None:
        spec = compose(image=Fact("c.yaml:2", "sha256:1"))
        assert resolve(spec, with_image({"B": "2"})).env.value == {"B": Fact(INSPECT, "2")}

    def test_an_image_that_is_not_there_adds_nothing(self) -> None:
        spec = compose(image=Fact("c.yaml:2", "other"))
        assert resolve(spec, with_image({"B": "2"})).env.value == {}

    def test_the_images_command_counts_when_the_file_has_none(self) -> None:
        argv = ("/bin/bash", "-c", "export A=2 C=3; exec vllm serve m --port 80")
        launch = resolve(compose(image=IMAGE), with_image({"A": "1"}, argv))
        assert launch.flags.value == {"model": Fact(INSPECT, "m"), "port": Fact(INSPECT, "80")}
        assert launch.env.value == {"A": Fact(INSPECT, "2", over=(INSPECT,)), "C": Fact(INSPECT, "3")}

    def test_the_files_command_keeps_its_places(self) -> None:
        spec = compose(
            image=IMAGE,
            argv=Fact("c.yaml:11", ("vllm", "serve", "m", "--port", "80")),
            places=tuple(f"c.yaml:{line}" for line in range(12, 17)),
        )
        flags = resolve(spec, with_image(argv=("vllm", "serve", "other"))).flags
        assert flags == Fact("c.yaml:11", {"model": Fact("c.yaml:14", "m"), "port": Fact("c.yaml:16", "80")})

    def test_a_containers_shell_is_taken_off(self) -> None:
        spec = compose(
            kind="container",
            argv=Fact("docker inspect x", ("bash", "-lc", 'exec vllm serve m --node-rank "$R" ${H:+--headless}')),
            env=Fact("docker inspect x", {"R": Fact("docker inspect x", "1"), "H": Fact("docker inspect x", "")}),
        )
        assert {name: fact.value for name, fact in resolve(spec, None).flags.value.items()} == {
            "model": "m",
            "node-rank": "1",
        }

    def test_an_unreadable_command_or_environment_is_unknown(self) -> None:
        spec = compose(kind="process", argv=unread("/proc/7/cmdline", "Permission denied"))
        assert not resolve(spec, healthy_host()).flags.is_known
        spec = compose(kind="process", env=unread("/proc/7/environ", "Permission denied"))
        assert not resolve(spec, healthy_host()).env.is_known


class TestNetworkAndTheRest:
    @pytest.mark.parametrize(
        ("fields", "value"),
        [
            ({"network_mode": Fact("c.yaml:3", "host")}, True),
            ({"network_mode": Fact("c.yaml:3", "bridge")}, False),
            ({}, False),
            ({"kind": "shell"}, True),
            ({"kind": "process"}, True),
            ({"kind": "process", "container": "4f", "network_mode": Fact("docker inspect x", "host")}, True),
            ({"kind": "process", "container": "4f", "network_mode": Fact("docker inspect x", "none")}, False),
        ],
    )
    def test_host_network(self, fields: dict[str, Any], value: bool) -> None:
        assert resolve(compose(**fields), None).host_network.value is value

    @pytest.mark.parametrize("mode", ["service:vpn", "container:4f"])
    def test_the_network_of_another_container_is_unknown(self, mode: str) -> None:
        with pytest.raises(CannotTell, match=f"c.yaml:3: the network is that of {mode}"):
            _ = resolve(compose(network_mode=Fact("c.yaml:3", mode)), None).host_network.value

    def test_predicted_or_seen(self) -> None:
        assert not resolve(compose(), None).seen
        assert all(resolve(compose(kind=kind), None).seen for kind in ("container", "process", "shell"))

    def test_the_software_of_the_image_or_of_a_container_made_from_it(self) -> None:
        host = with_image()
        assert resolve(compose(image=IMAGE), host).software is None
        known = Software("image:img:1", Fact("x", {}), Fact("x", ()), Fact("x", ()))
        launch: Launch = resolve(compose(image=IMAGE), changed(host, software=(known,)))
        assert launch.software == known
        assert resolve(compose(image=IMAGE), None).software is None

    def test_the_healthy_rank_is_healthy(self) -> None:
        launch = resolve(healthy_spec(1), healthy_host(1))
        assert launch.memlock.value == UNLIMITED
        assert launch.infiniband.value == TestInfiniband.FILES
        assert launch.host_network.value
        assert launch.flags.value["node-rank"].value == "1"
