"""Whether the launch's choice of transport fits the hardware."""

from __future__ import annotations

from sparkdoctor.api import CannotTell, Certainty, Finding, Fix, Found, Hca, Node, Seen, Severity, check, skip
from sparkdoctor.nccl.devices import usable
from sparkdoctor.nccl.numbers import integer, whole
from sparkdoctor.nccl.select import TRANSPORTS, ib_disabled

from ._fix import set_env
from ._rdma import hcas, over_rdma, several_ranks

SYSFS = "/sys/class/infiniband"

MEANT_AS_ZERO = ("0", "false", "no", "off", "f", "n")
PLUGINS = ("ibext", "aws libfabric", "ucx", "ofi", "spcx")
"""Beginnings of names that external network plugins give themselves."""


@check("rdma-disabled")
def rdma_disabled(node: Node) -> Found:
    """The launch keeps NCCL off RDMA although this machine has an ACTIVE HCA.

    ## Why it matters
    With `NCCL_IB_DISABLE=1` NCCL takes TCP and says so in an INFO line only: about 2 GB/s where
    RDMA gives a pair 22 to 24, so tensor parallelism over two machines crawls. Together with
    `NCCL_NET=IB` nothing is left and the launch fails (`Failed to initialize any NET plugin`).
    `NCCL_NET=Socket` asks for TCP by name.

    Any number but 0 disables. Text that is no number counts as 0.

    ## How to fix it
    Set `NCCL_IB_DISABLE=0` or unset it, and `NCCL_NET=IB`, which makes NCCL fail instead of
    falling back.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-ib-disable
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-net
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/transport/net_ib/init.cc (ncclIbInitDevices)
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/plugin/net.cc (ncclNetInit)
    """
    why = several_ranks(node)
    active = _active(hcas(node)) or skip("no HCA of this machine is ACTIVE")
    there = Seen("ACTIVE HCAs", " ".join(active), SYSFS)
    disable, net = node.env("NCCL_IB_DISABLE"), node.env("NCCL_NET")
    wants_ib = net is not None and net.value.lower() == "ib"
    fine = True
    if disable is not None and ib_disabled({"NCCL_IB_DISABLE": disable.value}):
        fine = False
        asked = f", and NCCL_NET={net.value} asks for it" if net is not None and wants_ib else ""
        yield Finding(
            f"NCCL_IB_DISABLE={disable.value} turns RDMA off{asked}, with {len(active)} HCAs ACTIVE",
            (Seen("NCCL_IB_DISABLE", disable.value, disable.where, wanted="0"), there, why),
            set_env(node, "NCCL_IB_DISABLE", "0"),
        )
    if net is not None and net.value.lower() == "socket":
        fine = False
        yield Finding(
            f"NCCL_NET={net.value} chooses TCP, with {len(active)} HCAs ACTIVE",
            (Seen("NCCL_NET", net.value, net.where, wanted="IB"), there, why),
            set_env(node, "NCCL_NET", "IB"),
        )
    if fine:
        told = [f"{name}={fact.value}" for name, fact in (("NCCL_IB_DISABLE", disable), ("NCCL_NET", net)) if fact]
        yield Seen("transport", " ".join(told) or "NCCL's own choice", why.where)
        yield there


@check("rdma-disable-ignored", severity=Severity.WARNING)
def rdma_disable_ignored(node: Node) -> Found:
    """NCCL_IB_DISABLE is set to a word, which NCCL reads as 0: RDMA stays on.

    ## Why it matters
    NCCL reads its integer parameters with strtoll and does not look at what it could not read:
    `true`, `yes`, `on` and `'1'` with its quotes are 0. Who set it to get TCP gets RDMA.

    ## How to fix it
    Set it to 1, or to 0 when RDMA is wanted.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-ib-disable
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/misc/param.cc (ncclLoadParam)
    """
    fact = node.env("NCCL_IB_DISABLE")
    if fact is None or not fact.value:
        skip("NCCL_IB_DISABLE is not set")
    read = integer(fact.value, 0)
    seen = Seen("NCCL_IB_DISABLE", fact.value, fact.where, wanted="0 or 1")
    if read or whole(fact.value) or fact.value.strip().lower() in MEANT_AS_ZERO:
        yield seen
    else:
        fix = set_env(node, "NCCL_IB_DISABLE", "<0 or 1>", certainty=Certainty.FILL_IN)
        yield Finding(f"NCCL reads NCCL_IB_DISABLE={fact.value} as {read}, so RDMA stays on", (seen,), fix)


