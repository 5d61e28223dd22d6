"""Retention: accuracy above the threshold as a share of that up to it, both corrected for chance.

    R = OOD / ID,   ID and OOD: means of (acc(c) - chance) / (1 - chance) over c up to and above the threshold

`chance` says of each dataset what guessing gets. Not defined where ID is at chance or below it.

Source: metrics of arXiv 2510.06274's protocol, reconstructed (see this system's README.md).
"""

from collections.abc import Mapping

import numpy as np

from shiftbench.statistics.rows import Row
from shiftbench.systems.complexity_ood.metrics import _points

KIND = "curve"
PARAMS: dict[str, object] = {"of": "accuracy", "threshold": 2, "chance": {}}
UNIT = "ratio"
RANGE = (None, None)
HIGHER_IS_BETTER = True


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str, threshold: float, chance: Mapping[str, float]) -> list[Row]:
    """Return one row per curve whose dataset `chance` names."""
    found = []
    for curve in _points.curves(rows, of):
        if curve.rows[0].dataset not in chance:
            continue
        values = _points.corrected(curve.values, chance, curve.rows[0].dataset)
        inside = curve.below(threshold)
        known, beyond = values[inside].mean(axis=0), values[~inside].mean(axis=0)
        with np.errstate(divide="ignore", invalid="ignore"):
            found.append(curve.row(np.where(known > 0, beyond / known, np.nan)))
    return found
