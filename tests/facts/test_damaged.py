"""Whatever a machine answers: no fact module breaks over it, and what it cannot read it says."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sparkdoctor import archive
from sparkdoctor.archive import Entry
from sparkdoctor.facts import gather
from sparkdoctor.system import Recorded
from tests.facts.test_gather import WANTED, problems
from tests.recordings import MACHINES

ID = "4f" * 32
CONTAINER = {
    "Id": ID, "Name": "/vllm", "Image": "sha256:0a", "State": {"Running": True, "Pid": 4242},
    "Config": {"Env": ["PATH=/opt/env/bin"], "Image": "x:y", "Entrypoint": None, "Cmd": ["vllm"], "Labels": {}},
    "HostConfig": {"Ulimits": [{"Name": "memlock", "Soft": -1}], "Devices": [], "DeviceRequests": [{"Driver": "cdi"}]},
    "Mounts": [{"Source": "/a", "Destination": "/b", "RW": True}],
}  # fmt: skip
# A Spark on which a server runs in a container, so that every module has something to read.
ENTRIES = {
    **archive.parse((MACHINES / "spark-1.ttar").read_bytes().decode(), "spark-1"),
    "processes all": Entry(text=json.dumps([
        {"pid": 9, "name": "containerd", "kind": "containerd", "container": ""},
        {"pid": 7, "name": "vllm", "kind": "server", "container": ID},
        {"pid": 8, "name": "vllm", "kind": "server", "container": ""}])),
    "docker containers": Entry(text=json.dumps([{"Id": ID, "State": "running"}])),
    f"docker container {ID}": Entry(text=json.dumps(CONTAINER)),
    "docker image x:y": Entry(text=json.dumps({"Id": "sha256:0a", "Architecture": "arm64", "Config": None})),
    "cmdline 7": Entry(text='["/opt/env/bin/python3", "-m", "vllm"]'),
    "environ 7": Entry(text='{"PATH": "/opt/env/bin"}'),
    "/etc/docker/daemon.json": Entry(text='{"default-ulimits": {"memlock": {"Soft": -1}}, "default-shm-size": "64M"}'),
    "/proc/7/root/opt/env/lib": Entry(folder=("python3.12",)),
    "/proc/7/root/opt/env/lib/python3.12": Entry(folder=("site-packages",)),
    "/proc/7/root/opt/env/lib/python3.12/site-packages": Entry(folder=("vllm-0.21.1.dist-info", "torch-2.dist-info")),
}  # fmt: skip

texts = st.text(max_size=40) | st.sampled_from(
    ["", "\n", "null", "[]", "{}", "[{}]", '{"a": 1}', "-1", "1 2 3", "4: ", "x: y"]
)


@st.composite
def damaged(draw: st.DrawFn) -> tuple[str, Entry]:
    """One entry with other content: another text, a part of it, JSON with one value replaced, or unreadable."""
    path = draw(st.sampled_from(sorted(ENTRIES)))
    entry = ENTRIES[path]
    match draw(st.sampled_from(["text", "cut", "json", "names", "gone", "closed"])):
        case "cut":
            return path, Entry(text=entry.text[: draw(st.integers(0, len(entry.text)))])
        case "json" if entry.text[:1] in ("[", "{"):
            return path, Entry(text=json.dumps(_replaced(draw, json.loads(entry.text))))
        case "names":
            return path, Entry(folder=tuple(draw(st.lists(st.text(min_size=1, max_size=9)))))
        case "gone":
            return path, Entry(problem="No such file or directory", absent=True)
        case "closed":
            return path, Entry(problem="Permission denied")
    return path, Entry(text=draw(texts))


def _replaced(draw: st.DrawFn, value: Any) -> Any:
    """A JSON value with one value in it replaced, or one key taken away."""
    keys = list(value) if isinstance(value, dict) else list(range(len(value))) if isinstance(value, list) else []
    if not keys or draw(st.integers(0, 3)) == 0:
        return draw(st.sampled_from([None, 7, -1, "", "x", [], {}, True, 1.5, [[]], {"value": None}]))
    key = draw(st.sampled_from(keys))
    if isinstance(value, dict) and draw(st.booleans()):
        return {name: inner for name, inner in value.items() if name != key}
    inner = _replaced(draw, value[key])
    return {**value, key: inner} if isinstance(value, dict) else [*value[:key], inner, *value[key + 1 :]]


@settings(max_examples=80, deadline=None)
@given(st.lists(damaged(), min_size=1, max_size=4))
def test_nothing_breaks(changes: list[tuple[str, Entry]]) -> None:
    host = gather(Recorded(archive.render({**ENTRIES, **dict(changes)})), WANTED)
    assert not [problem for _, problem in problems(host) if "bug" in problem or "no answer within" in problem]
