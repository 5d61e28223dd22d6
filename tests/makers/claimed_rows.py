"""Metric rows as a card's benchmarks would give them, with drawn numbers: for claims of a scale that is not run."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import polars as pl

from shiftbench.data import formats
from shiftbench.statistics.claims.metric_rows import MetricRows
from shiftbench.workflow.plan.cards import Card

DRAWS = 2_000


def rows(card: Card, scale: str, analysed: Mapping[str, str] | None = None) -> MetricRows:
    """Return a row for each metric at each place of each benchmark, means over training seeds.

    Args:
        card: of a system.
        scale: whose params.
        analysed: metrics of analyses, beside those of the benchmarks -> what the names of their methods begin with.
    """
    params, made = card.params[scale], dict[tuple[str, ...], dict[str, Any]]()
    for name, benchmark in params["benchmarks"].items():
        for place in _places(params, name, benchmark, analysed or {}):
            made[tuple(map(str, place.values()))] = place
    places = pl.DataFrame(list(made.values()), schema=dict.fromkeys((*formats.METRICS.key, "seed"), pl.String))
    values = np.random.default_rng(0).uniform(0.2, 0.8, (len(places), 1 + DRAWS))
    return MetricRows(places.with_columns(pl.col("seed").cast(pl.Int64)), values)


def _places(
    params: Mapping[str, Any], name: str, benchmark: Mapping[str, Any], analysed: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    empty: dict[str, Any] = dict.fromkeys((*formats.METRICS.key, "seed"))
    for some in benchmark["models"]:
        for model in some["architectures"]:
            weights = f"{benchmark['dataset']}/{model}-{some['trainers'][0]}"
            for method in benchmark.get("methods", ["plain"]):
                at = {"benchmark": name, "dataset": benchmark["dataset"], "model": weights, "method": method}
                metrics = [*benchmark["metrics"], *(m for m, of in analysed.items() if method.startswith(of))]
                for metric in metrics:
                    for shift in ("identity", *benchmark["shifts"]):
                        yield {**empty, **at, "metric": metric, "shift": shift}
                    for group, shifts in _across(params, metric).items():
                        if set(shifts) <= set(benchmark["shifts"]):
                            yield {**empty, **at, "metric": metric, "group": group}


def _across(params: Mapping[str, Any], metric: str) -> Mapping[str, Any]:
    options = params.get("metrics", {}).get(metric) or {}
    rows: Mapping[str, Any] = options.get("across", {})
    return rows
