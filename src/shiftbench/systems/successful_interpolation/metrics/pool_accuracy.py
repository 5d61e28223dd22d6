"""Accuracy along paths of weights, mean over a pool of nets, at each a (step, in hundredths) and for each group.

Source: Wortsman et al., CVPR 2022, arXiv:2109.01903, figure 1 (accuracy in and out of distribution along the path).
"""

from shiftbench.statistics.rows import Row
from shiftbench.systems.successful_interpolation.metrics import _pool

KIND = "curve"
PARAMS: dict[str, object] = {"groups": ["id", "ood", "val"], "seed": 0}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True
OF = "path_accuracy"
WHOLE = {"ood": ("ood", "ood_finding")}
"""Groups that are read together: pictures that are judged, and those that were looked at before."""


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (OF,)


def compute(rows: list[Row], groups: list[str], seed: int) -> list[Row]:
    """Return the mean over nets of each group at each a."""
    found, given = [], _pool.templates(rows, OF)
    for group in groups:
        paths = _pool.lines(rows, OF, WHOLE.get(group, (group,)))
        for step in _pool.steps(paths):
            place = {"group": group, "step": step}
            found += _pool.pooled(given, _pool.at(paths, step), _pool.average, seed, **place)
    return found
