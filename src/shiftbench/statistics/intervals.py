"""Intervals: how sure a value is, from its replicates.

| interval | of | ends |
| --- | --- | --- |
| `of_resamples` | any value | percentiles of the replicates; of fewer than MANY units t, of as many less one |
| `of_kind` | a row, or a mean of rows of one metric | that of the metric's kind, at any error |
| `share` | a metric that is a share | Agresti and Coull's, of as many samples as the replicates' variance stands for |
| `biased` | a metric that noise raises | percentiles, less the bias that the replicates show |
| `of_seeds` | a claim with `unit: seed` | t over training seeds, and the replicates for samples that they share |
| `of_seed_mean` | a printed mean over training seeds | that of `of_seeds`; of two seeds none, of one that of its row |

Units are what is resampled: samples, or clusters of them. What is printed of a metric has the interval of its kind,
`of_rows`, and so has a mean of its rows, `of_mean`.
docs/statistics.md gives how often each contains the truth. Only sums, products and square roots of replicates go into
them, and quantiles rounded to nine digits, so that tables are the same on any machine.
"""

from collections.abc import Mapping, Sequence
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
        decides: whether the low and the high end may decide.
    """

    low: float | None
    high: float | None
    doubt: str = ""
    note: str = ""
    decides: tuple[bool, bool] = (True, True)


MANY = 50
"""From so many units on percentiles and z hold what they promise; with fewer t takes their place."""
FEW = 10
"""With fewer units than these no claim is decided: t needs units that are nearly normal."""


@dataclass(frozen=True, slots=True)
class Units:
    """Units from which a value is computed.

    Attributes:
        count: independent units, of the smallest part; None: not known, and then held for many.
        clustered: they are clusters of samples.
    """

    count: int | None = None
    clustered: bool = False

    @property
    def is_many(self) -> bool:
        """Whether percentiles and z have their nominal coverage."""
        return self.count is None or self.count >= MANY

    @property
    def doubt(self) -> str:
        """Why values of so few units decide nothing."""
        if self.count is None or self.count >= FEW:
            return ""
        noun = "clusters are" if self.clustered else "samples are"
        return f"{self.count} {noun} too few to decide; {FEW} at least are needed"


MANY_UNITS = Units()


def of_resamples(values: Floats, error: float, units: Units = MANY_UNITS) -> Interval:
    """Interval of a value under resampling.

    Too few resamples decide nothing: with fewer than 2 / error of them the ends are the extremes, which err more often.

    Args:
        values: the value, then its replicates, float64 (1 + resamples,), NaN where not defined.
        error: of the interval, both sides together.
        units: what it is computed from.
    """
    return of_kind("draws", values, units, error)


def of_kind(kind: str, values: Floats, units: Units, error: float) -> Interval:
    """Interval of a value that is a metric's row, or a mean of its rows, as tables have it.

    Args:
        kind: of the metric, see `interval_kind`.
        values: the value, then its replicates, float64 (1 + resamples,), NaN where not defined.
        units: what it is computed from.
        error: of the interval, both sides together.
    """
    resamples = values[1:]
    defined = int(np.count_nonzero(~np.isnan(resamples)))
    if defined < 2:
        return Interval(None, None, f"{defined} of {len(resamples)} resamples are defined; expected two")
    count = np.array([MANY if units.count is None else units.count], dtype=np.int64)
    clustered = np.array([units.clustered])
    low, high = of_rows([kind], values[:1], resamples[None], count, clustered, error)[:, 0]
    needed = int(np.ceil(2 / error - 1e-9)) if kind != "share" else 2
    doubt = units.doubt
    if defined < needed and count[0] >= MANY:
        doubt = (
            f"{defined:,} resamples are too few for an error of {error:.3g}; "
            f"bootstrap.resamples is to be {needed:,} at least"
        )
    return Interval(float(low), float(high), doubt or _no_width(low, high), _undefined_note(resamples))


def of_seeds(values: Floats, error: float, units: Units = MANY_UNITS, kind: str = "draws") -> Interval:
    """Interval of a mean over training seeds, for new seeds and new samples.

    With v_b the variance between seeds and v_s that of the sampling error which all seeds share:

        variance = v_b / seeds + v_s
        half = sqrt(variance) * (v_b / seeds * t + v_s * z) / variance

    v_s is the variance of the mean's replicates, less what each seed's own part of its replicates adds to it; that part
    is in v_b already. A quantile between t (of seeds - 1) and z, weighted by the variances, is that of Cochran and Cox
    1950, "Experimental Designs", for variances of different degrees of freedom. Of few units z is t, of units - 1.

    A share near 0 or 1 may be the same for all seeds, which makes no width: it is never narrower than the interval of
    its samples, and stays within 0 to 1.

    Args:
        values: value and replicates for each seed, float64 (seeds, 1 + resamples), NaN where not defined.
        error: of the interval, both sides together.
        units: what the value of a seed is computed from.
        kind: of the metric whose row or mean it is, see `interval_kind`.
    """
    seeds = len(values)
    if seeds < 2:
        return Interval(None, None, "one training seed; how far seeds lie apart takes two at least")
    resamples = values[:, 1:][:, ~np.isnan(values[:, 1:]).any(axis=0)]
    mean = float(values[:, 0].mean())
    between = float(values[:, 0].var(ddof=1)) / seeds
    shared = _shared_variance(resamples) if resamples.shape[1] > 1 else 0.0
    spread = between + shared
    of_units = float(_quantiles(np.array([MANY if units.count is None else units.count]), error)[0])
    weighted = between * _t_quantile(seeds - 1, error) + shared * of_units
    half = weighted / float(np.sqrt(spread)) if spread else 0.0
    low, high = mean - half, mean + half
    if kind == "share":
        sample_interval = of_kind(kind, values.mean(axis=0), units, error)
        if sample_interval.low is not None and sample_interval.high is not None:
            low, high = max(0.0, min(sample_interval.low, low)), min(1.0, max(sample_interval.high, high))
    doubt = "" if resamples.shape[1] > 1 else "no resamples are defined for all seeds"
    if shared and units.count != 1:  # a seed whose value is one unit has all its noise between seeds
        doubt = doubt or units.doubt
    return Interval(low, high, doubt or _no_width(low, high), _undefined_note(values[:, 1:].sum(axis=0)))


def of_gap(
    values: Floats,
    sides: Sequence[Mapping[int | None, Floats]] = (),
    units: Units = MANY_UNITS,
    error: float = bootstrap.ERROR,
) -> tuple[float, float, float]:
    """Ends of the interval of a paired difference, and its two-sided p-value; NaN where there is none.

    Means over training seeds are compared seed by seed, paired by number, and the interval is of new seeds, too. Fewer
    than three pairs have none: t of one degree of freedom is as good as no interval.

    Args:
        values: the difference, then its replicates, float64 (1 + resamples,), NaN where not defined.
        sides: of the two means value and replicates of each seed; under None those of a model without seeds.
        units: what it is computed from.
        error: of the interval, both sides together.
    """
    seeds = [{seed for seed in side if seed is not None} for side in sides if None not in side]
    if max(map(len, seeds), default=0) < 2:
        interval = of_resamples(values, error, units)
        p = float(bootstrap.p_value(values[1:])) if units.is_many else _p_by_inversion(values, None, units)
    else:
        shared_seeds = sorted(set.intersection(*seeds))
        if len(shared_seeds) < 3:
            return np.nan, np.nan, np.nan
        paired = [[side[seed if seed in side else None] for seed in shared_seeds] for side in sides]
        gaps = np.stack(paired[0]) - np.stack(paired[1])
        interval = of_seeds(gaps, error, units)
        p = _p_by_inversion(values, gaps, units)
    if interval.low is None or interval.high is None:
        return np.nan, np.nan, np.nan
    return interval.low, interval.high, p


def _p_by_inversion(values: Floats, seeds: Floats | None, units: Units) -> float:
    """Error at which the interval begins to contain 0, to nine digits."""
    low, high = 0.0, 1.0
    for _ in range(30):
        error = (low + high) / 2
        interval = of_resamples(values, error, units) if seeds is None else of_seeds(seeds, error, units)
        if interval.low is None or interval.high is None:
            return np.nan
        low, high = (low, error) if interval.low > 0 or interval.high < 0 else (error, high)
    return round(high, 9)


def _t_quantile(degrees: int, error: float) -> float:
    return round(float(stdtrit(degrees, 1 - error / 2)), 9)


def _quantiles(units: NDArray[np.int64], error: float) -> Floats:
    """Half width of an interval in standard errors: z, or t with units - 1 degrees of freedom below MANY units."""
    z = round(float(ndtri(1 - error / 2)), 9)
    t_by_count = {count: _t_quantile(max(1, count - 1), error) for count in {*units[units < MANY].tolist()}}
    return np.array([t_by_count.get(count, z) for count in units.tolist()])


def of_extreme(name: str, each: Sequence[Interval], sure: Sequence[Interval]) -> Interval:
    """Interval of the largest or smallest of some values.

    Percentiles of an extreme do not do: the largest of equal values lies higher under each resampling. The largest
    value lies below m where all do, so that its upper end is the highest of theirs, each at the whole error
    (intersection-union test, Berger 1982). It lies above m where one does, at a share of the error (Bonferroni). Where
    resamples are too few for that share, this end decides nothing. For the smallest value it is the other way round.

    Args:
        name: `max` or `min`.
        each: intervals of the values, at the error.
        sure: intervals of the same values, at the error divided by their number.
    """
    intervals = [*each, *sure]
    doubt = next((part.doubt for part in each if part.doubt), "")
    if any(part.low is None or part.high is None for part in intervals):
        return Interval(None, None, doubt or "an interval among them is not defined")
    pick = max if name == "max" else min
    lows, highs = (sure, each) if name == "max" else (each, sure)
    low = pick(part.low for part in lows if part.low is not None)
    high = pick(part.high for part in highs if part.high is not None)
    few = next((part.doubt for part in sure if part.doubt), "")
    decides = (not few, True) if name == "max" else (True, not few)
    note = "; ".join(dict.fromkeys(filter(None, (*(part.note for part in each), few))))
    return Interval(low, high, doubt, note, decides)


def _shared_variance(resamples: Floats) -> float:
    """Variance of the sampling error that seeds share, from replicates (seeds, resamples)."""
    mean = resamples.mean(axis=0)
    own_variance = float((resamples - mean).var(axis=1, ddof=1).sum()) / (len(resamples) - 1)
    return max(0.0, float(mean.var(ddof=1)) - own_variance / len(resamples))


def _undefined_note(resamples: Floats) -> str:
    undefined = int(np.count_nonzero(np.isnan(resamples)))
    return f"{undefined:,} of {len(resamples):,} resamples are not defined and left out" if undefined else ""


def _no_width(low: float, high: float) -> str:
    return NO_WIDTH if low == high else ""


NO_WIDTH = "no resample differs: an interval without width says nothing of what was not seen"


def of_rows(
    kinds: Sequence[str],
    values: Floats,
    resamples: Floats,
    units: NDArray[np.int64],
    clustered: NDArray[np.bool_],
    error: float = bootstrap.ERROR,
) -> Floats:
    """Ends of rows' intervals, float64 (2, n), NaN where not defined.

    A share of single samples needs no t: its variance follows from the share.

    Args:
        kinds: of each row's metric, see `interval_kind`.
        values: float64 (n,), NaN where not defined.
        resamples: their replicates, float64 (n, resamples).
        units: how many units each is computed from, int64 (n,).
        clustered: whether these are clusters of samples.
        error: of the interval, both sides together.
    """
    ends = np.stack(bootstrap.interval(resamples, error))
    selection = (units < MANY) & ~np.isnan(ends[0]) & ~np.isnan(values)
    half = np.zeros(len(values))
    half[selection] = _half_width(resamples[selection], units[selection], error)
    ends[:, selection] = values[selection] - half[selection], values[selection] + half[selection]
    selection = np.array([kind == "share" for kind in kinds], dtype=bool)
    counted = np.where(clustered[selection], units[selection], MANY)
    ends[:, selection] = share(values[selection], resamples[selection], units[selection], _quantiles(counted, error))
    selection = np.array([kind == "biased" for kind in kinds], dtype=bool)
    ends[:, selection] = biased(values[selection], resamples[selection], ends[:, selection], units[selection] < MANY)
    return ends


def _half_width(resamples: Floats, units: NDArray[np.int64], error: float) -> Floats:
    """Half the width of t intervals.

    Replicates of k units vary by (k - 1) / k of the variance that the units have.
    """
    variance = np.nanvar(resamples, axis=1, ddof=1) * units / np.maximum(1, units - 1)
    half: Floats = _quantiles(units, error) * np.sqrt(variance)
    return half


def of_mean(kind: str, values: Floats, parts: Floats, units: Units = MANY_UNITS) -> Floats:
    """Ends of a mean of rows of one kind, float64 (2,); without replicates that differ, the mean of theirs.

    Args:
        kind: of the rows' metric, see `interval_kind`.
        values: the mean, then its replicates, float64 (1 + resamples,), NaN where not defined.
        parts: ends of the rows' own intervals, float64 (rows, 2).
        units: what the smallest part is computed from.
    """
    defined = values[1:][~np.isnan(values[1:])]
    if len(defined) > 1 and np.var(defined) <= _ROUNDING:
        return np.asarray(parts.mean(axis=0))
    interval = of_kind(kind, values, units, bootstrap.ERROR)
    return np.array([np.nan if end is None else end for end in (interval.low, interval.high)])


def of_seed_mean(values: Floats, kind: str, units: Units = MANY_UNITS, error: float = bootstrap.ERROR) -> Floats:
    """Ends of a mean over training seeds, for new seeds and new samples, float64 (2,); NaN of two seeds.

    Of three seeds and more it is `of_seeds`, of one seed that of its row.

    Args:
        values: value and replicates for each seed, float64 (seeds, 1 + resamples), NaN where not defined.
        kind: of the metric, see `interval_kind`.
        units: what the value of a seed is computed from.
        error: of the interval, both sides together.
    """
    if len(values) == 2:
        return np.full(2, np.nan)
    interval = of_kind(kind, values[0], units, error) if len(values) == 1 else of_seeds(values, error, units, kind)
    if interval.low is None or interval.high is None or np.isnan(values[:, 0]).any():
        return np.full(2, np.nan)
    return np.array([interval.low, interval.high])


def share(
    values: Floats, resamples: Floats, units: NDArray[np.int64], quantiles: Floats | None = None
) -> tuple[Floats, Floats]:
    """Ends of intervals of shares, which percentiles cover too seldom near 0 and 1.

    Agresti and Coull 1998, "Approximate is better than exact for interval estimation of binomial proportions": the
    normal interval after z^2 / 2 further samples on both sides. It holds Wilson's, has no transcendental function, and
    covers 93% at least from 50 samples on (Wilson's 91% at 0.99). A share that is no plain one (a mean over seeds or
    OOD sets, an AUROC, samples in clusters) stands for m (1 - m) / v samples, m and v mean and variance of its
    replicates: the effective sample size of surveys (Korn and Graubard 1998). Where all samples give the same value
    between 0 and 1, no replicate differs, and neither do the ends.

    Args:
        values: float64 (n,), NaN where not defined.
        resamples: their replicates, float64 (n, resamples).
        units: what each is computed from at least, where no replicate differs; int64 (n,).
        quantiles: how many standard errors the interval reaches, float64 (n,); None: those of 95%.
    """
    if quantiles is None:
        quantiles = _quantiles(np.full(len(values), MANY), bootstrap.ERROR)
    defined = (np.count_nonzero(~np.isnan(resamples), axis=1) > 1) & ~np.isnan(values)
    ends = np.full((2, len(values)), np.nan)
    if not defined.any():
        return ends[0], ends[1]
    replicates, value = resamples[defined], values[defined]
    middle, variance = np.nanmean(replicates, axis=1), np.nanvar(replicates, axis=1, ddof=1)
    effective = units[defined].astype(np.float64)
    np.divide(middle * (1 - middle), variance, out=effective, where=variance > _ROUNDING)
    is_constant = (variance <= _ROUNDING) & (value > 0) & (value < 1)
    ends[:, defined] = np.where(is_constant, value, _agresti_coull(value, effective, quantiles[defined]))
    return ends[0], ends[1]


def of_counts(right: Floats, n: Floats, error: float = bootstrap.ERROR) -> Floats:
    """Ends of intervals of plain shares, Agresti and Coull's, float64 (2, k).

    Args:
        right: samples that count, float64 (k,).
        n: all samples, above 0, float64 (k,); not whole where several values of one sample are one.
        error: of the interval, both sides together.
    """
    return _agresti_coull(right / n, n, _quantiles(np.full(len(n), MANY), error))


def _agresti_coull(value: Floats, n: Floats, z: Floats) -> Floats:
    """Ends of Agresti and Coull's interval of shares of n samples, float64 (2, ...)."""
    total = n + z**2
    centre = (value * n + z**2 / 2) / total
    half = z * np.sqrt(centre * (1 - centre) / total)
    ends: Floats = np.clip([centre - half, centre + half], 0, 1)
    return ends


_ROUNDING = 1e-24
"""Variance of replicates that differ by rounding alone."""


def biased(values: Floats, resamples: Floats, ends: Floats, few: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Ends of intervals of a metric that is never negative, and that noise raises.

    A resampled set is noisier than the samples, so that its replicates lie higher by a bias, as the value itself lies
    above that of all samples there are. The upper end is the percentile less the bias, the lower one that less twice
    the bias. Such an interval holds its estimate.

    Args:
        values: float64 (n,), NaN where not defined.
        resamples: their replicates, float64 (n, resamples).
        ends: percentiles of the replicates, or of few units t intervals of the values; float64 (2, n).
        few: which of them are around the value, and so lower by the bias.
    """
    low, high = ends
    bias = np.zeros(len(values))
    defined = ~np.isnan(low)
    bias[defined] = np.maximum(0, np.nanmean(resamples[defined], axis=1) - values[defined])
    shift = np.where(few, 0.0, bias)
    return np.minimum(np.maximum(0, low - shift - bias), values), np.maximum(high - shift, values)
