"""What `explain` does: read the logs, find the causes, let the facts at hand decide between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, cast

import msgspec

from sparkdoctor import __version__
from sparkdoctor.api import Cluster, Severity
from sparkdoctor.ask import Ask
from sparkdoctor.diagnose import Diagnosis, Verdict, diagnose
from sparkdoctor.errors import BadInput
from sparkdoctor.host import Data, Host
from sparkdoctor.logs.chronicle import Chronicle, written_times
from sparkdoctor.logs.match import Hit, Matcher
from sparkdoctor.logs.phases import RDMA_VARIABLES, TCP_IN_PLACE_OF_RDMA, Course, Courses, Stop
from sparkdoctor.logs.read import LogError
from sparkdoctor.logs.scan import Ending, Logs
from sparkdoctor.logs.sources import expand
from sparkdoctor.plugins import Trouble
from sparkdoctor.registry import load_registry
from sparkdoctor.run import Exit
from sparkdoctor.signatures import Role
from sparkdoctor.snapshot import is_snapshot_file
from sparkdoctor.timeline import Moment, timeline
from sparkdoctor.unnamed import General

if TYPE_CHECKING:
    from sparkdoctor.system import Log, System

SCHEMA = "sparkdoctor.explain/1"
OTHER_RANK = "other-rank-failed"
"""The cause of lines with which a rank only waits for another."""
SEVERITIES = [Severity.ERROR, Severity.WARNING, Severity.NOTE]


class Answer(Data, frozen=True):
    """All that `explain LOG...` has to say."""

    diagnoses: tuple[Diagnosis, ...]
    """In rank order: the first is where to begin."""
    files: tuple[str, ...]
    endings: tuple[Ending, ...]
    """The last error-like lines of each log, for when nothing known matched."""
    tried: int
    """How many signatures were looked for."""
    facts: str
    """Whose facts decided between causes, or why none did."""
    unread: tuple[str, ...]
    """Logs that could not be read, or not to their end, one line each."""
    troubles: tuple[Trouble, ...]
    code: Exit
    courses: tuple[Course, ...] = ()
    """How far the launch got in each log that says so, and what it chose."""
    stops: tuple[Stop, ...] = ()
    """Logs that end where a launch should go on, when nothing says why."""
    moments: tuple[Moment, ...] = ()
    """The decisive lines in the order of time."""
    clocks: tuple[str, ...] = ()
    """What was assumed, or found out, about the clocks of the logs."""

    @property
    def known(self) -> tuple[Diagnosis, ...]:
        """The diagnoses of signatures, without those that only tell the class of a failure."""
        return tuple(diagnosis for diagnosis in self.diagnoses if not isinstance(diagnosis, General))

    @property
    def unexplained(self) -> tuple[Ending, ...]:
        """The endings that are worth a look: all when nothing known matched; when what failed first is not among the
        diagnoses, those of logs without a line of them: the quiet rank may be the sick one."""
        known = self.known
        if not any(diagnosis.severity is Severity.ERROR for diagnosis in known):
            return tuple(ending for ending in self.endings if ending.error_like or not known)
        if known[0].missing is None:
            return ()
        loud = {line.file for one in known for line in one.evidence}
        loud |= {line.file for one in known for follower in one.follows for line in follower.evidence}
        return tuple(ending for ending in self.endings if ending.error_like and ending.file not in loud)


class Case:
    """All that is known of the logs of one launch; concludes from it as often as it is asked."""

    def __init__(
        self,
        snapshots: Sequence[str],
        *,
        ask: Ask,
        system: System,
        environ: Mapping[str, str],
        here: bool,
        since: float | None = None,
    ) -> None:
        """The causes are judged by the snapshots; without any by this machine, if it looks like one that runs the
        model or `here` says so. `since`: seconds since 1970; what is known to have been logged before does not count.
        Raises BadInput for a snapshot that cannot be used.
        """
        nodes = _of_snapshots(snapshots) if snapshots else ()
        self._cluster = nodes[0] if nodes else None
        self._facts = f"judged by the facts of {', '.join(node.name for node in nodes[0].nodes)}" if nodes else ""
        self._look: Callable[[], tuple[Cluster | None, str]] = partial(_this_machine, ask, system, environ, here)
        self.registry = load_registry()
        self.knowledge = self.registry.knowledge
        self.matcher = Matcher(self.knowledge.patterns())
        self.courses = Courses(self.knowledge)
        self.chronicle = Chronicle()
        self._since = since
        self.hits: list[Hit] = []
        """Of signatures."""

    def take(self, hits: Iterable[Hit]) -> Iterator[Hit]:
        """The hits of signatures; what the others tell about time, place and progress is kept."""
        return self.courses.without_marks(self.chronicle.following(hits))

    @property
    def facts(self) -> str:
        return self._facts or "no line whose causes a machine's facts could decide"

    def diagnoses(self) -> list[Diagnosis]:
        """In rank order. Looks at this machine when a line asks for it, once. Raises BadInput, as `look` does."""
        over_tcp = self.courses.tcp_chosen()
        counted = [hit for hit in self.hits if self._counts(hit)]
        asks = any(self.knowledge.signatures[hit.signature].causes for hit in (*counted, *over_tcp))
        if asks and not self._facts:
            self._cluster, self._facts = self._look()
        if not (self.courses.ask_for_rdma or _asks_for_rdma(self._cluster)):
            over_tcp = []
        known = {hit.file for hit in counted if hit.signature == TCP_IN_PLACE_OF_RDMA}
        counted += [hit for hit in over_tcp if hit.file not in known]
        return diagnose(counted, self.knowledge, self.registry.checks.by_name, self._cluster, self.chronicle)

    def _counts(self, hit: Hit) -> bool:
        at = self.chronicle.place(hit).at if self._since is not None else None
        return at is None or self._since is None or at >= self._since

    def answer(
        self, diagnoses: Sequence[Diagnosis], files: tuple[str, ...], endings: Sequence[Ending], unread: Iterable[str]
    ) -> Answer:
        """The answer for logs that have been read."""
        unread = tuple(unread)
        failed = {ending.file for ending in endings if ending.error_like}
        errors = any(diagnosis.severity is Severity.ERROR for diagnosis in diagnoses)
        known = diagnoses
        diagnoses = _with_general(known, endings, self.chronicle, self._since)
        stops = () if errors else tuple(stop for stop in self.courses.stops() if stop.file not in failed)
        return Answer(
            diagnoses=tuple(diagnoses),
            files=files,
            endings=tuple(endings),
            tried=len(self.knowledge.signatures),
            facts=self.facts,
            unread=unread,
            troubles=self.registry.troubles,
            code=Exit.USAGE if unread else Exit.OK if known or stops else Exit.FOUND,
            courses=self.courses.all(),
            stops=stops,
            moments=timeline(diagnoses),
            clocks=tuple(self.chronicle.remarks()) if diagnoses else (),
        )


def explain(
    what: Sequence[str],
    snapshots: Sequence[str],
    *,
    ask: Ask,
    system: System,
    environ: Mapping[str, str],
    here: bool,
    units: Sequence[str] = (),
    since: float | None = None,
) -> Answer:
    """Explain logs: files, and what the containers that `ask` names and these systemd units have logged.

    A path that is a snapshot counts as one of `snapshots`. `since`: as of Case. Raises what Case raises.
    """
    given = [*snapshots, *(path for path in what if is_snapshot_file(path))]
    paths, problems = expand(path for path in what if path not in given)
    files = tuple(paths)
    case = Case(given, ask=ask, system=system, environ=environ, here=here, since=since)
    case.chronicle.date(written_times(files))
    with ExitStack() as opened:
        streams: dict[str, BinaryIO] = {}
        for kind, name in sources(ask.containers, units):
            try:
                log = opened.enter_context(closing(open_log(kind, name, system, since)))
                streams[f"{kind}:{name}"] = cast(BinaryIO, log)
            except LogError as problem:
                problems.append(problem)
        files = (*files, *streams)
        logs = Logs(paths, case.matcher, streams=streams)
        case.hits += case.take(logs.hits())
    diagnoses = case.diagnoses()
    endings = () if _is_complete(diagnoses) else tuple(logs.endings)
    for ending in endings:
        for line in ending.lines:
            case.chronicle.add_line(line.file, line.text)
    unread = [str(problem) for problem in (*problems, *logs.problems)]
    return case.answer(diagnoses, files, endings, unread)


def _with_general(
    known: Sequence[Diagnosis], endings: Sequence[Ending], chronicle: Chronicle, since: float | None
) -> tuple[Diagnosis, ...]:
    """And what can be told of failures that no signature names. It comes first if all else only follows from something."""
    if _is_complete(known) or not any(ending.sign for ending in endings):
        return tuple(known)
    from sparkdoctor.general import conclude  # with the tables of codes, which few runs need

    general = conclude(endings, known, chronicle, since)
    errors = [diagnosis for diagnosis in known if diagnosis.severity is Severity.ERROR]
    first = [one for one in general if one.severity is Severity.WARNING and one.role is not Role.CONSEQUENCE]
    if errors and first and all(_points_at(first[0], error) for error in errors):
        # What failed first is here, after all.
        return (*general, msgspec.structs.replace(known[0], missing=None), *known[1:])
    shown = [*known, *general]
    shown.sort(key=lambda one: SEVERITIES.index(one.severity))
    return tuple(shown)


def _points_at(general: Diagnosis, error: Diagnosis) -> bool:
    """Whether a known error only follows from something, or from what another rank's log tells."""
    if error.role is Role.CONSEQUENCE:
        return True
    elsewhere = {line.file for line in general.evidence}.isdisjoint(line.file for line in error.evidence)
    return elsewhere and any(cause.name == OTHER_RANK and cause.verdict is Verdict.OPEN for cause in error.causes)