@check("rdma-transport-unknown")
def rdma_transport_unknown(node: Node) -> Found:
    """NCCL_NET names a transport that NCCL does not have.

    ## Why it matters
    NCCL keeps only the networks whose name is NCCL_NET, without regard to case: its own are `IB`,
    which is RoCE too, and `Socket`. With any other name, and with an empty one, none is left and
    the launch fails: `Failed to initialize any NET plugin`, up to 2.26 `Error: network RoCE not
    found.`

    ## How to fix it
    Set `NCCL_NET=IB`.

    ## References
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/env.html#nccl-net
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/plugin/net.cc (ncclNetInit)
    """
    fact = node.env("NCCL_NET")
    if fact is None:
        skip("NCCL_NET is not set, so NCCL takes the first transport that it can have")
    if fact.value.lower() in [name.lower() for name in TRANSPORTS]:
        yield Seen("NCCL_NET", fact.value, fact.where)
        return
    plugin = node.env("NCCL_NET_PLUGIN")
    if (plugin is not None and plugin.value.lower() not in ("", "none")) or fact.value.lower().startswith(PLUGINS):
        raise CannotTell(fact.where, f"NCCL_NET={fact.value} may be the name of a network plugin in the image")
    seen = Seen("NCCL_NET", fact.value or "empty", fact.where, wanted="IB or Socket")
    name = f"NCCL_NET={fact.value}" if fact.value else "NCCL_NET is set to nothing, which"
    yield Finding(f"{name} is none of NCCL's transports", (seen,), set_env(node, "NCCL_NET", "IB"))


@check("rdma-hardware-missing")
def rdma_hardware_missing(node: Node) -> Found:
    """The launch asks for RDMA on a machine that has no HCA.

    ## Why it matters
    With `NCCL_NET=IB` the launch fails (`Failed to initialize any NET plugin`). With NCCL_IB_HCA
    and the like alone NCCL falls back to TCP and says so in an INFO line only.

    A Spark whose cable is out may take its ConnectX-7 off the PCI bus to save power, and then
    /sys/class/infiniband is empty. The driver mlx5_ib makes the entries there.

    ## How to fix it
    Plug the cable in and boot, so that the card is found, and see that mlx5_ib is loaded. Where
    RDMA is not wanted, unset the variable.

    ## References
    - https://docs.nvidia.com/dgx/dgx-spark/spark-clustering.html
    - https://github.com/torvalds/linux/blob/v6.17/Documentation/ABI/stable/sysfs-class-infiniband
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/src/transport/net_ib/init.cc (ncclIbInitDevices)
    """
    over_rdma(node)
    asked = [
        Seen(name, fact.value, fact.where)
        for name in ("NCCL_NET", "NCCL_IB_HCA", "NCCL_IB_GID_INDEX")
        if (fact := node.env(name)) is not None and fact.value
    ]
    devices = node.machine().rdma.hcas
    names = " ".join(hca.name for hca in devices.value)
    if names:
        yield Seen("HCAs", names, devices.where)
        return
    if not asked:
        skip("this machine has no HCA, and the launch does not ask for RDMA")
    yield Finding(
        f"{asked[0].what}={asked[0].value} asks for RDMA, and this machine has no HCA",
        (*asked, Seen("HCAs", "none", devices.where)),
        Fix(
            "plug the QSFP cable in and boot this machine, then look for the card and load its driver",
            run=("lspci -d 15b3:", "sudo modprobe mlx5_ib", "ls /sys/class/infiniband"),
            certainty=Certainty.TRY,
            cost="needs root and a reboot",
        ),
    )


def _active(devices: tuple[Hca, ...]) -> list[str]:
    return [hca.name for hca in devices if any(usable(port) for port in hca.ports.value)]
