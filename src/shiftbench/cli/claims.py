"""`shiftbench systems` and `shiftbench claims`: runs of systems, and the verdicts on the claims of their cards."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich import box
from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.files import from_json
from shiftbench.base.refs import Ref
from shiftbench.cli.application import Hanging, Json, err, escaped, out, use_plugin_folders
from shiftbench.cli.commands import command
from shiftbench.cli.documents import measured, overview
from shiftbench.statistics.claims import judgement, sentences
from shiftbench.statistics.claims.statements import Claim
from shiftbench.workflow.plan import cards, configurations, touched

if TYPE_CHECKING:
    from shiftbench.statistics.claims.estimates import Evidence

REPLICATES = "claim_replicates.parquet"
_STYLES = {"supported": "green", "refuted": "red", "inconclusive": "yellow"}


@command
def claims(
    systems: Annotated[
        list[str] | None, typer.Argument(help="SLUG, or SLUG/CONFIGURATION; default: all systems that were run here")
    ] = None,
    published: Annotated[
        bool, typer.Option("--published", help="judge again from the replicates in published/, without a run")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show the verdicts on the claims of systems.

    --published needs no run. It judges the present cards from the published
    replicates.
    """
    use_plugin_folders()
    names = systems or (_published() if published else _run_here())
    verdicts_of = _judged_again if published else _verdicts
    verdicts = {name: verdicts_of(f"{configurations.SYSTEMS}/{name}") for name in names}
    if as_json:
        out.print_json(json.dumps(verdicts))
    else:
        for name, rows in verdicts.items():
            out.print(_blocks(name, rows))
    changed = [name for name, rows in verdicts.items() if any(row["verdict"] == measured.NOT_RUN for row in rows)]
    if changed:
        raise DataError(
            f"claims of {', '.join(changed)} changed since the run here; `shiftbench systems {' '.join(changed)}` "
            "judges them"
        )


@command
def systems(
    names: Annotated[
        list[str] | None, typer.Argument(help="SLUG, or SLUG/CONFIGURATION; default: your own, else all built")
    ] = None,
    cores: Annotated[int, typer.Option(min=1, help="number of jobs at a time")] = 1,
    changed: Annotated[
        str | None, typer.Option(metavar="REVISION", help="only systems that changed since this git revision")
    ] = None,
) -> None:
    """Run published systems and show their verdicts.

    `--changed HEAD` makes the systems that uncommitted changes affect,
    `--changed HEAD~1` those that the last commit affects, too.
    """
    from shiftbench.workflow.engine import running

    use_plugin_folders()
    for name in names or ():
        configurations.load(f"{configurations.SYSTEMS}/{name}")
    slugs = names or configurations.own_slugs() or configurations.built_slugs()
    if changed is not None:
        slugs = touched.systems(slugs, changed)
        if not slugs:
            err.print(f"no change since {changed} affects an output of these systems")
            return
    err.print(f"planning {', '.join(slugs)}")
    start = time.time()
    status = running.run([f"{configurations.SYSTEMS}/{name}" for name in slugs], cores)
    table = Table(box=box.SIMPLE, pad_edge=False)
    for heading in ("system", "jobs", "CPU min", "claims", "compared with published"):
        table.add_column(heading, justify="right" if heading in ("jobs", "CPU min") else "left")
    reasons: list[str] = []
    for name in slugs:
        result = running.result(f"{configurations.SYSTEMS}/{name}", start)
        counts, comparison = (
            ("", f"failed: {result.unfinished[0]}") if result.unfinished else _compare_with_published(name)
        )
        table.add_row(name, str(result.jobs), f"{result.seconds / 60:.1f}", counts, escaped(comparison))
        reasons += [] if result.unfinished else unevaluable(name)
    out.print(table)
    for line in reasons:
        out.print(escaped(line), soft_wrap=True)
    _write_overview()
    if status:
        raise DataError("jobs failed; their messages are above and in their logs")


def _compare_with_published(name: str) -> tuple[str, str]:
    """The counts of a run's verdicts, and their comparison with the published ones (embedded configuration only)."""
    slug, config = configurations.split(f"{configurations.SYSTEMS}/{name}")
    counts = _counts(_verdicts(f"{configurations.SYSTEMS}/{name}"))
    return counts, overview.row(slug, 0, 0.0).comparison if config == configurations.DEFAULT else ""


def unevaluable(name: str) -> list[str]:
    """A line for each claim of a run that could not be evaluated, with the reason."""
    rows = _verdicts(f"{configurations.SYSTEMS}/{name}")
    return [
        f"{name}: claim {row['claim']} is {row['verdict']}: {row['reason']}"
        for row in rows
        if row["verdict"] == judgement.NOT_EVALUABLE and row["part"] is None
    ]


