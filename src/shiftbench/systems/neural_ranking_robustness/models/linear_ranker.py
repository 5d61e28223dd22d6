"""A linear ranker: thirteen features of query and document, standardised and weighed; trained by `rank_svm`.

    s(q, d) = w . (phi(q, d) - mean) / scale

Source: Joachims, "Optimizing Search Engines using Clickthrough Data", KDD 2002; features in `_features`.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.data.bag_of_words import Floats
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _rankers
from shiftbench.systems.neural_ranking_robustness.models import _features

TASK = "ranking"
Options = _rankers.Options
needs = _rankers.needs


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """The predictor; it computes on the CPU.

    Raises:
        ModelError: other weights.
    """
    state = nets.read_state(weights)
    if not {"mean", "scale", "weight"} <= state.keys():
        raise ModelError(f"{weights} is no linear ranker; train with `rank_svm`")
    return of(state, inputs, params)


def of(state: nets.State, inputs: Mapping[Ref, Path], params: Mapping[str, Any]) -> nets.Predictor:
    """The predictor of tensors `mean`, `scale` and `weight`, float64 (13,) each."""
    mean, scale, weight = (state[name].numpy() for name in ("mean", "scale", "weight"))

    def score(features: Floats) -> Floats:
        return np.asarray(((features - mean) / scale * weight).sum(axis=1), dtype=np.float64)

    return _rankers.predictor(_features.FeatureScorer(score), inputs, params)
