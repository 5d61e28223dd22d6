"""A ranker of boosted regression trees over thirteen features of query and document; trained by `lambda_mart`.

Source: Burges, "From RankNet to LambdaRank to LambdaMART", MSR-TR-2010-82; features in `_features`. The weights are
LightGBM's text of the trees, as bytes.
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
    import lightgbm

    state = nets.read_state(weights)
    if "trees" not in state:
        raise ModelError(f"{weights} has no trees; train with `lambda_mart`")
    trees = lightgbm.Booster(model_str=state["trees"].numpy().tobytes().decode())

    def score(features: Floats) -> Floats:
        return np.asarray(trees.predict(features, num_threads=1), dtype=np.float64)

    return _rankers.predictor(_features.FeatureScorer(score), inputs, params)
