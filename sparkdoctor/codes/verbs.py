"""ibv_wc_status and ibv_event_type: libibverbs/verbs.h and enum_strs.c of rdma-core (master of 2026, after v60)."""

from __future__ import annotations

from sparkdoctor.codes import Code, table

SOURCE = "https://github.com/linux-rdma/rdma-core/blob/master/libibverbs/verbs.h"

WC_STATUS = table(
    """
0 IBV_WC_SUCCESS | success
1 IBV_WC_LOC_LEN_ERR | local length error: a message is longer than the buffer for it, or than the port allows
2 IBV_WC_LOC_QP_OP_ERR | local QP operation error: this side's queue pair cannot do what was asked of it
3 IBV_WC_LOC_EEC_OP_ERR | local EE context operation error (reliable datagrams, not used today)
4 IBV_WC_LOC_PROT_ERR | local protection error: a buffer of this side is not registered for what was asked | memory was freed or registered anew while a transfer used it; a bug, or GPU memory that the NIC cannot reach
5 IBV_WC_WR_FLUSH_ERR | work request flushed: the queue pair was already in error | not the cause: look for the first completion with another status
6 IBV_WC_MW_BIND_ERR | memory management operation error
7 IBV_WC_BAD_RESP_ERR | bad response: the other side answered with what was not expected
8 IBV_WC_LOC_ACCESS_ERR | local access error: the other side wrote where this side does not allow it
9 IBV_WC_REM_INV_REQ_ERR | remote invalid request: the other side could not make sense of the message | compare versions and settings of both sides; a receive buffer may be too small
10 IBV_WC_REM_ACCESS_ERR | remote access error: the other side does not allow this access to its memory | often the peer's process ended and its memory is not registered any more: look at the peer's log
11 IBV_WC_REM_OP_ERR | remote operation error: the other side could not complete the operation | look at the peer's log and its kernel log
12 IBV_WC_RETRY_EXC_ERR | transport retry counter exceeded: the other side did not acknowledge packets | a path that drops RoCE packets (MTU, GID, cable, switch, firewall) or a peer that ended: compare MTU and GID of both ports and look at the peer's log
13 IBV_WC_RNR_RETRY_EXC_ERR | receiver-not-ready retry counter exceeded: the other side had no receive buffer in time | the peer's process hangs or is overloaded: look at its log
14 IBV_WC_LOC_RDD_VIOL_ERR | local RDD violation (reliable datagrams, not used today)
15 IBV_WC_REM_INV_RD_REQ_ERR | remote invalid RD request (reliable datagrams, not used today)
16 IBV_WC_REM_ABORT_ERR | the other side aborted the operation | look at the peer's log
17 IBV_WC_INV_EECN_ERR | invalid EE context number (reliable datagrams, not used today)
18 IBV_WC_INV_EEC_STATE_ERR | invalid EE context state (reliable datagrams, not used today)
19 IBV_WC_FATAL_ERR | fatal error of the device | look at the kernel log for mlx5 lines
20 IBV_WC_RESP_TIMEOUT_ERR | no answer in time
21 IBV_WC_GENERAL_ERR | an error that has no name of its own | the vendor's code beside it says more
22 IBV_WC_TM_ERR | tag matching error
23 IBV_WC_TM_RNDV_INCOMPLETE | tag matching: a rendezvous is left to software; not an error by itself
"""
)
EVENTS = table(
    """
0 IBV_EVENT_CQ_ERR | a completion queue overflowed or failed
1 IBV_EVENT_QP_FATAL | a queue pair failed and is unusable
2 IBV_EVENT_QP_REQ_ERR | a queue pair got an invalid request
3 IBV_EVENT_QP_ACCESS_ERR | the other side tried an access that is not allowed
4 IBV_EVENT_COMM_EST | communication is established
5 IBV_EVENT_SQ_DRAINED | a send queue has been emptied
6 IBV_EVENT_PATH_MIG | the connection moved to its other path
7 IBV_EVENT_PATH_MIG_ERR | the connection could not move to its other path
8 IBV_EVENT_DEVICE_FATAL | the device failed | look at the kernel log for mlx5 lines; the machine may need a reboot
9 IBV_EVENT_PORT_ACTIVE | a port came up
10 IBV_EVENT_PORT_ERR | a port went down | look at the cable, the other side and ethtool of the interface
11 IBV_EVENT_LID_CHANGE | the address of a port (LID) changed
12 IBV_EVENT_PKEY_CHANGE | the partition table of a port changed
13 IBV_EVENT_SM_CHANGE | another subnet manager took over
14 IBV_EVENT_SRQ_ERR | a shared receive queue failed
15 IBV_EVENT_SRQ_LIMIT_REACHED | a shared receive queue runs low
16 IBV_EVENT_QP_LAST_WQE_REACHED | a queue pair took its last element of a shared receive queue
17 IBV_EVENT_CLIENT_REREGISTER | the subnet manager asks to register again
18 IBV_EVENT_GID_CHANGE | the GID table changed: an address was added to or removed from the interface | an interface whose address changes while a model runs breaks its connections
19 IBV_EVENT_WQ_FATAL | a work queue failed and is unusable
20 IBV_EVENT_DEVICE_SPEED_CHANGE | the speed of a port changed
"""
)
_SAID = {
    "local length error": 1,
    "local QP operation error": 2,
    "local EE context operation error": 3,
    "local protection error": 4,
    "Work Request Flushed Error": 5,
    "memory management operation error": 6,
    "bad response error": 7,
    "local access error": 8,
    "remote invalid request error": 9,
    "remote access error": 10,
    "remote operation error": 11,
    "transport retry counter exceeded": 12,
    "RNR retry counter exceeded": 13,
    "local RDD violation error": 14,
    "remote invalid RD request": 15,
    "aborted error": 16,
    "invalid EE context number": 17,
    "invalid EE context state": 18,
    "fatal error": 19,
    "response timeout error": 20,
    "general error": 21,
}
_BY_NAME = {code.name: code for codes in (WC_STATUS, EVENTS) for code in codes.values()}


def named(name: str) -> Code | None:
    """Of a status or an event."""
    return _BY_NAME.get(name)


def said(text: str) -> Code | None:
    """Of what ibv_wc_status_str gives."""
    number = _SAID.get(text)
    return None if number is None else WC_STATUS[number]
