"""The answer of `check` as text. Data in, lines of text out; the worst comes last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from msgspec.structs import replace

from sparkdoctor.api import CannotTell, Certainty, Finding, Fix, Node, Seen, Severity
from sparkdoctor.launch.types import Remark
from sparkdoctor.render.clean import printable
from sparkdoctor.render.styled import Text
from sparkdoctor.run import Result, Status

STYLE = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
FIX_WORD = {Certainty.EXACT: "fix", Certainty.FILL_IN: "fix, fill in <...>", Certainty.TRY: "try"}
ORDER = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}
HOW_TO_NAME = "-f COMPOSE, --container NAME, --pid PID, --shell, or a snapshot"
LONG = 32
"""Characters of a value past which it does not widen its column."""
MARK = {Status.PASSED: "✓", Status.FAILED: "✗", Status.SKIPPED: "-", Status.UNKNOWN: "?", Status.CRASHED: "!"}
WORD = {Status.PASSED: "ok", Status.FAILED: "failed", Status.SKIPPED: "skipped", Status.UNKNOWN: "unknown", Status.CRASHED: "crashed"}  # fmt: skip


def header(nodes: Sequence[Node], chosen: str, *, verbose: bool = False) -> Iterator[Text]:
    """One line a node: what was looked at, and why this launch when nobody named one; then remarks on the files.

    `verbose` adds what NCCL will choose on each.
    """
    remarks: dict[Remark, None] = {}
    for node in nodes:
        parts = [machine_line(node)]
        if node.launch is not None:
            spec = node.launch.spec
            parts.append(
                spec.title + (f", {spec.env_file}" if spec.env_file else "") + (f": {chosen}" if chosen else "")
            )
            remarks.update(dict.fromkeys(spec.remarks))
        yield Text(f"{printable(node.name)}  {printable('; '.join(part for part in parts if part))}")
        if verbose and node.launch is not None:
            yield from (Text(f"   {printable(line)}") for line in prediction(node))
    if not any(node.launch for node in nodes):
        yield Text.assemble(("no launch", "bold"), f" to judge here; name one: {HOW_TO_NAME}")
    for line in _remarks(remarks, verbose):
        yield Text.assemble(("remark", "bold cyan"), f" {printable(line)}")


def _remarks(remarks: Iterable[Remark], verbose: bool) -> list[str]:
    """One line each; variables that are blank share one, but for `verbose`. What a check tells is left to it."""
    told = [remark for remark in remarks if not remark.lost]
    blank = [] if verbose else [remark for remark in told if remark.blank]
    lines = [f"{remark.where}: {remark.text}" for remark in told if remark not in blank]
    names = list(dict.fromkeys(remark.blank for remark in blank))
    if len(names) > 1:
        lines.append(f"{blank[0].where}: compose puts a blank for variables that are not set: {', '.join(names)}")
    else:
        lines += [f"{remark.where}: {remark.text}" for remark in blank[:1]]
    return lines


def prediction(node: Node) -> list[str]:
    """What NCCL will choose on a node, in lines; or why nobody can tell."""
    from sparkdoctor.nccl import describe  # NCCL's rules, which an explanation does without
    from sparkdoctor.predict import predict

    try:
        predicted = predict(node)
    except CannotTell as why:
        return [f"NCCL: cannot predict ({why})"]
    rules, chosen = predicted.rules, predicted.selection
    bootstrap = (
        f"bootstrap {chosen.bootstrap.name} {chosen.bootstrap.address}"
        if chosen.bootstrap
        else "no bootstrap interface"
    )
    lines = [f"NCCL {rules.value} will use {chosen.transport or 'no transport'}, {bootstrap}  ({rules.where})"]
    for port in chosen.ports:
        lines.append(f"  {port.port.hca}:{port.port.port.number} GID {port.gid_index} ({describe(port.gid)})")
    lines += [f"  {socket.name} {socket.address}" for socket in chosen.sockets]
    lines += [f"  it says: {message.level} {message.text}" for message in chosen.messages]
    return lines


def machine_line(node: Node) -> str:
    """`DGX Spark GB10, driver 580.95.05, DGX OS 7.2.3`, of what is known."""
    host = node.host
    if host is None:
        return "machine not looked at"
    gpus = host.gpus.devices.value if host.gpus.devices.is_known else ()
    names = list(dict.fromkeys(gpu.name.value for gpu in gpus if gpu.name.is_known))
    dmi = host.machine.dmi.value if host.machine.dmi.is_known else {}
    release = host.machine.dgx_release.value if host.machine.dgx_release.is_known else {}
    ota = release.get("DGX_OTA_VERSION") or release.get("DGX_SWBUILD_VERSION")
    parts = [
        dmi.get("product_family") if "DGX" in dmi.get("product_family", "") else dmi.get("product_name"),
        f"{len(gpus)} x {names[0]}" if len(gpus) > 1 and names else (names[0] if names else "no NVIDIA GPU seen"),
        f"driver {host.gpus.driver.value}" if host.gpus.driver.is_known else None,
        f"DGX OS {ota}" if ota else None,
        f"Linux {host.machine.kernel.value}" if host.machine.kernel.is_known else None,
    ]
    return ", ".join(part for part in parts if part)


def report(results: Sequence[Result], *, verbose: bool, ascii_only: bool) -> Iterator[Text]:
    """Everything below the header: passed ones with -v, what could not be looked at, findings, the closing lines."""
    if verbose:
        yield Text("")
        yield from _every(results, ascii_only)
    explained = {(name, node) for result in results for name in result.with_it for node in result.on}
    yield from _not_seen(results, verbose)
    for group in _folded(results, explained):
        yield Text("")
        yield from _finding(group)
        for name in group.result.with_it:
            others = [other for other in results if other.check == name and set(other.on) & set(group.on)]
            for message in dict.fromkeys(finding.message for other in others for finding in other.findings):
                yield Text(f"   with it: {printable(message)} [{name}]")
    yield Text("")
    yield from _closing(results, explained)


def _every(results: Sequence[Result], ascii_only: bool) -> Iterator[Text]:
    """Every check with what it saw; nodes that saw the same stand together."""
    groups: dict[tuple[str, Status, str, tuple[Seen, ...]], list[str]] = {}
    for result in results:
        seen = result.seen if result.status is Status.PASSED else ()
        groups.setdefault((result.check, result.status, result.reason, seen), []).extend(result.on)
    for (name, status, reason, seen), on in groups.items():
        mark = WORD[status] if ascii_only else MARK[status]
        why = f"  {WORD[status]}: {reason}" if reason else ""
        yield Text(printable(f"{mark} {name} ({', '.join(dict.fromkeys(on))}){why}"))
        yield from evidence(seen, "    ")


def _not_seen(results: Sequence[Result], verbose: bool) -> Iterator[Text]:
    reasons: dict[tuple[Status, str], list[Result]] = {}
    for result in results:
        if result.status in (Status.UNKNOWN, Status.CRASHED):
            reasons.setdefault((result.status, result.reason), []).append(result)
    if reasons:
        yield Text("")
    for (status, reason), same in sorted(reasons.items(), key=lambda item: item[0][0] is Status.CRASHED):
        names = ", ".join(dict.fromkeys(result.check for result in same))
        on = ", ".join(dict.fromkeys(node for result in same for node in result.on))
        if status is Status.UNKNOWN:
            yield Text.assemble(("could not look", "bold"), printable(f": {names} on {on}: {reason}"))
        else:
            yield Text.assemble(
                ("crashed", "bold magenta"),
                printable(f": {names} on {on}: {reason}; this is a bug of the check, report it with -v's traceback"),
            )
            for result in same if verbose else ():
                yield from (Text("    " + printable(line)) for line in result.trace.splitlines())


class _Folded(NamedTuple):
    """One finding, on every node where it is the same but for the commands of its fix."""

    finding: Finding
    result: Result
    on: list[str]
    run: dict[str, tuple[str, ...]]
    """The fix's commands on each node."""


