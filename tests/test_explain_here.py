"""Whether this machine's facts can matter is told before they are all gathered, and never wrongly."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkdoctor import archive, explaining
from sparkdoctor.ask import Ask
from sparkdoctor.explaining import Answer, explain
from sparkdoctor.look import gather_here
from sparkdoctor.system import Recorded, System

ROOT = Path(__file__).resolve().parents[1]
LOG = ROOT / "examples/logs/memlock.log"

NEITHER = {
    "/dev": archive.Entry(folder=("null", "sda")),
    "/sys/class/infiniband": archive.Entry(problem="No such file or directory", absent=True),
    "/sys/class/dmi/id/product_family": archive.Entry(text="Laptop\n"),
}


def explained(system: System, *, ask: Ask | None = None, here: bool = False) -> Answer:
    return explain([str(LOG)], (), ask=ask or Ask(), system=system, environ={}, here=here)


class Untouched(System):
    """Answers as another, and nothing beyond what a short look needs."""

    def __init__(self, system: System) -> None:
        self._system = system

    def ask(self, door: str, subject: str) -> object:  # type: ignore[override]
        assert subject in NEITHER, f"{door} {subject}"
        return self._system.ask(door, subject)  # type: ignore[arg-type]


def test_a_machine_that_cannot_be_a_node_is_not_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    answer = explained(Untouched(Recorded(archive.render(NEITHER))))
    assert answer.diagnoses
    assert answer.facts.startswith("this machine has neither a GB10 nor an RDMA device")
    assert answer.facts == explained(Recorded("")).facts  # what a whole look says


@pytest.mark.parametrize(
    ("path", "entry"),
    [
        ("/dev", archive.Entry(folder=("null", "nvidia0", "nvidiactl"))),
        ("/dev", archive.Entry(problem="Permission denied")),
        ("/sys/class/infiniband", archive.Entry(folder=("rocep1s0f0",))),
        ("/sys/class/infiniband", archive.Entry(problem="Permission denied")),
        ("/sys/class/dmi/id/product_family", archive.Entry(text="DGX Spark\n")),
        ("/sys/class/dmi/id/product_family", archive.Entry(problem="Permission denied")),
    ],
)
def test_whatever_leaves_a_doubt_is_looked_at(path: str, entry: archive.Entry) -> None:
    assert explaining._cannot_run_models(Recorded(archive.render(NEITHER)))
    assert not explaining._cannot_run_models(Recorded(archive.render(NEITHER | {path: entry})))


@pytest.mark.parametrize("here", [True, False])
def test_who_asks_for_this_machine_gets_it_looked_at(
    here: bool, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(explaining, "_cannot_run_models", lambda _: True)
    ask = Ask() if here else Ask(shell=True)
    with pytest.raises(AssertionError, match=r"environ|file|folder|docker|command"):
        explained(Untouched(Recorded(archive.render(NEITHER))), ask=ask, here=here)


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "tests/machines").iterdir()))
def test_on_recorded_machines_the_short_look_agrees_with_the_long_one(name: str) -> None:

    system = Recorded.load(ROOT / "tests/machines" / name)
    host, _ = gather_here(system, (), ())
    assert not (explaining._cannot_run_models(system) and explaining.runs_models(host))
