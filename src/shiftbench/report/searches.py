"""The search of the detectors' options on validation OOD, and the proof that no sample is on two sides."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from shiftbench.base.refs import without_seed


@dataclass(frozen=True, slots=True)
class Search:
    """The searches of one detector on one model, one per training seed.

    Attributes:
        model: a mean over seeds, or a model without.
        tried: each option with its values.
        points: number of tried points, and of those that did not fit in any seed.
        unfit: reason of the first of these.
        chosen: each option as chosen; with the seeds, where they differ.
        auroc: of the chosen point on validation OOD, the lowest and the highest over seeds.
        effect: options that changed the AUROC, in any seed.
        seeds: number of searches.
        n_id, n_ood: validation samples.
    """

    model: str
    method: str
    detector: str
    tried: str
    points: tuple[int, int]
    unfit: str
    chosen: str
    auroc: tuple[float, float]
    effect: tuple[str, ...]
    seeds: int
    n_id: int
    n_ood: int


def searches(table: pl.DataFrame | None, families: Mapping[str, str]) -> list[Search]:
    """Searches of the detectors' options.

    Args:
        table: format SEARCHED, or None.
        families: model with a training seed -> name of the mean over its seeds.
    """
    if table is None or table.is_empty():
        return []
    who = ("family", "method", "detector")
    renamed = table.with_columns(family=pl.col("model").replace(families))
    rows = renamed.sort(*who, "model", "number")
    parts = rows.partition_by(who, as_dict=True, maintain_order=True)
    return [_search([str(name) for name in who], part) for who, part in parts.items()]


def _search(who: Sequence[str], part: pl.DataFrame) -> Search:
    rows = [{**row, "options": json.loads(row["options"])} for row in part.iter_rows(named=True)]
    chosen = [row for row in rows if row["chosen"]]
    points = {json.dumps(row["options"]): row for row in rows if row["auroc"] is None}
    fit = {json.dumps(row["options"]) for row in rows if row["auroc"] is not None}
    unfit = [row for options, row in points.items() if options not in fit]
    areas = [row["auroc"] for row in chosen if row["auroc"] is not None] or [float("nan")]
    names = list(rows[0]["options"])
    model, method, detector = who
    return Search(
        model,
        method,
        detector,
        "; ".join(f"{name}: {_values(row['options'][name] for row in rows)}" for name in names),
        (len(fit) + len(unfit), len(unfit)),
        unfit[0]["reason"] or "" if unfit else "",
        "; ".join(f"{name} = {_chosen(name, chosen)}" for name in names),
        (min(areas), max(areas)),
        tuple(name for name in names if any(name in row["effect"].split(",") for row in chosen)),
        len(chosen),
        rows[0]["n_id"],
        rows[0]["n_ood"],
    )


def _values(values: Iterable[Any]) -> str:
    return ", ".join(dict.fromkeys(_text(value) for value in values))


def _chosen(name: str, chosen: Sequence[Mapping[str, Any]]) -> str:
    """Value that was chosen; where seeds differ, each with its seeds."""
    by_value: dict[str, list[str]] = {}
    for row in chosen:
        seed = f"s{without_seed(row['model'])[1]}"
        by_value.setdefault(_text(row["options"][name]), []).append(seed)
    if len(by_value) == 1:
        return next(iter(by_value))
    return ", ".join(f"{value} ({' '.join(seeds)})" for value, seeds in by_value.items())


def _text(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def proof(overlaps: pl.DataFrame | None) -> str:
    """Sentence on the comparison of sets, which must not share samples; empty if there was none.

    Args:
        overlaps: format OVERLAPS, or None.
    """
    if overlaps is None or overlaps.is_empty():
        return ""
    sets = pl.concat([overlaps["set_a"], overlaps["set_b"]]).n_unique()
    pairs = overlaps.filter("disjoint")
    shared = pairs.filter((pl.col("shared_keys") > 0) | (pl.col("shared_contents") > 0)).height
    return (
        f"{sets} sets were compared pair by pair; of the {pairs.height} pairs that must be disjoint (ID, test OOD and "
        f"validation OOD), {shared or 'none'} share{'' if shared > 1 else 's'} a sample by key or by content."
    )
