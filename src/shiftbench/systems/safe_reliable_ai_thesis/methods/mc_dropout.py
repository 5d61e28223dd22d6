"""MC dropout: the mean of the answers of models that dropout draws; logits are its logarithm.

Source: Gal and Ghahramani 2016, "Dropout as a Bayesian approximation", section 4; masks at the last layer, see
detectors/_dropout.py.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.systems.safe_reliable_ai_thesis.detectors import _dropout

SEES = "sample"
NEEDS = ("net",)
TASKS = ("classification",)
Options = _dropout.Options


class Dropped:
    """A predictor whose answer is the mean over masks."""

    def __init__(self, predictor: nets.TorchPredictor, params: Mapping[str, Any]) -> None:
        self._predictor, self._params = predictor, params
        head: Any = predictor.net.get_submodule("head")
        self._weight, self._bias = (nets.to_numpy(part).astype(np.float64) for part in (head.weight, head.bias))

    def __call__(self, samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
        """`logits` float32 (n, C) and `features` as they are, float32 (n, d)."""
        features = self._predictor(samples)["features"]
        options = self._params["rate"], self._params["passes"]
        passes = _dropout.shares(features, self._weight, self._bias, *options)
        mean = np.mean(list(passes), axis=0)
        return {"logits": np.log(mean).astype(np.float32), "features": features}


def wrap(predictor: Any, params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> Dropped:
    """The predictor under masks.

    Raises:
        ModelError: it has no model.
    """
    if not isinstance(predictor, nets.TorchPredictor):
        raise ModelError("mc_dropout drops features of a net, and this model is a black box")
    return Dropped(predictor, params)