def _write_overview() -> None:
    """Write the page of all systems that were made here, with the times of their jobs."""
    from shiftbench.workflow.engine import running

    rows = []
    for slug in overview.run_here():
        result = running.result(f"{configurations.SYSTEMS}/{slug}", 0.0)
        if result.unfinished:
            continue
        try:
            rows.append(overview.row(slug, result.jobs, result.seconds))
        except DataError as error:  # its embedded run answers an older card
            err.print(escaped(f"not on the page of all systems: {error}"))
    if rows:
        out.print(f"page of all systems that were made here: {overview.write(rows)}")


def _run_here() -> list[str]:
    """The built systems that were run here, as SLUG, or as SLUG/CONFIGURATION if it is not the default one.

    Raises:
        DataError: no system was run here.
    """
    names = [name for slug in _readable() for name in _configs_here(slug)]
    if not names:
        raise DataError("no system was run here; `shiftbench systems` runs all, `shiftbench systems palm` runs one")
    return names


def _readable() -> list[str]:
    """The slugs of the systems whose card can be read; one message for each other card."""
    slugs = []
    for slug in cards.slugs():
        try:
            cards.load(slug)
        except ParamsError as error:
            err.print(escaped(f"left out: {error}"), soft_wrap=True)
        else:
            slugs.append(slug)
    return slugs


def _configs_here(slug: str) -> list[str]:
    configs = [config for config in cards.load(slug).params if _claims_file(slug, config).is_file()]
    return [slug if config == configurations.DEFAULT else f"{slug}/{config}" for config in configs]


def _claims_file(slug: str, config: str) -> Path:
    return Path(configurations.root(slug, config)) / Ref("claims", slug).path


def _verdicts(name: str) -> list[dict[str, Any]]:
    """The verdicts of a system's run here; a claim whose rule has changed since has none."""
    from shiftbench.data import claim_formats, schema
    from shiftbench.provenance import recipe, table_trial

    slug, config = configurations.split(name)
    card, file = cards.load(slug), _claims_file(slug, config)
    short_name = name.removeprefix(f"{configurations.SYSTEMS}/")
    if not file.is_file():
        advice = f"; run here: {', '.join(configs)}" if (configs := _configs_here(slug)) else ""
        raise DataError(
            f"{short_name} was not run here ({file} does not exist); `shiftbench systems {short_name}` runs it{advice}"
        )
    table_trial.require(file.parent)
    rows = schema.read(file, form=claim_formats.CLAIMS).to_pylist()
    receipt = recipe.receipt(Path(configurations.root(slug, config)), Ref("claims", slug))
    if receipt is None:
        raise DataError(f"{file} has no receipt; `shiftbench systems {short_name}` makes it again")
    rules_of_run = _rules(receipt["recipe"]["card"])
    changed = [claim for claim, rule in _rules(card.model_dump(mode="json")).items() if rules_of_run.get(claim) != rule]
    kept = [row for row in rows if row["claim"] in card.claims and row["claim"] not in changed]
    return [row | _claim_texts(card.claims[row["claim"]]) for row in [*kept, *map(_without_verdict, changed)]]


def _without_verdict(claim: str) -> dict[str, Any]:
    from shiftbench.data import claim_formats

    empty = dict.fromkeys(column.name for column in claim_formats.CLAIMS.columns)
    reason = "its rule is new, or has changed since the run here"
    return {**empty, "claim": claim, "verdict": measured.NOT_RUN, "reason": reason}


def _published() -> list[str]:
    from shiftbench.release import published

    names = [name for name in published.configurations(Path()) if name and name.startswith(configurations.SYSTEMS)]
    return [name.removeprefix(f"{configurations.SYSTEMS}/") for name in names]


def _judged_again(name: str) -> list[dict[str, Any]]:
    """The verdicts of the present card on the published replicates."""
    from shiftbench.workflow.stages import judge_claims

    slug, config = configurations.split(name)
    card = cards.load(slug)
    rows = judge_claims.again(card.claims, published_evidence(name), config, card.looks)
    return [row | _claim_texts(card.claims[str(row["claim"])]) for row in rows]


def evidence_here(name: str) -> dict[str, Evidence] | None:
    """The evidence on a system's claims from its run here; None without a run."""
    from shiftbench.data import claim_formats, schema
    from shiftbench.provenance import recipe, table_trial
    from shiftbench.statistics.claims import replicate_table

    slug, config = configurations.split(name)
    root = Path(configurations.root(slug, config))
    file = _claims_file(slug, config).with_name(REPLICATES)
    receipt = recipe.receipt(root, Ref("claims", slug))
    if receipt is None or not file.is_file():
        return None
    table_trial.require(file.parent)
    evidence = replicate_table.evidence(schema.read(file, form=claim_formats.CLAIM_REPLICATES))
    return _with_same_rules(slug, receipt["recipe"], evidence)


