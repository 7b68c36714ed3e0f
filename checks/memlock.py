"""Locked memory: what RDMA may pin."""

from __future__ import annotations

from sparkdoctor.api import UNLIMITED, Finding, Fix, Found, Node, Seen, check, size

from ._fix import set_service
from ._rdma import over_rdma

ENOUGH = 8 << 30
"""Bytes that NCCL does not pass on a pair.

A connection pins at most 9.2 MiB a channel: 4 MiB Simple, 4.7 MiB LL128, 0.5 MiB LL
(DEFAULT_BUFFSIZE, DEFAULT_LL128_BUFFSIZE, DEFAULT_LL_BUFFSIZE, src/init.cc, NCCL 2.30.7). Ring, tree
and point-to-point connect to the one peer both ways, over at most 64 channels (MAXCHANNELS,
src/include/device.h): 3.5 GiB a communicator. vLLM makes two of its group, torch's and its own.
"""


@check("memlock-limited")
def memlock_limited(node: Node) -> Found:
    """The rank may lock only part of its memory.

    ## Why it matters
    NCCL registers its buffers with the HCA, and registering pins them. The kernel counts
    pinned pages against RLIMIT_MEMLOCK of the process; past it, registration fails with ENOMEM:
    `Call to ibv_reg_mr_iova2 failed with error Cannot allocate memory`, and every rank ends with
    `unhandled system error`. Even queue pairs and completion queues are pinned, so 64 KiB fails
    earlier still, at `ibv_create_cq` or `ibv_create_qp`.

    A container does not inherit the limit of the login shell but that of the Docker engine, often
    8 MiB. A process with CAP_IPC_LOCK in the initial user namespace (privileged, or
    `cap_add: [IPC_LOCK]`, and running as root) is not limited, whatever the number says.

    A finite limit of 8 GiB or more is not reported: two NCCL communicators of a pair pin less. A
    launch that moves its KV cache over the network (`--kv-transfer-config`) pins that cache, so
    there any finite limit is.

    ## How to fix it
    Give the service `ulimits: memlock: -1` on every node and create its containers anew; a
    restart keeps the old limit. Outside of containers raise the limit in
    /etc/security/limits.d, or with LimitMEMLOCK=infinity in the systemd unit.

    ## References
    - https://man7.org/linux/man-pages/man2/getrlimit.2.html
    - https://docs.docker.com/reference/compose-file/services/#ulimits
    - https://github.com/torvalds/linux/blob/v6.17/drivers/infiniband/core/umem.c (ib_umem_get)
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/docs/userguide/source/troubleshooting/networking_troubleshooting.rst
    - https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html
    """
    why = over_rdma(node)
    limit = node.launched().memlock
    transfer = _kv_transfer(node)
    wanted = "unlimited" if transfer else f"unlimited, or at least {size(ENOUGH)}"
    seen = Seen("memlock", size(limit.value), limit.where, wanted=wanted)
    if limit.value == UNLIMITED or (limit.value >= ENOUGH and transfer is None):
        yield seen
        return
    yield Finding(
        f"the rank may lock only {size(limit.value)} of memory",
        (seen, why) if transfer is None else (seen, transfer),
        set_service(node, "ulimits:\n  memlock: -1", "--ulimit memlock=-1", bare=_outside(node)),
    )


def _kv_transfer(node: Node) -> Seen | None:
    """The option that makes the rank pin its KV cache."""
    if not node.launched().flags.is_known:
        return None
    flag = node.flag("kv-transfer-config")
    return None if flag is None else Seen("--kv-transfer-config", flag.value, flag.where)


def _outside(node: Node) -> Fix:
    spec = node.launched().spec
    then = "log in again" if spec.kind == "shell" else f"log in again and restart process {spec.pid} from there"
    return Fix(
        f"in /etc/security/limits.d/90-memlock.conf (a systemd unit wants LimitMEMLOCK=infinity instead); then {then}",
        edit="* soft memlock unlimited\n* hard memlock unlimited",
        cost="needs root" if spec.kind == "shell" else "needs root, restarts the model",
    )
