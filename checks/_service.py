"""Fixes of what a container is given: limits, shared memory, devices, its network. No checks here."""

from __future__ import annotations

import shlex

from sparkdoctor.api import Fix, Node

from ._fix import RESTART, recreate


def give(node: Node, lines: str, option: str, *, bare: Fix) -> Fix:
    """Give the rank's container a setting: `lines` of a compose service, `option` of `docker run`.

    `bare` is the fix for a rank that runs in no container.
    """
    spec = node.launched().spec
    if spec.kind == "compose":
        return Fix(f"in {spec.source}, under services.{spec.service}", lines, recreate(node.launched()), cost=RESTART)
    if not spec.container:
        return bare
    made_by, service, name = _container(node)
    if made_by:
        command = f"docker compose -f {shlex.quote(made_by)} up -d --force-recreate {shlex.quote(service)}"
        return Fix(f"in {made_by}, under services.{service}", lines, (command,), cost=RESTART)
    return Fix(f"create container {name} again with", option, cost=RESTART)


def _container(node: Node) -> tuple[str, str, str]:
    """The compose file and service that made the rank's container (empty when none did), and its name."""
    spec = node.launched().spec
    known = node.host.docker.containers.value if node.host and node.host.docker.containers.is_known else ()
    for container in known:
        if container.id == spec.container:
            return container.compose_file, container.compose_service, container.name
    return "", "", spec.source if spec.kind == "container" else spec.container[:12]
