"""Spearman's correlation of a path's instability with what its best mixture lacks of the better end, over a pool.

The shortfall is minus `interpolation_gain`, on the pictures that judge; the instability is that of the cross-entropy
on the other half of the OOD pictures (group `barriers`), so that no chance of a picture is in both. Above 0: barriers
go with smaller gains. Nets are resampled. The group of a row is that of the instability.

Source: Abdollahpoorrostam, Sanyal and Moosavi-Dezfooli, ICML 2024 workshop on foundation models in the wild, of which
the claim was seen; instability as in `barrier`.
"""

from shiftbench.statistics.rows import Floats, Row
from shiftbench.systems.successful_interpolation.metrics import _pool

KIND = "curve"
PARAMS: dict[str, object] = {"barriers": ["ood_finding", "ood_finding_error", "id"], "group": "ood", "seed": 0}
UNIT = "correlation"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = True
OF, GAIN = "barrier", "interpolation_gain"


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (OF, GAIN)


def compute(rows: list[Row], barriers: list[str], group: str, seed: int) -> list[Row]:
    """Return the correlation for each kind of instability."""
    gains, given = _pool.at(_pool.lines(rows, GAIN, (group,)), 0), _pool.templates(rows, GAIN)
    found = []
    for name in barriers:
        unstable = _pool.at(_pool.lines(rows, OF, (name,)), 0)
        found += _pool.pooled(given, _pool.both(unstable, gains), _correlation, seed, group=name, step=None)
    return found


def _correlation(values: Floats, counts: Floats) -> Floats:
    return _pool.spearman(values[:, 0], -values[:, 1], counts)
