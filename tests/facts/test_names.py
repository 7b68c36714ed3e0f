from __future__ import annotations

import socket
from pathlib import Path

import pytest

from sparkdoctor.facts.names import hosts, listening, parse_hosts, parse_tcp
from sparkdoctor.host import Listener
from sparkdoctor.system import Live, Recorded

# A little-endian machine with sshd on every address and a name server on 127.0.0.53.
TCP = """\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 3500007F:0035 00000000:0000 0A 00000000:00000000 00:00000000 00000000   101        0 18042 1 0 100 0 0 10 0
   1: 00000000:0016 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 19384 1 0 100 0 0 10 0
   2: 0800A8C0:0016 0900A8C0:D431 01 00000000:00000000 02:0009C1F2 00000000     0        0 77310 2 0 20 4 30 10 -1
"""
TCP6 = """\
  sl  local_address                         remote_address                        st tx_queue rx_queue tr tm->when
   0: 00000000000000000000000000000000:1F40 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
   1: 000080FE00000000FF47BB4E01000000:1F90 00000000000000000000000000000000:0000 0A 00000000:00000000 00:00000000
"""


def recorded(**files: str) -> Recorded:
    """A machine of these files; an empty text is a file that is not there."""
    blocks = [
        f"Path: {path}\nLines: {text.count(chr(10))}\n{text}"
        if text
        else f"Path: {path}\nAbsent: No such file or directory\n"
        for path, text in files.items()
    ]
    return Recorded("# ttar - - -\n".join(blocks))


def test_listeners_of_both_families_in_port_order() -> None:
    found = listening(recorded(**{"/proc/net/tcp": TCP, "/proc/net/tcp6": TCP6}))
    assert found.value == (
        Listener(22, "0.0.0.0"),
        Listener(53, "127.0.0.53"),
        Listener(8000, "::"),
        Listener(8080, "fe80::4ebb:47ff:0:1"),
    )


def test_a_kernel_without_ipv6_has_only_ipv4_listeners() -> None:
    assert [each.port for each in listening(recorded(**{"/proc/net/tcp": TCP, "/proc/net/tcp6": ""})).value] == [
        22,
        53,
    ]


def test_a_damaged_table_is_not_understood() -> None:
    found = listening(recorded(**{"/proc/net/tcp": "  sl\n   0: 35\n"}))
    assert not found.is_known
    assert "not understood" in found.problem


def test_a_socket_of_this_test_is_seen() -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("no /proc/net/tcp here")
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert Listener(port, "127.0.0.1") in listening(Live()).value


def test_hosts_keeps_aliases_order_and_drops_comments() -> None:
    text = "127.0.0.1 localhost\n127.0.1.1\tspark-1 spark-1.local # its own name\n\n#192.168.0.9 spark-2\n10.0.0.8 spark-1\n"
    assert parse_hosts(text) == {
        "localhost": ("127.0.0.1",),
        "spark-1": ("127.0.1.1", "10.0.0.8"),
        "spark-1.local": ("127.0.1.1",),
    }
    assert hosts(recorded(**{"/etc/hosts": text})).value["spark-1"] == ("127.0.1.1", "10.0.0.8")


def test_empty_table_has_no_listener() -> None:
    assert parse_tcp("  sl  local_address\n") == ()
