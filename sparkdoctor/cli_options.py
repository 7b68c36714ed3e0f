"""The options that several commands share, in the same words, and what their values stand for."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from sparkdoctor.api import Check
    from sparkdoctor.ask import Ask
    from sparkdoctor.system import System

Command = Callable[..., Any]


def _commas(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name.strip() for value in values for name in value.split(",") if name.strip())


def output_options(command: Command) -> Command:
    command = click.option(
        "--color", type=click.Choice(["auto", "always", "never"]), default="auto", help="Colour the text"
    )(command)
    return click.option("--json", "as_json", is_flag=True, help="Answer as one JSON document")(command)


def launch_options(command: Command) -> Command:
    """What to look at; the same words in every command."""
    return _launch_options(command, "-f")


def launch_options_beside_follow(command: Command) -> Command:
    """The same where -f follows logs, as in tail(1) and `docker logs`."""
    return _launch_options(command)


def _launch_options(command: Command, *short: str) -> Command:
    for option in reversed(
        [
            click.option(
                *short, "--file", "files", multiple=True, metavar="COMPOSE", help="Compose file; several are merged"
            ),
            click.option(
                "--env-file", "env_files", multiple=True, metavar="FILE", help="File for ${X} in place of .env"
            ),
            click.option("--profile", "profiles", multiple=True, metavar="NAME", help="Compose profile to switch on"),
            click.option("--service", "services", multiple=True, metavar="NAME", help="Service that serves the model"),
            click.option("--container", "containers", multiple=True, metavar="NAME", help="Running container"),
            click.option("--pid", "pids", multiple=True, type=int, help="Running server process"),
            click.option("--shell", is_flag=True, help="What this shell would start"),
            click.option(
                "--python", "prefixes", multiple=True, metavar="FOLDER", help="Python environment to look into"
            ),
            click.option("--root", default="/", hidden=True, help="Folder in place of / (for images and chroots)"),
            click.option("--machine", metavar="FILE", hidden=True, help="Recorded machine in place of this one"),
        ]
    ):
        command = option(command)
    return command


def selection_options(command: Command) -> Command:
    """Which checks, and what fails."""
    for option in reversed(
        [
            click.option(
                "--select", multiple=True, metavar="NAME,...", callback=_commas, help="Only these checks or families"
            ),
            click.option(
                "--ignore", multiple=True, metavar="NAME,...", callback=_commas, help="Not these checks or families"
            ),
            click.option(
                "--fail-on",
                type=click.Choice(["error", "warning", "note"]),
                default="error",
                help="Severity that fails",
            ),
            click.option("--allow-unknown", is_flag=True, help="Exit 0 although something could not be looked at"),
        ]
    ):
        command = option(command)
    return command


SUMMARY = click.option("--summary", is_flag=True, help="Show also how far the launch got and what it chose")
HANG_AFTER = click.option(
    "--hang-after",
    type=click.FloatRange(min=0, min_open=True),
    metavar="SECONDS",
    help="Silence that counts as hanging, in place of what each phase allows",
)


def ask_of(targets: tuple[str, ...], **named: Any) -> Ask:
    from sparkdoctor.ask import Ask

    return Ask(targets=targets, **named)


def system_of(root: str, machine: str | None) -> System:
    """Raises BadInput for a recorded machine that cannot be read."""
    from sparkdoctor.errors import BadInput
    from sparkdoctor.system import Live, Recorded

    if machine is None:
        return Live(root)
    try:
        return Recorded.load(machine)
    except (OSError, ValueError) as error:
        raise BadInput(f"{machine}: {error.strerror if isinstance(error, OSError) else error}") from None


def environ_of(machine: str | None) -> dict[str, str]:
    """What `${X}` of a compose file may come from: nothing of this shell for a recorded machine."""
    return {} if machine is not None else dict(os.environ)


def selected(select: tuple[str, ...], ignore: tuple[str, ...]) -> Callable[[dict[str, Check]], list[Check]]:
    """What chooses among all checks; it raises BadInput for a name that none of them has."""

    def choose(checks: dict[str, Check]) -> list[Check]:
        from sparkdoctor.errors import BadInput
        from sparkdoctor.nearest import nearest

        families = {check.family for check in checks.values()}
        for name in (*select, *ignore):
            if name not in checks and name not in families:
                near = ", ".join(nearest(name, [*checks, *families]))
                raise BadInput(f"no check or family is named {name}" + (f"; the nearest are {near}" if near else ""))
        return [
            check
            for name, check in sorted(checks.items())
            if (not select or is_named(name, select)) and not is_named(name, ignore)
        ]

    return choose


def is_named(name: str, wanted: tuple[str, ...]) -> bool:
    """Whether one of `wanted` is the name or its family."""
    return name in wanted or name.split("-", 1)[0] in wanted


def since_of(text: str | None) -> float | None:
    """Seconds since 1970. Raises BadInput."""
    if text is None:
        return None
    from time import time

    from sparkdoctor.errors import BadInput
    from sparkdoctor.logs.times import parse_since

    at = parse_since(text, time())
    if at is None:
        raise BadInput(
            f"--since {text} is neither a duration (90s, 30m, 2h, 1d) nor a date and time (2026-11-24T15:00:00Z)"
        )
    return at
