"""A real Docker engine in the guests, and an image in which NCCL's network code runs."""

from __future__ import annotations

import hashlib
import io
import json
import shlex
import tarfile
from collections.abc import Mapping

from tests.lab.disks import NCCL, NEWEST
from tests.lab.guest import Guest
from tests.lab.image import PYTHON, Arch
from tests.lab.poll import wait_for

IMAGE = "lab/nccl:1"

MOUNTS = ("/usr:/usr:ro", "/opt:/opt:ro", "/etc/libibverbs.d:/etc/libibverbs.d:ro")
"""The image is a skeleton; programs and libraries are the guest's own."""


def start_engine(guest: Guest) -> None:
    """Start dockerd if it does not run, wait for it, and have the image."""
    if guest.run("docker version", check=False).returncode:
        # overlay2 cannot live on the guest's overlay root.
        guest.run("mountpoint -q /var/lib/docker || mount -t tmpfs docker /var/lib/docker")
        guest.run("setsid dockerd > /var/log/dockerd.log 2>&1 < /dev/null &")
        wait_for(
            f"dockerd of {guest.name}", lambda: guest.run("docker version", check=False).returncode == 0, timeout=180
        )
    if not guest.text(f"docker image ls --quiet {IMAGE}"):
        load(guest)


def load(guest: Guest, release: str = NEWEST) -> None:
    """Give the image's name to the one with this release of NCCL."""
    guest.feed("docker load", archive(guest.image.arch, release))


def stop_engine(guest: Guest) -> None:
    """End dockerd: the next start reads /etc/docker/daemon.json anew."""
    guest.run("kill $(cat /run/docker.pid)")
    wait_for(f"dockerd of {guest.name} to end", lambda: not guest.text("pidof dockerd || true"), timeout=60)


def docker_run(command: str, env: Mapping[str, str], *options: str) -> str:
    """The shell command that runs a command in a container on the machine's own network."""
    words = ["docker", "run", "--rm", "--network", "host", *options]
    words += [word for mount in MOUNTS for word in ("-v", mount)]
    words += [word for name, value in env.items() for word in ("-e", f"{name}={value}")]
    return shlex.join([*words, IMAGE, "bash", "-c", command])


def archive(arch: Arch, release: str) -> bytes:
    """The image in which ranks use one release of NCCL, as `docker load` takes it, the same to the bit each time, so that both nodes have one id.

    Form: Docker Image Specification v1.2 (moby/docker-image-spec).
    """
    layer = _skeleton(release)
    config = {
        "architecture": arch,
        "os": "linux",
        "config": {"Env": ["PATH=/opt/bin:/usr/sbin:/usr/bin", f"LAB_NCCL={release}"]},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [IMAGE], "Layers": ["layer.tar"]}]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as target:
        for name, content in (
            ("layer.tar", layer),
            ("config.json", json.dumps(config).encode()),
            ("manifest.json", json.dumps(manifest).encode()),
        ):
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            target.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def _skeleton(release: str) -> bytes:
    """The folders of a root, as a tar archive, and what pip leaves of the wheel with NCCL.

    The library itself is on the guest's NCCL disk, where LAB_NCCL says which one to take.
    """
    package = f"nvidia_nccl_{NCCL[release]}-{release}.dist-info"
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as target:
        for name in ("usr", "etc", "dev", "proc", "sys", "run", "root", "opt", "tmp"):
            folder = tarfile.TarInfo(name)
            folder.type = tarfile.DIRTYPE
            folder.mode = 0o1777 if name == "tmp" else 0o755
            target.addfile(folder)
        for name in ("bin", "lib", "lib64", "sbin"):
            link = tarfile.TarInfo(name)
            link.type = tarfile.SYMTYPE
            link.linkname = f"usr/{name}"
            target.addfile(link)
        metadata = f"Metadata-Version: 2.1\nName: nvidia-nccl-{NCCL[release]}\nVersion: {release}\n".encode()
        file = tarfile.TarInfo(f"usr/local/lib/python{PYTHON}/dist-packages/{package}/METADATA")
        file.size = len(metadata)
        target.addfile(file, io.BytesIO(metadata))
    return packed.getvalue()
