"""Intervals: how sure a value is, from its replicates.

| interval | of | ends |
| --- | --- | --- |
| `of_draws` | any value | percentiles of the replicates |
| `share` | a metric that is a share | Agresti and Coull's, of as many samples as the replicates' variance stands for |
| `biased` | a metric that noise raises | percentiles, less the bias that the replicates show |
| `of_seeds` | a claim with `unit: seed` | t over training seeds, and the replicates for samples that they share |

What is printed of a metric has the interval of its kind, `of_rows`, and so has a mean of its rows, `of_mean`.
docs/statistics.md has how often each holds the truth. Only sums, products and square roots of replicates go into
them, and quantiles rounded to nine digits, so that tables are the same on any machine.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from shiftbench.statistics import bootstrap

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """The ends of an interval.

    Attributes:
        low, high: None where there is nothing to compute them from.
        doubt: why the interval decides nothing; empty where it may.
        note: what a reader has to know of it.
    """

    low: float | None
    high: float | None
    doubt: str = ""
    note: str = ""


def of_draws(values: Floats, error: float) -> Interval:
    """Return the percentile interval of a value under resampling.

    Too few draws decide nothing: with fewer than 2 / error of them the ends are the extremes, which err more often.

    Args:
        values: the value, then its replicates, float64 (1 + draws,), NaN where not defined.
        error: of the interval, both sides together.
    """
    draws = values[1:]
    defined = int(np.count_nonzero(~np.isnan(draws)))
    if defined < 2:
        return Interval(None, None, f"{defined} of {len(draws)} draws are defined; expected two")
    low, high = (float(end) for end in bootstrap.interval(draws, error))
    needed = int(np.ceil(2 / error - 1e-9))
    doubt = ""
    if defined < needed:
        doubt = (
            f"{defined:,} draws are too few for an error of {error:.3g}; bootstrap.draws is to be {needed:,} at "
            "least"
        )
    return Interval(low, high, doubt, _note(draws, low, high))


def of_seeds(values: Floats, error: float) -> Interval:
    """Return the interval of a mean over training seeds, for new seeds and new samples.

    With v_b the variance between seeds and v_s that of the sampling error which all seeds share:

        variance = v_b / seeds + v_s
        half = sqrt(variance) * (v_b / seeds * t + v_s * z) / variance

    v_s is the variance of the mean's replicates, less what each seed's own part of its replicates adds to it; that part
    is in v_b already. A quantile between t (of seeds - 1) and z, weighted by the variances, is that of Cochran and Cox
    1950, "Experimental Designs", for variances of different degrees of freedom.

    Args:
        values: value and replicates for each seed, float64 (seeds, 1 + draws), NaN where not defined.
        error: of the interval, both sides together.
    """
    seeds = len(values)
    if seeds < 2:
        return Interval(None, None, "one training seed; how far seeds lie apart takes two at least")
    draws = values[:, 1:][:, ~np.isnan(values[:, 1:]).any(axis=0)]
    mean = float(values[:, 0].mean())
    between = float(values[:, 0].var(ddof=1)) / seeds
    shared = _shared(draws) if draws.shape[1] > 1 else 0.0
    spread = between + shared
    tail = 1 - error / 2
    quantiles = round(float(stdtrit(seeds - 1, tail)), 9), round(float(ndtri(tail)), 9)
    weighted = between * quantiles[0] + shared * quantiles[1]
    half = weighted / float(np.sqrt(spread)) if spread else 0.0
    low, high = mean - half, mean + half
    doubt = "" if draws.shape[1] > 1 else "no draws are defined for all seeds"
    return Interval(low, high, doubt, _note(values[:, 1:].sum(axis=0), low, high))


def _shared(draws: Floats) -> float:
    """Return the variance of the sampling error that seeds share, from replicates (seeds, draws)."""
    mean = draws.mean(axis=0)
    own = float((draws - mean).var(axis=1, ddof=1).sum()) / (len(draws) - 1)
    return max(0.0, float(mean.var(ddof=1)) - own / len(draws))


def _note(draws: Floats, low: float, high: float) -> str:
    lost = int(np.count_nonzero(np.isnan(draws)))
    said = f"{lost:,} of {len(draws):,} draws are not defined and left out" if lost else ""
    return "; ".join(filter(None, (said, NO_WIDTH if low == high else "")))


NO_WIDTH = "no draw differs: an interval without width says nothing of what was not seen"


def of_rows(
    kinds: Sequence[str], values: Floats, draws: Floats, units: NDArray[np.int64]
) -> Floats:
    """Return the ends of rows' 95% intervals, float64 (2, n), NaN where not defined.

    Args:
        kinds: of each row's metric, see `interval_kind`.
        values: float64 (n,), NaN where not defined.
        draws: their replicates, float64 (n, draws).
        units: what each is computed from at least, int64 (n,).
    """
    ends = np.stack(bootstrap.interval(draws))
    of = np.array([one == "share" for one in kinds], dtype=bool)
    ends[:, of] = share(values[of], draws[of], units[of])
    of = np.array([one == "biased" for one in kinds], dtype=bool)
    ends[:, of] = biased(values[of], draws[of])
    return ends


def of_mean(kind: str, values: Floats, parts: Floats) -> Floats:
    """Return the ends of a mean of rows of one kind, float64 (2,); without replicates that differ, the mean of theirs.

    Args:
        kind: of the rows' metric, see `interval_kind`.
        values: the mean, then its replicates, float64 (1 + draws,), NaN where not defined.
        parts: ends of the rows' own intervals, float64 (rows, 2).
    """
    defined = values[1:][~np.isnan(values[1:])]
    if len(defined) > 1 and np.var(defined) <= _ROUNDING:
        return np.asarray(parts.mean(axis=0))
    return of_rows([kind], values[:1], values[None, 1:], np.ones(1, dtype=np.int64))[:, 0]


def share(values: Floats, draws: Floats, units: NDArray[np.int64]) -> tuple[Floats, Floats]:
    """Return the ends of 95% intervals of shares, which percentiles cover too seldom near 0 and 1.

    Agresti and Coull 1998, "Approximate is better than exact for interval estimation of binomial proportions": the
    normal interval after z^2 / 2 further samples on both sides. It holds Wilson's, has no transcendental function, and
    covers 93% at least from 50 samples on (Wilson's 91% at 0.99). A share that is no plain one (a mean over seeds or
    OOD sets, an AUROC, samples in clusters) stands for m (1 - m) / v samples, m and v mean and variance of its
    replicates: the effective sample size of surveys (Korn and Graubard 1998). Where all samples give the same value
    between 0 and 1, no replicate differs, and neither do the ends.

    Args:
        values: float64 (n,), NaN where not defined.
        draws: their replicates, float64 (n, draws).
        units: what each is computed from at least, where no replicate differs; int64 (n,).
    """
    defined = (np.count_nonzero(~np.isnan(draws), axis=1) > 1) & ~np.isnan(values)
    ends = np.full((2, len(values)), np.nan)
    if not defined.any():
        return ends[0], ends[1]
    own, value = draws[defined], values[defined]
    middle, variance = np.nanmean(own, axis=1), np.nanvar(own, axis=1, ddof=1)
    effective = units[defined].astype(np.float64)
    np.divide(middle * (1 - middle), variance, out=effective, where=variance > _ROUNDING)
    alike = (variance <= _ROUNDING) & (value > 0) & (value < 1)
    ends[:, defined] = np.where(alike, value, _agresti_coull(value, effective))
    return ends[0], ends[1]


def _agresti_coull(value: Floats, n: Floats) -> Floats:
    """Return the ends of Agresti and Coull's 95% interval of shares of n samples, float64 (2, ...)."""
    total = n + _Z**2
    centre = (value * n + _Z**2 / 2) / total
    half = _Z * np.sqrt(centre * (1 - centre) / total)
    ends: Floats = np.clip([centre - half, centre + half], 0, 1)
    return ends


_Z = 1.959963985
_ROUNDING = 1e-24
"""Variance of replicates that differ by rounding alone."""


def biased(values: Floats, draws: Floats) -> tuple[Floats, Floats]:
    """Return the ends of 95% intervals of a metric that is never negative, and that noise raises.

    A resampled set is noisier than the samples, so that its replicates lie higher by a bias, as the value itself lies
    above that of all samples there are. The upper end is the percentile less the bias, the lower one that less twice
    the bias. Such an interval holds its estimate.

    Args:
        values: float64 (n,), NaN where not defined.
        draws: their replicates, float64 (n, draws).
    """
    low, high = bootstrap.interval(draws)
    bias = np.zeros(len(values))
    defined = ~np.isnan(low)
    bias[defined] = np.maximum(0, np.nanmean(draws[defined], axis=1) - values[defined])
    return np.minimum(np.maximum(0, low - 2 * bias), values), np.maximum(high - bias, values)