def _folded(results: Sequence[Result], explained: set[tuple[str, str]]) -> list[_Folded]:
    """Findings by severity, the mildest first."""
    groups: dict[tuple[str, Finding], _Folded] = {}
    for result in results:
        if result.status is not Status.FAILED or all((result.check, node) in explained for node in result.on):
            continue
        for finding in result.findings:
            same = replace(finding, fix=replace(finding.fix, run=()))
            group = groups.setdefault((result.check, same), _Folded(finding, result, [], {}))
            group.on.extend(node for node in result.on if node not in group.on)
            group.run.update(dict.fromkeys(result.on, finding.fix.run))
    return sorted(groups.values(), key=lambda group: ORDER[group.result.severity])


def _finding(group: _Folded) -> Iterator[Text]:
    severity = group.result.severity
    yield Text.assemble(
        (f"{severity.value}[{printable(group.result.check)}]", STYLE[severity]),
        (f" {printable(group.finding.message)}", "bold"),
        f"  {printable(', '.join(group.on))}",
    )
    yield from evidence(group.finding.seen, "   | ")
    yield from fix_lines(group.finding.fix, run=group.run if len(set(group.run.values())) > 1 else None)


def evidence(seen: Sequence[Seen], indent: str) -> Iterator[Text]:
    """`what  value  (wants ...)  where`, in columns."""
    rows = [(printable(s.what), printable(s.value), printable(s.wanted), printable(s.where)) for s in seen]
    what_width = max((len(row[0]) for row in rows), default=0)
    value_width = max((len(row[1]) for row in rows if len(row[1]) <= LONG), default=0)
    for what, value, wanted, where in rows:
        wants = f"  (wants {wanted})" if wanted else ""
        yield Text.assemble(indent, f"{what:<{what_width}}  {value:<{value_width}}{wants}", (f"  {where}", "dim"))


