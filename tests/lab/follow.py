"""Does what a printed fix says, as a person would: edits the compose file, runs the commands."""

from __future__ import annotations

import re
import shlex

import yaml

from sparkdoctor.api import Fix
from tests.lab.launch import COMPOSE, SERVICE, Launch, merge
from tests.lab.pair import Pair

EDIT = re.compile(rf"(?:on spark-0\d, )?in {re.escape(COMPOSE)}, under services\.{SERVICE}(?P<below>\.environment)?")
OPTION = re.compile(rf"(?:on spark-0\d, )?in {re.escape(COMPOSE)}, in the command of service {SERVICE}")
REMOVE = re.compile(r"(?:on spark-0\d, )?remove (?P<name>[A-Z][A-Z0-9_]*) \(.*")
APPEND = re.compile(r"(?:on spark-0\d, )?in (?P<path>/etc/\S+)(?: .*)?")


def follow(fix: Fix, rank: int, pair: Pair, launch: Launch) -> None:
    """Carry out one fix on the node of that rank. Raises AssertionError when a person could not tell what to do."""
    guest = tuple(pair)[rank]
    service = launch.services[rank]
    if found := EDIT.fullmatch(fix.do):
        change = yaml.safe_load(fix.edit)
        merge(service, {"environment": change} if found["below"] else change)
    elif OPTION.fullmatch(fix.do):
        option, *value = shlex.split(fix.edit)
        words = service["command"]
        at = words.index(option) if option in words else len(words)
        words[at : at + 1 + len(value)] = [option, *value]
    elif found := REMOVE.fullmatch(fix.do):
        del service["environment"][found["name"]]
    elif fix.edit and (found := APPEND.fullmatch(fix.do)):
        guest.run(f"cat >> {shlex.quote(found['path'])}", stdin=fix.edit + "\n")
        guest.new_login()
    else:
        assert fix.run, f"a fix without an edit or a command: {fix}"
    for command in fix.run:
        assert "<" not in command, f"{command!r} has a place to fill in"
        if not command.startswith("docker compose"):  # the test itself starts the launch again
            guest.run(command, "spark")
