"""Read-only disks beside the guest's root: NCCL in several versions, sparkdoctor's dependencies."""

from __future__ import annotations

import importlib.util
import re
import shutil
import struct
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

from tests.lab import cache
from tests.lab.image import PYTHON, Arch, compile_python, squash

PROJECT = Path(__file__).parents[2]

NCCL = {"2.23.4": "cu12", "2.28.9": "cu13", "2.30.7": "cu13", "2.32.3": "cu13"}
"""The versions of libnccl in the lab and the wheel each comes from (nvidia-nccl-cu12, -cu13).

2.21 and 2.22 have no wheel for aarch64; 2.23.4 has the same rules for devices and GIDs.
"""

NEWEST = "2.32.3"

GPU_CODE = (b".nv_fatbin", b"__nv_relfatbin")
"""Sections of machine code for GPUs: nine tenths of the file. No guest has a GPU."""

MACHINE = {"arm64": "aarch64", "amd64": "x86_64"}


def nccl(arch: Arch) -> Path:
    """The folder with nccl.squashfs, in which VERSION/libnccl.so.2 is a wheel's library with its GPU code zeroed."""
    inputs = {"versions": NCCL, "blanked": [name.decode() for name in GPU_CODE]}
    return cache.cached(f"nccl-{arch}", inputs, lambda out: _nccl(arch, out))


def dependencies(arch: Arch) -> Path:
    """The folder with deps.squashfs: what sparkdoctor's pyproject.toml asks for, for the guest's Python."""
    project = tomllib.loads((PROJECT / "pyproject.toml").read_text())["project"]
    inputs = {"python": PYTHON, "dependencies": project["dependencies"]}

    def build(out: Path) -> None:
        root = out / "root"
        _pip("install", "--target", root, *_platform(arch), *inputs["dependencies"])
        compile_python(root, "*")
        squash(root, out / "deps.squashfs")
        shutil.rmtree(root)

    return cache.cached(f"deps-{arch}", inputs, build)


def sparkdoctor(target: Path) -> None:
    """Fill a folder with what sparkdoctor's wheel holds, built from this checkout, and a command to start it."""
    _pip("wheel", "--no-deps", "-w", target, PROJECT)
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(target)
    wheel.unlink()
    compile_python(target, "sparkdoctor")
    (target / "bin").mkdir()
    command = target / "bin/sparkdoctor"
    command.write_text("#!/usr/bin/python3\nimport sys\nfrom sparkdoctor.cli import main\nsys.exit(main())\n")
    command.chmod(0o755)


def _nccl(arch: Arch, out: Path) -> None:
    root = out / "root"
    for version, cuda in NCCL.items():
        _pip("download", "--no-deps", "-d", out, *_platform(arch), f"nvidia-nccl-{cuda}=={version}")
        (wheel,) = out.glob("*.whl")
        library = root / version / "libnccl.so.2"
        library.parent.mkdir(parents=True)
        with (
            zipfile.ZipFile(wheel) as archive,
            archive.open("nvidia/nccl/lib/libnccl.so.2") as source,
            open(library, "wb") as target,
        ):
            shutil.copyfileobj(source, target)
        wheel.unlink()
        blank(library)
    squash(root, out / "nccl.squashfs")
    shutil.rmtree(root)


def blank(library: Path) -> None:
    """Overwrite the sections of GPU code with zeros. Raises ValueError when none is found.

    Section headers: ELF-64 object file format, `Elf64_Ehdr` and `Elf64_Shdr` of elf(5).
    """
    blanked = 0
    with open(library, "r+b") as file:
        header = file.read(64)
        (table,) = struct.unpack_from("<Q", header, 40)
        count, names = struct.unpack_from("<HH", header, 60)
        file.seek(table)
        sections = [struct.unpack("<IIQQQQIIQQ", file.read(64)) for _ in range(count)]
        file.seek(sections[names][4])
        strings = file.read(sections[names][5])
        for name, _, _, _, offset, size, *_ in sections:
            if strings[name : strings.index(b"\0", name)] in GPU_CODE:
                file.seek(offset)
                file.writelines(bytes(min(1 << 20, size - done)) for done in range(0, size, 1 << 20))
                blanked += 1
    if not blanked:
        raise ValueError(f"{library}: none of the sections {GPU_CODE}")


def _platform(arch: Arch) -> list[str]:
    """pip's options for the guest: any glibc up to the suite's own."""
    tags = [f"manylinux_2_{minor}_{MACHINE[arch]}" for minor in range(17, 42)]
    abi = re.sub(r"\D", "", PYTHON)
    return [
        "--only-binary=:all:", f"--python-version={PYTHON}", "--implementation=cp",
        f"--abi=cp{abi}", "--abi=abi3", "--abi=none",
        *(f"--platform={tag}" for tag in [f"manylinux2014_{MACHINE[arch]}", *tags]),
    ]  # fmt: skip


def _pip(*arguments: str | Path) -> None:
    pip = [sys.executable, "-m", "pip"] if importlib.util.find_spec("pip") else ["pip"]
    subprocess.run([*pip, "-qq", "--no-cache-dir", "--disable-pip-version-check", *arguments], check=True)
