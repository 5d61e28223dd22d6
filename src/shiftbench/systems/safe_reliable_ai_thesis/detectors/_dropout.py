"""Monte Carlo dropout at a model's last layer: masks over its features, the same for all samples.

    p_t = softmax(W (m_t * f / (1 - rate)) + b),  m_t in {0, 1}^d, t = 1..passes

Source: Gal and Ghahramani 2016, "Dropout as a Bayesian approximation", section 4. Dropout stands between features and
head alone (models/convnet_dropout.py), so that passes are made from features, and a mask is one draw of the model: all
samples see the same `passes` models, and an answer does not depend on its batch.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare

Floats = NDArray[np.float64]


class Options(declare.Options):
    rate: float = Field(0.5, ge=0, lt=1, description="share of the features that dropout sets to 0")
    passes: int = Field(20, ge=1, description="number of drawn masks")


def shares(features: NDArray[np.floating], weight: Floats, bias: Floats, rate: float, passes: int) -> Iterator[Floats]:
    """Yield the probabilities of each pass, float64 (n, C).

    Args:
        features: (n, d), of evaluation: nothing is dropped.
        weight: float64 (C, d).
        bias: float64 (C,).
        rate: of the features that are dropped, from 0 to below 1.
        passes: how many masks are drawn.
    """
    rng = RandomStream(0, "mc_dropout", "masks", str(passes))
    masks = rng.uniform((passes, features.shape[1])) >= rate
    for mask in masks:
        yield softmax(features @ (weight * mask / (1 - rate)).T + bias, axis=1)
