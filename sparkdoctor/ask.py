"""What the user asks to look at. Apart from sparkdoctor.look, which imports all that can look."""

from __future__ import annotations

from sparkdoctor.host import Data


class Ask(Data, frozen=True):
    """What the user named. Everything may be empty."""

    targets: tuple[str, ...] = ()
    """Ranks (a folder, a compose file, an .env file) and snapshots."""
    files: tuple[str, ...] = ()
    env_files: tuple[str, ...] = ()
    profiles: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    containers: tuple[str, ...] = ()
    pids: tuple[int, ...] = ()
    shell: bool = False
    prefixes: tuple[str, ...] = ()
    """Python environments to look into (folders)."""
    machine_only: bool = False
    """Look for no launch."""
