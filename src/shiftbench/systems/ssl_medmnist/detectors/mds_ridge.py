"""MDS with a ridge: squared Mahalanobis distance to the nearest class mean, with 1e-6 on the covariance's diagonal.

    score = min over c of (z - mu_c)' S^-1 (z - mu_c),  S = sum over c of (z - mu_c)(z - mu_c)' / (N - C) + ridge I

`mds` takes the pseudo-inverse: directions in which the training features never vary have no part. Here a sample that
leaves the mean along one of them is 1 / ridge as far away, which decides all where there are fewer samples than
features (BreastMNIST: 546 and 2,048). float64, where the code has float32.

Source: src/utils/mahalanobis.py of "Evaluating Self-Supervised Learning in Medical Imaging" (KarahanS/Self-Supervised-
Learning-for-Medical-Image-Analysis); Lee et al., NeurIPS 2018, section 2.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.plugins import declare
from shiftbench.plugins.detectors import _blocks, _statistics
from shiftbench.plugins.detectors._mahalanobis import Gaussians, gaussians
from shiftbench.plugins.detectors._rows import Known, Rows

NEEDS = ("features",)
FIT = ("train",)


class Options(declare.Options):
    ridge: float = Field(1e-6, gt=0, description="number that is added to the diagonal of the covariance")


def fit(known: Known, params: dict[str, Any]) -> Gaussians:
    """One Gaussian per class.

    Raises:
        DataError: a class without samples, or a feature that is not finite.
        ParamsError: the ridge is not above 0, or no class has a second sample.
    """
    if not params["ridge"] > 0:
        raise ParamsError(f"mds_ridge: ridge is {params['ridge']:g}; expected above 0")
    classes = _statistics.by_class(known.train)
    count, (number, width) = len(known.train), classes.means.shape
    if count <= number:
        raise ParamsError(f"mds_ridge: {count} samples of {number} classes; expected more")
    covariance = classes.within * (count / (count - number)) + params["ridge"] * np.eye(width)
    return gaussians(classes.means, covariance, 0.0, known.train.name)


def score(rows: Rows, state: Gaussians, params: dict[str, Any]) -> NDArray[np.float64]:
    """The squared distance, float64 (n,), at least 0; higher = more OOD."""
    return _blocks.scores(rows, lambda block: state.nearest(_blocks.features(block)))
