"""`shiftbench publish` and `shiftbench verify`: authors publish results, other people compare theirs with them."""

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
from shiftbench.cli.application import Json, err, escaped, out
from shiftbench.cli.commands import command
from shiftbench.workflow.plan import configurations

if TYPE_CHECKING:
    from shiftbench.audit.compare.published import PublishedComparison

_SHOWN = 5
_STYLES = {"exact": "green", "statistical": "yellow", "incomplete": "yellow", "failed": "red"}
Configs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[CONFIGURATIONS]...", help="default (params.yaml alone), NAME, systems/SLUG; default: all made here"
    ),
]


@command
def publish(
    names: Configs = None,
    created: Annotated[str | None, typer.Option(help="time of publication; default: SOURCE_DATE_EPOCH, or now")] = None,
) -> None:
    """Write published/ (maintainers)."""
    from shiftbench.release import make, published
    from shiftbench.workflow.plan import plan as plans

    home = Path()
    published.check_tree(home)
    for config in _selected(names, configurations.completed(home)):
        planned, root = plans.load(config)
        result = published.write(planned, root, home, config, make.release_time(created))
        about = result.about
        size = sum(file.stat().st_size for file in result.root.rglob("*") if file.is_file())
        counts = f"{about['files']} files, {about['rows']} numbers, {about['claims']} verdicts"
        out.print(f"{result.root}: {counts}, {size / 1e6:.2f} MB, root {about['root'][:12]}", soft_wrap=True)


@command
def verify(names: Configs = None, as_json: Json = False) -> None:
    """Compare this run with the published results."""
    from shiftbench.audit.compare import published as comparing
    from shiftbench.provenance import table_trial
    from shiftbench.release import published

    home = Path()
    table_trial.require(home / configurations.PUBLISHED)
    comparisons = []
    for comparison in [published.read(home, config) for config in _selected(names, _published_and_made(home))]:
        err.print(f"reading {comparison.configuration or configurations.PLAIN}")
        root = home / configurations.load(comparison.configuration, home).root
        table_trial.require(root)
        comparisons.append(comparing.compare(root, comparison))
    if as_json:
        out.print_json(json.dumps([comparison.plain() for comparison in comparisons]))
    else:
        _print(comparisons)
    worst = max((comparison.verdict for comparison in comparisons), key=VERDICTS.index)
    sys.exit(EXIT_CODES[worst])


def _selected(names: Sequence[str] | None, made_here: list[str | None]) -> list[str | None]:
    """The configurations with these names; without names, those that are here."""
    if not names and not made_here:
        raise DataError("no published configuration was made here; `make run` makes the benchmark")
    return [None if name == configurations.PLAIN else name for name in names or ()] or made_here


def _published_and_made(home: Path) -> list[str | None]:
    """The configurations that are published and were made here."""
    from shiftbench.release import published

    return [config for config in published.configurations(home) if configurations.is_completed(config, home)]


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
    for comparison in comparisons:
        numbers = comparison.numbers.rows - len(comparison.numbers.moved)
        counts = (
            f"{comparison.equal} of {comparison.outputs}",
            f"{numbers} of {comparison.numbers.rows}",
            f"{comparison.claims - len(comparison.changed)} of {comparison.claims}",
        )
        style = _STYLES[comparison.verdict]
        table.add_row(
            comparison.configuration or configurations.PLAIN, *counts, f"[{style}]{escaped(comparison.words)}[/]"
        )
    out.print(table)
    older = [comparison.configuration or configurations.PLAIN for comparison in comparisons if comparison.older]
    if older:
        out.print(f"{', '.join(older)}: {OLDER}", soft_wrap=True)
    for comparison in comparisons:
        _explain(comparison)


def _explain(comparison: PublishedComparison) -> None:
    """Print the differences, with the causes furthest upstream first."""
    from shiftbench.audit.compare import causes

    reasons = Counter(cause for of_output in comparison.other.values() for cause in of_output)
    ordered = causes.ordered(reasons)
    for cause in ordered[:_SHOWN]:
        line = f"{cause.path}: {cause.what} ({reasons[cause]} outputs)"
        out.print(f"[bold]{cause.kind}[/] {escaped(line)}", soft_wrap=True)
    if len(ordered) > _SHOWN:
        out.print(f"and {len(ordered) - _SHOWN} more causes; --json prints all")
    for (kind, tolerance), count in comparison.numbers.counts().items():
        out.print(f"{count} numbers moved by {kind}: {tolerance}")
    for name, verdict in comparison.changed.items():
        out.print(f"claim {escaped(name)}: {verdict}", soft_wrap=True)
    for path in comparison.missing[:_SHOWN]:
        out.print(f"missing here: {escaped(path)}", soft_wrap=True)
    if len(comparison.missing) > _SHOWN:
        out.print(f"and {len(comparison.missing) - _SHOWN} more that are missing here; --json prints all")
