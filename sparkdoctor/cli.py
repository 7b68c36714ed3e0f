"""The command line: flags in, calls, exit code out. Everything heavy is imported by the command that needs it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparkdoctor import __version__
from sparkdoctor.cli_options import (
    HANG_AFTER,
    SUMMARY,
    ask_of,
    environ_of,
    is_named,
    launch_options,
    launch_options_beside_follow,
    output_options,
    selected,
    selection_options,
    since_of,
    system_of,
)
from sparkdoctor.telling import (
    EXPLANATION,
    MANUAL,
    answering,
    explain_logs,
    follow_logs,
    stop,
    tell_checked,
    tell_manual,
    tell_troubles,
)

if TYPE_CHECKING:
    from sparkdoctor.api import Check
    from sparkdoctor.ask import Ask
    from sparkdoctor.checking import Done
    from sparkdoctor.system import System

EPILOG = """\b
Examples:
  sparkdoctor check                                  this machine and the compose file here
  sparkdoctor check -f compose.yaml head.env worker.env
  sparkdoctor collect -o spark-1.json                then, anywhere:
  sparkdoctor check --from spark-1.json spark-2.json
  sparkdoctor run -- docker compose up               check, start, explain while it runs
  sparkdoctor explain head.log worker.log
  sparkdoctor explain -f --container vllm            join a launch that runs
  sparkdoctor explain memlock-limited

\b
Exit codes:
  0  nothing of severity error found       (explain: something known matched)
  1  a problem was found                   (explain: nothing known matched)
  2  the input could not be used, or sparkdoctor or a check crashed
  3  nothing found, but something that counts could not be looked at
"""


@click.group(
    epilog=EPILOG,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    invoke_without_command=True,
)
@click.version_option(__version__, message="sparkdoctor %(version)s")
@click.pass_context
def cli(context: click.Context) -> None:
    """Find what will stop a model on a pair of DGX Sparks before the launch, and explain it after."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


@cli.command(short_help="Say what will go wrong with a launch")
@click.argument("targets", nargs=-1, metavar="[RANK|SNAPSHOT]...")
@click.option("--from", "snapshots", multiple=True, metavar="FILE", help="Snapshot of a node, written by collect")
@launch_options
@selection_options
@click.option("-v", "--verbose", is_flag=True, help="Show every check with what it saw")
@output_options
def check(
    targets: tuple[str, ...],
    snapshots: tuple[str, ...],
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str,
    allow_unknown: bool,
    verbose: bool,
    as_json: bool,
    color: Any,
    root: str,
    machine: str | None,
    **named: Any,
) -> None:
    """Look at this machine and the launch, or at snapshots, and say what will go wrong.

    RANK is a folder with a compose file, a compose file, or an .env file for the compose file
    of --file: one for each rank. SNAPSHOT is a file that `sparkdoctor collect` wrote.
    """
    with answering(as_json, "sparkdoctor.check/1"):
        done = _checked(
            ask_of((*snapshots, *targets), **named),
            system_of(root, machine),
            environ_of(machine),
            selected(select, ignore),
            fail_on,
            allow_unknown,
        )
    tell_checked(done, sys.stdout, color, verbose=verbose, as_json=as_json)
    sys.exit(done.code)


@cli.command(short_help="Say what a log, a check or a signature means")
@click.argument("what", nargs=-1, metavar="[LOG...|NAME]")
@click.option("--from", "snapshots", multiple=True, metavar="FILE", help="Snapshot of a node to judge the causes by")
@click.option("--here", is_flag=True, help="Judge the causes by this machine, whatever it is")
@click.option("--unit", "units", multiple=True, metavar="NAME", help="Read also the journal of a systemd unit")
@click.option("--since", metavar="TIME", help="Leave out what was logged before: 30m, 2h, 2026-11-24T15:00:00+01:00")
@click.option("--timeline", is_flag=True, help="Show also the decisive lines of all logs in the order of time")
@launch_options_beside_follow
@click.option(
    "-f", "--follow", is_flag=True, help="Read on as logs grow, --container and --unit too, until a signal or their end"
)
@HANG_AFTER
@SUMMARY
@click.option("-v", "--verbose", is_flag=True, help="Show also what only follows, with its lines")
@output_options
def explain(
    what: tuple[str, ...],
    snapshots: tuple[str, ...],
    here: bool,
    units: tuple[str, ...],
    since: str | None,
    timeline: bool,
    follow: bool,
    hang_after: float | None,
    summary: bool,
    verbose: bool,
    as_json: bool,
    color: Any,
    root: str,
    machine: str | None,
    **named: Any,
) -> None:
    """Read logs of a launch that failed, one or several ranks', and name the cause; `-` is standard input.

    A folder stands for all logs in and below it. What --container has printed is read as well. Times
    without a zone count as UTC.
    Given the name of a check, a signature or a cause, print its manual. A name is tried
    before a path: write ./NAME for a file of that name.
    """
    with answering(as_json, MANUAL):
        if len(what) == 1 and not follow and tell_manual(what[0], as_json=as_json):
            return
    with answering(as_json, EXPLANATION):
        if not (what or units or named["containers"]):
            raise click.UsageError("name a log, a folder of logs, --container or --unit")
        alike: dict[str, Any] = {
            "ask": ask_of((), **named),
            "system": system_of(root, machine),
            "environ": environ_of(machine),
            "here": here or machine is not None,
            "units": units,
            "since": since_of(since),
            "summary": summary,
            "timeline": timeline,
            "verbose": verbose,
            "as_json": as_json,
            "color": color,
        }
        if follow:
            follow_logs(what, snapshots, **alike, hang_after=hang_after)
        explain_logs(what, snapshots, **alike)


