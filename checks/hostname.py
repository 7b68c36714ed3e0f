"""What the machine's own name stands for."""

from __future__ import annotations

import ipaddress
from pathlib import PurePath

from sparkdoctor.api import CannotTell, Fact, Finding, Found, Node, Seen, check, skip

from ._interfaces import name_interface
from ._rdma import own_network, several_ranks

GLOO = "GLOO_SOCKET_IFNAME"


@check("hostname-is-loopback", after=("master-addr-wrong",))
def hostname_is_loopback(node: Node) -> Found:
    """/etc/hosts gives the machine's own name a loopback address, and Gloo takes its address by that name.

    ## Why it matters
    vLLM makes a Gloo group beside every NCCL group. Without GLOO_SOCKET_IFNAME Gloo resolves the
    machine's own name, listens on the address that comes first, and tells it to the other ranks. The
    installers of Debian and Ubuntu write `127.0.1.1 NAME` into /etc/hosts: the other machine then connects
    to itself, `Gloo connectFullMesh failed with ... Connection refused, remote=[127.0.1.1]`. A loopback
    address comes first even where the name has another one too (RFC 6724, rule 8).

    A container on the machine's network has a copy of its /etc/hosts, made when it was created; with
    `extra_hosts` it has one with nothing of the machine's in it. vLLM's own sockets do not go by the name:
    they take VLLM_HOST_IP, or the address that the default route leaves from.

    ## How to fix it
    Set GLOO_SOCKET_IFNAME, on each machine to its own interface. Or give the name the machine's address
    on the network that the machines share, in /etc/hosts, and create the containers again.

    ## References
    - https://github.com/pytorch/pytorch/blob/v2.11.0/torch/csrc/distributed/c10d/ProcessGroupGloo.cpp (createDefaultDevice)
    - https://github.com/pytorch/gloo/blob/70dc360272dfc57e3617184c78ff9b06f8cd4757/gloo/transport/tcp/device.cc (lookupAddrForHostname)
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/distributed/parallel_state.py (GroupCoordinator, cpu_group)
    - https://github.com/vllm-project/vllm/blob/v0.33.0/vllm/utils/network_utils.py (get_ip)
    - https://github.com/moby/moby/blob/v28.5.2/libnetwork/sandbox_dns_unix.go (buildHostsFile)
    - https://www.debian.org/doc/manuals/debian-reference/ch05.en.html#_the_hostname_resolution
    """
    why = several_ranks(node)
    own_network(node)
    told = node.env(GLOO)
    if told is not None and len(told.value) > 1:
        yield Seen(GLOO, told.value, told.where)
        return
    if not _uses_gloo(node):
        skip(f"nothing says that {node.launched().spec.title} uses Gloo")
    name = _own_name(node)
    hosts = _hosts(node)
    if name.value not in hosts.value:
        raise CannotTell(
            hosts.where, f"{name.value}, this machine's name, is not in it; what DNS answers was not asked"
        )
    addresses = hosts.value[name.value]
    loopback = next((text for text in addresses if _is_loopback(text, hosts.where)), None)
    seen = Seen(name.value, " ".join(addresses), hosts.where, wanted="an address that the other machines reach")
    if loopback is None:
        yield seen
        return
    _image_is_known(node)
    yield Finding(
        f"{name.value}, this machine's own name, is {loopback} in /etc/hosts, and Gloo offers that to the other ranks",
        (seen, Seen(GLOO, "not set", node.launched().spec.title), why),
        name_interface(node, GLOO),
    )


def _uses_gloo(node: Node) -> bool:
    """vLLM does with several ranks, whichever executor starts them; a shell or a benchmark of NCCL need not."""
    launch = node.launched()
    words = [PurePath(word).name for word in launch.spec.argv.value[:3]]
    return bool(launch.flags.value) or "ray" in words


def _is_loopback(text: str, where: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_loopback
    except ValueError:
        raise CannotTell(where, f"`{text}` is no address") from None


def _own_name(node: Node) -> Fact[str]:
    """What gethostname(2) tells the rank: a container's `hostname`, else the machine's."""
    return node.launched().spec.hostname or node.machine().machine.hostname


def _hosts(node: Node) -> Fact[dict[str, tuple[str, ...]]]:
    """The /etc/hosts that the rank sees."""
    return node.launched().spec.extra_hosts or node.machine().network.hosts


def _image_is_known(node: Node) -> None:
    """Raise CannotTell when the variables of the rank's image are not known: some set GLOO_SOCKET_IFNAME."""
    spec, docker = node.launched().spec, node.machine().docker
    if spec.kind != "compose" or spec.image is None or GLOO in spec.unset:
        return
    wanted = spec.image.value
    if not any(wanted in (image.reference, image.id) for image in docker.images.value):
        raise CannotTell(docker.images.where, f"{wanted} is not on this machine, and it may set {GLOO}")
