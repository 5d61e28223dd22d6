"""Metric rows from what analyses observed: the mean over units of each place, with replicates."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import polars as pl

from shiftbench.base.refs import without_seed
from shiftbench.data import formats, schema
from shiftbench.statistics import bootstrap
from shiftbench.statistics.benchmark_rows import BenchmarkRows
from shiftbench.statistics.contributions import Contributions, ratio, weighted_sums
from shiftbench.statistics.rows import Row

_PLACE = [name for name in formats.OBSERVATIONS.key if name != "key"]


def observed_rows(files: Sequence[Path], name: str, task: str, benchmark: BenchmarkRows) -> Iterator[Row]:
    """Yield one row per place of the observations of a benchmark's analyses.

    Args:
        files: tables of format OBSERVATIONS.
        name: of the benchmark.
        task: of its dataset.
        benchmark: has resamples and seed.
    """
    for file in files:
        frame = pl.from_arrow(schema.read(file, form=formats.OBSERVATIONS))
        assert isinstance(frame, pl.DataFrame)  # noqa: S101 - a table becomes a frame; tells mypy
        for place, part in frame.group_by(_PLACE, maintain_order=True):
            yield _row(dict(zip(_PLACE, place, strict=True)), part, name, task, benchmark)


def _row(place: dict[str, object], part: pl.DataFrame, name: str, task: str, benchmark: BenchmarkRows) -> Row:
    matrix = bootstrap.weights(part["key"].to_arrow().cast("string"), benchmark.resamples, benchmark.seed)
    values = part["value_e9"].to_numpy().astype(np.int64)
    (sums,) = weighted_sums([Contributions(np.ones(len(part), np.int64), (values,))], matrix)
    means = ratio(sums.sums[0], sums.count) / formats.E9
    return Row(
        benchmark=name,
        task=task,
        reference=None,
        value=float(means[0]),
        resamples=means[1:],
        n=len(part),
        seed=without_seed(str(place["model"]))[1],
        unit="key",
        basis=None,
        **place,  # type: ignore[arg-type]
    )
