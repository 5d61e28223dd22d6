"""A coefficient of the logistic regression of being right on complexity and, where lengths differ, on words; by entry.

    correct ~ c          at points of one length or of which no length is told
    correct ~ c + |x|    where each point has its number of words

Answers of one complexity (and length) count together, weighed by how many there are, and half an answer is `added` to
the right and to the wrong ones, since who makes no mistake below some complexity would have no slope. Intervals are
those of the bootstrap over clusters (templates), of whose errors the sandwich estimate is the limit; a test compares
them.

Source: metrics of arXiv 2510.06274's protocol, reconstructed; Liang and Zeger 1986 (errors that clusters do not break).
"""

import numpy as np

from shiftbench.statistics.rows import Row
from shiftbench.systems.complexity_ood.metrics import _logistic, _points

KIND = "curve"
PARAMS: dict[str, object] = {"of": "accuracy", "by": "complexity", "added": 0.5}
UNIT = "log odds"
RANGE = (None, None)
HIGHER_IS_BETTER = True


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str, by: str, added: float) -> list[Row]:
    """Return one row per curve; by words only where lengths are told."""
    found = []
    for curve in _points.curves(rows, of):
        if by == "length" and curve.lengths is None:
            continue
        columns = [curve.complexities] if curve.lengths is None else [curve.complexities, curve.lengths]
        fitted = _logistic.fit(np.column_stack(columns), curve.values, curve.counts, added)
        found.append(curve.row(fitted[1 if by == "complexity" else 2]))
    return found
