"""The answer of `check` as text. Data in, lines of text out; the worst comes last."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from rich.text import Text

from sparkdoctor.api import Certainty, Finding, Fix, Node, Seen, Severity
from sparkdoctor.render.clean import printable
from sparkdoctor.run import Result, Status

STYLE = {Severity.ERROR: "bold red", Severity.WARNING: "bold yellow", Severity.NOTE: "bold cyan"}
FIX_WORD = {Certainty.EXACT: "fix", Certainty.FILL_IN: "fix, fill in <...>", Certainty.TRY: "try"}
ORDER = {Severity.NOTE: 0, Severity.WARNING: 1, Severity.ERROR: 2}
MARK = {Status.PASSED: "✓", Status.FAILED: "✗", Status.SKIPPED: "-", Status.UNKNOWN: "?", Status.CRASHED: "!"}
WORD = {Status.PASSED: "ok", Status.FAILED: "failed", Status.SKIPPED: "skipped", Status.UNKNOWN: "unknown", Status.CRASHED: "crashed"}  # fmt: skip


def header(nodes: Iterable[Node], chosen: str) -> Iterator[Text]:
    """One line a node: what was looked at, and why this launch when nobody named one; then remarks on the files."""
    remarks: dict[str, None] = {}
    for node in nodes:
        parts = [machine_line(node)]
        if node.launch is not None:
            spec = node.launch.spec
            parts.append(
                spec.title + (f", {spec.env_file}" if spec.env_file else "") + (f": {chosen}" if chosen else "")
            )
            remarks.update({f"{remark.where}: {remark.text}": None for remark in spec.remarks})
        yield Text(f"{printable(node.name)}  {printable('; '.join(part for part in parts if part))}")
    for remark in remarks:
        yield Text.assemble(("remark", "bold cyan"), f" {printable(remark)}")


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
    for finding, result, on in _folded(results, explained):
        yield Text("")
        yield from _finding(finding, result, on)
        for name in result.with_it:
            for other in results:
                if other.check == name and set(other.on) & set(result.on):
                    for consequence in other.findings:
                        yield Text(f"   with it: {printable(consequence.message)} [{name}]")
    yield Text("")
    yield from _closing(results, explained)


def _every(results: Sequence[Result], ascii_only: bool) -> Iterator[Text]:
    for result in results:
        mark = WORD[result.status] if ascii_only else f"{MARK[result.status]} "
        reason = f"  {WORD[result.status]}: {result.reason}" if result.reason else ""
        yield Text(printable(f"{mark} {result.check} ({', '.join(result.on)}){reason}"))
        if result.status is Status.PASSED:
            yield from evidence(result.seen, "    ")


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


def _folded(results: Sequence[Result], explained: set[tuple[str, str]]) -> list[tuple[Finding, Result, list[str]]]:
    """Findings that are the same on several nodes as one; mildest first."""
    groups: dict[tuple[str, Finding], tuple[Result, list[str]]] = {}
    for result in results:
        if result.status is not Status.FAILED or all((result.check, node) in explained for node in result.on):
            continue
        for finding in result.findings:
            groups.setdefault((result.check, finding), (result, []))[1].extend(result.on)
    found = [(finding, result, list(dict.fromkeys(on))) for (_, finding), (result, on) in groups.items()]
    return sorted(found, key=lambda item: ORDER[item[1].severity])


def _finding(finding: Finding, result: Result, on: Sequence[str]) -> Iterator[Text]:
    yield Text.assemble(
        (f"{result.severity.value}[{printable(result.check)}]", STYLE[result.severity]),
        (f" {printable(finding.message)}", "bold"),
        f"  {printable(', '.join(on))}",
    )
    yield from evidence(finding.seen, "   | ")
    yield from fix_lines(finding.fix)


def evidence(seen: Sequence[Seen], indent: str) -> Iterator[Text]:
    """`what  value  (wants ...)  where`, in columns."""
    rows = [(printable(s.what), printable(s.value), printable(s.wanted), printable(s.where)) for s in seen]
    what_width = max((len(row[0]) for row in rows), default=0)
    value_width = min(40, max((len(row[1]) for row in rows), default=0))
    for what, value, wanted, where in rows:
        wants = f"  (wants {wanted})" if wanted else ""
        yield Text.assemble(indent, f"{what:<{what_width}}  {value:<{value_width}}{wants}", (f"  {where}", "dim"))


def fix_lines(fix: Fix, indent: str = "   ") -> Iterator[Text]:
    """The fix as lines to have and commands to run, never mixed."""
    word = FIX_WORD[fix.certainty]
    colon = ":" if fix.edit or fix.run else ""
    yield Text.assemble(indent, (f"{word}:", "bold green"), f" {printable(fix.do)}{colon}")
    inner = indent + "       "
    for line in fix.edit.splitlines():
        yield Text(f"{inner}{printable(line)}")
    if fix.run and fix.edit:
        yield Text(f"{indent}     then:")
    for command in fix.run:
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
        problems = sum(result.severity is not Severity.NOTE for _, result, _ in found)
        notes = len(found) - problems
        words = [f"{problems} problem{'s' if problems != 1 else ''}"] if problems else ["no problems found"]
        if notes:
            words.append(f"{notes} note{'s' if notes != 1 else ''}")
        if blind:
            words.append(could_not)
        yield Text(
            f"{', '.join(words)}; {rest or 'nothing passed'}. Why and how, at length: sparkdoctor explain {found[-1][1].check}"
        )
    elif not count[Status.PASSED]:
        yield Text(f"nothing could be checked; {could_not if blind else rest or 'no check ran'}.")
    elif blind:
        yield Text(f"no problems found, but {could_not}; {rest}.")
    else:
        yield Text(f"no problems found; {rest}.")
