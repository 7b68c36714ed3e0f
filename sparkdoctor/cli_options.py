"""The options that several commands share, in the same words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

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
