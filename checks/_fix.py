"""Fixes that name this launch's own file, service and container. No checks here."""

from __future__ import annotations

import shlex
from pathlib import PurePath

from sparkdoctor.api import Certainty, Fix, Launch

RESTART = "restarts the model"

_COMPOSE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def set_env(launch: Launch, name: str, value: str, *, certainty: Certainty = Certainty.EXACT) -> Fix:
    """Give the rank `name=value`: in the .env file when that is where the value comes from, else in the launch file."""
    spec = launch.spec
    if spec.kind == "compose" and _from_env_file(launch, name):
        return Fix(f"in {spec.env_file}", f"{name}={value}", recreate(launch), certainty, RESTART)
    if spec.kind == "compose":
        where = f"in {spec.source}, under services.{spec.service}.environment"
        return Fix(where, f'{name}: "{value}"', recreate(launch), certainty, RESTART)
    if spec.kind == "shell":
        return Fix(f"in this shell, set {name}", run=(f"export {name}={shlex.quote(value)}",), certainty=certainty)
    return Fix(_again(launch), _option(launch, f"{name}={value}"), certainty=certainty, cost=RESTART)


def drop_env(launch: Launch, name: str, instead: str = "") -> Fix:
    """Take a variable away; `instead` says what does its work, an imperative that follows `and`."""
    spec = launch.spec
    more = f" and {instead}" if instead else ""
    if spec.kind == "shell":
        return Fix(f"in this shell, unset {name}{more}", run=(f"unset {name}",))
    if spec.kind == "compose":
        where = launch.env.value[name].where if launch.env.is_known and name in launch.env.value else spec.source
        return Fix(f"remove {name} ({where}){more}", run=recreate(launch), cost=RESTART)
    return Fix(f"{_again(launch, word='without')} {name}{more}", cost=RESTART)


def set_flag(launch: Launch, name: str, value: str, *, certainty: Certainty = Certainty.EXACT) -> Fix:
    """Give the server `--name value`; an empty value is a switch."""
    option = f"--{name} {shlex.quote(value)}" if value else f"--{name}"
    if launch.spec.kind == "compose":
        where = f"in {launch.spec.source}, in the command of service {launch.spec.service}"
        return Fix(where, option, recreate(launch), certainty, RESTART)
    return Fix(_again(launch), option, certainty=certainty, cost=RESTART)


def drop_flag(launch: Launch, name: str, instead: str = "") -> Fix:
    """Take `--name` off the server's command line; `instead` follows `and`."""
    more = f" and {instead}" if instead else ""
    if launch.spec.kind == "compose":
        where = f"{launch.spec.source}, service {launch.spec.service}"
        return Fix(f"remove --{name} from the command ({where}){more}", run=recreate(launch), cost=RESTART)
    return Fix(f"{_again(launch, word='without')} --{name}{more}", cost=RESTART)


def set_image(launch: Launch, reference: str, *, certainty: Certainty = Certainty.EXACT) -> Fix:
    """Start from another image."""
    if launch.spec.kind == "compose":
        where = f"in {launch.spec.source}, under services.{launch.spec.service}"
        pull = _compose(launch, "pull")
        return Fix(where, f"image: {reference}", (pull, *recreate(launch)), certainty, RESTART)
    return Fix(_again(launch), reference, certainty=certainty, cost=RESTART)


def recreate(launch: Launch) -> tuple[str, ...]:
    """The command that makes an edited compose file take effect; nothing for other launches."""
    return (_compose(launch, "up -d --force-recreate"),) if launch.spec.kind == "compose" else ()


def of_launch(launch: Launch) -> str:
    """What to call it in a sentence: `compose.yaml (service vllm)`, `container vllm`."""
    return launch.spec.title


def _compose(launch: Launch, command: str) -> str:
    spec = launch.spec
    words = ["docker compose"]
    if spec.source not in _COMPOSE_NAMES:
        words.append(f"-f {shlex.quote(spec.source)}")
    if spec.env_file and PurePath(spec.env_file) != PurePath(spec.source).parent / ".env":
        words.append(f"--env-file {shlex.quote(spec.env_file)}")
    return " ".join([*words, command, shlex.quote(spec.service)] if spec.service else [*words, command])


def _from_env_file(launch: Launch, name: str) -> bool:
    spec = launch.spec
    if not spec.env_file or not launch.env.is_known or name not in launch.env.value:
        return False
    fact = launch.env.value[name]
    return any(spec.env_file in place for place in (fact.where, *fact.over))


def _again(launch: Launch, word: str = "with") -> str:
    spec = launch.spec
    match spec.kind:
        case "container":
            return f"create container {spec.source} again {word}"
        case "process":
            inside = " (its container, when it runs in one)" if spec.container else ""
            return f"stop process {spec.pid}{inside} and start it again {word}"
        case _:
            return f"start the server {word}"


def _option(launch: Launch, pair: str) -> str:
    """A variable as the way of starting takes it."""
    return f"-e {shlex.quote(pair)}" if launch.spec.kind == "container" or launch.spec.container else shlex.quote(pair)
