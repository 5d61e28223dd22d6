"""Compute allocation: Spearman's correlation of complexity with the mean number of tokens written at it.

1: more tokens at each complexity than at the one before. A model that writes as many whatever is asked allocates
nothing: 0.

Source: metrics of arXiv 2510.06274's protocol, reconstructed; Spearman 1904, as `scipy.stats.spearmanr`. Over
complexities, not over questions: its mean at a complexity stands for these.
"""

from __future__ import annotations

import numpy as np
from scipy.stats import rankdata

from shiftbench.statistics.rows import Floats, Row
from shiftbench.systems.complexity_ood.metrics import _points

KIND = "curve"
PARAMS: dict[str, object] = {"of": "tokens"}
UNIT = "correlation"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = True


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str) -> list[Row]:
    """Return one row per curve."""
    return [curve.row(rank(curve.complexities, curve.values)) for curve in _points.curves(rows, of)]


def rank(complexities: Floats, values: Floats) -> Floats:
    """Return the correlation of values (p, k) with complexities (p,), float64 (k,)."""
    ours, theirs = rankdata(complexities), rankdata(values, axis=0)
    ours, theirs = ours - ours.mean(), theirs - theirs.mean(axis=0)
    scale = np.sqrt((ours @ ours) * (theirs * theirs).sum(axis=0))
    found = np.divide(ours @ theirs, scale, out=np.zeros_like(scale), where=scale > 0)
    return np.where(np.isnan(values).any(axis=0), np.nan, found)
