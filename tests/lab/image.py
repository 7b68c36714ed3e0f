"""The guest image: a Debian root, its kernel and an initrd, built from packages without root.

Packages are only unpacked: no maintainer script runs, so any architecture can be built
anywhere, and what those scripts would have done is done here.
"""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.lab import cache

HERE = Path(__file__).parent

Arch = Literal["arm64", "amd64"]

SUITE = "trixie"
PYTHON = "3.13"
"""The suite's Python."""


def words(text: str) -> list[str]:
    return text.split()


PACKAGES = words("""
    base-files base-passwd bash busybox-static coreutils dash findutils grep gzip hostname kmod
    libc-bin libpam-modules libpam-modules-bin mawk mount passwd procps sed sudo tar util-linux
    ethtool iproute2 iputils-ping nftables openssh-client openssh-server
    ibverbs-providers ibverbs-utils perftest rdma-core libstdc++6 python3 python3-pyverbs
    containerd docker-cli docker-compose docker.io iptables runc tini
""")

MODULES = words("""
    virtio_pci virtio_blk virtio_net virtio_rng squashfs overlay rdma_rxe rdma_ucm ib_umad
    crc32_generic crc32c_generic
    bridge br_netfilter veth dummy nf_tables nft_compat nft_ct nft_reject_inet nft_reject_netdev nft_chain_nat
    nft_masq nft_limit nf_dup_netdev nft_fwd_netdev ip_tables iptable_filter iptable_nat xt_conntrack xt_addrtype
    xt_MASQUERADE xt_tcpudp ipt_REJECT sch_netem
""")

INITRD_MODULES = ("virtio_pci", "virtio_blk", "squashfs", "overlay")

UNUSED = ("usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/bash-completion",
          "usr/share/perl", "usr/share/lintian", "usr/share/zoneinfo", "var/cache", "var/lib/apt", "dev",
          "boot/System.map*", "usr/lib/*/perl", "usr/lib/*/perl-base")  # fmt: skip

PROGRAMS = {
    "mmdebstrap": "mmdebstrap",
    "mksquashfs": "squashfs-tools",
    "depmod": "kmod",
    "cpio": "cpio",
    "ssh-keygen": "openssh-client",
    "tar": "tar",
}
"""Programs a build needs, with the Debian package of each."""


@dataclass(frozen=True)
class Image:
    arch: Arch
    folder: Path

    @property
    def kernel(self) -> Path:
        return self.folder / "vmlinuz"

    @property
    def initrd(self) -> Path:
        return self.folder / "initrd.img"

    @property
    def root(self) -> Path:
        return self.folder / "root.squashfs"

    @property
    def key(self) -> Path:
        """The private key that opens both accounts."""
        return self.folder / "id_ed25519"

    @property
    def known_hosts(self) -> Path:
        """The guests' host key, for any name."""
        return self.folder / "known_hosts"


def missing_programs() -> list[str]:
    """What a build would not find, as `mmdebstrap (package mmdebstrap)`."""
    path = os.environ.get("PATH", os.defpath) + ":/usr/sbin:/sbin"
    return [f"{name} (package {package})" for name, package in PROGRAMS.items() if not shutil.which(name, path=path)]


def image(arch: Arch) -> Image:
    """The image of that architecture, built if need be. Raises CalledProcessError when a step fails."""
    inputs = {
        "arch": arch,
        "suite": SUITE,
        "packages": PACKAGES,
        "modules": MODULES,
        "files": {
            name: (HERE / name).read_text() for name in ("image.py", "guest-init", "guest-network", "initrd-init")
        },
    }
    return Image(arch, cache.cached(f"image-{arch}", inputs, lambda out: _build(arch, out)))


def _build(arch: Arch, out: Path) -> None:
    root = out / "root"
    root.mkdir()
    _unpack(arch, root)
    version = next((root / "usr/lib/modules").iterdir()).name
    (root / f"boot/vmlinuz-{version}").rename(out / "vmlinuz")
    _initrd(root, version, out)
    _keep_modules(root / "usr", version, root / "usr", MODULES)
    _accounts(root, out)
    _fill_in(root)
    compile_python(root, "usr/lib/python3*")
    squash(root, out / "root.squashfs", _short_gid_table(root))
    shutil.rmtree(root)


