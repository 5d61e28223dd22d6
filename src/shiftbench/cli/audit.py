"""`shiftbench audit`: a check whether other people can get the same numbers."""

from __future__ import annotations

import contextlib
import re
import shlex
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich import box
from rich.table import Table

from shiftbench.base import files
from shiftbench.base.errors import DataError, ParamsError, UntrustedError
from shiftbench.cli import comparison
from shiftbench.cli.application import Config, err, escaped, out
from shiftbench.cli.commands import command
from shiftbench.workflow.plan import plan as plans

if TYPE_CHECKING:
    from collections.abc import Sequence

    from shiftbench.audit.finding import Audit, Finding, Result, Verdict
    from shiftbench.audit.run import AuditRequest

_COLOURS: dict[Verdict | Literal["not run"], str] = {
    "exact": "green",
    "statistical": "yellow",
    "incomplete": "yellow",
    "failed": "red",
    "not run": "dim",
}
RUNNING = 2
"""The first level that runs code of a checkout."""
_SHOWN = 5  # findings of one check on the terminal; the JSON and the page have all


@command
def audit(
    checkout: Annotated[
        Path | None,
        typer.Argument(help="checkout of somebody else, audited from outside; default: this checkout", exists=True),
    ] = None,
    level: Annotated[
        int, typer.Option(help="0 evidence, 1 bytes, 2 rebuild a sample, 3 re-evaluate a sample, 4 all outputs")
    ] = 1,
    only: Annotated[
        list[str] | None,
        typer.Option(help="name or number of a check; repeat the option for several; default: all checks"),
    ] = None,
    sample: Annotated[int, typer.Option(min=1, help="sample size at levels 2 and 3")] = 16,
    seed: Annotated[str | None, typer.Option(help="seed of the sample, to repeat an audit; default: random")] = None,
    json: Annotated[Path | None, typer.Option(help="write JSON into this file; - prints it")] = None,
    against: Annotated[
        str | None, typer.Option(help="compare with another run instead: a checkout, an output root or a git revision")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="also list every check and its subject")] = False,
    config: Config = None,
) -> None:
    """Check that the numbers follow from the rows, shards, recipes and source files.

    This installation audits CHECKOUT. It imports nothing of CHECKOUT, and runs
    its code at levels 2 to 4 only, in separate processes. It writes audit.html,
    audit.json and audit.svg into the current folder.

    Without CHECKOUT, this checkout audits itself with its own code, which
    somebody may have changed.
    """
    from shiftbench.audit import outside, run
    from shiftbench.base import registry
    from shiftbench.cli.documents import pages
    from shiftbench.provenance import code_digest, table_trial, trust

    if level >= RUNNING:
        trust.require(f"an audit at level {level} runs its code", checkout or Path())
    into = Path.cwd() if checkout else None
    request = run.AuditRequest(level, tuple(only or ()), sample, seed)
    if json and str(json) != "-":
        json = json.absolute() if checkout else json
        _require_writable(json)
    with contextlib.ExitStack() as stack:
        stack.enter_context(code_digest.from_sources_alone())
        package = stack.enter_context(outside.enter(checkout)) if checkout else None
        if against:
            comparison.against(plans.load(config)[1], against, json)
        try:
            planned, root = plans.load(config)
        except ParamsError as error:
            result = run.audit_without_plan(error, request)
        else:
            table_trial.require(root)
            result = run.run(planned, root, request, package or registry.PACKAGE, pages.published)
            _show(result, root, into)
        if json:
            run.write(result, json)
    if str(json) != "-":
        _print(result, _command(request, checkout, config), verbose=verbose)
    sys.exit(result.exit_code)


def _command(request: AuditRequest, checkout: Path | None, config: str | None) -> str:
    """The command of an audit, without its seed."""
    words = ["shiftbench", "audit", *([shlex.quote(str(checkout))] if checkout else []), f"--level {request.level}"]
    words += [f"--only {name}" for name in request.only]
    words += [f"--sample {request.count}"] if request.count != type(request)().count else []
    return " ".join([*words, *([f"--config {config}"] if config else [])])


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
            f"the audit's JSON cannot be written to {file}: {error.strerror}; name a file in a writable "
            "folder, or - to print it"
        ) from error
    if new:
        file.unlink()


def _show(result: Audit, root: Path, into: Path | None) -> None:
    """Write the audit's page; the verdict does not depend on it."""
    from shiftbench.audit import page

    try:
        file = page.write(result, root, into)
        if file:
            err.print(f"the audit's page: {escaped(str(file))}", soft_wrap=True)
    except (DataError, UntrustedError) as error:
        err.print(f"[yellow]the audit's page was not written[/]: {escaped(str(error))}")


