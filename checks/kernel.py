"""The kernel that the machine runs."""

from __future__ import annotations

from sparkdoctor.api import Certainty, Finding, Fix, Found, Node, Seen, check, size, skip

from ._rdma import over_rdma


@check("kernel-cma-from-kho")
def kernel_cma_from_kho(node: Node) -> Found:
    """The kernel gives memory of Kexec HandOver to programs as CMA, where RDMA cannot pin it.

    ## Why it matters
    A kernel with Kexec HandOver on by default (7.0.0-1019-nvidia, Ubuntu's HWE 7.0.0) sets about
    9.3 GiB aside at boot and gives it back to the page allocator as CMA. CMA pages must move
    before they can be pinned for long; when memory is tight they cannot, and registering a buffer
    with the HCA fails with the same line as a small memlock: `Call to ibv_reg_mr_iova2 failed with
    error Cannot allocate memory`. A bandwidth test pins little and looks healthy.

    CmaTotal does not count these pages and CmaFree does, so CmaFree above CmaTotal gives them
    away; no other use of CMA does that.

    ## How to fix it
    Boot with `kho=off`: two pairs lost the error with it. Nothing is lost where nobody hands
    memory over a kexec. Or boot the 6.17 kernel from before the update. On both machines.

    ## References
    - https://github.com/NVIDIA/NV-Kernels/pull/591
    - https://github.com/MiaAI-Lab/DeepSeek-v4-Flash-DSpark-2x-DGX-Spark/issues/259
    - https://docs.kernel.org/admin-guide/mm/kho.html
    - https://docs.kernel.org/core-api/pin_user_pages.html
    """
    why = over_rdma(node)
    host = node.machine()
    meminfo = host.memory.meminfo
    values = meminfo.value
    if "CmaFree" not in values or "CmaTotal" not in values:
        skip("this kernel has no CMA")
    free, total = values["CmaFree"], values["CmaTotal"]
    seen = Seen("CmaFree, CmaTotal", f"{size(free)}, {size(total)}", meminfo.where, wanted="CmaFree within CmaTotal")
    if free <= total:
        yield seen
        return
    kernel = host.machine.kernel
    evidence = [seen]
    if kernel.is_known:
        evidence.append(Seen("kernel", kernel.value, kernel.where))
    if host.machine.cmdline.is_known:
        kho = [word for word in host.machine.cmdline.value.split() if word.startswith("kho=")]
        evidence.append(Seen("kho=", kho[-1] if kho else "not set", host.machine.cmdline.where, wanted="kho=off"))
    yield Finding(
        f"{size(free)} of memory is free as CMA that the kernel does not own (CmaTotal {size(total)})",
        (*evidence, why),
        Fix(
            "in /etc/default/grub.d/kho.cfg",
            edit='GRUB_CMDLINE_LINUX="$GRUB_CMDLINE_LINUX kho=off"',
            run=("sudo update-grub", "sudo reboot"),
            certainty=Certainty.TRY,
            cost="needs root and a reboot of this machine",
        ),
    )