def _unpack(arch: Arch, root: Path) -> None:
    excluded = [f"--exclude=./{path}" for path in UNUSED]
    command = ["mmdebstrap", "--quiet", "--variant=extract", f"--architectures={arch}", "--format=tar"]
    command += [f"--include={','.join([*PACKAGES, f'linux-image-{arch}'])}", SUITE, "-"]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as mmdebstrap:
        subprocess.run(["tar", "-x", "--no-same-owner", *excluded, "-C", root], stdin=mmdebstrap.stdout, check=True)
    if mmdebstrap.returncode:
        raise subprocess.CalledProcessError(mmdebstrap.returncode, command)


def _keep_modules(source: Path, version: str, target: Path, names: Iterable[str]) -> None:
    """Have only these kernel modules, what they depend on, and the lists in target/lib/modules."""
    tree = source / "lib/modules" / version
    depmod = [shutil.which("depmod", path="/usr/sbin:/sbin:/usr/bin") or "depmod", "-b"]
    subprocess.run([*depmod, source, version], check=True)
    needs = {}
    for line in (tree / "modules.dep").read_text().splitlines():
        path, _, others = line.partition(":")
        needs[_module_name(path)] = [path, *others.split()]
    wanted = {path for name in names for path in needs.get(_module_name(name), ())}
    lists = {path.name: path.read_bytes() for path in tree.glob("modules.*") if path.name.startswith("modules.b")}
    contents = {path: (tree / path).read_bytes() for path in wanted}
    new = target / "lib/modules" / version
    shutil.rmtree(new, ignore_errors=True)
    for path, content in contents.items():
        file = new / path.removesuffix(".xz")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(lzma.decompress(content) if path.endswith(".xz") else content)
    for name, content in lists.items():
        (new / name).write_bytes(content)
    (new / "modules.order").touch()
    subprocess.run([*depmod, target, version], check=True)


def _module_name(path: str) -> str:
    return path.rpartition("/")[2].partition(".")[0].replace("-", "_")


def _initrd(root: Path, version: str, out: Path) -> None:
    tree = out / "initrd"
    for name in ("bin", "proc", "sys", "dev", "lower", "rw", "new"):
        (tree / name).mkdir(parents=True)
    shutil.copy(root / "usr/bin/busybox", tree / "bin/busybox")
    for name in ("sh", "mount", "mkdir", "modprobe", "switch_root", "sleep", "cat", "["):
        (tree / "bin" / name).symlink_to("busybox")
    _keep_modules(root / "usr", version, tree, INITRD_MODULES)
    shutil.copy(HERE / "initrd-init", tree / "init")
    (tree / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(tree)) for path in sorted(tree.rglob("*")))
    packed = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet", "--owner=0:0"], input=names.encode(), cwd=tree, stdout=subprocess.PIPE,
        check=True,
    ).stdout  # fmt: skip
    (out / "initrd.img").write_bytes(gzip.compress(packed, 1))
    shutil.rmtree(tree)


def _accounts(root: Path, out: Path) -> None:
    """Users root and spark (uid 1000, may sudo and use Docker), with one key to enter and to go on to the peer."""
    masters = root / "usr/share/base-passwd"
    users = (masters / "passwd.master").read_text()
    users += "sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\nspark:x:1000:1000::/home/spark:/bin/bash\n"
    groups = (masters / "group.master").read_text() + "spark:x:1000:\ndocker:x:999:spark\n"
    (root / "etc/passwd").write_text(users.replace("root:*:", "root:x:"))
    (root / "etc/group").write_text(groups)
    (root / "etc/shadow").write_text(
        "".join(f"{line.split(':')[0]}:*:20000:0:99999:7:::\n" for line in users.splitlines())
    )
    (root / "etc/sudoers.d/spark").write_text("spark ALL=(ALL) NOPASSWD: ALL\n")
    (root / "etc/sudoers.d/spark").chmod(0o440)
    _key(out / "id_ed25519")
    host_key = root / "etc/ssh/ssh_host_ed25519_key"
    _key(host_key)
    public = host_key.with_suffix(".pub").read_text().split()
    (out / "known_hosts").write_text(f"* {public[0]} {public[1]}\n")
    for home in (root / "root", root / "home/spark"):
        ssh = home / ".ssh"
        ssh.mkdir(parents=True, mode=0o700, exist_ok=True)
        shutil.copy(out / "id_ed25519.pub", ssh / "authorized_keys")
        shutil.copy(out / "id_ed25519", ssh / "id_ed25519")
        shutil.copy(out / "known_hosts", ssh / "known_hosts")
        (ssh / "id_ed25519").chmod(0o600)


