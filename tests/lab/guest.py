"""One QEMU guest: boot it, run commands in it over ssh, pull its cables, end it."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from tests.lab.image import Arch, Image
from tests.lab.poll import wait_for

User = Literal["root", "spark"]

QEMU = {"arm64": "qemu-system-aarch64", "amd64": "qemu-system-x86_64"}
PACKAGE = {"arm64": "qemu-system-arm", "amd64": "qemu-system-x86"}
"""The Debian package of each emulator."""

# Always emulated: /dev/kvm opens on machines where no stock kernel boots under it, and arm64
# guests on an x86 host have no other way.
MACHINE = {
    "arm64": ["-machine", "virt", "-cpu", "cortex-a72"],
    "amd64": ["-machine", "q35", "-cpu", "max"],
}
CONSOLE = {"arm64": "ttyAMA0", "amd64": "ttyS0"}

BOOT_TIMEOUT = 300.0
"""Seconds; ten is usual, a minute on a machine busy with other things."""


@dataclass(frozen=True)
class Nic:
    """An interface of a guest: its name in there, the end of its MAC address, where its cable goes."""

    name: str
    mac: int
    cable: str = ""
    """Name of the cable between the two guests, empty for a port without one."""
    speed: int = 0
    """Mb/s, 0 for unknown."""


NICS = (
    Nic("enP7s7", 0x10, "lan", 10_000),
    Nic("enp1s0f0np0", 0x20, "rail0", 200_000),
    Nic("enp1s0f1np1", 0x21),
    Nic("enP2p1s0f0np0", 0x22, "rail1", 200_000),
    Nic("enP2p1s0f1np1", 0x23),
)
"""In the order in which a Spark's kernel numbers them; wlP9s9 comes last and leads to the host."""


class GuestError(AssertionError):
    """A command in a guest failed."""


