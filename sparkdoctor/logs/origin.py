"""Who wrote a line, and when: what the prefixes before its message say.

Prefixes nest: `vllm-1  | (Worker_TP1 pid=312) [2026-11-24 15:24:41] spark-2:312:455 [0] ...` names a
container, a process, a time, a host and a thread. They are read one after the other from the left, and
reading ends where none fits. Pure; never raises.
"""

from __future__ import annotations

import os.path
import re
from functools import lru_cache
from typing import NamedTuple

from sparkdoctor.late import by_first, late
from sparkdoctor.logs.times import Stamp, stamp_at

PREFIXES = 12
"""Prefixes that are read of one line."""
LENGTH = 1000
"""Characters of a line in which prefixes are looked for."""


class Prefix(NamedTuple):
    """What stands before the message of a line; empty where a line does not say."""

    stamps: tuple[Stamp, ...] = ()
    node: str = ""
    """The host's name."""
    rank: int | None = None
    process: str = ""
    """The name that the program gives the process (`Worker_TP1`), else its number."""
    container: str = ""
    """A container, pod or compose service."""
    end: int = 0
    """Where the message begins."""


_HOST = r"(?P<node>[A-Za-z0-9][\w.-]{0,252})"
_DIGITS = "0123456789"
_NAME_BEGINS = f"{_DIGITS}ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# Each with the characters that it may begin with.
_TAGS = tuple(
    (begins, late(tag, re.ASCII))
    for begins, tag in (
        # vLLM and Ray: (Worker_TP1 pid=312), (EngineCore_DP0 pid=9), (RayWorkerWrapper pid=7, ip=10.0.0.2)
        ("(", r"\((?P<process>[A-Za-z_][\w.:-]{0,80}) pid=(?P<pid>\d+)(?:, ip=(?P<node>[\w.:-]+))?\) ?"),
        # PyTorch: [rank1]: and, by torchrun --tee, [default1]:
        ("[", r"\[rank(?P<rank>\d{1,6})\]: ?"),
        ("[", r"\[(?P<process>default\d{1,6})\]: ?"),
        # NCCL (src/debug.cc): host:pid:tid [device]
        (_NAME_BEGINS, rf"{_HOST}:(?P<pid>\d+):\d+ \[\d+\] "),
        # kubectl logs --prefix
        ("[", r"\[pod/(?P<container>[\w.-]+)/[\w.-]+\] "),
        # mpirun --tag-output: [job,rank]<stdout>:
        ("[", r"\[\d+,(?P<rank>\d{1,6})\]<std(?:out|err)>: ?"),
    )
)
# Only at the beginning of a line: elsewhere they are part of a message.
_LABELS = tuple(
    (begins, late(label, re.ASCII))
    for begins, label in (
        # docker service logs: name.replica.id@node, docker compose logs: name-replica
        (_NAME_BEGINS, r"(?P<container>[A-Za-z0-9][\w.-]{0,200})@(?P<node>[\w.-]{1,250}) +\| ?"),
        (_NAME_BEGINS, r"(?P<container>[A-Za-z0-9][\w.-]{0,200}) *\| "),
        # srun --label
        (f" {_DIGITS}", r" {0,6}(?P<rank>\d{1,6}): "),
    )
)
# Only after a time: syslog and journalctl, whose process must have a number (or be the kernel), else any two
# words before a colon would do; SGLang's ranks inside the brackets of its time.
_SYSLOG = late(rf" {_HOST} (?P<process>[\w./@:-]{{1,200}}?)(?:\[(?P<pid>\d+)\]: ?|(?<=kernel): ?)", re.ASCII)
_SGLANG = late(r" (?P<process>(?:DP\d+ ?|PP\d+ ?|TP\d+ ?|EP\d+ ?)+)\] ?", re.ASCII)
_FILLING = late(r"[ \t]+|(?:DEBUG|INFO|WARNING|ERROR|CRITICAL) (?=[\[(\d])", re.ASCII)
_WORKER_RANK = late(r"(?:Worker_TP|VllmWorker-|TP)(?P<rank>\d{1,6})", re.ASCII)
"""Workers of a group that is only tensor parallel; with PP or DP beside TP the name alone gives no rank."""
_FILE_RANK = late(r"(?:^|[._-])(?:rank|task|proc)[._-]?(\d{1,6})(?=[._-]|$)", re.ASCII | re.IGNORECASE)


_ELSEWHERE = by_first(_TAGS)
_FIRST = by_first(_LABELS + _TAGS)


@lru_cache(maxsize=1024)  # several ask for the same line one after the other
def prefix_of(text: str) -> Prefix:
    """The prefixes of a line, with every time among them."""
    text = text[:LENGTH]
    at = 0
    stamps: list[Stamp] = []
    said: dict[str, str] = {}
    for _ in range(PREFIXES):
        stamp = stamp_at(text, at)
        if stamp is not None:
            stamps.append(stamp)
            found = _SGLANG.match(text, stamp.end) or _SYSLOG.match(text, stamp.end)
            at = stamp.end
        else:
            tags = (_ELSEWHERE if at else _FIRST).get(text[at : at + 1], ())
            found = next((found for tag in tags if (found := tag.match(text, at))), None) or _FILLING.match(text, at)
            if found is None:
                break
        if found is not None:
            at = found.end()
            for key, value in found.groupdict().items():
                if value:
                    said.setdefault(key, value.strip())
    process = said.get("process", "")
    rank = said.get("rank")
    if rank is None and (worker := _WORKER_RANK.fullmatch(process)):
        rank = worker["rank"]
    return Prefix(
        tuple(stamps),
        said.get("node", ""),
        None if rank is None else int(rank),
        process or said.get("pid", ""),
        said.get("container", ""),
        at,
    )


def rank_in_name(path: str) -> int | None:
    """The rank that a file's name tells: rank1.log, train.task-3.err; a Slurm `%t` alone is no more than a number."""
    found = _FILE_RANK.search(os.path.basename(path))
    return int(found[1]) if found else None


def node_in_name(path: str, nodes: frozenset[str]) -> str:
    """Which of these names is a part of its own in the name of the file or of its folder; empty if not exactly one."""
    folder, name = os.path.split(path)
    for part in (name, os.path.basename(folder)):
        found = [
            node
            for node in nodes
            if node and re.search(rf"(?:^|[^\w-]|[_-]){re.escape(node)}(?:$|[^\w-]|[_-](?!\d))", part)
        ]
        if len(found) == 1:
            return found[0]
    return ""
