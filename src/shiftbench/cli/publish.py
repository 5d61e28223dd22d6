"""The published results: written by the authors of the repository, compared with by everybody else."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich import box
from rich.table import Table

from shiftbench.audit.finding import EXIT_CODES, VERDICTS
from shiftbench.base.errors import DataError
from shiftbench.cli.application import Json, app, err, escaped, out
from shiftbench.workflow.plan import configurations

if TYPE_CHECKING:
    from shiftbench.audit.compare.published import PublishedComparison

PANEL = "Store and share"
_SHOWN = 5
_STYLES = {"exact": "green", "statistical": "yellow", "incomplete": "yellow", "failed": "red"}
Configs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONFIGURATIONS]...", help="default (params.yaml alone), NAME, systems/SLUG; default: all made here"
    ),
]


@app.command(rich_help_panel=PANEL)
def publish(
    names: Configs = None,
    created: Annotated[str | None, typer.Option(help="time of publication; default: SOURCE_DATE_EPOCH, or now")] = None,
) -> None:
    """Write published/: the metric rows, verdicts, receipts and Merkle root of a run; then commit it."""
    from shiftbench.release import make, published
    from shiftbench.workflow.plan import plan as plans

    home = Path()
    published.check_tree(home)
    for config in _selected(names, configurations.completed(home)):
        planned, root = plans.load(config)
        one = published.write(planned, root, home, config, make.release_time(created))
        about = one.about
        size = sum(file.stat().st_size for file in one.root.rglob("*") if file.is_file())
        counted = f"{about['files']} files, {about['rows']} numbers, {about['claims']} verdicts"
        out.print(f"{one.root}: {counted}, {size / 1e6:.2f} MB, root {about['root'][:12]}", soft_wrap=True)


@app.command(rich_help_panel=PANEL)
def verify(names: Configs = None, as_json: Json = False) -> None:
    """Compare the outputs that were made here with the published ones: bytes, numbers, verdicts, and causes."""
    from shiftbench.audit.compare import published as comparing
    from shiftbench.provenance import table_trial
    from shiftbench.release import published

    home = Path()
    table_trial.require(home / configurations.PUBLISHED)
    comparisons = []
    for one in [published.read(home, config) for config in _selected(names, _both(home))]:
        err.print(f"reading {one.configuration or configurations.PLAIN}")
        root = home / configurations.load(one.configuration, home).root
        table_trial.require(root)
        comparisons.append(comparing.compare(root, one))
    if as_json:
        out.print_json(json.dumps([one.plain() for one in comparisons]))
    else:
        _print(comparisons)
    worst = max((one.verdict for one in comparisons), key=VERDICTS.index)
    sys.exit(EXIT_CODES[worst])


def _selected(names: Sequence[str] | None, here: list[str | None]) -> list[str | None]:
    """The configurations with these names; without names, those that are here."""
    if not names and not here:
        raise DataError("no published configuration was made here; `make run` makes the benchmark")
    return [None if name == configurations.PLAIN else name for name in names or ()] or here


def _both(home: Path) -> list[str | None]:
    """The configurations that are published and were made here."""
    from shiftbench.release import published

    return [one for one in published.configurations(home) if configurations.is_completed(one, home)]


OLDER = (
    "published before recipes had digests of definitions; the next release replaces it. Bytes, numbers and verdicts "
    "are compared."
)
"""The note on published results of which no fingerprint equals a planned one."""


def _print(comparisons: list[PublishedComparison]) -> None:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("configuration", "outputs equal", "numbers equal", "verdicts equal", ""):
        right = heading.endswith("equal")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading == "configuration")
    for one in comparisons:
        numbers = one.numbers.rows - len(one.numbers.moved)
        counts = (
            f"{one.equal} of {one.outputs}",
            f"{numbers} of {one.numbers.rows}",
            f"{one.claims - len(one.changed)} of {one.claims}",
        )
        style = _STYLES[one.verdict]
        table.add_row(one.configuration or configurations.PLAIN, *counts, f"[{style}]{escaped(one.words)}[/]")
    out.print(table)
    older = [one.configuration or configurations.PLAIN for one in comparisons if one.older]
    if older:
        out.print(f"{', '.join(older)}: {OLDER}", soft_wrap=True)
    for one in comparisons:
        _explain(one)


def _explain(one: PublishedComparison) -> None:
    """Print the differences, with the causes furthest upstream first."""
    from shiftbench.audit.compare import causes

    reasons = Counter(cause for of_one in one.other.values() for cause in of_one)
    ordered = causes.ordered(reasons)
    for cause in ordered[:_SHOWN]:
        line = f"{cause.path}: {cause.what} ({reasons[cause]} outputs)"
        out.print(f"[bold]{cause.kind}[/] {escaped(line)}", soft_wrap=True)
    if len(ordered) > _SHOWN:
        out.print(f"and {len(ordered) - _SHOWN} more causes; --json prints all")
    for (kind, tolerance), count in one.numbers.counts().items():
        out.print(f"{count} numbers moved by {kind}: {tolerance}")
    for name, verdict in one.changed.items():
        out.print(f"claim {escaped(name)}: {verdict}", soft_wrap=True)
    for path in one.missing[:_SHOWN]:
        out.print(f"missing here: {escaped(path)}", soft_wrap=True)
    if len(one.missing) > _SHOWN:
        out.print(f"and {len(one.missing) - _SHOWN} more that are missing here; --json prints all")
