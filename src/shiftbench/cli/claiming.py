"""Systems and their claims: made, and what was measured beside what their cards say."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from shiftbench.cli.application import Hanging, Json, app, err, escaped, out
from shiftbench.documents import overview
from shiftbench.errors import DataError
from shiftbench.plan import cards, scales, touched
from shiftbench.refs import Ref
from shiftbench.statistics import sentences
from shiftbench.statistics.statements import Claim

PANEL = "Looking"
_STYLES = {"supported": "green", "refuted": "red", "inconclusive": "yellow"}


@app.command(rich_help_panel=PANEL)
def claims(
    systems: Annotated[
        list[str] | None, typer.Argument(help="slugs, or slug/scale; default: all that were run")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the verdicts of systems that were run (`make systems`)."""
    asked = [f"{scales.SYSTEMS}/{name}" for name in systems or _run_here()]
    found = {scale.removeprefix(f"{scales.SYSTEMS}/"): _verdicts(scale) for scale in asked}
    if as_json:
        out.print_json(json.dumps(found))
        return
    for name, rows in found.items():
        out.print(_told(name, rows))


@app.command(rich_help_panel="The run")
def systems(
    names: Annotated[
        list[str] | None, typer.Argument(help="slugs, or slug/scale; default: all that are built")
    ] = None,
    cores: Annotated[int, typer.Option(min=1, help="jobs at a time")] = 1,
    changed: Annotated[
        str | None, typer.Option(metavar="REVISION", help="those that differ since a revision")
    ] = None,
) -> None:
    """Make published systems in one run of Snakemake; then show verdicts, and how they stand to published ones.

    `--changed HEAD` makes what is touched by what is not committed yet,
    `--changed HEAD~1` by the last commit, too.
    """
    from shiftbench.engine import running

    for name in names or ():
        scales.load(f"{scales.SYSTEMS}/{name}")
    asked = names or scales.built()
    if changed is not None:
        asked = touched.systems(asked, changed)
        if not asked:
            err.print(f"nothing that changed since {changed} decides an output of a system")
            return
    err.print(f"planning {', '.join(asked)}")
    begun = time.time()
    status = running.run([f"{scales.SYSTEMS}/{name}" for name in asked], cores)
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("system", "jobs", "CPU min", "s / r / i", "beside what is published"):
        table.add_column(heading, justify="right" if heading in ("jobs", "CPU min") else "left")
    for name in asked:
        made = running.made(f"{scales.SYSTEMS}/{name}", begun)
        counts, beside = ("", f"failed: {made.unfinished[0]}") if made.unfinished else _stands(name)
        table.add_row(name, str(made.jobs), f"{made.seconds / 60:.1f}", counts, escaped(beside))
    out.print(table)
    _show_all_made()
    if status:
        raise DataError("jobs failed; what they said stands above, and in their logs")


def _stands(name: str) -> tuple[str, str]:
    """Return how many claims are supported, refuted, inconclusive, and how they stand to the published ones."""
    slug, scale = scales.split(f"{scales.SYSTEMS}/{name}")
    if scale != scales.DEFAULT:
        return _spelled(_verdicts(f"{scales.SYSTEMS}/{name}")), ""
    row = overview.row(slug, 0, 0.0)
    return " / ".join(map(str, row.counts)), row.beside


def _show_all_made() -> None:
    """Write the page of all systems that were ever made here, with all that they took."""
    from shiftbench.engine import running

    rows = []
    for slug in overview.here():
        took = running.made(f"{scales.SYSTEMS}/{slug}", 0.0)
        if not took.unfinished:
            rows.append(overview.row(slug, took.jobs, took.seconds))
    if rows:
        out.print(f"all systems that were made here: {overview.write(rows)}")


def _run_here() -> list[str]:
    """Return what was run of the built systems: slugs, and slug/scale at another scale than the default one.

    Raises:
        DataError: nothing was.
    """
    here = [name for slug in scales.built() for name in _scales_here(slug)]
    if not here:
        raise DataError(
            "no system was run here; `make systems` runs all, `shiftbench systems palm` one"
        )
    return here


def _scales_here(slug: str) -> list[str]:
    found = [scale for scale in cards.load(slug).params if _file(slug, scale).is_file()]
    return [slug if scale == scales.DEFAULT else f"{slug}/{scale}" for scale in found]


def _file(slug: str, scale: str) -> Path:
    return Path(scales.root(slug, scale)) / Ref("claims", slug).path


def _verdicts(name: str) -> list[dict[str, Any]]:
    from shiftbench.data import claim_formats, schema
    from shiftbench.provenance import table_trial

    slug, scale = scales.split(name)
    card, file = cards.load(slug), _file(slug, scale)
    if not file.is_file():
        asked = name.removeprefix(f"{scales.SYSTEMS}/")
        others = f"; run here: {', '.join(here)}" if (here := _scales_here(slug)) else ""
        raise DataError(
            f"{asked} was not run here ({file} does not exist); `shiftbench systems {asked}` runs it{others}"
        )
    table_trial.require(file.parent)
    rows = schema.read(file, form=claim_formats.CLAIMS).to_pylist()
    return [row | _asked(card.claims[row["claim"]]) for row in rows]


def _asked(claim: Claim) -> dict[str, str]:
    """Return what a person wrote of a claim, and what its expression says."""
    judged = sentences.sentence(claim.model_dump(mode="json")) if claim.value else ""
    return {"says": claim.says, "judged": judged}


def _told(name: str, rows: list[dict[str, Any]]) -> Group:
    """Return a block for each claim: verdict and value, then what a person wrote, what is judged, and why."""
    blocks: list[RenderableType] = [f"[bold]{name}[/]: {_spelled(rows)}"]
    for row in sorted(rows, key=lambda row: (row["claim"], row["part"] or "")):
        style = _STYLES.get(row["verdict"], "dim")
        seeds = "" if row["seeds"] is None else f"  {row['seeds']} seeds"
        verdict = f"[{style}]{row['verdict']}[/]  {number(row)}{seeds}"
        if row["part"] is None:
            blocks += ["", Hanging(f"[bold]{row['claim']}[/]  {verdict}")]
        else:
            blocks.append(Hanging(f"{escaped(row['part'])}  {verdict}", indent=2))
        said = (row["says"], row["judged"]) if row["part"] is None else ()
        blocks += [Padding(escaped(one), (0, 0, 0, 4)) for one in (*said, row["reason"]) if one]
    return Group(*blocks)


def _spelled(rows: list[dict[str, Any]]) -> str:
    counts = [row["verdict"] for row in rows if row["part"] is None]
    return ", ".join(f"{counts.count(one)} {one}" for one in dict.fromkeys(counts))


def number(row: dict[str, Any]) -> str:
    """Spell a value with its interval."""
    if row["value"] is None:
        return ""
    if row["ci_low"] is None:
        return f"{row['value']:.4g}"
    return f"{row['value']:.4g} \\[{row['ci_low']:.4g}, {row['ci_high']:.4g}]"