def published_evidence(name: str) -> dict[str, Evidence]:
    """The published evidence on a system's claims.

    Raises:
        DataError: the system or its replicates are not published, or they are damaged.
    """
    from shiftbench.data import claim_formats, schema
    from shiftbench.provenance import recipe, table_trial
    from shiftbench.release import published
    from shiftbench.statistics.claims import replicate_table

    slug, _ = configurations.split(name)
    if not (configurations.published_folder(name) / published.ABOUT).is_file():
        raise DataError(f"nothing is published of {slug}; `shiftbench systems {slug}` runs it")
    there, ref = published.read(Path(), name), Ref("claims", slug)
    file = (there.root / ref.path).with_name(REPLICATES)
    if not file.is_file():
        raise DataError(
            f"{file} does not exist: its replicates are not published; `shiftbench systems {slug}` runs the system"
        )
    table_trial.require(file.parent)
    evidence = replicate_table.evidence(schema.read(file, form=claim_formats.CLAIM_REPLICATES))
    receipt = from_json(there.texts[recipe.receipt_path(Path(), ref).as_posix()])
    return _with_same_rules(slug, receipt["recipe"], evidence)


def _with_same_rules(slug: str, recipe: Mapping[str, Any], evidence: dict[str, Evidence]) -> dict[str, Evidence]:
    """The evidence without that on claims whose rule changed since."""
    from shiftbench.statistics.claims.estimates import Evidence

    rules_of_run, present_rules = _rules(recipe["card"]), _rules(cards.load(slug).model_dump(mode="json"))
    changed = Evidence({}, None, "its rule has changed since the system was run")
    valid = {name: item for name, item in evidence.items() if present_rules.get(name) == rules_of_run[name]}
    return valid | {name: changed for name in evidence if name not in valid}


def _rules(card: Mapping[str, Any]) -> dict[str, str]:
    rules: dict[str, str] = measured.judged_contents(card)["rules"]
    return rules


def _claim_texts(claim: Claim) -> dict[str, str]:
    """The text of a claim, its expression as a sentence, and its units."""
    sentence = sentences.sentence(claim.model_dump(mode="json")) if claim.value else ""
    return {"says": claim.says, "judged": sentence, "unit": {"dataset": "data set"}.get(claim.unit, claim.unit)}


def _blocks(name: str, rows: list[dict[str, Any]]) -> Group:
    """A block for each claim: verdict and value, then the text of the claim, the judged sentence, and the reason."""
    blocks: list[RenderableType] = [f"[bold]{name}[/]: {_counts(rows)}"]
    elsewhere = [row["claim"] for row in rows if row["verdict"] == measured.ELSEWHERE]
    judged = (row for row in rows if row["verdict"] != measured.ELSEWHERE)
    for row in sorted(judged, key=lambda row: (row["claim"], row["part"] or "")):
        style = _STYLES.get(row["verdict"], "dim")
        seeds = "" if row["seeds"] is None else f"  {row['seeds']} {row['unit']}s"
        verdict = f"[{style}]{row['verdict']}[/]  {number(row)}{seeds}"
        if row["part"] is None:
            blocks += ["", Hanging(f"[bold]{row['claim']}[/]  {verdict}")]
        else:
            blocks.append(Hanging(f"{escaped(row['part'])}  {verdict}", indent=2))
        texts = (row["says"], row["judged"]) if row["part"] is None else ()
        blocks += [Padding(escaped(text), (0, 0, 0, 4)) for text in (*texts, row["reason"]) if text]
    if elsewhere:
        blocks += ["", Hanging(f"[dim]{measured.ELSEWHERE}:[/] {', '.join(sorted(elsewhere))}")]
    return Group(*blocks)


def _counts(rows: list[dict[str, Any]]) -> str:
    verdicts = [row["verdict"] for row in rows if row["part"] is None]
    return ", ".join(f"{verdicts.count(verdict)} {verdict}" for verdict in dict.fromkeys(verdicts))


def number(row: dict[str, Any]) -> str:
    """A value with its interval, as text."""
    if row["value"] is None:
        return ""
    if row["ci_low"] is None:
        return f"{row['value']:.4g}"
    return f"{row['value']:.4g} \\[{row['ci_low']:.4g}, {row['ci_high']:.4g}]"