@dataclass
class Guest:
    """A running guest. Make one with `boot`."""

    name: str
    node: Literal[1, 2]
    image: Image
    run_folder: Path
    process: subprocess.Popen[bytes]
    qmp: Qmp | None = None
    port: int = 0
    """Where its sshd answers on 127.0.0.1. This and `qmp` are known once it is ready."""

    @property
    def console(self) -> Path:
        return self.run_folder / f"console{self.node}"

    def run(
        self, command: str, user: User = "root", *, check: bool = True, timeout: float = 120, stdin: str | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a shell command. Raises GuestError with its output when it fails and `check` is on."""
        done = subprocess.run(
            [*self._ssh(user), command], capture_output=True, text=True, timeout=timeout, input=stdin or "",
            check=False,
        )  # fmt: skip
        if check and done.returncode:
            raise GuestError(f"{user}@{self.name}: {command}\nexit {done.returncode}\n{done.stdout}{done.stderr}")
        return done

    def text(self, command: str, user: User = "root") -> str:
        """Standard output of a command, stripped."""
        return self.run(command, user).stdout.strip()

    def start(self, command: str, user: User = "root") -> subprocess.Popen[str]:
        """Start a command and do not wait for it; its three streams are pipes."""
        return subprocess.Popen(
            [*self._ssh(user), command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            text=True,
        )  # fmt: skip

    def write(self, path: str, text: str, user: User = "root") -> None:
        self.run(f"cat > {shlex.quote(path)}", user, stdin=text)

    def feed(self, command: str, data: bytes) -> None:
        """Run a command with bytes for standard input. Raises GuestError when it fails."""
        done = subprocess.run([*self._ssh("root"), command], input=data, capture_output=True, timeout=120, check=False)
        if done.returncode:
            raise GuestError(f"root@{self.name}: {command}\n{done.stderr.decode(errors='replace')}")

    def send(self, folder: Path, target: str) -> None:
        """Copy what is in a folder of this machine into one of the guest."""
        pack = subprocess.run(["tar", "-C", folder, "-cf", "-", "."], stdout=subprocess.PIPE, check=True)
        self.feed(f"mkdir -p {target} && tar -xf - --no-same-owner -C {target}", pack.stdout)

    def cable(self, nic: str, *, plugged: bool) -> None:
        """Pull this guest's end of a cable, or put it back."""
        self.ask_qemu("set_link", name=nic, up=plugged)

    def ask_qemu(self, command: str, **arguments: Any) -> Any:
        """A command of QEMU's machine protocol."""
        assert self.qmp is not None, f"{self.name} is not ready"
        return self.qmp.ask(command, **arguments)

    def ssh_options(self, user: User) -> list[str]:
        """Options with which ssh and anything built on it enters this guest."""
        options = {
            "IdentityFile": self.image.key,
            "IdentitiesOnly": "yes",
            "UserKnownHostsFile": self.image.known_hosts,
            "StrictHostKeyChecking": "yes",
            "ControlMaster": "auto",
            "ControlPersist": "yes",
            "ControlPath": self.run_folder / f"ssh{self.node}-{user}",
            "LogLevel": "ERROR",
            "Port": self.port,
        }
        return ["-F", "/dev/null", *(f"-o{name}={value}" for name, value in options.items())]

    def _ssh(self, user: User) -> list[str]:
        return ["ssh", *self.ssh_options(user), f"{user}@127.0.0.1"]

    def new_login(self, user: User = "spark") -> None:
        """End the ssh connection that is kept for a user: the next command logs in anew, with new limits."""
        subprocess.run([*self._ssh(user)[:-1], "-Oexit", f"{user}@127.0.0.1"], capture_output=True, check=False)

    def stop(self) -> None:
        """End the guest and the connections to it."""
        for user in ("root", "spark"):
            self.new_login(user)
        if self.qmp is not None:
            self.qmp.close()
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def missing_programs(arch: Arch) -> list[str]:
    """What cannot be found of the programs that boot and enter a guest."""
    needed = {QEMU[arch]: PACKAGE[arch], "ssh": "openssh-client", "setpriv": "util-linux"}
    return [f"{name} (package {package})" for name, package in needed.items() if not shutil.which(name)]


def boot(image: Image, disks: dict[str, Path], node: Literal[1, 2], run_folder: Path) -> Guest:
    """Start QEMU for guest 1 or 2; `wait_until_ready` it before use.

    Nothing it sends leaves this machine: cables are unix sockets in `run_folder`, and the
    Wi-Fi is QEMU's user network, restricted, with one port forwarded from 127.0.0.1.
    """
    console = run_folder / f"console{node}"
    errors = (run_folder / f"qemu{node}").open("wb")
    process = subprocess.Popen(
        [
            "setpriv", "--pdeathsig", "TERM",  # a guest does not outlive the tests
            QEMU[image.arch], *MACHINE[image.arch], "-accel", "tcg,thread=multi", "-smp", "1", "-m", "6144",
            "-name", f"spark-0{node}", "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot",
            "-kernel", str(image.kernel), "-initrd", str(image.initrd), "-append",
            f"console={CONSOLE[image.arch]} quiet panic=-1 mitigations=off net.ifnames=0 lab.node={node}",
            "-chardev", f"file,id=console,path={console}", "-serial", "chardev:console",
            "-qmp", f"unix:{run_folder}/qmp{node},server=on,wait=off", "-device", "virtio-rng-pci",
            *_disks({"root": image.root, **disks}), *_nics(node, run_folder),
        ],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors,
    )  # fmt: skip
    errors.close()
    return Guest(f"spark-0{node}", node, image, run_folder, process)


def _disks(disks: dict[str, Path]) -> list[str]:
    options = []
    for serial, path in disks.items():
        options += ["-drive", f"id={serial},file={path},format=raw,if=none,readonly=on"]
        options += ["-device", f"virtio-blk-pci,drive={serial},serial={serial}"]
    return options


def _nics(node: int, run_folder: Path) -> list[str]:
    options = []
    for at, nic in enumerate(NICS):
        if nic.cable:
            mine, peer = (f"{run_folder}/{nic.cable}.{end}" for end in (node, 3 - node))
            backend = f"dgram,id=net{at},local.type=unix,local.path={mine},remote.type=unix,remote.path={peer}"
        else:
            backend = f"hubport,id=net{at},hubid={at}"
        speed = f",speed={nic.speed},duplex=full" if nic.speed else ""
        device = f"virtio-net-pci,netdev=net{at},id={nic.name},mac=52:54:00:0{node}:00:{nic.mac:x},host_mtu=9000"
        options += ["-netdev", backend, "-device", f"{device}{speed},romfile="]
    wifi = f"user,id=wifi,restrict=on,net=10.0.2.0/24,hostfwd=tcp:127.0.0.1:0-10.0.2.{7 + node}:22"
    device = f"virtio-net-pci,netdev=wifi,id=wlP9s9,mac=52:54:00:0{node}:00:30,romfile="
    return [*options, "-netdev", wifi, "-device", device]


def wait_until_ready(guest: Guest) -> None:
    """Wait for the guest's own word on its console, then for its sshd. Raises GuestError when it ended instead."""

    def said_so() -> bool:
        if guest.process.poll() is not None:
            raise GuestError(f"{guest.name} ended: {(guest.run_folder / f'qemu{guest.node}').read_text()}")
        return guest.console.exists() and "READY" in guest.console.read_text(errors="replace")

    socket_path = guest.run_folder / f"qmp{guest.node}"
    wait_for(f"{guest.name}'s monitor", lambda: socket_path.exists() or said_so(), 30)
    guest.qmp = Qmp(socket_path)
    for nic in NICS:
        if not nic.cable:
            guest.cable(nic.name, plugged=False)
    table = guest.ask_qemu("human-monitor-command", **{"command-line": "info usernet"})
    forwarded = re.search(r"TCP\[HOST_FORWARD\]\s+\d+\s+127\.0\.0\.1\s+(\d+)", table)
    if forwarded is None:
        raise GuestError(f"{guest.name}: no forwarded port in {table!r}")
    guest.port = int(forwarded[1])
    wait_for(f"{guest.name} to be ready", said_so, BOOT_TIMEOUT)
    guest.run("true")


class Qmp:
    """QEMU's machine protocol over a unix socket (docs/interop/qmp-spec.rst of QEMU)."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(30)
        self._socket.connect(str(path))
        self._stream = self._socket.makefile("rw")
        self._stream.readline()
        self.ask("qmp_capabilities")

    def close(self) -> None:
        self._stream.close()
        self._socket.close()

    def ask(self, command: str, **arguments: Any) -> Any:
        """One command's `return`. Raises GuestError for its `error`."""
        self._stream.write(json.dumps({"execute": command, "arguments": arguments}) + "\n")
        self._stream.flush()
        while True:
            answer = json.loads(self._stream.readline())
            if "error" in answer:
                raise GuestError(f"QEMU: {command}: {answer['error']['desc']}")
            if "return" in answer:
                return answer["return"]
