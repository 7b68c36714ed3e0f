"""Read docker compose files as `docker compose` does: what each service will be started with.

Source: the Compose specification and compose-go v2.13.0; compared with Docker Compose 2.40.3.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence

from sparkdoctor.fact import Fact
from sparkdoctor.launch import service as settings
from sparkdoctor.launch.argv import command_line
from sparkdoctor.launch.dotenv import read_dotenv
from sparkdoctor.launch.interpolate import Variable
from sparkdoctor.launch.merge import by_name
from sparkdoctor.launch.model import Model, Named, Variables, read_text, with_env_files
from sparkdoctor.launch.tree import Listing, Table, path_of, scalars, want_text
from sparkdoctor.launch.types import LaunchError, Remark, Spec
from sparkdoctor.secrets import clean_argv, clean_env
from sparkdoctor.system import System

__all__ = ["FILE_NAMES", "LaunchError", "default_files", "ranks", "read_compose"]

FILE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml")
OVERRIDE_NAMES = ("compose.override.yml", "compose.override.yaml", "docker-compose.override.yml",
                  "docker-compose.override.yaml")  # fmt: skip
"""Both in the order in which compose looks for them (compose-go cli/options.go)."""


def default_files(system: System, folder: str) -> tuple[str, ...]:
    """The compose files that `docker compose` takes in `folder` when none is named: one and its override."""
    return tuple(
        os.path.join(folder, found)
        for names in (FILE_NAMES, OVERRIDE_NAMES)
        if (found := next((name for name in names if system.read(os.path.join(folder, name)).is_known), None))
    )


def read_compose(
    system: System,
    files: Sequence[str],
    env_files: Sequence[str] = (),
    profiles: Sequence[str] = (),
    environ: Mapping[str, str] = {},
    project_dir: str | None = None,
    services: Sequence[str] = (),
) -> tuple[Spec, ...]:
    """What each enabled service will be started with, in the order of the files; with `services` only those.

    `files` and `env_files` are what -f and --env-file would be given, `environ` the environment
    that compose is called in. Relative names start from the working directory, the paths inside
    the files from `project_dir`, by default the folder of the first file. Without `env_files` the
    .env of that folder is taken if it is there.

    Raises LaunchError (file:line and one line of what is wrong) for everything that
    `docker compose` would refuse and we look at, and nothing else.
    """
    if not files:
        raise LaunchError("", "no compose file is named")
    named = tuple(Named.given(file) for file in files)
    folder = os.path.abspath(project_dir) if project_dir else os.path.dirname(named[0].path)
    shell = {name: Variable.named(name, value, "the shell") for name, value in environ.items()}
    dotenv = _env_files(system, named[0], folder, env_files, environ)
    variables, remarks = with_env_files(system, shell, dotenv)
    variables.setdefault("PWD", Variable(os.path.abspath("."), "the shell"))
    home = environ.get("HOME", "")
    found = Model(system, home).services(named, folder, variables)
    if not found:
        raise LaunchError(named[0].shown, "no `services` in it, so it is no compose file")
    source = _Source(system, named[0], dotenv, variables, remarks, home)
    enabled = _enabled(found, profiles, services, variables, named[0].shown)
    return tuple(_spec(source, name, found[name], _same_name(found, enabled, name)) for name in enabled)


def _env_files(
    system: System, first: Named, folder: str, env_files: Sequence[str], environ: Mapping[str, str]
) -> tuple[Named, ...]:
    if not env_files and environ.get("COMPOSE_ENV_FILES"):
        env_files = environ["COMPOSE_ENV_FILES"].split(",")
    if env_files:
        return tuple(Named.given(file) for file in env_files)
    default = first.beside(os.path.join(folder, ".env"), folder)
    if environ.get("COMPOSE_DISABLE_ENV_FILE", "").lower() in ("1", "t", "true"):
        return ()
    return () if system.read(default.path).absent else (default,)


def _enabled(
    found: Mapping[str, Table], profiles: Sequence[str], services: Sequence[str], variables: Variables, file: str
) -> list[str]:
    """The services that would be started. A named one is enabled, and with it its profiles."""
    for name in services:
        if name not in found:
            raise LaunchError(file, f"no service `{name}`; it has {', '.join(found)}")
    if services:
        return [name for name in found if name in services]
    if not profiles and (variable := variables.get("COMPOSE_PROFILES")):
        profiles = [profile.strip() for profile in variable.value.split(",")]
    enabled = [name for name, table in found.items() if _has_profile(table, profiles)]
    if not enabled:
        own = (settings.texts(table, "profiles") for table in found.values())
        names = dict.fromkeys(profile for fact in own if fact is not None for profile in fact.value)
        raise LaunchError(file, f"every service is in a profile that is off: {', '.join(names)}")
    return enabled


def _has_profile(service: Table, profiles: Sequence[str]) -> bool:
    own = settings.texts(service, "profiles")
    return own is None or not own.value or "*" in profiles or bool(set(own.value) & set(profiles))


class _Source:
    """What all services of one launch share."""

    def __init__(
        self,
        system: System,
        file: Named,
        dotenv: tuple[Named, ...],
        variables: Variables,
        remarks: tuple[Remark, ...],
        home: str,
    ) -> None:
        self.system = system
        self.file = file
        self.dotenv = dotenv
        self.variables = variables
        self.remarks = remarks
        self.home = home


def _spec(source: _Source, name: str, service: Table, remarks: tuple[Remark, ...]) -> Spec:
    if not any(service.get(key) for key in ("image", "build", "provider")):
        raise LaunchError(service.where, f"service `{name}` has neither `image` nor `build`")
    mode = service.get("network_mode")
    if mode is not None and service.get("networks") is not None:
        raise LaunchError(mode.where, "`network_mode` and `networks` exclude each other")
    env, unset, env_remarks = _environment(source, name, service)
    values = {variable: fact.value for variable, fact in env.items()}
    command = command_line(service.get("entrypoint"), service.get("command"), values)
    for variable, fact in command.env.items():
        before = env.pop(variable, None)
        if fact is not None:
            over = (before.where, *before.over) if before is not None else ()
            env[variable] = _without_secret(variable, Fact(fact.where, fact.known, fact.problem, over=over))
    taken = tuple(variable for variable, fact in command.env.items() if fact is None)
    written = service.get("environment") or service
    return Spec(
        kind="compose",
        title=f"{source.file.shown} (service {name})",
        source=source.file.shown,
        service=name,
        env_file=", ".join(file.shown for file in source.dotenv),
        env=Fact(written.where, env),
        unset=tuple(dict.fromkeys((*unset, *taken))),
        argv=Fact(command.where or service.where, tuple(clean_argv(command.words))),
        places=command.places,
        image=settings.text(service, "image"),
        memlock=settings.memlock(service),
        shm_size=settings.shm_size(service),
        ipc=settings.text(service, "ipc"),
        network_mode=settings.text(service, "network_mode"),
        privileged=settings.boolean(service, "privileged"),
        cap_add=settings.texts(service, "cap_add"),
        user=settings.text(service, "user"),
        hostname=settings.text(service, "hostname"),
        extra_hosts=settings.extra_hosts(service),
        devices=settings.devices(service),
        gpus=settings.gpus(service),
        mounts=settings.mounts(service, source.home),
        remarks=_remarks(
            source.remarks,
            service,
            settings.unknown_keys(service),
            remarks,
            env_remarks,
            command.remarks,
            _beyond(command.words, command.places),
        ),
    )


def _beyond(words: Sequence[str], places: Sequence[str]) -> tuple[Remark, ...]:
    """Options that come out of a file in the container (vLLM's --config)."""
    return tuple(
        Remark(place, f"`{word}` takes options from a file in the container, which was not read")
        for word, place in zip(words, places, strict=True)
        if word == "--config" or word.startswith("--config=")
    )


def _same_name(found: Mapping[str, Table], enabled: Sequence[str], name: str) -> tuple[Remark, ...]:
    """Services that docker compose refuses to start together, for they claim one container name."""
    mine = settings.text(found[name], "container_name")
    if mine is None:
        return ()
    others = [
        other
        for other in enabled
        if other != name and (theirs := settings.text(found[other], "container_name")) and theirs.value == mine.value
    ]
    if not others:
        return ()
    text = f"`container_name: {mine.value}` is also that of {', '.join(others)}; docker compose refuses to start both"
    return (Remark(mine.where, text),)


def _remarks(dotenv: tuple[Remark, ...], service: Table, *more: tuple[Remark, ...]) -> tuple[Remark, ...]:
    own = [remark for scalar in scalars(service) for remark in scalar.remarks]
    return tuple(dict.fromkeys((*dotenv, *own, *(remark for remarks in more for remark in remarks))))


def _environment(
    source: _Source, name: str, service: Table
) -> tuple[dict[str, Fact[str]], tuple[str, ...], tuple[Remark, ...]]:
    """The variables of a service, those it takes away from the image, and remarks.

    `environment` beats `env_file`, a later env_file an earlier one; a name without a value is
    taken from what compose itself sees (compose-go types/project.go, WithServicesEnvironmentResolved).
    """
    node = service.get("environment")
    table = by_name(node) if node is not None else None
    own: dict[str, Variable] = {}
    unset = []
    for variable, value in table.items.items() if table is not None else ():
        if value.tag == "reset":
            continue
        scalar = want_text(value, f"environment.{variable}")
        if scalar.value is not None:
            own[variable] = Variable.named(variable, scalar.text, scalar.where, scalar.over)
        elif (outer := source.variables.get(variable)) is not None:
            place = f"{scalar.where} ({variable} from {outer.place})"
            own[variable] = Variable(outer.value, place, (*outer.over, *scalar.over))
        else:
            unset.append(variable)
    merged, remarks = _with_env_file(source, service, own)
    env = {
        variable: _without_secret(variable, Fact(value.place, value.value, over=value.over))
        for variable, value in merged.items()
        if variable
    }
    return env, tuple(name for name in unset if name not in env), remarks


def _without_secret(name: str, fact: Fact[str]) -> Fact[str]:
    return fact.map(lambda value: clean_env({name: value})[name])


def _with_env_file(
    source: _Source, service: Table, own: Mapping[str, Variable]
) -> tuple[dict[str, Variable], tuple[Remark, ...]]:
    node = service.get("env_file")
    entries = node.items if isinstance(node, Listing) else (node,) if node is not None else ()
    found: dict[str, Variable] = {}
    remarks: tuple[Remark, ...] = ()
    for entry in entries:
        required, raw = True, False
        path = entry
        if isinstance(entry, Table):
            path_node = entry.get("path")
            if path_node is None:
                raise LaunchError(entry.where, "this `env_file` has no `path`")
            path, asked = path_node, settings.boolean(entry, "required")
            required = asked is None or asked.value
            raw = _is_raw(entry)
        scalar = want_text(path, "env_file")
        file = source.file.beside(path_of(scalar, source.home), scalar.folder)
        fact = source.system.read(file.path)
        if fact.absent and not required:
            continue
        text = read_text(source.system, file, scalar.where)
        remarks += read_dotenv(
            text, file.shown, lambda name: source.variables.get(name) or own.get(name), found, raw=raw
        )
    for variable, value in own.items():
        loser = found.get(variable)
        over = (loser.place, *loser.over) if loser is not None else ()
        found[variable] = value._replace(over=(*value.over, *over))
    return found, remarks


def _is_raw(entry: Table) -> bool:
    node = entry.get("format")
    if node is None:
        return False
    word = want_text(node, "env_file.format")
    if word.text not in ("raw", ".env"):
        raise LaunchError(word.where, f"unknown `format: {word.text}`; compose knows `raw`")
    return word.text == "raw"


def ranks(specs: Sequence[Spec]) -> tuple[Spec, ...]:
    """Those of `specs` that start a rank, or may.

    A service counts when it asks for GPUs, when it sets a variable of NCCL, vLLM or torch's
    rendezvous, when it passes an RDMA device, or when its command starts a model server. A proxy,
    a dashboard or a database beside it does none of that.
    """
    return tuple(spec for spec in specs if _is_rank(spec))


_PREFIXES = ("NCCL_", "VLLM_", "SGLANG_", "RAY_")
_RENDEZVOUS = {"MASTER_ADDR", "NODE_RANK", "WORLD_SIZE"}
_SERVERS = {"vllm", "ray", "sglang", "torchrun", "trtllm-serve", "mpirun"}


def _is_rank(spec: Spec) -> bool:
    if spec.gpus is not None and spec.gpus.value:
        return True
    names = spec.env.value
    if any(name.startswith(_PREFIXES) or name in _RENDEZVOUS for name in names):
        return True
    if spec.devices is not None and any(path.startswith("/dev/infiniband") for path in spec.devices.value):
        return True
    words = [os.path.basename(word) for word in spec.argv.value]
    return bool(_SERVERS & set(words[:4])) or any(word.startswith(("vllm.", "sglang.")) for word in words[:4])
