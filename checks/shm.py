"""Shared memory: the /dev/shm that a rank sees."""

from __future__ import annotations

from sparkdoctor.api import Finding, Fix, Found, Node, Seen, check, size

from ._fix import set_service
from ._rdma import several_ranks

ENOUGH = 1 << 30
"""Bytes: what NVIDIA gives NCCL in a container (`--shm-size=1g`, NCCL user guide, Shared memory)."""


@check("shm-too-small")
def shm_too_small(node: Node) -> Found:
    """The rank's /dev/shm is too small for NCCL and vLLM.

    ## Why it matters
    vLLM's message queues between its processes are rings of 160 and 240 MiB in /dev/shm
    (ten chunks of 16 and 24 MiB), and NCCL adds segments of its own. Docker's default is 64 MiB.
    A recent vLLM refuses to start (`Insufficient space in /dev/shm`); an older one dies with
    SIGBUS, or its ranks wait on `No available shared memory broadcast block`; NCCL stops with
    `Error while creating shared memory segment`.

    With `ipc: host` the container sees the machine's own /dev/shm, half of its memory, and
    `shm_size` is without effect; that is judged by the size it really gets.

    ## How to fix it
    Give the service `ipc: host`, or `shm_size: 16gb` where it must keep its own.

    ## References
    - https://github.com/NVIDIA/nccl/blob/v2.30.7-1/docs/userguide/source/troubleshooting/runtime_and_mpi_issues.rst
    - https://github.com/vllm-project/vllm/blob/v0.21.0/vllm/distributed/device_communicators/shm_broadcast.py
    - https://docs.docker.com/reference/compose-file/services/#shm_size
    - https://man7.org/linux/man-pages/man7/shm_overview.7.html
    """
    why = several_ranks(node)
    shm = node.launched().shm
    seen = Seen("/dev/shm", size(shm.value), shm.where, wanted=f"at least {size(ENOUGH)}")
    if shm.value >= ENOUGH:
        yield seen
        return
    yield Finding(
        f"/dev/shm of the rank holds {size(shm.value)}",
        (seen, why),
        set_service(node, "ipc: host", "--ipc=host", bare=_of_the_machine()),
    )


def _of_the_machine() -> Fix:
    return Fix(
        "make the machine's /dev/shm as large as half of its memory",
        run=("sudo mount -o remount,size=50% /dev/shm",),
        cost="needs root",
    )
