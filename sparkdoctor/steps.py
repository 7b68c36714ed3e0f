"""A fix that was written as a sentence, as steps: words to read and commands to paste, never in one line."""

from __future__ import annotations

from typing import NamedTuple

from sparkdoctor.late import late

_PROGRAMS = (
    r"apt|apt-cache|apt-get|cat|chmod|cp|curl|docker|dmesg|dpkg|echo|env|export|file|findmnt|fwupdmgr|getent|getconf|git|hf|ip|journalctl|ldconfig|ls"
    r"|lsof|lspci|mkdir|modinfo|mpirun|mv|nft|nproc|nvidia-ctk|nvidia-smi|ollama|pip|podman|printenv|python3?|ray|rm|rsync"
    r"|ss|ssh|ssh-[a-z-]+|stat|sudo|sync|sysctl|systemctl|timedatectl|uname|unset|uv|vllm|[A-Z][A-Z0-9_]{3,}=\S+ [a-z]"
)
_NUMBERED = late(r";\s+(?=\d\. )")
_COMMAND = late(rf": (?=(?:{_PROGRAMS})(?:[ ;]|$))")
_NEXT = late(rf"; (?=(?:{_PROGRAMS})(?:[ ;]|$))")
_QUOTED = late(r"'[^']*'|\"[^\"]*\"|<[^<>]*>|\$\([^()]*\)")
_WORDS = late(
    r"[,;] |[()]|\.\.\.|: "
    r"| (?:after|again|and|are|as|at|before|but|else|first|for|from|has|in|into|is|it|lists|must|of|on|once|or|prints|says|should"
    r"|shows|tells|than|that|the|then|there|to|until|when|where|which|while|with|without)(?: |$)"
)


class Step(NamedTuple):
    words: str
    """Without the colon before commands."""
    run: tuple[str, ...]


def steps(text: str) -> list[Step]:
    """`1. look: docker ps; 2. stop it: docker stop x` as two steps with a command each.

    A command with words of ours behind it stays in its sentence: nobody can tell where it ends.
    """
    text = " ".join(text.split())
    parts = _NUMBERED.split(text) if text.startswith("1. ") else [text]
    return [_step(part) for part in parts]


def _step(text: str) -> Step:
    found = _COMMAND.search(text)
    if found is None:
        return Step(text, ())
    commands = tuple(_NEXT.split(text[found.end() :]))
    if any(command.count("'") % 2 or command.count('"') % 2 for command in commands):  # a semicolon of the shell
        commands = (text[found.end() :],)
    if any(_WORDS.search(_QUOTED.sub("X", command)) for command in commands):
        return Step(text, ())
    return Step(text[: found.start()], commands)
