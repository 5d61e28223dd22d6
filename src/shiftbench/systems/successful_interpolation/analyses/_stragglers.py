"""Straggler layers (reconstructed): the layers that break the path from theta_0 to theta_1.

A layer's score on val is one of three:

- `barrier`: the instability of the path on which this layer is mixed and all others are those of theta_1:
  sup_a L(a) - (L(0) + L(1)) / 2, with L the cross-entropy or the error (`score_of`);
- `mirror`: the same with all other layers from theta_0;
- `kept`: the accuracy lost if the model at a = 0.5 has this layer from theta_1.

Source: instability as Frankle et al. 2020, arXiv:1912.05671, section 2; the paper's own score was not seen.
"""

from collections.abc import Mapping

import numpy as np
from torch.nn import functional as F

from shiftbench.evaluation.nets import State
from shiftbench.plugins.trainers import _interpolation
from shiftbench.systems.successful_interpolation.analyses import _test_sets
from shiftbench.systems.successful_interpolation.analyses._paths import Pool

SCORES = ("barrier", "mirror", "kept")
MEASURES = ("loss", "error")
MIDDLE = 0.5


def scores(pool: Pool, theta_1: State) -> dict[str, float]:
    """Score of each layer, higher for a straggler; empty without `score_alphas`."""
    params = pool.params
    if not params["score_alphas"]:
        return {}
    inputs, labels = pool.prepared(_test_sets.shards_of(params["score_on"], params, "val"), params["val_samples"])

    def value(state: State, measure: str) -> float:
        logits = pool.logits(state, inputs)
        if measure == "error":
            return float((logits.argmax(1) != labels).float().mean())
        return float(F.cross_entropy(logits, labels))

    if params["score"] == "kept":
        middle = _interpolation.mixed(pool.first, theta_1, MIDDLE)
        error = value(middle, "error")
        ends = {layer: middle | {name: theta_1[name] for name in names} for layer, names in pool.layers.items()}
        return {layer: value(state, "error") - error for layer, state in ends.items()}
    others = theta_1 if params["score"] == "barrier" else pool.first
    alphas = sorted({0.0, *params["score_alphas"], 1.0})
    barriers = {}
    for layer, names in pool.layers.items():
        line = [value(_interpolation.mixed(pool.first, theta_1, a, names, others), params["score_of"]) for a in alphas]
        barriers[layer] = max(line) - (line[0] + line[-1]) / 2
    return barriers


def highest(values: Mapping[str, float], count: int) -> list[str]:
    """The `count` layers with the highest scores, in the model's order.

    With a count of 0: the layers above mean + 1 standard deviation, at least the highest one.
    """
    array = np.array(list(values.values()))
    if not len(array):
        return []
    if count:
        chosen = np.sort(np.argsort(-array, kind="stable")[:count])
    else:
        chosen = np.flatnonzero(array > array.mean() + array.std())
        chosen = chosen if len(chosen) else np.array([int(array.argmax())])
    return [list(values)[index] for index in chosen]
