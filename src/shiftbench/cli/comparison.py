"""The comparison of two runs on the terminal: `shiftbench audit --against`."""

from __future__ import annotations

import sys
from collections import Counter
from json import dumps
from pathlib import Path
from typing import TYPE_CHECKING

from rich import box
from rich.table import Table

from shiftbench.cli.application import escaped, out

if TYPE_CHECKING:
    from shiftbench.audit.compare.runs import Comparison

_SHOWN = 10  # moved numbers on the terminal; the JSON has all
_WORDS = {
    "exact": "[bold green]nothing moved[/]",
    "statistical": "[bold yellow]moved, and explained[/]",
    "incomplete": "[bold yellow]moved; the evidence for the cause is missing here[/]",
    "failed": "[bold red]moved, and not explained[/]",
}


def against(root: Path, other: str, json: Path | None) -> None:
    """Compare this run with another, print the result, and exit with the code of the verdict."""
    from shiftbench.audit.compare import runs
    from shiftbench.audit.compare.causes import Side
    from shiftbench.base import files

    with runs.open_run(root, other) as other_side:
        comparison = runs.compare(Side(root, "this run"), other_side)
    if str(json) == "-":
        sys.stdout.write(dumps(comparison.plain(), indent=1, allow_nan=False) + "\n")
    else:
        if json:
            files.write_json(json, comparison.plain())
        _print(comparison)
    sys.exit(comparison.exit_code)


def _print(comparison: Comparison) -> None:
    if comparison.moved:
        _print_counts(comparison)
        _print_causes(comparison)
        _print_moved(comparison)
    equal = comparison.rows - len(comparison.moved)
    out.print(
        f"{_WORDS[comparison.verdict]}: {equal} of {comparison.rows} numbers are equal in {escaped(comparison.here)} "
        f"and {escaped(comparison.there)}; exit code {comparison.exit_code}",
        soft_wrap=True,
    )


def _print_counts(comparison: Comparison) -> None:
    counts = comparison.counts()
    tolerances = list(dict.fromkeys(tolerance for _, tolerance in counts))
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("numbers moved by")
    for tolerance in tolerances:
        table.add_column(tolerance, justify="right")
    for cause in dict.fromkeys(cause for cause, _ in counts):
        artifacts = (str(counts.get((cause, tolerance), "")) for tolerance in tolerances)
        table.add_row(cause, *artifacts)
    out.print(table)


def _print_causes(comparison: Comparison) -> None:
    causes = Counter(cause for row in comparison.moved for cause in row.causes)
    for cause, count in sorted(causes.items(), key=lambda pair: (pair[0].order, pair[0].path))[:_SHOWN]:
        line = f"[bold]{cause.kind}[/] {escaped(f'{cause.path}: {cause.what}')} ({count} numbers)"
        out.print(line, soft_wrap=True)
    if len(causes) > _SHOWN:
        out.print(f"and {len(causes) - _SHOWN} more causes, all in the JSON")


def _print_moved(comparison: Comparison) -> None:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("number", "there", "here", "moved by", "tolerance", "because of"):
        table.add_column(heading, justify="right" if heading in ("there", "here") else "left")
    ranked = sorted(comparison.moved, key=lambda row: -abs(row.by or 0.0))
    for row in ranked[:_SHOWN]:
        values = (_text((side or {}).get("value")) for side in (row.there, row.here))
        by = "" if row.by is None else f"{row.by:+.6g}"
        table.add_row(escaped(row.name), *values, by, row.tolerance, row.cause)
    out.print(table)
    if len(ranked) > _SHOWN:
        out.print(f"and {len(ranked) - _SHOWN} more, all in the JSON")


def _text(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
