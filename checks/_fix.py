"""Fixes that name this launch's own file, service and container. No checks here."""

from __future__ import annotations

import shlex
from pathlib import PurePath
from typing import NamedTuple

from sparkdoctor.api import Certainty, Fix, Launch, Node

RESTART = "restarts the model"

_COMPOSE_NAMES = ("compose.yaml", "compose.yml", "docker-compose.yaml", "docker-compose.yml")


def set_env(node: Node, name: str, value: str, *, certainty: Certainty = Certainty.EXACT) -> Fix:
    """Give the rank `name=value`: in the .env file when that is where the value comes from, else in the launch file."""
    launch, compose = node.launched(), _compose_of(node)
    if compose and (env_file := _env_file_of(launch, name)):
        return Fix(f"in {env_file}", f"{name}={value}", compose.recreate, certainty, RESTART)
    if compose:
        where = f"in {compose.file}, under services.{compose.service}.environment"
        return Fix(where, f'{name}: "{value}"', compose.recreate, certainty, RESTART)
    if launch.spec.kind == "shell":
        return Fix(f"in this shell, set {name}", run=(f"export {name}={shlex.quote(value)}",), certainty=certainty)
    return Fix(_again(node, "with"), _variable(launch, f"{name}={value}"), certainty=certainty, cost=RESTART)


def drop_env(node: Node, name: str, instead: str = "") -> Fix:
    """Take a variable away; `instead` says what does its work, an imperative that follows `and`."""
    launch, compose = node.launched(), _compose_of(node)
    more = f" and {instead}" if instead else ""
    if launch.spec.kind == "shell":
        return Fix(f"in this shell, unset {name}{more}", run=(f"unset {name}",))
    if compose:
        return Fix(f"remove {name} ({_written(node, name, compose)}){more}", run=compose.recreate, cost=RESTART)
    return Fix(f"{_again(node, 'without')} {name}{more}", cost=RESTART)


def set_flag(node: Node, name: str, value: str = "", *, certainty: Certainty = Certainty.EXACT) -> Fix:
    """Give the server `--name value`; an empty value is a switch."""
    option = f"--{name} {shlex.quote(value)}" if value else f"--{name}"
    if compose := _compose_of(node):
        where = f"in {compose.file}, in the command of service {compose.service}"
        return Fix(where, option, compose.recreate, certainty, RESTART)
    return Fix(_again(node, "with"), option, certainty=certainty, cost=RESTART)


def drop_flag(node: Node, name: str, instead: str = "") -> Fix:
    """Take `--name` off the server's command line; `instead` follows `and`."""
    more = f" and {instead}" if instead else ""
    if compose := _compose_of(node):
        where = f"{compose.file}, service {compose.service}"
        return Fix(f"remove --{name} from the command ({where}){more}", run=compose.recreate, cost=RESTART)
    return Fix(f"{_again(node, 'without')} --{name}{more}", cost=RESTART)


def set_either(
    node: Node, flag: str, variable: str, value: str, *, certainty: Certainty = Certainty.EXACT, switch: bool = False
) -> Fix:
    """Set an option that recipes fill from a variable (`--node-rank ${NODE_RANK}`): the variable where there is
    one in an .env file or no such option, else the option. `switch`: the option takes no value of its own."""
    launch = node.launched()
    shown = launch.flags.is_known and bool(launch.flags.value)
    has_variable = launch.env.is_known and variable in launch.env.value
    if has_variable and (_env_file_of(launch, variable) or not shown):
        return set_env(node, variable, value, certainty=certainty)
    if switch:
        return set_flag(node, flag) if value else drop_flag(node, flag)
    return set_flag(node, flag, value, certainty=certainty)


def set_image(node: Node, reference: str, *, bring: str = "", certainty: Certainty = Certainty.EXACT) -> Fix:
    """Start from another image, which the command `bring` gets in place of a pull."""
    if compose := _compose_of(node):
        where = f"in {compose.file}, under services.{compose.service}"
        return Fix(where, f"image: {reference}", (bring or compose.pull, *compose.recreate), certainty, RESTART)
    return Fix(_again(node, "from image"), reference, (bring,) if bring else (), certainty, RESTART)


