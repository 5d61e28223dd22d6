"""The audit: can anyone else get the same numbers?"""

from __future__ import annotations

import contextlib
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from shiftbench.base import files
from shiftbench.base.errors import DataError, ParamsError, UntrustedError
from shiftbench.cli import comparison
from shiftbench.cli.application import Config, app, err, escaped, out
from shiftbench.workflow.plan import plan as plans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shiftbench.audit.finding import Audit, Finding, Result

PANEL = "The run"
_COLOURS = {"exact": "green", "statistical": "yellow", "incomplete": "yellow", "failed": "red", "not run": "dim"}
RUNNING = 2
"""From this level on code of a checkout is run."""
_SHOWN = 5  # findings of one check on the terminal; the JSON and the page have all


@app.command(rich_help_panel=PANEL)
def audit(
    checkout: Annotated[
        Path | None, typer.Argument(help="somebody's checkout, audited from outside; default: this one", exists=True)
    ] = None,
    level: Annotated[int, typer.Option(help="0 evidence, 1 bytes, 2 rebuild, 3 re-evaluate, 4 all")] = 1,
    only: Annotated[list[str] | None, typer.Option(help="checks by name or number; may be given several times")] = None,
    sample: Annotated[int, typer.Option(min=1, help="how much is drawn at levels 2 and 3")] = 16,
    seed: Annotated[str | None, typer.Option(help="of the draws, to repeat an audit; default: fresh entropy")] = None,
    json: Annotated[Path | None, typer.Option(help="JSON for a program into a file, or - to print it")] = None,
    against: Annotated[
        str | None, typer.Option(help="compare with another run instead: a checkout, a root, a git revision")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="also list every check and what it looked at")] = False,
    config: Config = None,
) -> None:
    """Check that published numbers follow from rows, shards, recipes and original bytes, as they claim.

    CHECKOUT is looked at by this installation, which imports nothing of it and
    runs its code from level 2 on only, in processes of their own. Its audit.html,
    audit.json and audit.svg are written into the current folder.

    Without CHECKOUT, the audit is that of this checkout itself, which somebody
    may have changed.

    Exit code: 0 exact, 10 statistical, 20 incomplete, 30 failed.
    """
    from shiftbench.audit import outside, run
    from shiftbench.base import registry
    from shiftbench.cli.documents import pages
    from shiftbench.provenance import code_digest, table_trial, trust

    if level >= RUNNING:
        trust.require(f"an audit at level {level} runs its code", checkout or Path())
    into = Path.cwd() if checkout else None
    asked = run.AuditRequest(level, tuple(only or ()), sample, seed)
    if json and str(json) != "-":
        json = json.absolute() if checkout else json
        _require_writable(json)
    with contextlib.ExitStack() as stack:
        stack.enter_context(code_digest.from_sources_alone())
        package = stack.enter_context(outside.looking_at(checkout)) if checkout else None
        if against:
            comparison.against(plans.load(config)[1], against, json)
        try:
            planned, root = plans.load(config)
        except ParamsError as error:
            done = run.unplanned(error, asked)
        else:
            table_trial.require(root)
            done = run.run(planned, root, asked, package or registry.PACKAGE, pages.published)
            _show(done, root, into)
        if json:
            run.write(done, json)
    if str(json) != "-":
        _tell(done, verbose=verbose)
    sys.exit(done.exit_code)


def _require_writable(file: Path) -> None:
    """Refuse a file that cannot be written, before an audit that may take minutes.

    Raises:
        UntrustedError: a link of a checkout that is not trusted leads elsewhere.
        DataError: it cannot be written; says why.
    """
    for check in files.CHECKS:
        check(file)
    new = not file.exists()
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.open("ab").close()
    except OSError as error:
        raise DataError(
            f"the audit's JSON cannot be written to {file}: {error.strerror}; name a file in a folder that can be "
            "written, or - to print it"
        ) from error
    if new:
        file.unlink()


def _show(done: Audit, root: Path, into: Path | None) -> None:
    """Write the audit's page; where that cannot be written, the verdict still stands."""
    from shiftbench.audit import page

    try:
        written = page.write(done, root, into)
        if written:
            err.print(f"the audit's page: {escaped(str(written))}", soft_wrap=True)
    except (DataError, UntrustedError) as error:
        err.print(f"[yellow]the audit's page was not written[/]: {escaped(str(error))}")


def _tell(done: Audit, *, verbose: bool) -> None:
    """Print what a reviewer needs, per table, then findings, what limits the verdict, and the verdict."""
    from shiftbench.audit import summary

    if verbose:
        _tell_checks(done)
    for table, found in summary.by_table(done):
        if table is None:
            if found:
                out.print("[bold]The checkout[/], every table of it:")
        else:
            head, *more = summary.lines(table)
            out.print(f"[bold {_COLOURS[table['verdict']]}]{escaped(head)}[/]", soft_wrap=True)
            for line in more:
                out.print(f"  {escaped(line)}", soft_wrap=True)
        _tell_findings(found)
    notes = summary.limits(done)
    if notes:
        out.print("[bold]What limits this audit[/]")
        for note in notes:
            out.print(f"  {escaped(note)}", soft_wrap=True)
    _tell_verdict(done)


def _tell_checks(done: Audit) -> None:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("check", "", "level", "verdict", "what is checked"):
        table.add_column(heading, no_wrap=heading != "what is checked")
    for result in done.results:
        colour = _COLOURS[result.verdict]
        verdict = f"[{colour}]{result.verdict}[/]"
        told = "\n".join([result.title, *(f"- {note}" for note in result.notes)])
        table.add_row(result.number, result.name, str(result.level), verdict, escaped(told))
    out.print(table)


def _tell_findings(found: Sequence[tuple[Result, Finding]]) -> None:
    """Print findings, of one check the first few."""
    counts: Counter[str] = Counter()
    for result, finding in found:
        counts[f"{result.number} {result.name}"] += 1
        if counts[f"{result.number} {result.name}"] <= _SHOWN:
            line = f"  [bold]{result.number} {result.name}[/] {escaped(str(finding))}"
            out.print(line, soft_wrap=True)
    for name, count in counts.items():
        if count > _SHOWN:
            out.print(f"  [bold]{name}[/] and {count - _SHOWN} more findings")


def _tell_verdict(done: Audit) -> None:
    about, who = done.about, done.about.get("auditor", {})
    if who:
        where = "which comes with the checkout" if who["inside"] else "from outside"
        out.print(f"audited by shiftbench {who['version']} {who['digest'][:16]}, {where}", soft_wrap=True)
    out.print(
        f"[bold {_COLOURS[done.verdict]}]{done.verdict}[/] at level {about['level']}: {about['here']} of "
        f"{about['planned']} outputs are here, {about['seconds']} s; repeat its draws by --seed {about['seed']}",
        soft_wrap=True,
    )
