"""`shiftbench power`: the samples, training seeds and resamples that a difference of a given size needs."""

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

from shiftbench.base.errors import DataError, ParamsError, suggest
from shiftbench.cli.application import Config, Json, err, escaped, out
from shiftbench.cli.claims import evidence_here, published_evidence
from shiftbench.cli.commands import command
from shiftbench.statistics.claims.statements import Claim
from shiftbench.workflow.plan import cards, configurations
from shiftbench.workflow.plan import plan as plans
from shiftbench.workflow.plan.report_specs import INDEX

if TYPE_CHECKING:
    from shiftbench.statistics.claims.estimates import Evidence
    from shiftbench.statistics.claims.metric_rows import MetricRows
    from shiftbench.statistics.claims.requirements import Requirement


@command
def power(
    system: Annotated[str | None, typer.Argument(help="SLUG, or SLUG/CONFIGURATION; default: none, with --of")] = None,
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[CLAIMS]...", help="names of claims; default: all judged claims")
    ] = None,
    difference: Annotated[
        float, typer.Option(help="difference to detect, in the metric's unit: 0.01 is a point of accuracy")
    ] = 0.01,
    chance: Annotated[
        float, typer.Option("--power", min=0.5, max=0.999, help="probability of detecting the difference")
    ] = 0.8,
    of: Annotated[
        str | None, typer.Option(metavar="YAML", help="expression over the metric rows of a benchmark, as in a card")
    ] = None,
    over_seeds: Annotated[bool, typer.Option("--over-seeds", help="with --of: also for new training seeds")] = False,
    config: Config = None,
    as_json: Json = False,
) -> None:
    """Estimate the samples and seeds needed to detect a difference.

    The noise comes from the replicates of a run, or from published ones. Name a
    system for its claims, or give --of an expression as in a card:
    {difference: [{metric: accuracy, model: a}, {metric: accuracy, model: b}]}
    """
    from shiftbench.statistics.claims import estimates, judgement, requirements

    if (system is None) == (of is None):
        raise ParamsError("expected a system, for its claims, or --of EXPRESSION")
    if difference <= 0:
        raise ParamsError(f"--difference is {difference:g}; no number of samples detects a difference of 0 or less")
    if of is not None:
        used_claims, error = {"--of": _expression(of, over_seeds=over_seeds)}, judgement.ERROR
        evidence_of_claims: Mapping[str, Evidence] = estimates.evidence(used_claims, _read(config))
    else:
        config = f"{configurations.SYSTEMS}/{system}"
        all_claims = _judged_claims(config)
        used_claims = _claims_named(all_claims, names or [], config)
        error = judgement.share_of_error(len(all_claims), _looks(config))
        evidence_of_claims = _evidence(config)
    needs = list(requirements.requirements(used_claims, evidence_of_claims, difference, chance, error))
    if as_json:
        out.print_json(json.dumps([asdict(need) for need in needs]))
    else:
        _print(needs, difference, chance)


def _judged_claims(config: str) -> dict[str, Claim]:
    """The claims that share a card's error in a configuration."""
    slug, at = configurations.split(config)
    scale = "embedded" if at == "smoke" else at
    return {
        name: claim
        for name, claim in cards.load(slug).claims.items()
        if claim.scale == scale and claim.kind in ("superiority", "equivalence")
    }


def _looks(config: str) -> int:
    from shiftbench.workflow.stages import judge_claims

    slug, at = configurations.split(config)
    return judge_claims.looks(cards.load(slug).looks, at)


def _claims_named(known: Mapping[str, Claim], names: list[str], config: str) -> dict[str, Claim]:
    for name in names:
        if name not in known:
            raise ParamsError(f"{config} judges no claim {name!r}; {suggest(name, known)}")
    return {name: known[name] for name in names or known}


def _expression(text: str, *, over_seeds: bool) -> Claim:
    try:
        value = yaml.safe_load(text)
        unit = "seed" if over_seeds else "key"
        return Claim.model_validate({"says": "-", "value": value, "unit": unit})
    except (yaml.YAMLError, ValidationError) as error:
        raise ParamsError(f"--of is not an expression over metric rows: {error}") from None


def _evidence(config: str) -> Mapping[str, Evidence]:
    """The evidence on a system's claims: from its run here, else the published one."""
    evidence_of_run = evidence_here(config)
    if evidence_of_run is not None:
        return evidence_of_run
    evidence = published_evidence(config)
    err.print(f"{config} was not run here; using the replicates in {configurations.published_folder(config)}")
    return evidence


def _read(config: str | None) -> MetricRows:
    """The metric rows of all benchmarks of a configuration, with their replicates.

    Raises:
        DataError: a benchmark was not run.
    """
    from shiftbench.provenance import table_trial
    from shiftbench.workflow.stages import judge_claims

    planned, root = plans.load(config)
    files = [root / ref.path for ref in planned.artifacts if ref.kind == "tables"]
    missing = [file for file in files if not file.is_file()]
    if missing or not files:
        first = missing[0] if missing else "a table"
        raise DataError(f"{first} does not exist; `make run` (or `shiftbench systems SLUG`) makes it")
    table_trial.require(root)
    measures = planned.artifacts[INDEX].recipe["metrics"]
    better, kinds = ({name: metric[fact] for name, metric in measures.items()} for fact in ("higher_is_better", "kind"))
    return judge_claims.read(files, better, kinds)


def _print(needs: list[Requirement], difference: float, chance: float) -> None:
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("claim", "samples", "seeds", "detects now", "samples needed", "or seeds", "resamples"):
        table.add_column(heading, justify="left" if heading == "claim" else "right")
    for need in needs:
        name = need.claim if need.part is None else f"{need.claim}: {need.part}"
        table.add_row(escaped(name), *_cells(need))
    out.print(table)
    out.print(
        f"For a difference of {difference:g} from the margin and a power of {chance:.0%}, each claim at the error "
        "that it is judged with. Few seeds give an uncertain estimate of their spread (docs/statistics.md).",
        soft_wrap=True,
    )
    for need in needs:
        if need.reason:
            out.print(escaped(f"{need.claim}: {need.reason}"), soft_wrap=True)


def _cells(need: Requirement) -> tuple[str, ...]:
    if need.detectable is None:
        return ("",) * 6
    needed = "no number" if need.times is None else f"{need.times:.2g} x"
    if need.times is not None and need.samples:
        needed = f"{round(need.times * need.samples):,} ({need.times:.2g} x)"
    seeds = "" if need.seeds is None else str(need.seeds)
    seeds_needed = "" if need.seeds is None else f"{need.seeds_needed:,}" if need.seeds_needed else "no number"
    return (
        f"{need.samples:,}" if need.samples else "",
        seeds,
        f"{need.detectable:.3g}",
        needed,
        seeds_needed,
        f"{need.resamples:,}",
    )
