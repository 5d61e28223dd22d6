"""Statistical power: how many samples and training seeds a difference needs, from stored replicates.

A value's noise has three parts: `seed`, the variance between training seeds; `own`, the sampling variance of one seed
that it shares with no other; `shared`, the sampling variance that all seeds have in common (they see the same samples).
With k seeds and f times the samples

    variance = (seed + own / f) / k + shared / f

A claim that is off its margin by a difference is supported when its interval (`intervals`) lies beyond the margin. With
the interval's quantile q, that of Cochran and Cox for seeds, this happens with

    power = P(T > q),    T noncentral t of the degrees of freedom at which t has that q, noncentrality = difference / sd

(normal where only samples are units). docs/statistics.md has how often it happened in simulations.

You always state the difference: the power "observed" at the measured value adds nothing to its interval.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri, stdtrit
from scipy.stats import nct, norm

from shiftbench.statistics.claims.estimates import Estimate
from shiftbench.statistics.claims.metric_rows import Floats

MOST = 1e6
"""Largest multiple of the samples, and largest number of seeds, that is considered."""

CLOSE = 0.05
"""Standard error of the ends of an interval with enough resamples, as a share of half the interval."""


@dataclass(frozen=True, slots=True)
class Noise:
    """Parts of an estimate's error, as variances at the measured numbers of samples and seeds.

    Attributes:
        seeds: training seeds that were units; None if only samples are.
        seed: between training seeds.
        own: sampling variance of each seed by itself.
        shared: sampling variance that the seeds have in common.
    """

    seeds: int | None
    seed: float
    own: float
    shared: float

    @classmethod
    def of(cls, estimate: Estimate) -> Noise:
        """Split the noise of an estimate into its parts.

        Args:
            estimate: with its replicates; resamples that are not defined are ignored.

        Raises:
            ValueError: fewer than two resamples, or one training seed as a unit.
        """
        if estimate.by_seed is None:
            resamples = _defined_in_all(estimate.values[None, 1:])
            return cls(None, 0.0, 0.0, float(resamples[0].var(ddof=1)))
        resamples = _defined_in_all(estimate.by_seed[:, 1:])
        seeds = len(resamples)
        if seeds < 2:
            raise ValueError("one training seed; how far seeds lie apart takes two at least")
        mean = resamples.mean(axis=0)
        own = float((resamples - mean).var(axis=1, ddof=1).sum()) / (seeds - 1)
        between = float(estimate.by_seed[:, 0].var(ddof=1))
        shared = max(0.0, float(mean.var(ddof=1)) - own / seeds)
        return cls(seeds, max(0.0, between - own), own, shared)

    def parts(self, times: float, seeds: int) -> tuple[float, float]:
        """Variance that more seeds reduce, and variance that they do not, for other numbers of samples and seeds."""
        return (self.seed + self.own / times) / seeds, self.shared / times


@dataclass(frozen=True, slots=True)
class Rule:
    """The test that is to find a difference.

    Attributes:
        error: of the interval, both sides together.
        power: probability that it is found.
        sides: 1 for superiority; 2 for equivalence, with both bounds at that difference from the truth.
    """

    error: float
    power: float = 0.8
    sides: int = 1


def power(noise: Noise, difference: float, rule: Rule, times: float, seeds: int | None) -> float:
    """Probability that a claim whose value is `difference` beyond its margin is supported.

    Args:
        noise: of its value.
        difference: above 0.
        rule: how it is judged.
        times: multiple of the measured samples.
        seeds: training seeds; None if only samples are units.
    """
    each, common = noise.parts(times, seeds or 1)
    variance = each + common
    if not variance:
        return 1.0
    distance = difference / float(np.sqrt(variance))
    tail = 1 - rule.error * rule.sides / 2
    if seeds is None:
        probability = float(norm.sf(ndtri(tail) - distance))
    elif seeds < 2:
        return 0.0
    else:
        quantile = (each * stdtrit(seeds - 1, tail) + common * ndtri(tail)) / variance
        freedom = _freedom(float(quantile), tail, seeds - 1)
        probability = float(nct.sf(quantile, freedom, distance)) if freedom < MOST else norm.sf(quantile - distance)
    return float(probability if rule.sides == 1 else max(0.0, 2 * probability - 1))


def _freedom(quantile: float, tail: float, least: float) -> float:
    """Degrees of freedom at which Student's t has a quantile."""
    if quantile <= stdtrit(MOST, tail):
        return MOST
    if quantile >= stdtrit(least, tail):
        return least
    return float(brentq(lambda freedom: stdtrit(freedom, tail) - quantile, least, MOST))


def total(noise: Noise) -> float:
    """Variance of an estimate, with the measured samples and seeds."""
    return sum(noise.parts(1, noise.seeds or 1))


def detectable(noise: Noise, rule: Rule) -> float:
    """Difference that is found with the power of the rule, with the measured samples and seeds."""
    sd = float(np.sqrt(total(noise)))
    if not sd:
        return 0.0

    def excess(distance: float) -> float:
        return power(noise, distance * sd, rule, 1, noise.seeds) - rule.power

    return sd * float(brentq(excess, 0, 1e4))


def samples(noise: Noise, difference: float, rule: Rule) -> float | None:
    """Multiple of the samples that finds a difference with the measured seeds; None: no multiple does."""
    return _least(lambda times: power(noise, difference, rule, times, noise.seeds), rule.power)


def seeds(noise: Noise, difference: float, rule: Rule) -> int | None:
    """Number of training seeds that finds a difference on the measured samples; None: no number does."""
    if noise.parts(1, 1)[1] and power(noise, difference, rule, 1, int(MOST)) < rule.power:
        return None
    low, high = 1, 2
    while power(noise, difference, rule, 1, high) < rule.power:
        low, high = high, 2 * high
        if high > MOST:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        enough = power(noise, difference, rule, 1, middle) >= rule.power
        low, high = (low, middle) if enough else (middle, high)
    return high


def _least(reaches: Callable[[float], float], goal: float) -> float | None:
    """Least number in [1 / MOST, MOST] at which a rising function reaches a goal."""
    low, high = -np.log(MOST), np.log(MOST)
    if reaches(float(np.exp(high))) < goal:
        return None
    if reaches(float(np.exp(low))) >= goal:
        return float(np.exp(low))
    return float(np.exp(brentq(lambda log: reaches(float(np.exp(log))) - goal, low, high)))


def resamples(rule: Rule, *, seeded: bool) -> int:
    """Number of resamples at which the standard error of an interval's ends is CLOSE times half its width.

    Percentiles need 2 / error at least (`intervals.of_resamples`). With b resamples the standard error of a quantile at
    p is sqrt(p (1 - p) / b) / density. An interval over seeds uses only the replicates' variance: sqrt(1 / (2 b)).
    """
    if seeded:
        return int(np.ceil(1 / (2 * CLOSE**2)))
    p = rule.error * rule.sides / 2
    z = -float(ndtri(p))
    count = p * (1 - p) / (float(norm.pdf(z)) * CLOSE * z) ** 2
    return int(np.ceil(max(count, 1 / p) - 1e-9))


def _defined_in_all(resamples: Floats) -> Floats:
    defined: Floats = resamples[:, ~np.isnan(resamples).any(axis=0)]
    if defined.shape[1] < 2:
        raise ValueError(f"{defined.shape[1]} of {resamples.shape[1]} resamples are defined; expected two")
    return defined
