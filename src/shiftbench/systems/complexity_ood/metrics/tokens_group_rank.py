"""Compute allocation by groups: Spearman's correlation, over questions, of complexity with the number of tokens.

As `tokens_complexity_rank`, of sets whose groups are complexities (`3`, or `3/8` with the number of words); questions
of another group, such as `unknown`, do not count.

Source: metrics of arXiv 2510.06274's protocol, reconstructed. The first completion counts, as for accuracy.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.statistics.rows import Floats, Rows
from shiftbench.systems.complexity_ood.metrics import _points, _ranks

KIND = "resampled"
COLUMNS = ("tokens",)
PARAMS: dict[str, object] = {}
UNIT = "correlation"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = True


def compute(rows: Rows, weights: NDArray[np.uint8]) -> Floats:
    """Return the value for each draw, float64 (k,), from weights uint8 (n, k)."""
    complexities = [_points.complexity(group) for group in rows.table.column("group").to_pylist()]
    known, tokens = np.array(complexities, np.float64), _ranks.first(rows.table.column("tokens"))
    counting = ~np.isnan(known) & (tokens > 0)
    return _ranks.spearman(known[counting], tokens[counting], weights[counting])
