"""Differences between printed means over trainings: which are larger than the noise over trainings.

Of each method a mean, a standard deviation and the number of trainings are printed. Welch's t compares two means.
Holm's method corrects p-values over all pairs, over neighbours in rank, or over the pairs with the best. With three
trainings of each the test is weak, so pairs that are not apart may differ, too. The trainings of two methods count as
independent. Detectors that score the same trained models are paired, so for them the test is conservative where their
scores rise and fall together.

Source: Welch, The generalization of Student's problem when several different population variances are involved,
Biometrika 1947; Holm 1979.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr

from shiftbench.statistics import bootstrap
from shiftbench.statistics.detector_comparisons import holm
from shiftbench.statistics.rows import Floats


@dataclass(frozen=True, slots=True)
class SeedNoise:
    """Pairs of methods, in the order of their means, the largest first. A pair is apart if its corrected p < 0.05.

    Attributes:
        order: places of the methods with a spread over trainings, int64 (methods,); others cannot be compared.
        p_values: without correction, float64 (methods, methods) in this order; 1 on the diagonal.
    """

    order: NDArray[np.int64]
    p_values: Floats

    @property
    def pairs(self) -> int:
        """Number of pairs."""
        return len(self.order) * (len(self.order) - 1) // 2

    @property
    def uncorrected(self) -> int:
        """Number of pairs with p < 0.05 before the correction; 5% of pairs without a difference are among them."""
        return int((self._upper() < bootstrap.ERROR).sum())

    @property
    def apart(self) -> int:
        """Number of pairs that are apart, corrected for all pairs."""
        return int((holm(self._upper()) < bootstrap.ERROR).sum())

    @property
    def neighbours(self) -> int:
        """Number of neighbours in rank that are apart, corrected for all neighbours."""
        return int((holm(np.diagonal(self.p_values, 1)) < bootstrap.ERROR).sum())

    @property
    def like_the_best(self) -> int:
        """Number of methods below the best that are not apart from it, corrected for all of them."""
        return int((holm(self.p_values[0, 1:]) >= bootstrap.ERROR).sum()) if len(self.order) else 0

    def _upper(self) -> Floats:
        return self.p_values[np.triu_indices(len(self.order), 1)]


def compare(means: Floats, deviations: Floats, trainings: Floats) -> SeedNoise:
    """Compare all pairs of methods.

    Args:
        means: float64 (methods,).
        deviations: standard deviations over trainings (divided by one less than their number), NaN: not printed.
        trainings: number of trainings of each.
    """
    with np.errstate(invalid="ignore"):
        usable = np.flatnonzero((deviations > 0) & (trainings > 1) & np.isfinite(means))
    order = usable[np.argsort(-means[usable], kind="stable")]
    values, errors, degrees = means[order], deviations[order] ** 2 / trainings[order], trainings[order] - 1
    variance = errors[:, None] + errors[None, :]
    t = np.abs(values[:, None] - values[None, :]) / np.sqrt(variance)
    freedom = variance**2 / (errors[:, None] ** 2 / degrees[:, None] + errors[None, :] ** 2 / degrees[None, :])
    p_values = 2 * stdtr(freedom, -t)
    np.fill_diagonal(p_values, 1.0)
    return SeedNoise(order, p_values)