def _is_complete(diagnoses: Sequence[Diagnosis]) -> bool:
    """Whether they say what failed and where it began, so that nobody asks how the logs end."""
    failed = any(diagnosis.severity is Severity.ERROR for diagnosis in diagnoses)
    return failed and diagnoses[0].missing is None


Kind = Literal["container", "unit"]


def sources(containers: Iterable[str], units: Iterable[str]) -> list[tuple[Kind, str]]:
    """Logs that are no files."""
    return [*(("container", name) for name in containers), *(("unit", name) for name in units)]


def open_log(kind: Kind, name: str, system: System, since: float | None, *, follow: bool = False) -> Log:
    """What a container or a unit has logged. Raises LogError."""
    from sparkdoctor.system import DoorClosed

    try:
        return system.log(kind, name, since, follow=follow)
    except DoorClosed as error:
        raise LogError(f"{kind}:{name}", str(error)) from error


def _of_snapshots(paths: Iterable[str]) -> tuple[Cluster, ...]:
    from sparkdoctor.look import clusters_of, read_snapshot

    return clusters_of([read_snapshot(path) for path in paths])


def _asks_for_rdma(cluster: Cluster | None) -> bool:
    """Whether a launch that is known sets what only RDMA uses."""
    for node in cluster.nodes if cluster is not None else ():
        env = node.launch.env if node.launch is not None else None
        if env is not None and env.is_known and RDMA_VARIABLES & env.value.keys():
            return True
    return False


