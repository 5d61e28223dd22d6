"""What is published in the repository: written by its authors, and held beside what others made."""

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
    from shiftbench.audit.compare.published import Stands

PANEL = "The store"
_SHOWN = 5
_STYLES = {"exact": "green", "statistical": "yellow", "incomplete": "yellow", "failed": "red"}
Scales = Annotated[
    list[str] | None,
    typer.Argument(metavar="[SCALES]...", help="default, an overlay, systems/SLUG; default: all that were made here"),
]


@app.command(rich_help_panel=PANEL)
def publish(
    names: Scales = None,
    created: Annotated[str | None, typer.Option(help="time to state; default: SOURCE_DATE_EPOCH, or now")] = None,
) -> None:
    """Write published/: metric rows, verdicts, receipts and the Merkle root of what was made, to be committed."""
    from shiftbench.release import make, published
    from shiftbench.workflow.plan import plan as plans

    home = Path()
    published.check_tree(home)
    for config in _asked(names, configurations.made(home)):
        planned, root = plans.load(config)
        one = published.write(planned, root, home, config, make.when(created))
        about = one.about
        size = sum(file.stat().st_size for file in one.root.rglob("*") if file.is_file())
        counted = f"{about['files']} files, {about['rows']} numbers, {about['claims']} verdicts"
        out.print(f"{one.root}: {counted}, {size / 1e6:.2f} MB, root {about['root'][:12]}", soft_wrap=True)


@app.command(rich_help_panel=PANEL)
def verify(names: Scales = None, as_json: Json = False) -> None:
    """Say how what was made here stands to what is published: equal bytes, equal numbers, or other, and why."""
    from shiftbench.audit.compare import published as comparing
    from shiftbench.provenance import table_trial
    from shiftbench.release import published

    home = Path()
    table_trial.require(home / configurations.PUBLISHED)
    there = [published.read(home, config) for config in _asked(names, _both(home))]
    found = []
    for one in there:
        err.print(f"reading {one.scale or configurations.PLAIN}")
        root = home / configurations.load(one.scale, home).root
        table_trial.require(root)
        found.append(comparing.stands(root, one))
    if as_json:
        out.print_json(json.dumps([one.plain() for one in found]))
    else:
        _tell(found)
    worst = max((one.verdict for one in found), key=VERDICTS.index)
    sys.exit(EXIT_CODES[worst])


def _asked(names: Sequence[str] | None, here: list[str | None]) -> list[str | None]:
    """Return the scales that were asked for, else those here."""
    if not names and not here:
        raise DataError("nothing that is published was made here; `make run` makes the benchmark")
    return [None if name == configurations.PLAIN else name for name in names or ()] or here


def _both(home: Path) -> list[str | None]:
    """Return the scales that are published and were made here."""
    from shiftbench.release import published

    return [one for one in published.scales(home) if configurations.is_made(one, home)]


OLDER = (
    "published before recipes had digests of definitions, and made again with the next release; bytes, numbers and "
    "verdicts are compared."
)
"""What is said of published results whose fingerprints equal none that is planned now."""


def _tell(found: list[Stands]) -> None:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("scale", "outputs equal", "numbers equal", "verdicts equal", ""):
        right = heading.endswith("equal")
        table.add_column(heading, justify="right" if right else "left", no_wrap=heading == "scale")
    for one in found:
        numbers = one.numbers.rows - len(one.numbers.moved)
        counts = (
            f"{one.equal} of {one.outputs}",
            f"{numbers} of {one.numbers.rows}",
            f"{one.claims - len(one.changed)} of {one.claims}",
        )
        style = _STYLES[one.verdict]
        table.add_row(one.scale or configurations.PLAIN, *counts, f"[{style}]{escaped(one.words)}[/]")
    out.print(table)
    older = [one.scale or configurations.PLAIN for one in found if one.older]
    if older:
        out.print(f"{', '.join(older)}: {OLDER}", soft_wrap=True)
    for one in found:
        _explain(one)


def _explain(one: Stands) -> None:
    """Tell what moved, the causes upstream first."""
    from shiftbench.audit.compare import causes

    reasons = Counter(cause for of_one in one.other.values() for cause in of_one)
    ordered = causes.ordered(reasons)
    for cause in ordered[:_SHOWN]:
        line = f"{cause.path}: {cause.what} ({reasons[cause]} outputs)"
        out.print(f"[bold]{cause.kind}[/] {escaped(line)}", soft_wrap=True)
    if len(ordered) > _SHOWN:
        out.print(f"and {len(ordered) - _SHOWN} more causes, all with --json")
    for (kind, tolerance), count in one.numbers.counts().items():
        out.print(f"{count} numbers moved by {kind}: {tolerance}")
    for name, verdict in one.changed.items():
        out.print(f"claim {escaped(name)}: {verdict}", soft_wrap=True)
    for path in one.missing[:_SHOWN]:
        out.print(f"not here: {escaped(path)}", soft_wrap=True)
    if len(one.missing) > _SHOWN:
        out.print(f"and {len(one.missing) - _SHOWN} more that are not here, all with --json")
