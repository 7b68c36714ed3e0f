"""What a fix interrupts or needs, and how to undo it, as far as its own words tell."""

from __future__ import annotations

from collections.abc import Iterable

from sparkdoctor.late import late

_ROOT = late(r"\bsudo ")
_REBOOT = late(
    r"\bsystemctl reboot\b|\bshutdown -h\b|\bsudo reboot\b|\breboot (?:this node|both|the node|when)|\bunplug"
)
_DOCKER = late(r"\bsystemctl (?:restart|stop) (?:docker|containerd)\b")
_MODEL = late(
    r"\bdocker compose (?:up|restart|down)\b|\brecreate|\brestart (?:on|the|both|with|it|and)|\bstart (?:it |both )?again"
    r"|(?:^|\n|\b(?:add|remove|raise|lower|set|use|give|take|with|without|start with|try) `?)--[a-z][\w-]{4,}|\bVLLM_[A-Z_]{3,}|\bNCCL_[A-Z_]{3,}|\bSGLANG_[A-Z_]{3,}|\bsystemctl restart <unit>"
)
_UNDO = (
    (late(r"\bsystemctl edit (?P<unit>[\w@.<>-]+)"), "sudo systemctl revert {}"),
    (late(r"\bnetplan apply\b"), "put the old file back into /etc/netplan, and sudo netplan apply"),
    (late(r"\bsystemctl disable --now (?P<unit>[\w@.<>-]+)"), "sudo systemctl enable --now {}"),
    (late(r"\bswapoff -a\b"), "sudo swapon -a"),
    (late(r"\bsystemctl (?:stop|mask) (?P<unit>earlyoom|ollama|gdm|unattended-upgrades)\b"), "sudo systemctl start {}"),
)


def implied_cost(texts: Iterable[str]) -> str:
    """`needs root; restarts the model`: empty when nothing of the kind is in the texts of a fix."""
    text = "\n".join(texts)
    costs = ["needs root"] if _ROOT.search(text) else []
    if _REBOOT.search(text):
        costs.append("ends everything that runs on the node")
    elif _DOCKER.search(text):
        costs.append("restarts all containers of the node")
    elif _MODEL.search(text):
        costs.append("restarts the model")
    if "undo" not in text:
        for pattern, undo in _UNDO:
            found = pattern.search(text)
            if found:
                costs.append(f"undo: {undo.format(*found.groups())}")
    return "; ".join(costs)