def _this_machine(ask: Ask, system: System, environ: Mapping[str, str], here: bool) -> tuple[Cluster | None, str]:
    """This machine with the launch found on it, and in words whether its facts are used.

    Raises BadInput for a launch that was named and cannot be read; one that was only found
    here is left out, and that is said: the logs can be explained without it.
    """
    if not here and ask in (Ask(), Ask(machine_only=True)) and _cannot_run_models(system):
        return None, _NOT_A_NODE
    from sparkdoctor.look import look  # with all that can look: most of what a run costs

    without = ""
    try:
        seen = look(ask, system, environ)
    except BadInput as problem:
        if ask != Ask():
            raise
        seen = look(Ask(machine_only=True), system, environ)
        without = f", without a launch ({problem})"
    cluster = seen.clusters[0]
    host = next((node.host for node in cluster.nodes if node.host is not None), None)
    if host is None or not (here or runs_models(host)):
        return None, _NOT_A_NODE
    return cluster, f"judged by the facts of {host.name}, this machine{without}"


_NOT_A_NODE = (
    "this machine has neither a GB10 nor an RDMA device, so its facts were not used:"
    " pass --from FILE (written by `sparkdoctor collect` on the node), or --here"
)


def _cannot_run_models(system: System) -> bool:
    """Whether it is certain, without gathering all facts, that `runs_models` will say no."""
    devices = system.folder("/dev")
    hcas = system.folder("/sys/class/infiniband")
    product = system.read("/sys/class/dmi/id/product_family")
    return (
        devices.is_known
        and not any(name.startswith("nvidia") for name in devices.value)
        and (hcas.absent or (hcas.is_known and not hcas.value))
        and (product.absent or (product.is_known and product.value.strip() != "DGX Spark"))
    )


def runs_models(host: Host) -> bool:
    """Whether a machine may be one of those that wrote the logs: a GB10, or any with an RDMA device."""
    dmi = host.machine.dmi.value if host.machine.dmi.is_known else {}
    gpus = host.gpus.devices.value if host.gpus.devices.is_known else ()
    return (
        dmi.get("product_family") == "DGX Spark"
        or any("GB10" in gpu.name.value for gpu in gpus if gpu.name.is_known)
        or bool(host.rdma.hcas.is_known and host.rdma.hcas.value)
    )


def summary_code(answer: Answer) -> Exit:
    """The exit code when it was asked how far the launch got: a log that tells it is one about which something is
    known."""
    told = any(course.steps for course in answer.courses)
    return Exit.OK if answer.code is Exit.FOUND and told else answer.code


def answer_json(answer: Answer) -> str:
    from sparkdoctor.render import json

    return json.dump(answer_document(answer))


def answer_document(answer: Answer) -> dict[str, Any]:
    """`explain --json`: diagnoses in rank order; `unknown` has the endings that nothing known explains."""
    return {
        "schema": SCHEMA,
        "version": __version__,
        "exit": int(answer.code),
        "diagnoses": answer.diagnoses,
        "facts": answer.facts,
        "tried": answer.tried,
        "not_read": list(answer.unread),
        "not_loaded": [{"origin": trouble.origin, "problem": trouble.problem} for trouble in answer.troubles],
        "unknown": answer.unexplained,
        "timeline": answer.moments,
        "clocks": list(answer.clocks),
        "courses": answer.courses,
        "stops": answer.stops,
    }
