"""How many samples and training seeds a difference takes: what stored replicates say of other sizes.

A value's noise has three parts: `seed`, the variance between training seeds; `own`, the sampling variance of one seed
that it shares with no other; `shared`, the sampling variance that all seeds have in common (they see the same samples).
With k seeds and f times the samples

    variance = (seed + own / f) / k + shared / f

A claim that is off its margin by a difference is supported when its interval (`intervals`) lies beyond the margin. With
the interval's quantile q, that of Cochran and Cox for seeds, this happens with

    power = P(T > q),    T noncentral t of the degrees of freedom at which t has that q, noncentrality = difference / sd

(normal where only samples are units). docs/statistics.md has how often it happened in simulations.

The difference is always asked for: the power "observed" at the measured value says nothing that its interval does not.
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
"""Times the samples, and seeds, beyond which nothing is looked for."""

CLOSE = 0.05
"""How near draws are to bring the end of an interval: one standard error, as a share of half the interval."""


@dataclass(frozen=True, slots=True)
class Noise:
    """What an estimate's error is made of, as variances at the sizes that it was measured at.

    Attributes:
        seeds: training seeds that were units; None where samples alone are.
        seed: between training seeds.
        own: of the samples, each seed by itself.
        shared: of the samples, in common.
    """

    seeds: int | None
    seed: float
    own: float
    shared: float

    @classmethod
    def of(cls, estimate: Estimate) -> Noise:
        """Take the noise of an estimate apart.

        Args:
            estimate: with its replicates; draws that are not defined are left out.

        Raises:
            ValueError: fewer than two draws, or one training seed as a unit, tell nothing.
        """
        if estimate.by_seed is None:
            draws = _defined(estimate.values[None, 1:])
            return cls(None, 0.0, 0.0, float(draws[0].var(ddof=1)))
        draws = _defined(estimate.by_seed[:, 1:])
        seeds = len(draws)
        if seeds < 2:
            raise ValueError("one training seed; how far seeds lie apart takes two at least")
        mean = draws.mean(axis=0)
        own = float((draws - mean).var(axis=1, ddof=1).sum()) / (seeds - 1)
        between = float(estimate.by_seed[:, 0].var(ddof=1))
        shared = max(0.0, float(mean.var(ddof=1)) - own / seeds)
        return cls(seeds, max(0.0, between - own), own, shared)

    def parts(self, times: float, seeds: int) -> tuple[float, float]:
        """Return the variances that more seeds lower, and that which they do not, of other sizes."""
        return (self.seed + self.own / times) / seeds, self.shared / times


@dataclass(frozen=True, slots=True)
class Rule:
    """How a difference is looked for.

    Attributes:
        error: of the interval, both sides together.
        power: with which it is to be found.
        sides: 1, of superiority; 2, of equivalence, where both bounds are at that difference from the truth.
    """

    error: float
    power: float = 0.8
    sides: int = 1


def power(noise: Noise, difference: float, rule: Rule, times: float, seeds: int | None) -> float:
    """Return how often a claim that is off its margin by `difference` is supported.

    Args:
        noise: of its value.
        difference: above 0.
        rule: how it is judged.
        times: the samples, 1 = as many as there were.
        seeds: training seeds; None where samples alone are units.
    """
    each, common = noise.parts(times, seeds or 1)
    variance = each + common
    if not variance:
        return 1.0
    away = difference / float(np.sqrt(variance))
    tail = 1 - rule.error * rule.sides / 2
    if seeds is None:
        found = float(norm.sf(ndtri(tail) - away))
    elif seeds < 2:
        return 0.0
    else:
        quantile = (each * stdtrit(seeds - 1, tail) + common * ndtri(tail)) / variance
        freedom = _freedom(float(quantile), tail, seeds - 1)
        found = float(nct.sf(quantile, freedom, away)) if freedom < MOST else norm.sf(quantile - away)
    return float(found if rule.sides == 1 else max(0.0, 2 * found - 1))


def _freedom(quantile: float, tail: float, least: float) -> float:
    """Return the degrees of freedom at which Student's t has a quantile."""
    if quantile <= stdtrit(MOST, tail):
        return MOST
    if quantile >= stdtrit(least, tail):
        return least
    return float(brentq(lambda freedom: stdtrit(freedom, tail) - quantile, least, MOST))


def total(noise: Noise) -> float:
    """Return the variance of an estimate, at the sizes that there are."""
    return sum(noise.parts(1, noise.seeds or 1))


def detectable(noise: Noise, rule: Rule) -> float:
    """Return the difference that is found with the power asked for, at the sizes that there are."""
    sd = float(np.sqrt(total(noise)))
    if not sd:
        return 0.0

    def lacks(away: float) -> float:
        return power(noise, away * sd, rule, 1, noise.seeds) - rule.power

    return sd * float(brentq(lacks, 0, 1e4))


def samples(noise: Noise, difference: float, rule: Rule) -> float | None:
    """Return how many times the samples find a difference with the seeds that there are; None: no number of them."""
    return _least(lambda times: power(noise, difference, rule, times, noise.seeds), rule.power)


def seeds(noise: Noise, difference: float, rule: Rule) -> int | None:
    """Return how many training seeds find a difference on the samples that there are; None: no number of them."""
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


def _least(reaches: Callable[[float], float], wanted: float) -> float | None:
    """Return the least number in [1 / MOST, MOST] at which a rising function is at what is wanted."""
    low, high = -np.log(MOST), np.log(MOST)
    if reaches(float(np.exp(high))) < wanted:
        return None
    if reaches(float(np.exp(low))) >= wanted:
        return float(np.exp(low))
    return float(np.exp(brentq(lambda log: reaches(float(np.exp(log))) - wanted, low, high)))


def draws(rule: Rule, *, seeded: bool) -> int:
    """Return how many draws an interval takes: so many that its ends are within CLOSE of half its width.

    Percentiles take 2 / error at the least (`intervals.of_draws`), and the standard error of a quantile at p is
    sqrt(p (1 - p) / draws) / density. An interval over seeds takes the replicates' variance alone, sqrt(1 / (2 draws)).
    """
    if seeded:
        return int(np.ceil(1 / (2 * CLOSE**2)))
    p = rule.error * rule.sides / 2
    z = -float(ndtri(p))
    near = p * (1 - p) / (float(norm.pdf(z)) * CLOSE * z) ** 2
    return int(np.ceil(max(near, 1 / p) - 1e-9))


def _defined(draws: Floats) -> Floats:
    kept: Floats = draws[:, ~np.isnan(draws).any(axis=0)]
    if kept.shape[1] < 2:
        raise ValueError(f"{kept.shape[1]} of {draws.shape[1]} resamples are defined; expected two")
    return kept
