"""The RDMA device files that a rank sees."""

from __future__ import annotations

from sparkdoctor.api import Finding, Fix, Found, Node, Seen, check

from ._fix import set_service
from ._rdma import hcas, over_rdma


@check("infiniband-device-missing", after=("rdma-hardware-missing",))
def infiniband_device_missing(node: Node) -> Found:
    """The rank sees no /dev/infiniband/uverbs* although its machine has HCAs.

    ## Why it matters
    libibverbs lists an HCA only when its file /dev/infiniband/uverbsN can be had. A container
    sees /sys/class/infiniband without being given anything, so tools that read sysfs look right
    while NCCL says `NET/IB : No device found.` With `NCCL_NET=IB` the launch then fails; without
    it, all traffic goes over TCP at a tenth of the speed, and nothing says so.

    ## How to fix it
    Pass the folder to the container as a device. A volume is not enough: the files are then
    there, and the device cgroup forbids to open them.

    ## References
    - https://github.com/linux-rdma/rdma-core/blob/v59.0/libibverbs/init.c
    - https://docs.kernel.org/infiniband/user_verbs.html
    - https://docs.docker.com/reference/compose-file/services/#devices
    """
    why = over_rdma(node)
    files = node.launched().infiniband
    verbs = [name for name in files.value if name.startswith("uverbs")]
    if verbs:
        yield Seen("/dev/infiniband", " ".join(verbs), files.where)
        return
    names = ", ".join(hca.name for hca in hcas(node))
    yield Finding(
        f"the rank gets no /dev/infiniband/uverbs*, so it cannot use {names}",
        (Seen("/dev/infiniband", " ".join(files.value) or "empty", files.where, wanted="uverbs*"), why),
        set_service(
            node,
            "devices:\n  - /dev/infiniband:/dev/infiniband",
            "--device=/dev/infiniband",
            bare=Fix("load the kernel module that makes them", run=("sudo modprobe ib_uverbs",), cost="needs root"),
        ),
    )
