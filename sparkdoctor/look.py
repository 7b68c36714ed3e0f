"""Decide what to look at, and look: from arguments to clusters of nodes.

A launch is taken from what was named (compose files, a container, a pid, this shell, snapshots);
with nothing named, from a compose file in this folder, else from what runs here, else from this
shell. The header of `check` says which it was.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from sparkdoctor.api import Cluster, Node
from sparkdoctor.ask import Ask
from sparkdoctor.errors import BadInput
from sparkdoctor.fact import CannotTell, Fact
from sparkdoctor.facts import Wanted, gather
from sparkdoctor.facts.gather import PATIENCE
from sparkdoctor.host import Data, Host
from sparkdoctor.launch import seen
from sparkdoctor.launch.cache import wanted_cache
from sparkdoctor.launch.compose import FILE_NAMES, default_files, ranks, read_compose
from sparkdoctor.launch.resolve import resolve
from sparkdoctor.launch.spread import Spread, spread
from sparkdoctor.launch.types import LaunchError, Spec
from sparkdoctor.snapshot import Snapshot, SnapshotError, from_json, is_snapshot_file
from sparkdoctor.system import Live, System

SLOW = 3.0
"""Seconds after which a probe is named."""


class Look(Data, frozen=True):
    """What was found to judge."""

    clusters: tuple[Cluster, ...]
    """One a launch; nodes in rank order."""
    chosen: str
    """Why this launch, for the header; empty when it was named."""
    slow: tuple[str, ...] = ()
    """Probes that took more than a few seconds, in words."""


def look(ask: Ask, system: System, environ: Mapping[str, str]) -> Look:
    """Find the launches, gather the facts, resolve what each rank will see. Raises BadInput."""
    snapshots, rank_targets = _sort_targets(ask.targets)
    rank_specs = [_rank(target, ask, environ) for target in rank_targets]
    if snapshots:
        _refuse_with_snapshots(ask, bool(rank_specs))
        return Look(_from_snapshots(snapshots, rank_specs), chosen="")
    specs, chosen = (rank_specs, "") if rank_specs else _find_specs(ask, environ)
    host, slow = gather_here(system, specs, ask.prefixes)
    if not specs and not ask.machine_only:
        specs, chosen = _find_running(ask, host, system.environ("self"))
    return Look(_clusters_here(specs, host, together=bool(rank_specs)), chosen, slow)


def take_snapshot(ask: Ask, system: System, environ: Mapping[str, str]) -> Snapshot:
    """This machine's facts and every launch found on it: what `collect` writes. Raises BadInput."""
    specs, _ = _find_specs(ask, environ)
    host, _ = gather_here(system, specs, ask.prefixes)
    alive = [] if ask.containers or ask.pids else list(seen.running(host))
    return Snapshot(host, (*alive, *specs) or tuple(_find_running(ask, host, system.environ("self"))[0]))


def gather_here(system: System, specs: Sequence[Spec], prefixes: Sequence[str]) -> tuple[Host, tuple[str, ...]]:
    """The facts of this machine, with what these launches ask for beside. Also names slow probes."""
    models = {model for spec in specs if (model := wanted_cache(spec)) is not None}
    images = {spec.image.value for spec in specs if spec.image is not None and spec.image.is_known}
    wanted = Wanted(
        models=tuple(sorted(models, key=lambda model: (model.hub, model.model))),
        images=tuple(sorted(images)),
        prefixes=tuple(prefixes),
    )
    slow: list[str] = []

    def done(probe: str, seconds: float) -> None:
        if seconds > SLOW:
            slow.append(f"the {probe} probe took {seconds:.1f} s")

    host = gather(system, wanted, done=done, patience=_patience())
    return host, tuple(slow)


def _patience() -> float:
    """Seconds for a probe to answer: SPARKDOCTOR_PATIENCE, for machines slower than any Spark. Raises BadInput."""
    text = os.environ.get("SPARKDOCTOR_PATIENCE") or str(PATIENCE)
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"SPARKDOCTOR_PATIENCE is {text!r}, which is no number of seconds") from None


def read_snapshot(path: str) -> Snapshot:
    """Raises BadInput."""
    try:
        return from_json(Path(path).read_bytes(), path)
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
    except SnapshotError as error:
        raise BadInput(str(error)) from None


def clusters_of(snapshots: Sequence[Snapshot]) -> tuple[Cluster, ...]:
    """The nodes that snapshots describe, each with the launch that says most about it."""
    return _from_snapshots(snapshots, [])


