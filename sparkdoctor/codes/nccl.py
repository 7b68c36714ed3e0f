"""ncclResult_t: nccl.h of NCCL 2.31.2; its texts: ncclGetErrorString in src/init.cc."""

from __future__ import annotations

from sparkdoctor.codes import Code, by_name, table

SOURCE = "https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/api/types.html"

NCCL = table(
    """
1 ncclUnhandledCudaError | a CUDA call inside NCCL failed | the NCCL WARN line before it names the call
2 ncclSystemError | a call to the system or to libibverbs failed: socket, file, limit, device | the NCCL WARN line before it names the call and its errno
3 ncclInternalError | NCCL itself came into a state that it does not expect; often what the other side sent is wrong or cut off | look at the first NCCL WARN of every rank, and compare the NCCL versions of all ranks
4 ncclInvalidArgument | an argument of an NCCL call is wrong | the NCCL WARN line before it says which
5 ncclInvalidUsage | NCCL was used or configured in a way that is not allowed, such as two ranks on one GPU or a network that does not exist | the NCCL WARN line before it says what
6 ncclRemoteError | another rank failed or left; this one only saw the connection end | look at the log of the other ranks for an earlier error
7 ncclInProgress | the call has not finished yet; not an error by itself
8 ncclTimeout | a call did not finish in time | look at what the other ranks were doing
"""
)
_NAMED = by_name(NCCL.values())
_SAID = {
    "unhandled cuda error": 1,
    "unhandled system error": 2,
    "internal error": 3,
    "invalid argument": 4,
    "invalid usage": 5,
    "remote process exited or there was a network error": 6,
}


def named(name: str) -> Code | None:
    return _NAMED.get(name)


def said(text: str) -> Code | None:
    """Of a message that begins with what ncclGetErrorString gives."""
    return next((NCCL[number] for said, number in _SAID.items() if text.startswith(said)), None)
