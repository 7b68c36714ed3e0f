"""Build the lab's images, or boot the pair to look around in it.

python -m tests.lab build [--arch amd64]    build what is missing, print where it is
python -m tests.lab up [--arch amd64]       boot the pair, print how to enter, end it with Ctrl-C
python -m tests.lab clean                   remove everything that was built
"""

from __future__ import annotations

import argparse
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import get_args

from tests.lab import cache, disks, guest, image
from tests.lab.image import Arch
from tests.lab.pair import virtual_pair


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m tests.lab", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("do", choices=("build", "up", "clean"))
    parser.add_argument("--arch", choices=get_args(Arch), default="arm64")
    asked = parser.parse_args()
    if asked.do == "clean":
        shutil.rmtree(cache.folder(), ignore_errors=True)
        return
    if lacking := [*image.missing_programs(), *guest.missing_programs(asked.arch)]:
        sys.exit(f"the lab needs {', '.join(lacking)}")
    build(asked.arch)
    if asked.do == "up":
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with virtual_pair(asked.arch) as pair:
            for one in pair:
                print(shlex.join(["ssh", *one.ssh_options("root"), "root@127.0.0.1"]), flush=True)
            with suppress(KeyboardInterrupt):
                signal.pause()


def build(arch: Arch) -> None:
    makers: dict[str, Callable[[], Path]] = {
        "guest image": lambda: image.image(arch).folder,
        "NCCL disk": lambda: disks.nccl(arch),
        "dependencies disk": lambda: disks.dependencies(arch),
    }
    for what, make in makers.items():
        begun = time.monotonic()
        folder = make()
        size = sum(path.stat().st_size for path in folder.rglob("*")) >> 20
        print(f"{what}: {folder} ({size} MiB, {time.monotonic() - begun:.1f} s)", flush=True)


if __name__ == "__main__":
    main()
