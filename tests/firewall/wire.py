"""Two network namespaces and a cable between them, to see what a real packet filter does with real packets."""

from __future__ import annotations

import ctypes
import errno
import os
import select
import shutil
import socket
import struct
import subprocess
from collections.abc import Callable

from sparkdoctor.fact import Fact, unread
from sparkdoctor.facts.firewall import firewall
from sparkdoctor.host import Firewall
from sparkdoctor.system import COMMANDS, Door, System

PORTS = (22, 4791, 25000, 40000)
PEER, OWN = "10.9.0.9", "10.9.0.8"
PEER6, OWN6 = "fd09::9", "fd09::8"
NIC = "enp1s0f0np0"
OWN_SIDE, PEER_SIDE = f"sdown{os.getpid()}", f"sdpeer{os.getpid()}"
"""The namespaces; another run of the tests beside this one has its own."""
HARDWARE = {PEER_SIDE: "02:00:00:00:00:09", OWN_SIDE: "02:00:00:00:00:08"}
EXPERIMENTAL = 0x88B5
"""An ethertype for experiments (IEEE 802), which no rule of these tests looks at."""
ETH_P_ALL = 3
CLONE_NEWNET = 0x40000000


def why_not() -> str:
    """Why no cable can be had here, empty when one can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    missing = [name for name in ("ip", "nft") if not shutil.which(name, path=f"{os.defpath}:/usr/sbin:/sbin")]
    if missing:
        return f"{' and '.join(missing)} not installed"
    probe = f"sdprobe{os.getpid()}"
    try:
        run(f"ip netns add {probe}")
        try:
            run(f"ip netns exec {probe} nft add table inet t")
        finally:
            run(f"ip netns del {probe}")
    except subprocess.CalledProcessError as error:
        return f"not permitted: {error.stderr.strip()}"
    return ""


def run(command: str, stdin: str = "") -> str:
    path = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"
    done = subprocess.run(
        command.split(" "), input=stdin, text=True, capture_output=True, check=True, env={**os.environ, "PATH": path}
    )
    return done.stdout


class _Namespace(System):
    """Runs the commands in the namespace of the filter; has no tables of the older iptables."""

    def ask(self, door: Door, subject: str) -> Fact[str]:
        if door == "file":
            return unread(subject, "No such file or directory", absent=True)
        assert door == "command"
        return Fact(subject, run(f"ip netns exec {OWN_SIDE} {' '.join(COMMANDS[subject][0])}"))


class Wire:
    """The own side has the filter, the other one has none. Everything happens on one CPU, so frames keep their order:
    one that was sent last is seen last, and then the fate of those before it is settled."""

    def __init__(self) -> None:
        self._cpus = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {min(self._cpus)})
        self._sockets: list[socket.socket] = []
        self.close_namespaces()
        for name in HARDWARE:
            run(f"ip netns add {name}")
        run(f"ip link add {NIC} netns {OWN_SIDE} type veth peer name peer0 netns {PEER_SIDE}")
        for name, nic, own, own6, other, other6 in (
            (OWN_SIDE, NIC, OWN, OWN6, PEER, PEER6),
            (PEER_SIDE, "peer0", PEER, PEER6, OWN, OWN6),
        ):
            neighbour = HARDWARE[PEER_SIDE if name == OWN_SIDE else OWN_SIDE]
            for command in (
                f"link set {nic} address {HARDWARE[name]} mtu 9000",
                f"address add {own}/24 dev {nic}",
                f"address add {own6}/64 dev {nic} nodad",
                f"link set {nic} up",
                "link set lo up",
                f"neigh replace {other} lladdr {neighbour} nud permanent dev {nic}",
                f"neigh replace {other6} lladdr {neighbour} nud permanent dev {nic}",
            ):
                run(f"ip -n {name} {command}")
        self._taps = {
            name: self._in(name, lambda nic=nic: _tap(nic))  # type: ignore[misc]
            for name, nic in ((OWN_SIDE, NIC), (PEER_SIDE, "peer0"))
        }
        self._udp = {port: self._in(OWN_SIDE, lambda port=port: _bound(socket.SOCK_DGRAM, port)) for port in PORTS}  # type: ignore[misc]
        for port in PORTS:
            self._in(OWN_SIDE, lambda port=port: _bound(socket.SOCK_STREAM, port))  # type: ignore[misc]

    def load(self, ruleset: str) -> None:
        try:
            run(f"ip netns exec {OWN_SIDE} nft -f -", f"flush ruleset\n{ruleset}")
        except subprocess.CalledProcessError as error:
            raise AssertionError(f"nft refuses it: {error.stderr}") from None

    def known(self) -> Firewall:
        """What sparkdoctor makes of the rules, asked of nft as it asks on any machine."""
        return firewall(_Namespace()).value

    def comes_in(self, protocol: str, port: int, length: int = 0, version: int = 4) -> bool:
        """Whether a packet of the peer reaches its socket. `length`: bytes of a UDP packet from its IP header on."""
        return self._udp_in(port, length, version) if protocol == "udp" else self._tcp_in(port, version)

    def goes_out(self, port: int, length: int, version: int = 4) -> bool:
        """Whether a UDP packet gets to the peer."""
        with self._in(OWN_SIDE, lambda: _socket(socket.SOCK_DGRAM, version)) as sender:
            self._drain()
            try:
                sender.sendto(_payload(length, version), (PEER if version == 4 else PEER6, port))
            except OSError as error:
                if error.errno not in (errno.EPERM, errno.ECONNREFUSED, errno.EHOSTUNREACH, errno.EACCES):
                    raise
            return any(_is_udp_to(frame, port) for frame in self._until_sentinel(OWN_SIDE, PEER_SIDE))

    def _udp_in(self, port: int, length: int, version: int) -> bool:
        receiver = self._udp[port]
        with self._in(PEER_SIDE, lambda: _socket(socket.SOCK_DGRAM, version)) as sender:
            self._drain()
            sender.sendto(_payload(length, version), (OWN if version == 4 else OWN6, port))
            self._until_sentinel(PEER_SIDE, OWN_SIDE)
        try:
            receiver.recv(1 << 16, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True

    def _tcp_in(self, port: int, version: int) -> bool:
        with self._in(PEER_SIDE, lambda: _socket(socket.SOCK_STREAM, version)) as sender:
            self._drain()
            sender.setblocking(False)
            sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            sender.connect_ex((OWN if version == 4 else OWN6, port))
            frames = self._until_sentinel(PEER_SIDE, OWN_SIDE)
        return any(_is_syn_ack(frame, port) for frame in frames)

    def _drain(self) -> None:
        """A tap that nobody reads fills up, and then the sentinel is lost."""
        for tap in self._taps.values():
            while select.select([tap], [], [], 0)[0]:
                tap.recv(1 << 16)

    def _until_sentinel(self, sender: str, receiver: str) -> list[bytes]:
        """Send a frame that no filter sees, and give what was on the wire at the receiver before it."""
        mark = os.urandom(16)
        nic = NIC if sender == OWN_SIDE else "peer0"
        header = bytes.fromhex((HARDWARE[receiver] + HARDWARE[sender]).replace(":", "")) + struct.pack(
            ">H", EXPERIMENTAL
        )
        self._taps[sender].sendto(header + mark + bytes(30), (nic, 0))
        frames: list[bytes] = []
        while True:
            frame = self._taps[receiver].recv(1 << 16)
            if mark in frame:
                return frames
            frames.append(frame)

    def _in(self, namespace: str, make: Callable[[], socket.socket]) -> socket.socket:
        """A socket stays in the namespace that it was made in."""
        libc = ctypes.CDLL(None, use_errno=True)
        own = os.open("/proc/self/ns/net", os.O_RDONLY)
        there = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
        try:
            if libc.setns(there, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
            made = make()
            self._sockets.append(made)
            return made
        finally:
            libc.setns(own, CLONE_NEWNET)
            os.close(own)
            os.close(there)

    def close(self) -> None:
        for one in self._sockets:
            one.close()
        self.close_namespaces()
        os.sched_setaffinity(0, self._cpus)

    @staticmethod
    def close_namespaces() -> None:
        there = run("ip netns list").split()
        for name in HARDWARE:
            if name in there:
                run(f"ip netns del {name}")


def _tap(nic: str) -> socket.socket:
    tap = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    tap.bind((nic, ETH_P_ALL))
    tap.settimeout(10)
    return tap


def _socket(kind: int, version: int) -> socket.socket:
    return socket.socket(socket.AF_INET if version == 4 else socket.AF_INET6, kind)


def _bound(kind: int, port: int) -> socket.socket:
    """On all addresses of both families."""
    one = socket.socket(socket.AF_INET6, kind)
    one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    one.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        one.listen(1024)
    return one


def _payload(length: int, version: int) -> bytes:
    return bytes(max(0, length - (28 if version == 4 else 48)))


def _transport(frame: bytes) -> tuple[int, bytes]:
    """Protocol number and what follows the IP header, which has no options here."""
    match struct.unpack(">H", frame[12:14])[0]:
        case 0x0800:
            return frame[23], frame[34:]
        case 0x86DD:
            return frame[20], frame[54:]
    return 0, b""


def _is_udp_to(frame: bytes, port: int) -> bool:
    protocol, rest = _transport(frame)
    return protocol == socket.IPPROTO_UDP and struct.unpack(">H", rest[2:4])[0] == port


def _is_syn_ack(frame: bytes, port: int) -> bool:
    protocol, rest = _transport(frame)
    return protocol == socket.IPPROTO_TCP and struct.unpack(">H", rest[:2])[0] == port and rest[13] & 0x12 == 0x12