def _print(result: Audit, command: str, *, verbose: bool) -> None:
    """Print the verdict, the checks by verdict and the command that repeats the audit; then each table's findings."""
    from shiftbench.audit import summary

    _print_verdict(result, command)
    if verbose:
        _print_checks(result)
    for table, findings in summary.findings_by_table(result):
        if table is None:
            if findings:
                out.print("[bold]The checkout[/], all of its tables:")
        else:
            head, *further_lines = summary.lines(table)
            out.print(f"[bold {_COLOURS[table['verdict']]}]{escaped(head)}[/]", soft_wrap=True)
            for line in further_lines if verbose else ():
                out.print(f"  {escaped(line)}", soft_wrap=True)
        _print_findings(findings, verbose=verbose)
    _print_limits(summary.limits(result), verbose=verbose)


def _print_limits(notes: Sequence[str], *, verbose: bool) -> None:
    if not verbose:
        out.print(f"--verbose prints all checks, what was not checked, and {len(notes)} limits of this audit")
    elif notes:
        out.print("[bold]Limits of this audit[/]")
        for note in notes:
            out.print(f"  {escaped(note)}", soft_wrap=True)


def _print_checks(audit: Audit) -> None:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("check", "", "level", "verdict", "subject"):
        table.add_column(heading, no_wrap=heading != "subject")
    for result in audit.results:
        colour = _COLOURS[result.verdict]
        verdict = f"[{colour}]{result.verdict}[/]"
        text = "\n".join([result.title, *(f"- {note}" for note in result.notes)])
        table.add_row(result.number, result.name, str(result.level), verdict, escaped(text))
    out.print(table)


def _print_findings(findings: Sequence[tuple[Result, Finding]], *, verbose: bool) -> None:
    """Print the first findings of each check."""
    counts: Counter[str] = Counter()
    for result, finding in findings:
        counts[f"{result.number} {result.name}"] += 1
        if counts[f"{result.number} {result.name}"] <= _SHOWN:
            text = str(finding) if verbose else _in_short(finding)
            out.print(f"  [bold]{result.number} {result.name}[/] {escaped(text)}", soft_wrap=True)
    for name, count in counts.items():
        if count > _SHOWN:
            out.print(f"  [bold]{name}[/] and {count - _SHOWN} more findings")


def _in_short(finding: Finding) -> str:
    r"""The finding without its explanation, with the beginnings of digests, and the count of the numbers it touches.

    Example:
        >>> from shiftbench.audit.finding import Finding
        >>> _in_short(Finding("failed", "a.tar", "its bytes differ", expected="0" * 64, found="1" * 64, numbers=("n",)))
        'failed: a.tar: its bytes differ\n    expected 000000000000..., found 111111111111...; touches 1 numbers'
    """
    lines = str(replace(finding, explanation=None, numbers=())).splitlines()
    touched = f"touches {len(finding.numbers)} numbers" if finding.numbers else ""
    details = "; ".join(part for part in (*(line.strip() for line in lines[1:]), touched) if part)
    return _DIGEST.sub(r"\1...", "\n    ".join(filter(None, (lines[0], details))))


_DIGEST = re.compile(r"\b([0-9a-f]{12})[0-9a-f]{20,52}\b")


def _print_verdict(result: Audit, command: str) -> None:
    """Print three lines: the verdict, the checks by verdict with the auditor, and how to repeat the audit."""
    about, auditor = result.about, result.about.get("auditor", {})
    out.print(
        f"[bold {_COLOURS[result.verdict]}]{result.verdict}[/] at level {about['level']}: {about['here']} of "
        f"{about['planned']} outputs are here, {about['seconds']} s",
        soft_wrap=True,
    )
    counts = Counter(check.verdict for check in result.results)
    by = ""
    if auditor:
        origin = "which comes with the checkout" if auditor["inside"] else "from outside"
        by = f"; by shiftbench {auditor['version']} {auditor['digest'][:12]}, {origin}"
    checks = ", ".join(f"{counts[verdict]} {verdict}" for verdict in _COLOURS if counts[verdict])
    noun = "check" if len(result.results) == 1 else "checks"
    out.print(f"{len(result.results)} {noun}: {checks}{by}", soft_wrap=True)
    if about["seed"]:
        out.print(f"to repeat this audit: `{escaped(command)} --seed {about['seed']}`", soft_wrap=True)
