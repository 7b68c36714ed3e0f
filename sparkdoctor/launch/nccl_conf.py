"""NCCL's configuration files joined to the environment of a rank."""

from __future__ import annotations

from collections.abc import Iterable

from sparkdoctor.fact import Fact
from sparkdoctor.nccl.conf import parse_conf
from sparkdoctor.nccl.select import VARIABLES


def joined(env: Fact[dict[str, Fact[str]]], files: Iterable[Fact[str]]) -> Fact[dict[str, Fact[str]]]:
    """`env` with what the files set, the winner first: NCCL sets only what is not set yet, even to nothing.

    A file that is there and cannot be read may set any variable, so those that decide NCCL's
    choices and are not set before it are not known.
    """
    if not env.is_known:
        return env
    values = dict(env.value)
    for file in files:
        if not file.is_known:
            for name in VARIABLES:
                values.setdefault(name, Fact(file.where, problem=file.problem))
            continue
        for name, value in parse_conf(file.value):
            place = f"{file.where}:{_line(file.value, name)}"
            if name in values:
                won = values[name]
                values[name] = Fact(won.where, won.known, won.problem, won.absent, (*won.over, place))
            else:
                values[name] = Fact(place, value)
    return Fact(env.where, values, over=env.over)


def _line(text: str, name: str) -> int:
    return next(at for at, line in enumerate(text.split("\n"), 1) if line.startswith(f"{name}="))
