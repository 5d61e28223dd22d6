"""Features as they are before the head standardises them; logits stay.

Of the model `standardised` records keep what the head sees, h~; under this method they keep the inner network's h, and
tables say so in the column `method`. Detectors of `logits` and `features` (NNGuide, KNN, Mahalanobis) may differ
between the two; those of the `head` are refused, since h does not give the logits. Of other networks the features stay.

Source: the code of ASCOOD (arXiv:2411.10794), whose network returns h to detectors.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from shiftbench.base.refs import Ref

SEES = "sample"
TASKS = ("classification", "text_classification")
P = TypeVar("P", bound=Callable[..., Any])


def wrap(predictor: P, params: dict[str, Any], inputs: dict[Ref, Path]) -> P:
    """A predictor whose features are h; the predictor itself where its network standardises nothing."""
    from shiftbench.evaluation import nets  # torch
    from shiftbench.systems.ascood.methods import _raw

    if not isinstance(predictor, nets.TorchPredictor) or not hasattr(predictor.net, "raw"):
        return predictor
    raw_predictor: Any = nets.TorchPredictor(
        _raw.Raw(predictor.net), predictor.model, predictor.params, str(predictor.device), predictor.precision
    )
    raw: P = raw_predictor
    return raw
