"""`shiftbench check-results`: whether the numbers of a printed table contradict each other."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from shiftbench.base.errors import ParamsError
from shiftbench.cli.application import Hanging, Json, escaped, out
from shiftbench.cli.commands import command

if TYPE_CHECKING:
    from shiftbench.statistics.printed_table_checks import Finding
    from shiftbench.statistics.printed_tables import Table


@command
def check_results(
    files: Annotated[list[Path], typer.Argument(help="tables: CSV, TSV, JSON lines or Parquet")],
    key: Annotated[
        str,
        typer.Option(metavar="A,B", help="columns that name a row; default: text columns and settings such as seed"),
    ] = "",
    n: Annotated[int | None, typer.Option("--n", min=1, help="samples behind each share, such as 10000")] = None,
    same: Annotated[
        str, typer.Option(metavar="A,B", help="columns of one metric, such as AUROC on several sets: find odd cells")
    ] = "",
    as_json: Json = False,
) -> None:
    """Check whether the numbers of a printed table contradict each other.

    The checks need no data but the table: means of their terms, differences and
    their signs, shares of n samples, columns that never vary, cells and blocks
    that occur twice, names that two rows have, files with the same numbers.
    """
    from shiftbench.statistics import printed_table_checks, printed_tables

    names, alike = ([name.strip() for name in given.split(",") if name.strip()] for given in (key, same))
    if len(set(files)) < len(files):
        raise ParamsError("a file is named twice; name each file once")
    tables = {str(file): printed_tables.read(file, names, n) for file in files}
    seen = {name: printed_table_checks.findings(table) for name, table in tables.items()}
    if alike:
        seen = {name: [*seen[name], *printed_table_checks.outliers(table, alike)] for name, table in tables.items()}
    pairs = list(printed_table_checks.copies(tables))
    if as_json:
        found = {name: [finding._asdict() for finding in findings] for name, findings in seen.items()}
        typer.echo(json.dumps({"files": found, "copies": pairs}, indent=1))
    else:
        for name, table in tables.items():
            named = ", ".join(table.labels) or "nothing"
            out.print(
                f"{escaped(name)}: {table.rows} rows named by {escaped(named)}; numbers: {len(table.numbers)} columns"
            )
            for finding in seen[name]:
                out.print(Hanging(f"[bold]{finding.check}[/]: {escaped(_told(finding, table))}", 2, 2))
        for one, other in pairs:
            out.print(Hanging(f"[bold]copies[/]: {escaped(one)} and {escaped(other)} have the same numbers", 0, 2))
        count = sum(map(len, seen.values())) + len(pairs)
        checks = len(printed_table_checks.CHECKS) + 1 + bool(alike)
        said = f"{count} finding{'s' * (count != 1)}" if count else "nothing found"
        out.print(
            f"{said}, by {checks} checks. A finding is no verdict: a rule that the table does not state may explain it."
        )
    if any(seen.values()) or pairs:
        raise typer.Exit(10)


def _told(finding: Finding, table: Table) -> str:
    """A finding with its place."""
    rows = finding.rows
    named = table.names()
    place = ""
    if len(rows) == 1:
        place = f"row {rows[0]} ({' '.join(named[rows[0] - 1])}) "
    elif rows:
        place = f"rows {', '.join(map(str, rows[:6]))}{', ...' if len(rows) > 6 else ''} "
    return f"{place}{finding.column} {finding.what}".replace("  ", " ")
