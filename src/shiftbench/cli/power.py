"""Power: how many samples, training seeds and draws a difference of a given size takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer
import yaml
from pydantic import ValidationError
from rich import box
from rich.table import Table

from shiftbench.base.errors import DataError, ParamsError, near
from shiftbench.cli.application import Config, Json, app, err, escaped, out
from shiftbench.cli.claims import evidence_here, published_evidence
from shiftbench.statistics.statements import Claim
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.plan.report_specs import INDEX

if TYPE_CHECKING:
    from shiftbench.statistics.claims import Evidence
    from shiftbench.statistics.designs import Needed
    from shiftbench.statistics.expressions import Rows

PANEL = "Looking"


@app.command(rich_help_panel=PANEL)
def power(
    system: Annotated[str | None, typer.Argument(help="slug, or slug/scale, that was run")] = None,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[CLAIMS]...", help="default: all that are judged")
    ] = None,
    difference: Annotated[
        float, typer.Option(help="to be found, in the metric's unit: 0.01 is a point of accuracy")
    ] = 0.01,
    chance: Annotated[float, typer.Option("--power", min=0.5, max=0.999, help="with which it is to be found")] = 0.8,
    of: Annotated[
        str | None, typer.Option(metavar="YAML", help="an expression over the rows of a benchmark, as in a card")
    ] = None,
    over_seeds: Annotated[bool, typer.Option("--over-seeds", help="with --of: for new training seeds, too")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Tell how many samples, seeds and draws a difference takes, from the replicates of a run, or published ones.

    Of a system's claims, or of an expression over a benchmark, as cards have it:
    {difference: [{metric: accuracy, model: a}, {metric: accuracy, model: b}]}
    """
    from shiftbench.statistics import claims, designs

    if (system is None) == (of is None):
        raise ParamsError("expected a system, for its claims, or --of EXPRESSION")
    if difference <= 0:
        raise ParamsError(f"--difference is {difference:g}; no number of samples finds one of 0 or less")
    if of is not None:
        asked, error = {"--of": _expression(of, over_seeds=over_seeds)}, claims.ERROR
        known: Mapping[str, Evidence] = claims.evidence(asked, _read(config))
    else:
        config = f"{configurations.SYSTEMS}/{system}"
        judged = _judged(config)
        asked = _named(judged, names or [], config)
        error = claims.share_of_error(len(judged), _looks(config))
        known = _known(config)
    found = list(designs.needs(asked, known, difference, chance, error))
    if as_json:
        out.print_json(json.dumps([asdict(one) for one in found]))
    else:
        _tell(found, difference, chance)


def _judged(config: str) -> dict[str, Claim]:
    """Return the claims that share a card's error at a scale."""
    slug, at = configurations.split(config)
    wanted = "embedded" if at == "smoke" else at
    return {
        name: claim
        for name, claim in cards.load(slug).claims.items()
        if claim.scale == wanted and claim.kind in ("superiority", "equivalence")
    }


def _looks(config: str) -> int:
    from shiftbench.workflow.stages import judge_claims

    slug, at = configurations.split(config)
    return judge_claims.looks(cards.load(slug).looks, at)


def _named(judged: Mapping[str, Claim], names: list[str], config: str) -> dict[str, Claim]:
    for name in names:
        if name not in judged:
            raise ParamsError(f"{config} judges no claim {name!r}; {near(name, judged)}")
    return {name: judged[name] for name in names or judged}


def _expression(text: str, *, over_seeds: bool) -> Claim:
    try:
        value = yaml.safe_load(text)
        unit = "seed" if over_seeds else "key"
        return Claim.model_validate({"says": "-", "value": value, "unit": unit})
    except (yaml.YAMLError, ValidationError) as error:
        raise ParamsError(f"--of is no expression over metric rows: {error}") from None


def _known(config: str) -> Mapping[str, Evidence]:
    """Return what a system's claims are judged from: of its run here, else what is published."""
    here = evidence_here(config)
    if here is not None:
        return here
    found = published_evidence(config)
    err.print(f"{config} was not run here; these are the replicates in {configurations.published(config)}")
    return found


def _read(config: str | None) -> Rows:
    """Return the rows of all benchmarks of a scale, with their replicates.

    Raises:
        DataError: they were not run.
    """
    from shiftbench.provenance import table_trial
    from shiftbench.workflow.stages import judge_claims

    planned, root = plans.load(config)
    files = [root / ref.path for ref in planned.artifacts if ref.kind == "tables"]
    lacking = [file for file in files if not file.is_file()]
    if lacking or not files:
        what = lacking[0] if lacking else "a table"
        raise DataError(f"{what} does not exist; `make run` (or `shiftbench systems SLUG`) makes it")
    table_trial.require(root)
    measures = planned.artifacts[INDEX].recipe["metrics"]
    better, kinds = ({name: one[fact] for name, one in measures.items()} for fact in ("higher_is_better", "kind"))
    return judge_claims.read(files, better, kinds)


def _tell(found: list[Needed], difference: float, chance: float) -> None:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("claim", "samples", "seeds", "finds now", "samples needed", "or seeds", "draws"):
        table.add_column(heading, justify="left" if heading == "claim" else "right")
    for one in found:
        name = one.claim if one.part is None else f"{one.claim}: {one.part}"
        table.add_row(escaped(name), *_cells(one))
    out.print(table)
    out.print(
        f"a difference of {difference:g} from the margin, found with {chance:.0%}; each claim at the error that it is "
        "judged with. Few seeds tell little of how far seeds lie apart (docs/statistics.md)",
        soft_wrap=True,
    )
    for one in found:
        if one.reason:
            out.print(escaped(f"{one.claim}: {one.reason}"), soft_wrap=True)


def _cells(one: Needed) -> tuple[str, ...]:
    if one.detectable is None:
        return ("",) * 6
    needed = "no number" if one.times is None else f"{one.times:.2g} x"
    if one.times is not None and one.samples:
        needed = f"{round(one.times * one.samples):,} ({one.times:.2g} x)"
    seeds = "" if one.seeds is None else str(one.seeds)
    more = "" if one.seeds is None else f"{one.seeds_needed:,}" if one.seeds_needed else "no number"
    return (f"{one.samples:,}" if one.samples else "", seeds, f"{one.detectable:.3g}", needed, more, f"{one.draws:,}")
