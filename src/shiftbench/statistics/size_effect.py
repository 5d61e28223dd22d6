"""What size buys: accuracy under a shift with twice the parameters, at equal clean accuracy and pretraining."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from shiftbench.statistics.effective_robustness import Pairs
from shiftbench.statistics.rows import Floats


def doubling(pairs: Pairs, parameters: Floats, groups: Sequence[str]) -> Floats:
    """Mean change of shifted accuracy with a doubling of the parameters, in shares, float64 (1 + resamples,).

    On logit axes the shifted accuracy is fitted by least squares to the clean one, the binary logarithm of the
    parameters, and a constant for each group. The coefficient of the logarithm is added to each model's logit; the mean
    change of its share is the result. It is an association over released models, not what a training would gain.

    Args:
        pairs: accuracies, with weights of the resampled architectures.
        parameters: of each model, any unit, above 0; NaN: not known, and then a model is left out.
        groups: kind of pretraining of each model.
    """
    known = np.isfinite(parameters) & (parameters > 0)
    x, y = pairs.logits()
    names = sorted({name for name, here in zip(groups, known, strict=True) if here})
    constants = [[float(group == name) for group in groups] for name in names]
    size = np.log2(np.where(known, parameters, 1.0))
    design = np.column_stack([size, x, *constants])
    weights = pairs.weights * known[:, None]
    normal = np.einsum("mi,mj,mr->rij", design, design, weights, optimize=True)
    right = np.einsum("mi,m,mr->ri", design, y, weights, optimize=True)
    # a group without a model in a resample has no constant there, so the pseudo-inverse
    slopes: Floats = np.einsum("rij,rj->ri", np.linalg.pinv(normal, hermitian=True), right)[:, 0]
    moved = 1 / (1 + np.exp(-(y[:, None] + slopes)))
    change = moved - (1 / (1 + np.exp(-y)))[:, None]
    mean: Floats = (change * weights).sum(axis=0) / weights.sum(axis=0)
    return mean