def _sort_targets(targets: Iterable[str]) -> tuple[list[Snapshot], list[str]]:
    snapshots, ranks_named = [], []
    for target in targets:
        path = Path(target)
        if not path.exists():
            raise BadInput(f"{target}: no such file or folder")
        if path.suffix == ".json" or is_snapshot_file(target):
            snapshots.append(read_snapshot(target))
        else:
            ranks_named.append(target)
    return snapshots, ranks_named


def _refuse_with_snapshots(ask: Ask, ranks_named: bool) -> None:
    live = [("--container", ask.containers), ("--pid", ask.pids), ("--shell", ask.shell)]
    for option, given in live:
        if given:
            raise BadInput(f"{option} looks at this machine, a snapshot at another: give one or the other")
    if (ask.files or ask.env_files) and not ranks_named:
        raise BadInput(
            "with snapshots, name one compose or .env file for each as a plain argument, not with --file or --env-file"
        )


def _rank(target: str, ask: Ask, environ: Mapping[str, str]) -> Spec:
    """The one rank that a folder, a compose file or an .env file describes."""
    path = Path(target)
    files: tuple[str, ...]
    env_files: tuple[str, ...]
    if path.is_dir():
        files, env_files = _compose_in(path), ()
    elif path.suffix in (".yaml", ".yml"):
        files, env_files = (target,), ()
    else:
        files, env_files = ask.files or _compose_in(path.parent, Path(".")), (target,)
    specs = _compose(files, env_files, ask, environ)
    if len(specs) != 1:
        names = ", ".join(spec.service for spec in specs) or "none"
        raise BadInput(f"{target}: {len(specs)} services serve a model ({names}); name one with --service")
    return specs[0]


def _compose_in(*folders: Path) -> tuple[str, ...]:
    for folder in folders:
        if found := _default_files(folder):
            return found
    raise BadInput(f"{folders[0]}: no compose file there (looked for {', '.join(FILE_NAMES)}); name it with --file")


def _default_files(folder: Path) -> tuple[str, ...]:
    """The files that docker compose takes in a folder, the override file with its own."""
    return default_files(Live(), "" if folder == Path(".") else str(folder))


def _compose(  # launch files are the user's, so they are read here whatever machine is asked for facts
    files: Sequence[str], env_files: Sequence[str], ask: Ask, environ: Mapping[str, str]
) -> list[Spec]:
    try:
        specs = read_compose(Live(), files, env_files, profiles=ask.profiles, environ=environ, services=ask.services)
    except LaunchError as error:
        raise BadInput(str(error)) from None
    return list(specs if ask.services else ranks(specs))


def _find_specs(ask: Ask, environ: Mapping[str, str]) -> tuple[list[Spec], str]:
    """Launches that are in files: those named, else the compose file of this folder."""
    if ask.files or ask.env_files:
        files = ask.files or _compose_in(Path("."))
        specs = _compose(files, ask.env_files, ask, environ)
        if not specs:
            raise BadInput(f"{', '.join(files)}: no service there serves a model; name one with --service")
        return specs, ""
    if ask.containers or ask.pids or ask.shell or ask.machine_only:
        return [], ""
    if found := _default_files(Path(".")):
        named = " and ".join(found) + (" are" if len(found) > 1 else " is")
        return _compose(found, (), ask, environ), f"{named} in this folder"
    return [], ""


def _find_running(ask: Ask, host: Host, environ: Fact[dict[str, str]]) -> tuple[list[Spec], str]:
    """Launches that run: those named, else all; else this shell if it is set up for one."""
    if ask.containers or ask.pids:
        return [*(_container(name, host) for name in ask.containers), *(_process(pid, host) for pid in ask.pids)], ""
    shell = seen.of_shell(environ, host.limits.own, host.machine.nccl_conf)
    if ask.shell:
        return [shell], ""
    if alive := seen.running(host):
        return list(alive), "it runs here"
    names = environ.value if environ.is_known else ()
    if any(name.startswith(("NCCL_", "VLLM_")) or name == "MASTER_ADDR" for name in names):
        return [shell], "this shell sets NCCL_*, VLLM_* or MASTER_ADDR"
    return [], ""


def _container(name: str, host: Host) -> Spec:
    containers = host.docker.containers
    if not containers.is_known:
        raise BadInput(f"--container {name}: {containers.where}: {containers.problem}")
    for container in containers.value:
        if name == container.name or container.id.startswith(name):
            inside = (
                [p for p in host.processes.value if p.container == container.id and seen.serves(p)]
                if host.processes.is_known
                else []
            )
            return (
                seen.of_process(min(inside, key=lambda p: p.pid), container) if inside else seen.of_container(container)
            )
    known = ", ".join(container.name for container in containers.value) or "none"
    raise BadInput(f"--container {name}: no such container; there are: {known}")