def fix_lines(fix: Fix, indent: str = "   ", *, run: Mapping[str, tuple[str, ...]] | None = None) -> Iterator[Text]:
    """The fix as lines to have and commands to run, never mixed; `run`: commands that differ by node."""
    word = FIX_WORD[fix.certainty]
    colon = ":" if fix.edit or fix.run else ""
    yield Text.assemble(indent, (f"{word}:", "bold green"), f" {printable(fix.do)}{colon}")
    yield from below_fix(fix, indent, run=run)


def below_fix(fix: Fix, indent: str = "   ", *, run: Mapping[str, tuple[str, ...]] | None = None) -> Iterator[Text]:
    """All of `fix_lines` but the first line, which says what to do."""
    inner = indent + "       "
    for line in fix.edit.splitlines():
        yield Text(f"{inner}{printable(line)}")
    for node, commands in (run or {"": fix.run}).items():
        if node or (commands and fix.edit):
            yield Text(f"{indent}     then{' on ' + printable(node) if node else ''}:")
        for command in commands:
            yield Text(f"{inner}{printable(command)}")
    if fix.cost:
        yield Text(f"{indent}     ({printable(fix.cost)})")


def _closing(results: Sequence[Result], explained: set[tuple[str, str]]) -> Iterator[Text]:
    count = {status: sum(result.status is status for result in results) for status in Status}
    found = _folded(results, explained)
    rest = ", ".join(f"{count[s]} {s.value}" for s in (Status.PASSED, Status.SKIPPED) if count[s])
    blind = count[Status.UNKNOWN]
    could_not = f"{blind} check{'s' if blind != 1 else ''} could not look"
    if found:
        problems = sum(group.result.severity is not Severity.NOTE for group in found)
        notes = len(found) - problems
        words = [f"{problems} problem{'s' if problems != 1 else ''}"] if problems else ["no problems found"]
        if notes:
            words.append(f"{notes} note{'s' if notes != 1 else ''}")
        if blind:
            words.append(could_not)
        yield Text(
            f"{', '.join(words)}; {rest or 'nothing passed'}. Why and how, at length: sparkdoctor explain {found[-1].result.check}"
        )
    elif not count[Status.PASSED]:
        yield Text(f"nothing could be checked; {could_not if blind else rest or 'no check ran'}.")
    elif blind:
        yield Text(f"no problems found, but {could_not}; {rest}.")
    else:
        yield Text(f"no problems found; {rest}.")
