"""The configuration files that an NCCL in a process reads."""

from __future__ import annotations

from sparkdoctor.fact import Fact
from sparkdoctor.nccl.conf import conf_paths
from sparkdoctor.system import System


def conf_files(system: System, root: str, env: Fact[dict[str, str]]) -> tuple[Fact[str], ...]:
    """The texts of those that are there, or why one cannot be read; the winner first.

    `root` is the process's own (/proc/PID/root, empty for this machine's). Which home folder counts
    depends on NCCL's release: $HOME here (2.30), which is that of the passwd entry almost everywhere.
    """
    paths = conf_paths(env.value if env.is_known else {}, None)
    files = (system.read(f"{root}{path}") for path in paths)
    return tuple(file for file in files if not file.absent)
