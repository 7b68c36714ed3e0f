"""Does what a printed fix says, as a person would: edits the compose file, runs the commands."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

import yaml

from sparkdoctor.api import Fix
from tests.lab.launch import COMPOSE, SERVICE, Launch, Service, merge
from tests.lab.pair import Pair

FILE = re.escape(COMPOSE)
ON = re.compile(r"on (spark-0[12]), (.*)")
EDIT = re.compile(rf"in {FILE}, under services\.{SERVICE}(?P<below>\.environment)?")
OPTION = re.compile(rf"in {FILE}, in the command of service {SERVICE}(?:, .*)?")
REMOVE = re.compile(rf"remove (?P<name>[A-Z][A-Z0-9_]*) \({FILE}.*")
APPEND = re.compile(r"in (?P<path>/etc/[\w./-]+)(?:[ ;].*)?")


def follow(fix: Fix, nodes: Sequence[str], answers: Mapping[str, str], pair: Pair, launch: Launch) -> None:
    """Carry out a fix of a finding on these nodes, or on the one that it names itself.

    `answers` fill the <places> that it leaves to the user. Raises AssertionError when a person
    could not tell what to do.
    """
    do = fix.do
    if found := ON.fullmatch(do):
        nodes, do = [found[1]], found[2]
    for guest, service in zip(pair, launch.services, strict=True):
        if guest.name not in nodes:
            continue
        edited = _edit(do, _filled(fix.edit, answers), service)
        if not edited and fix.edit and (found := APPEND.fullmatch(do)):
            guest.run(f"cat >> {shlex.quote(found['path'])}", stdin=fix.edit + "\n")
            edited = True
        assert edited or fix.run, f"a fix that neither edits nor runs anything: {fix}"
        for command in fix.run:
            if not command.startswith("docker compose"):  # the test itself starts the launch again
                guest.run(_filled(command, answers), "spark")
        guest.new_login()


def _edit(do: str, text: str, service: Service) -> bool:
    """Change a compose service as told; False when this is about something else."""
    if found := EDIT.fullmatch(do):
        change = yaml.safe_load(text)
        merge(service, {"environment": change} if found["below"] else change)
    elif OPTION.fullmatch(do):
        option, *value = shlex.split(text)
        words = service["command"]
        at = words.index(option) if option in words else len(words)
        words[at : at + 1 + len(value)] = [option, *value]
    elif found := REMOVE.fullmatch(do):
        service["environment"].pop(found["name"], None)
    else:
        return False
    return True


def _filled(text: str, answers: Mapping[str, str]) -> str:
    for place, answer in answers.items():
        text = text.replace(place, answer)
    assert not re.search(r"<[^>]+>", text), f"{text!r} has a place to fill in"
    return text
