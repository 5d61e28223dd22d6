"""RMDS: Mahalanobis distance to the nearest class mean, relative to that under one Gaussian for all classes.

    score = min over c of (z - mu_c)' S^-1 (z - mu_c)  -  (z - mu_0)' S_0^-1 (z - mu_0)

with the class means mu_c of the training features, S their pooled covariance about these, mu_0 and S_0 the mean and the
covariance of all training features; both covariances divided by the number of samples.

Source: Ren et al. 2021, "A simple fix to Mahalanobis distance for improving near-OOD detection", section 2.

OpenOOD's `rmds` is the same with `tolerance: openood`, see `mds`. Inverses are pseudo-inverses. pytorch-ood's `RMD` is
ours divided by the number of training samples, with 1e-6 added to the diagonals. float64 throughout.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks, _mahalanobis, _statistics
from shiftbench.plugins.detectors._mahalanobis import Gaussians, gaussians
from shiftbench.plugins.detectors._rows import Known, Rows

TITLE = "Relative Mahalanobis distance"
NEEDS = ("features",)
FIT = ("train",)


class Options(declare.Options):
    tolerance: _mahalanobis.Tolerance = None


def fit(known: Known, params: dict[str, Any]) -> tuple[Gaussians, Gaussians]:
    """One Gaussian per class, and the one of all samples."""
    classes = _statistics.by_class(known.train)
    tolerance, name = params["tolerance"], known.train.name
    return (
        gaussians(classes.means, classes.within, tolerance, name),
        gaussians(classes.mean[None], classes.total, tolerance, name),
    )


def score(rows: Rows, state: tuple[Gaussians, Gaussians], params: dict[str, Any]) -> NDArray[np.float64]:
    """The difference of the squared distances, float64 (n,), of any sign; higher = more OOD."""
    own, background = state

    def relative(block: Rows) -> NDArray[np.float64]:
        features = _blocks.features(block)
        return own.nearest(features) - background.nearest(features)

    return _blocks.scores(rows, relative)
