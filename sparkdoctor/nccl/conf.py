"""NCCL's configuration files, and how they join the environment."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from packaging.version import Version

from sparkdoctor.nccl import since

SYSTEM = "/etc/nccl.conf"

LONGEST = 1023
"""Characters that are kept of a name and of a value."""

LINE = 4095
"""Characters that fgets reads at once; the rest of a longer line is taken for the next one."""


def conf_paths(env: Mapping[str, str], passwd_home: str | None, version: Version = since.NEWEST) -> tuple[str, ...]:
    """The files NCCL reads, the winner first: initEnvFunc, src/misc/param.cc.

    NCCL_CONF_FILE (2.23.4) takes the place of ~/.nccl.conf; /etc/nccl.conf is always read.
    `passwd_home` is the home folder of the process's user, None without a passwd entry.
    """
    own = env.get("NCCL_CONF_FILE", "") if version >= since.CONF_FILE else ""
    home = env.get("HOME") if version >= since.HOME_VARIABLE else passwd_home
    if own:
        return (own, SYSTEM)
    return (f"{home}/.nccl.conf", SYSTEM) if home is not None else (SYSTEM,)


def with_conf(env: Mapping[str, str], texts: Iterable[str], version: Version = since.NEWEST) -> dict[str, str]:
    """The environment with the texts of the files of `conf_paths`, in that order.

    setenv(name, value, 0), src/os/linux.cc: what is set stays, even when it is set to nothing;
    so the environment beats every file, and the first line that gives a name beats later ones.
    """
    joined = dict(env)
    for text in texts:
        for name, value in parse_conf(text, version):
            joined.setdefault(name, value)
    return joined


def parse_conf(text: str, version: Version = since.NEWEST) -> Iterator[tuple[str, str]]:
    """The `NAME=value` lines of one file: setEnvFile, src/misc/param.cc.

    `#` makes a comment in the first column only; blanks and quotes are kept; a line without `=`
    or without a name gives nothing.
    """
    for line in _lines(text, version):
        name, equals, value = line.partition("=")
        if equals and name and not line.startswith("#"):
            yield name[:LONGEST], value[:LONGEST]


def _lines(text: str, version: Version) -> Iterator[str]:
    for line in text.split("\n"):
        if version < since.HOME_VARIABLE:
            yield line
        else:
            for start in range(0, max(len(line), 1), LINE):
                yield line[start : start + LINE].removesuffix("\r")
