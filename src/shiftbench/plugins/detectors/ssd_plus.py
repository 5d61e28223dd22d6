"""SSD+: squared Mahalanobis distance of the feature's direction to the mean direction of the training features.

    k = z / ||z||;  q = (k - m) / (s + 1e-10);  score = q' S^+ q

with mean m and standard deviation s (divided by the number of samples) of the directions of the training features, and
S the covariance of their q, likewise.

Source: Sehwag et al. 2021, "SSD: A Unified Framework for Self-Supervised Outlier Detection", ICLR, with one cluster;
the "+" means that the features were learned with labels. As in PALM (ICLR 2024, arXiv 2402.02653), of whose repository
jeff024/PALM it is `util/evaluations/mahalanobis.py`.

`quirk: true` is what that file computes: m is subtracted once more from q, after the standardisation, which moves the
centre to m, as if directions were standard deviations. `tolerance` is of q, as in `mds`. float64 throughout. A feature
of zeros has the direction zero. Units that vary by no more than the rounding of float32 have no part: the script
divides what rounding left of them by 1e-10.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks, _mahalanobis, _statistics
from shiftbench.plugins.detectors._mahalanobis import OPENOOD, Gaussians, gaussians, rounding
from shiftbench.plugins.detectors._rows import Known, Rows

TITLE = "SSD+"
NEEDS = ("features",)
FIT = ("train",)
FLOOR = 1e-10

Floats = NDArray[np.float64]


class Options(declare.Options):
    quirk: bool = Field(False, description="subtract the mean once more after the standardisation, as PALM's code does")
    tolerance: _mahalanobis.Tolerance = Field(
        None, description="share of the largest variance up to which a direction is constant; null: `openood`"
    )


@dataclass(frozen=True)
class State:
    """How directions are standardised, and their one Gaussian.

    Attributes:
        mean: of the training features' directions, float64 (d,).
        scale: their standard deviation + 1e-10, float64 (d,).
        gaussian: of the standardised directions.
    """

    mean: Floats
    scale: Floats
    gaussian: Gaussians

    def standardised(self, rows: Rows) -> Floats:
        """Q, float64 (n, d)."""
        return (_statistics.directions(_blocks.features(rows)) - self.mean) / self.scale


def fit(known: Known, params: dict[str, Any]) -> State:
    """Mean and scale of the directions, and the Gaussian."""
    rows = known.train
    sums = [unit.sum(axis=0) for unit in _units(rows)]
    mean: Floats = np.sum(sums, axis=0) / len(rows)
    cov = np.zeros((len(mean), len(mean)))
    for unit in _units(rows):
        cov += (unit - mean).T @ (unit - mean) / len(rows)
    varies = np.diag(cov) > rounding(1, 1.0)
    scale = np.where(varies, np.sqrt(np.diag(cov)) + FLOOR, np.inf)
    centre = mean if params["quirk"] else np.zeros_like(mean)
    tolerance = OPENOOD if params["tolerance"] is None else params["tolerance"]
    shape = gaussians(centre[None], cov / np.outer(scale, scale), tolerance, rows.name)
    return State(mean, scale, shape)


def _units(rows: Rows) -> Iterator[Floats]:
    return (_statistics.directions(features) for _, features in _statistics.blocks(rows))


def score(rows: Rows, state: State, params: dict[str, Any]) -> Floats:
    """The squared distance, float64 (n,), at least 0; higher = more OOD."""
    return _blocks.scores(rows, lambda block: state.gaussian.nearest(state.standardised(block)))