def _key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "sparkdoctor-lab", "-f", path], check=True)


def _fill_in(root: Path) -> None:
    """What maintainer scripts would have left behind."""
    for name in ("proc", "sys", "dev", "run", "tmp", "root", "opt", "var/tmp", "var/lib/docker", "var/lib/containerd"):
        (root / name).mkdir(parents=True, exist_ok=True)
    for name in ("guest-init", "guest-network"):
        shutil.copy(HERE / name, root / "usr/sbin" / name)
        (root / "usr/sbin" / name).chmod(0o755)
    session = "auth required pam_permit.so\naccount required pam_permit.so\nsession required pam_limits.so\n"
    for service in ("sshd", "sudo", "other"):
        (root / "etc/pam.d" / service).write_text(session)
    (root / "etc/ssh/sshd_config").write_text(
        "UsePAM yes\nPermitRootLogin prohibit-password\nUseDNS no\nMaxSessions 50\nMaxStartups 50\nPrintMotd no\n"
        "HostKey /etc/ssh/ssh_host_ed25519_key\nSubsystem sftp internal-sftp\n"
    )
    for link, target in (("bin/awk", "mawk"), ("sbin/iptables", "iptables-nft"), ("sbin/ip6tables", "ip6tables-nft")):
        if not (root / "usr" / link).is_symlink():
            (root / "usr" / link).symlink_to(target)
    (root / "usr/lib/python3/dist-packages/lab.pth").write_text("/opt/deps\n/opt/sparkdoctor\n")
    (root / "etc/ld.so.cache").unlink(missing_ok=True)
    subprocess.run(["/sbin/ldconfig", "-r", root], check=False, stderr=subprocess.DEVNULL)


def compile_python(root: Path, *patterns: str) -> bool:
    """Compile to .pyc what Debian compiles in maintainer scripts.

    It needs the same version of Python on this machine. Without it every start of Python in
    a guest takes four times as long; nothing else is different.
    """
    python = next(filter(_runs, _pythons()), None)
    if python is None:
        return False
    folders = [str(path.relative_to(root)) for pattern in patterns for path in root.glob(pattern)]
    quiet = ["-q", "--invalidation-mode", "unchecked-hash", "-s", ".", "-p", "/"]
    subprocess.run([python, "-m", "compileall", *quiet, *folders], cwd=root, stdout=subprocess.DEVNULL, check=False)
    return True


def _pythons() -> Iterable[str]:
    if found := shutil.which(f"python{PYTHON}"):
        yield found
    for versions in (".pyenv/versions", ".local/share/uv/python"):
        yield from map(str, Path.home().glob(f"{versions}/*{PYTHON}.*/bin/python{PYTHON}"))


def _runs(python: str) -> bool:
    """A shim of a version manager is found in PATH and may still have nothing behind it."""
    return subprocess.run([python, "-c", ""], stderr=subprocess.DEVNULL, check=False).returncode == 0


def _short_gid_table(root: Path) -> list[str]:
    """Whiteouts (overlayfs.rst) that hide all but the first slots of a GID table in sysfs.

    soft-RoCE has 1024 slots where a ConnectX-7 has 255, and to read them takes most of the time
    that an emulated guest needs to collect its facts. libibverbs still sees them all.
    """
    gids = root / "usr/share/hca/ports/1/gids"
    gids.mkdir(parents=True)
    return [f"{gids.relative_to(root)}/{slot} c 000 0 0 0 0" for slot in range(255, 1024)]


def squash(root: Path, out: Path, nodes: Iterable[str] = ()) -> None:
    """Pack a folder; everything in it belongs to root. `nodes` are pseudo files as mksquashfs takes them."""
    options = ["-noappend", "-quiet", "-no-progress", "-no-xattrs", "-comp", "lz4", "-all-root"]
    options += [word for node in nodes for word in ("-p", node)]
    subprocess.run(["mksquashfs", root, out, *options], check=True, stdout=subprocess.DEVNULL)
