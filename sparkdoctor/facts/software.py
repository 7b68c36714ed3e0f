"""What is installed in a Python environment: names and versions, without importing any of it.

The folder of an installed distribution is called NAME-VERSION.dist-info (PyPA specification
"Recording installed projects"), so one listing of site-packages tells all versions.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

import msgspec
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from sparkdoctor.fact import CannotTell, Fact, unread
from sparkdoctor.facts.docker import inspect_container, inspect_image, split_env
from sparkdoctor.facts.processes import listed
from sparkdoctor.facts.tree import Layers, Tree, hinted
from sparkdoctor.facts.wanted import Wanted
from sparkdoctor.host import Software
from sparkdoctor.system import System
from sparkdoctor.typed import decode

MATTERS = frozenset(
    {
        "apache-tvm-ffi", "b12x", "compressed-tensors", "deep-ep", "deep-gemm", "flash-attn", "flashinfer-cubin",
        "flashinfer-jit-cache", "flashinfer-python", "huggingface-hub", "nvidia-nccl-cu12", "nvidia-nccl-cu13",
        "quack-kernels", "ray", "safetensors", "sglang", "torch", "transformers", "triton", "vllm",
    }
)  # fmt: skip
"""Kept beside every nvidia-* distribution and all that vllm requires."""

PREFIXES = ("/opt/env", "/opt/venv", "/usr/local", "/usr")
"""Where images of model servers keep their Python, when nothing says it better."""


def keys(wanted: Wanted) -> list[str]:
    """The keys of the environments that a launch names."""
    return [
        *(f"container:{identity}" for identity in wanted.containers),
        *(f"image:{reference}" for reference in wanted.images),
        *(f"prefix:{prefix}" for prefix in wanted.prefixes),
    ]


def software(system: System, wanted: Wanted) -> tuple[Software, ...]:
    """The environments that `wanted` names, and those of the model servers that run here."""
    servers = listed(system)
    running = [process for process in servers.value if process.kind == "server"] if servers.is_known else []
    named = [
        *keys(wanted),
        *(f"container:{process.container}" for process in running if process.container),
        *(f"process:{process.pid}" for process in running if not process.container),
    ]
    found = [_environment(system, key) for key in dict.fromkeys(named)]
    return tuple({each.key: each for each in found}.values())


def not_seen(key: str, where: str, problem: str, *, absent: bool = False) -> Software:
    """An environment of which nothing could be read."""
    missing = unread(where, problem, absent=absent)
    return Software(key, packages=missing, requires=missing, vllm_env=missing, moe_backends=missing)


def _environment(system: System, key: str) -> Software:
    kind, _, what = key.partition(":")
    try:
        match kind:
            case "container":
                return _of_container(system, key, what)
            case "image":
                return _of_image(system, key, what)
            case "process":
                key = f"prefix:/proc/{what}/exe"  # unless we can tell its prefix
                prefixes = _prefixes_of_processes(system, [int(what)])
                key = f"prefix:{prefixes[0]}"
                return _read(Tree(system, ""), f"process {what}", "", [*prefixes, "/usr"])
            case _:
                return _read(Tree(system, ""), what, key, [what])
    except CannotTell as why:
        return not_seen(key, why.where, why.problem)


def _of_container(system: System, key: str, identity: str) -> Software:
    """Through a model server in it, which needs no Docker; else through its first process."""
    servers = listed(system)
    pids = [process.pid for process in servers.value if process.container == identity] if servers.is_known else []
    if pids:
        prefixes = [*_prefixes_of_processes(system, pids), *PREFIXES]
        return _read(Tree(system, f"/proc/{pids[0]}/root"), f"container {identity[:12]}", key, prefixes)
    container = inspect_container(system, identity).value
    if not container.running:
        return _of_image(system, key, container.image_id)
    tree = Tree(system, f"/proc/{container.pid}/root")
    return _read(tree, f"container {container.name}", key, [*_prefixes_of_env(container.env.value), *PREFIXES])


def _of_image(system: System, key: str, reference: str) -> Software:
    image = inspect_image(system, reference)
    if image.absent:
        return not_seen(key, image.where, image.problem, absent=True)
    driver = image.value.graph_driver
    data = driver.data if driver is not None and driver.name == "overlay2" else None
    if not data or "UpperDir" not in data:
        raise CannotTell(
            image.where,
            "this engine does not say where the image's files are (only its overlay2 storage driver does);"
            " start the container and look again",
        )
    env = split_env(image.value.config.env) if image.value.config else {}
    layers = [data["UpperDir"], *data.get("LowerDir", "").split(":")]
    return _read(
        Layers(system, [layer for layer in layers if layer]), reference, key, [*_prefixes_of_env(env), *PREFIXES]
    )


def _prefixes_of_processes(system: System, pids: Sequence[int]) -> list[str]:
    """The prefixes of their interpreters, at least one. Raises CannotTell when none of them can be told."""
    found = [prefix for pid in pids for prefix in _prefixes_of_process(system, pid)]
    return found or [hinted(system.link(f"/proc/{pids[0]}/exe")).map(lambda path: path.rsplit("/bin/", 1)[0]).value]


def _prefixes_of_process(system: System, pid: int) -> Iterator[str]:
    """The prefix of the interpreter as it was called (a virtual environment's python is a link), then as it is."""
    argv, exe, env = system.cmdline(pid), system.link(f"/proc/{pid}/exe"), system.environ(pid)
    words = argv.value[:2] if argv.is_known else ()
    for path in (*words, *([exe.value] if exe.is_known else [])):
        if path.startswith("/") and "/bin/" in path:
            yield path.rsplit("/bin/", 1)[0] or "/usr"
    if env.is_known:
        yield from _prefixes_of_env(env.value)


def _prefixes_of_env(env: dict[str, str]) -> Iterator[str]:
    """VIRTUAL_ENV, then every folder of PATH that ends in /bin."""
    if env.get("VIRTUAL_ENV"):
        yield env["VIRTUAL_ENV"]
    for folder in env.get("PATH", "").split(":"):
        if folder.endswith("/bin"):
            yield folder.removesuffix("/bin") or "/usr"


class Site(msgspec.Struct, frozen=True):
    """The site-packages folders that one interpreter searches, and what is installed in them."""

    folders: tuple[str, ...]
    installed: dict[str, tuple[str, str]]
    """Name (PEP 503) to version and the dist-info folder."""


def _read(tree: Tree, title: str, key: str, prefixes: Iterable[str]) -> Software:
    """The first environment under `prefixes` that has vllm, else the first that has any package that matters.

    An empty `key` stands for `prefix:` and the prefix that was found.
    """
    looked: list[str] = []
    second: tuple[str, Site] | None = None
    for prefix in dict.fromkeys(prefix.rstrip("/") or "/usr" for prefix in prefixes):
        looked.append(prefix)
        for site in _sites(tree, prefix):
            if "vllm" in site.installed:
                return _software(tree, title, key or f"prefix:{prefix}", site)
            if second is None and MATTERS & site.installed.keys():
                second = prefix, site
    if second is not None:
        return _software(tree, title, key or f"prefix:{second[0]}", second[1])
    where = f"{title}: {', '.join(f'{prefix}/lib' for prefix in looked)}"
    problem = "neither vllm nor another package that matters is installed there"
    return not_seen(key or f"prefix:{looked[0] if looked else '?'}", where, problem, absent=True)


def _sites(tree: Tree, prefix: str) -> Iterator[Site]:
    """One for each version of Python that has packages under a prefix, the newest first."""
    found: dict[str, list[str]] = {}
    for lib in ("/usr/local/lib", "/usr/lib") if prefix == "/usr" else (f"{prefix}/lib", f"{prefix}/lib64"):
        if lib.endswith("64") and found:
            break  # lib64 is a link to lib
        for python in tree.names(lib) or ():
            if re.fullmatch(r"python3(\.\d+)?", python):
                both = (f"{lib}/{python}/{kind}" for kind in ("dist-packages", "site-packages"))
                found.setdefault(python, []).extend(folder for folder in both if tree.names(folder) is not None)
    shared = found.pop("python3", [])  # Debian's own packages, for every version
    for python in sorted(found, key=lambda name: int(name.partition(".")[2]), reverse=True) or ([""] if shared else []):
        folders = [*found.get(python, []), *shared]
        installed: dict[str, tuple[str, str]] = {}
        for folder in folders:
            for name, entry in _distributions(tree, folder).items():
                installed.setdefault(name, entry)
        yield Site(tuple(folders), installed)


def _distributions(tree: Tree, folder: str) -> dict[str, tuple[str, str]]:
    found: dict[str, tuple[str, str]] = {}
    for entry in tree.names(folder) or ():
        if not entry.endswith(".dist-info"):
            continue
        raw, _, version = entry.removesuffix(".dist-info").partition("-")
        name = canonicalize_name(raw)
        if name in found and found[name][0] != version:
            raise CannotTell(
                tree.place(folder), f"two versions of {name} are installed side by side: {found[name][0]} and {version}"
            )
        found[name] = (version, f"{folder}/{entry}")
    return found


def _software(tree: Tree, title: str, key: str, site: Site) -> Software:
    versions = {name: version for name, (version, _) in site.installed.items()}
    requires = _requires(tree, site)
    asked = {_required_name(line) for line in requires.value} if requires.is_known else set()
    return Software(
        key,
        packages=Fact(
            f"{title} {' '.join(site.folders)}",
            {
                name: version
                for name, version in sorted(versions.items())
                if name in MATTERS or name in asked or name.startswith("nvidia-")
            },
        ),
        requires=requires,
        vllm_env=_vllm_file(tree, site, "envs.py").map(parse_envs),
        moe_backends=_vllm_file(tree, site, "config/kernel.py").map(parse_moe_backends),
    )


def _requires(tree: Tree, site: Site) -> Fact[tuple[str, ...]]:
    if "vllm" not in site.installed:
        return unread(" ".join(site.folders), "vllm is not installed there", absent=True)
    from packaging.metadata import parse_email  # a tenth of a second, and most machines have no vllm of their own

    text = tree.read(f"{site.installed['vllm'][1]}/METADATA")
    return text.map(lambda text: tuple(parse_email(text)[0].get("requires_dist", ())))


def _required_name(line: str) -> str:
    try:
        return canonicalize_name(Requirement(line).name)
    except InvalidRequirement:
        return ""


def _vllm_file(tree: Tree, site: Site, name: str) -> Fact[str]:
    """A file of vllm's, beside its dist-info or where a development install says its source is (PEP 610)."""
    if "vllm" not in site.installed:
        return unread(" ".join(site.folders), "vllm is not installed there", absent=True)
    info = site.installed["vllm"][1]
    source = tree.read(f"{info.rsplit('/', 1)[0]}/vllm/{name}")
    if source.absent:
        editable = tree.read(f"{info}/direct_url.json").map(parse_direct_url)
        if editable.is_known:
            source = tree.read(f"{editable.value}/vllm/{name}")
    return source


def parse_direct_url(text: str) -> str:
    """The folder that an editable install points to."""
    url = decode(text, DirectUrl).url
    if not url.startswith("file://"):
        raise ValueError(f"not a folder: {url}")
    return url.removeprefix("file://").rstrip("/")


class DirectUrl(msgspec.Struct):
    url: str


def parse_envs(text: str) -> tuple[str, ...]:
    """The VLLM_* names that stand in quotes in vllm/envs.py, sorted."""
    names = tuple(sorted(set(re.findall(r"""["'](VLLM_[A-Z0-9_]+)["']""", text))))
    if not names:
        raise ValueError("no VLLM_* name stands in it")
    return names


def parse_moe_backends(text: str) -> tuple[str, ...]:
    """The words of `MoEBackend = Literal[...]` in vllm/config/kernel.py, in its order."""
    literal = re.search(r"^MoEBackend\s*=\s*Literal\[([^\]]*)\]", text, re.MULTILINE)
    if not literal:
        raise ValueError("no Literal MoEBackend stands in it")
    return tuple(re.findall(r"""["']([a-z0-9_]+)["']""", literal[1]))
