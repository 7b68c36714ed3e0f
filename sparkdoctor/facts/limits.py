"""Resource limits: how much memory may be locked, by whom."""

from __future__ import annotations

from sparkdoctor.fact import Fact, unread
from sparkdoctor.facts.processes import listed, soft_limit
from sparkdoctor.host import Limits
from sparkdoctor.system import System


def limits(system: System) -> Limits:
    """RLIMIT_MEMLOCK and RLIMIT_NOFILE of this process, and the memlock that containers inherit."""
    own = system.read("/proc/self/limits")
    return Limits(
        own=soft_limit(own, "Max locked memory"), dockerd=_inherited(system), nofile=soft_limit(own, "Max open files")
    )


def _inherited(system: System) -> Fact[int]:
    """The memlock limit of the daemon that starts containers.

    A container whose launch asks for no limit has that of its shim, which containerd started;
    without a containerd process of its own, dockerd did.
    """
    everyone = listed(system)
    if not everyone.is_known:
        return unread(everyone.where, everyone.problem)
    daemons = [process for process in everyone.value if process.kind == "containerd"] or [
        process for process in everyone.value if process.kind == "dockerd"
    ]
    if not daemons:
        return unread("/proc", "neither containerd nor dockerd is seen running here", absent=True)
    found = []
    for daemon in daemons:
        limit = soft_limit(system.read(f"/proc/{daemon.pid}/limits"), "Max locked memory")
        if not limit.is_known:
            return limit
        found.append(limit.at(f"{limit.where} ({daemon.kind})"))
    if len({limit.value for limit in found}) > 1:
        places = ", ".join(limit.where for limit in found)
        return unread(places, f"{len(found)} processes called {daemons[0].kind} have different limits")
    return found[0]
