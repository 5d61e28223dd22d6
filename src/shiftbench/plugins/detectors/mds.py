"""MDS: squared Mahalanobis distance of the features to the nearest class mean.

    score = min over c of (z - mu_c)' S^-1 (z - mu_c)

with the class means mu_c of the training features, and S their pooled covariance about these means, divided by the
number of samples.

Source: Lee et al. 2018, "A simple unified framework for detecting out-of-distribution samples and adversarial
attacks", section 2 (without input pre-processing and the ensemble over layers: that is `mds_ensemble`).

OpenOOD's `mds` is the same with `tolerance: openood`: S^-1 is the pseudo-inverse there and in the paper's code, and so
it is here. By default, directions that vary by no more than the rounding of float32 features count as constant, which
theirs take for directions of tiny variance; see `_mahalanobis.py`.

pytorch-ood's `Mahalanobis` is ours divided by twice the number of training samples (half
of the distance, S not divided by N), with 1e-6 added to the diagonal of its S. float64 throughout.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks, _mahalanobis, _statistics
from shiftbench.plugins.detectors._mahalanobis import Gaussians, gaussians
from shiftbench.plugins.detectors._rows import Known, Rows

TITLE = "Mahalanobis distance"
NEEDS = ("features",)
FIT = ("train",)


class Options(declare.Options):
    tolerance: _mahalanobis.Tolerance = None


def fit(known: Known, params: dict[str, Any]) -> Gaussians:
    """One Gaussian per class."""
    classes = _statistics.by_class(known.train)
    return gaussians(classes.means, classes.within, params["tolerance"], known.train.name)


def score(rows: Rows, state: Gaussians, params: dict[str, Any]) -> NDArray[np.float64]:
    """The squared distance, float64 (n,), at least 0; higher = more OOD."""
    return _blocks.scores(rows, lambda block: state.nearest(_blocks.features(block)))