def _process(pid: int, host: Host) -> Spec:
    processes = host.processes
    if not processes.is_known:
        raise BadInput(f"--pid {pid}: {processes.where}: {processes.problem}")
    containers = {c.id: c for c in host.docker.containers.value} if host.docker.containers.is_known else {}
    for process in processes.value:
        if process.pid == pid:
            return seen.of_process(process, containers.get(process.container))
    known = ", ".join(f"{p.pid} ({p.name})" for p in processes.value if seen.serves(p)) or "none"
    raise BadInput(f"--pid {pid}: no such model server process; there are: {known}")


def _from_snapshots(snapshots: Sequence[Snapshot], rank_specs: Sequence[Spec]) -> tuple[Cluster, ...]:
    if rank_specs and len(rank_specs) != len(snapshots):
        raise BadInput(f"{len(rank_specs)} rank files and {len(snapshots)} snapshots: give one snapshot for each rank")
    nodes = []
    for at, snapshot in enumerate(snapshots):
        spec = rank_specs[at] if rank_specs else next(iter(snapshot.specs), None)
        nodes.append(_node(spec, snapshot.host))
    return (Cluster(_in_rank_order(_named_apart(nodes))),)


def _clusters_here(specs: Sequence[Spec], host: Host, *, together: bool) -> tuple[Cluster, ...]:
    """Nodes on this machine. Rank files given together are one launch; other launches are apart."""
    if not specs:
        return (Cluster((Node(host.name, host),)),)
    if not together:
        return tuple(Cluster((_node(spec, host),)) for spec in specs)
    mine = specs[0] if len(specs) == 1 else _rank_of(host, specs)
    nodes = [_node(spec, host if spec is mine else None) for spec in specs]
    return (Cluster(_in_rank_order(_named_apart(nodes))),)


def _node(spec: Spec | None, host: Host | None) -> Node:
    if spec is None:
        return Node(host.name if host else "?", host)
    launch = resolve(spec, host)
    return Node(host.name if host else spec.env_file or spec.source, host, launch)


def _rank_of(host: Host, specs: Sequence[Spec]) -> Spec | None:
    """Which of several ranks runs on this machine: rank 0 if it holds MASTER_ADDR; the only other
    rank if it shares a network with it; else nobody can tell."""
    interfaces = host.network.interfaces.value if host.network.interfaces.is_known else ()
    own = [
        ipaddress.ip_interface(address)
        for interface in interfaces
        if not interface.loopback
        for address in interface.addresses
    ]
    heads = [spec for spec in specs if _rank_number(spec) == 0]
    others = [spec for spec in specs if (_rank_number(spec) or 0) > 0]
    for spec in heads:
        address = _master(spec)
        if address is not None and any(address == mine.ip for mine in own):
            return spec
        if address is not None and len(others) == 1 and any(address in mine.network for mine in own):
            return others[0]
    return None


def _spread_of(spec: Spec) -> Spread | None:
    """What a launch itself says of its ranks; None where its command line or environment could not be read."""
    try:
        return spread(resolve(spec, None))
    except CannotTell:  # which rank it is stays open here; the checks say why
        return None


def _master(spec: Spec) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    said = _spread_of(spec)
    if said is None or said.master_addr is None or not said.master_addr.is_known:
        return None
    try:
        return ipaddress.ip_address(said.master_addr.value)
    except ValueError:  # a host name: which machine it is, is for the checks to say
        return None


def _rank_number(spec: Spec) -> int | None:
    said = _spread_of(spec)
    return said.node_rank.value if said is not None and said.node_rank is not None and said.node_rank.is_known else None


def _in_rank_order(nodes: Sequence[Node]) -> tuple[Node, ...]:
    def key(node: Node) -> int:
        number = _rank_number(node.launch.spec) if node.launch is not None else None
        return len(nodes) if number is None else number

    return tuple(sorted(nodes, key=key))


def _named_apart(nodes: Sequence[Node]) -> list[Node]:
    """Nodes of one name get a number, so that no message is about "spark, spark"."""
    names = [node.name for node in nodes]
    return [
        Node(
            f"{node.name}#{names[: at + 1].count(node.name)}" if names.count(node.name) > 1 else node.name,
            node.host,
            node.launch,
        )
        for at, node in enumerate(nodes)
    ]


def environment() -> dict[str, str]:
    """This process's environment, for the `${X}` of compose files."""
    return dict(os.environ)
