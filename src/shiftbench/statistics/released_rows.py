"""Rows of released results: their intervals, and draws from which claims are judged.

Nobody has the samples behind a released number. What is known of its error is one of three things:

- it is the mean of trainings with a printed standard deviation over them: t over the trainings, cut at 0 and 1;
- it is a share of a known number of samples: Agresti and Coull's interval, and binomial draws;
- neither, and then no interval can be had.
"""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.special import stdtrit

from shiftbench.base.rng import RandomStream
from shiftbench.statistics import bootstrap, intervals
from shiftbench.statistics.rows import Floats

FEWEST_SEEDS = 3
"""Trainings below which a spread gives no interval, as for means over seeds that are measured here."""
BY_SEEDS = ((pl.col("seeds") >= FEWEST_SEEDS) & (pl.col("spread") > 0)).fill_null(value=False)
"""Rows whose interval is that of their trainings."""
_BY_SAMPLES = ~BY_SEEDS & pl.col("n").is_not_null() & pl.col("value").is_between(0, 1)


def with_intervals(rows: pl.DataFrame) -> pl.DataFrame:
    """Rows of the format RELEASED with `ci_low` and `ci_high`, null where no interval can be had.

    Args:
        rows: in the columns of RELEASED but these two.
    """
    values = rows["value"].to_numpy()
    low, high = np.full(len(rows), np.nan), np.full(len(rows), np.nan)
    by_seeds = rows.select(BY_SEEDS).to_series().to_numpy()
    half = _half_widths(rows.filter(by_seeds))
    low[by_seeds], high[by_seeds] = values[by_seeds] - half, values[by_seeds] + half
    are_shares = by_seeds & (values >= 0) & (values <= 1)
    low[are_shares], high[are_shares] = low[are_shares].clip(0), high[are_shares].clip(None, 1)
    by_samples = rows.select(_BY_SAMPLES).to_series().to_numpy()
    n = rows.filter(by_samples)["n"].to_numpy().astype(np.float64)
    if len(n):
        low[by_samples], high[by_samples] = intervals.of_counts(values[by_samples] * n, n)
    ends = pl.DataFrame({"ci_low": low, "ci_high": high}).fill_nan(None)
    return rows.with_columns(ends["ci_low"], ends["ci_high"])


def draws(rows: pl.DataFrame, resamples: int, seed: int) -> Floats:
    """The value of each row, then as it may be with other trainings or samples, float64 (rows, 1 + resamples).

    t times the standard error of a mean over trainings; binomial shares of a number of samples; NaN where neither is
    known. Each row has random numbers of its own, from its file, line and column, so rows are independent.

    Args:
        rows: of the format RELEASED.
        resamples: number of draws.
        seed: of the run.
    """
    found = np.full((len(rows), 1 + resamples), np.nan)
    found[:, 0] = rows["value"].to_numpy()
    kinds = rows.select(seeds=BY_SEEDS, samples=_BY_SAMPLES)
    for at, (row, (by_seeds, by_samples)) in enumerate(zip(rows.iter_rows(named=True), kinds.iter_rows(), strict=True)):
        stream = RandomStream(seed, "released", row["release"], f"{row['file']}:{row['row']}:{row['column']}")
        if by_seeds:
            quantiles = stdtrit(row["seeds"] - 1, stream.uniform(resamples).astype(np.float64))
            found[at, 1:] = row["value"] + row["spread"] / np.sqrt(row["seeds"]) * quantiles
        elif by_samples:
            n = row["n"]
            inside = (row["value"] * n + 2) / (n + 4)
            noise = stream.normal(resamples).astype(np.float64) * np.sqrt(inside * (1 - inside) / n)
            found[at, 1:] = (row["value"] + noise).clip(0, 1)
    return found


def _half_widths(rows: pl.DataFrame) -> Floats:
    seeds = rows["seeds"].cast(pl.Float64).to_numpy()
    half: Floats = stdtrit(seeds - 1, 1 - bootstrap.ERROR / 2) * rows["spread"].to_numpy() / np.sqrt(seeds)
    return half