@cli.command(
    short_help="Check, start a command, and explain what it prints", context_settings={"allow_interspersed_args": False}
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED, metavar="-- COMMAND...")
@click.option("--from", "snapshots", multiple=True, metavar="FILE", help="Snapshot of a node to judge the causes by")
@click.option("--here", is_flag=True, help="Judge the causes by this machine, whatever it is")
@launch_options
@selection_options
@click.option("--force", is_flag=True, help="Start the command although the check found a problem")
@HANG_AFTER
@SUMMARY
@click.option("-v", "--verbose", is_flag=True, help="Show every check, and what only follows, with its lines")
@output_options
def run(
    command: tuple[str, ...],
    snapshots: tuple[str, ...],
    here: bool,
    select: tuple[str, ...],
    ignore: tuple[str, ...],
    fail_on: str,
    allow_unknown: bool,
    force: bool,
    hang_after: float | None,
    summary: bool,
    verbose: bool,
    as_json: bool,
    color: Any,
    root: str,
    machine: str | None,
    **named: Any,
) -> None:
    """Check the launch, start COMMAND, and explain its output while it runs: sparkdoctor run -- docker compose up

    COMMAND's output goes where it would go; what sparkdoctor says goes to standard error. Its exit
    code is COMMAND's, or 125 when the check found a problem and COMMAND was not started.
    """
    from sparkdoctor.live import NOT_EXECUTABLE, NOT_FOUND, NOT_STARTED, run_command
    from sparkdoctor.render.live import Teller

    try:
        with answering(False, ""):
            from sparkdoctor.explaining import Case
            from sparkdoctor.run import Exit

            ask, system, environ = ask_of((), **named), system_of(root, machine), environ_of(machine)
            done = _checked(ask, system, environ, selected(select, ignore), fail_on, allow_unknown)
            case = Case(snapshots, ask=ask, system=system, environ=environ, here=here or machine is not None)
    except SystemExit:
        sys.exit(NOT_STARTED)
    tell_checked(done, sys.stderr, color, verbose=verbose, as_json=as_json)
    if done.code not in (Exit.OK, Exit.UNKNOWN) and not force:
        click.echo(f"sparkdoctor: {command[0]} was not started; --force starts it all the same", err=True)
        sys.exit(NOT_STARTED)
    teller = Teller(sys.stderr, color, as_json=as_json, verbose=verbose)
    try:
        sys.exit(run_command(case, command, teller, hang_after=hang_after, summary=summary))
    except OSError as error:
        click.echo(f"sparkdoctor: {command[0]}: {error.strerror}", err=True)
        sys.exit(NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE)


@cli.command(short_help="Write a snapshot of this machine")
@click.option("-o", "--output", default="-", metavar="FILE", help="Where to write; - is standard output")
@click.option("--record", metavar="FILE", help="Also write everything that was read, as a recorded machine")
@launch_options
def collect(output: str, record: str | None, root: str, machine: str | None, **named: Any) -> None:
    """Write a snapshot of this machine (JSON): its facts and the launches found, secrets removed.

    Nothing leaves the machine: the file is for `check --from` and `explain --from`.
    """
    from sparkdoctor.look import take_snapshot
    from sparkdoctor.snapshot import to_json
    from sparkdoctor.system import Recording

    with answering(False, ""):
        system = system_of(root, machine)
        recording = Recording(system)
        snapshot = take_snapshot(ask_of((), **named), recording, environ_of(machine))
        if record:
            _write(record, recording.text())
        _write(output, to_json(snapshot))
    if output != "-":
        launches = ", ".join(spec.title for spec in snapshot.specs) or "no launch found"
        click.echo(f"wrote {output}: {snapshot.host.name}; {launches}", err=True)


@cli.command(name="list", short_help="List all checks, signatures and causes")
@click.argument("names", nargs=-1, metavar="[NAME|FAMILY]...")
@click.option("--knowledge", is_flag=True, help="Tell each signature and cause in full, family by family")
@output_options
def list_(names: tuple[str, ...], knowledge: bool, as_json: bool, color: Any) -> None:
    """List checks, signatures and causes with their severity and origin."""
    from sparkdoctor.registry import load_registry
    from sparkdoctor.render import listing
    from sparkdoctor.run import Exit

    with answering(as_json, listing.SCHEMA):
        registry = load_registry()
        entries = [entry for entry in listing.entries(registry) if not names or is_named(entry.name, names)]
        if knowledge:
            entries = [entry for entry in entries if entry.kind != "check"]
    tell_troubles(registry.troubles)
    if knowledge and entries:
        click.echo(listing.told(registry, [entry.name for entry in entries], as_json=as_json))
    elif as_json:
        click.echo(listing.document(entries, registry.troubles))
    else:
        from sparkdoctor.render.console import make_console, write

        write(make_console(color, sys.stdout), listing.lines(entries))
    if names and not entries:
        kinds = "signature or cause" if knowledge else "check, signature or cause"
        stop(f"no {kinds} is named {' or '.join(names)}")
    sys.exit(Exit.UNKNOWN if registry.troubles else Exit.OK)


def main() -> None:
    """The console script."""
    cli()


def _checked(
    ask: Ask,
    system: System,
    environ: dict[str, str],
    choose: Callable[[dict[str, Check]], list[Check]],
    fail_on: str,
    allow_unknown: bool,
) -> Done:
    from sparkdoctor.api import Severity
    from sparkdoctor.checking import check

    return check(ask, system, environ, choose, fail_on=Severity(fail_on), allow_unknown=allow_unknown)


def _write(path: str, text: str) -> None:
    from sparkdoctor.errors import BadInput

    if path == "-":
        click.echo(text, nl=False)
        return
    try:
        Path(path).write_text(text, "utf-8")
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from None