def copy_image(head: Node, reference: str) -> str:
    """The command that brings an image from the head's engine to the one of the node where it is run."""
    return f"ssh {head.name} docker save {reference} | docker load"


def load_image(node: Node, head: Node, reference: str) -> Fix:
    """Have the same image under this name as the head has."""
    return Fix(
        f"on {node.name}, load the image that {head.name} has, and create the container again",
        run=(copy_image(head, reference), *recreate(node.launched())),
        certainty=Certainty.TRY,
        cost=RESTART,
    )


def set_service(node: Node, lines: str, option: str, *, bare: Fix) -> Fix:
    """Give the rank's container a setting: `lines` of its compose service, `option` of `docker run`.

    `bare` is the fix for a rank that runs in no container.
    """
    if compose := _compose_of(node):
        where = f"in {compose.file}, under services.{compose.service}"
        return Fix(where, lines, compose.recreate, cost=RESTART)
    spec = node.launched().spec
    if not spec.container:
        return bare
    known = node.host.docker.containers.value if node.host and node.host.docker.containers.is_known else ()
    name = next((container.name for container in known if container.id == spec.container), spec.container[:12])
    return Fix(f"create container {name} again with", option, cost=RESTART)


def on_node(node: Node, fix: Fix) -> Fix:
    """The fix of a check that looks at several nodes, for one of them."""
    return Fix(f"on {node.name}, {fix.do}", fix.edit, fix.run, fix.certainty, fix.cost)


def recreate(launch: Launch) -> tuple[str, ...]:
    """The command that makes an edited compose file take effect; nothing for other launches."""
    spec = launch.spec
    if spec.kind != "compose":
        return ()
    return _Compose(spec.source, spec.service, spec.env_file).recreate


class _Compose(NamedTuple):
    file: str
    service: str
    env_file: str = ""

    @property
    def recreate(self) -> tuple[str, ...]:
        return (self._command("up -d --force-recreate"),)

    @property
    def pull(self) -> str:
        return self._command("pull")

    def _command(self, command: str) -> str:
        words = ["docker compose"]
        if self.file not in _COMPOSE_NAMES:
            words.append(f"-f {shlex.quote(self.file)}")
        if self.env_file and PurePath(self.env_file) != PurePath(self.file).parent / ".env":
            words.append(f"--env-file {shlex.quote(self.env_file)}")
        return " ".join([*words, command, shlex.quote(self.service)] if self.service else [*words, command])


def _compose_of(node: Node) -> _Compose | None:
    """The compose file behind the rank, also behind a container that compose made."""
    spec = node.launched().spec
    if spec.kind == "compose":
        return _Compose(spec.source, spec.service, spec.env_file)
    known = node.host.docker.containers.value if node.host and node.host.docker.containers.is_known else ()
    for container in known:
        if spec.container and container.id == spec.container and container.compose_file:
            return _Compose(container.compose_file, container.compose_service)
    return None


def _env_file_of(launch: Launch, name: str) -> str:
    """The .env file that a variable's value comes from, empty when it comes from none.

    An empty value counts as coming from there: `${HEADLESS:-}` names no file when HEADLESS is empty.
    """
    spec = launch.spec
    if not spec.env_file or not launch.env.is_known or name not in launch.env.value:
        return ""
    fact = launch.env.value[name]
    if fact.is_known and not fact.value:
        return spec.env_file
    return spec.env_file if any(spec.env_file in place for place in (fact.where, *fact.over)) else ""


def _written(node: Node, name: str, compose: _Compose) -> str:
    """Where a variable is set: its line when that is known, else the service."""
    launch = node.launched()
    if launch.spec.kind == "compose" and launch.env.is_known and name in launch.env.value:
        return launch.env.value[name].where
    return f"{compose.file}, service {compose.service}"


def _again(node: Node, word: str) -> str:
    spec = node.launched().spec
    match spec.kind:
        case "container":
            return f"create container {spec.source} again {word}"
        case "process":
            return f"stop process {spec.pid} and start it again {word}"
        case _:
            return f"start the server {word}"


def _variable(launch: Launch, pair: str) -> str:
    """A variable as the way of starting takes it."""
    return f"-e {shlex.quote(pair)}" if launch.spec.container else shlex.quote(pair)
