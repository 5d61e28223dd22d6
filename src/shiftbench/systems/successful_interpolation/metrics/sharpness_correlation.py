"""Spearman's correlation of sharpness with accuracy out of distribution, over a pool of nets on their paths.

| row | is over |
| --- | --- |
| group `SCOPE_RHO` | all (net, a) |
| the same, with a step | nets, at this a (in hundredths) |
| group `SCOPE_RHO_within` | the a of one net, mean over nets |

Nets are resampled, not pairs, which are not independent: those of one net stay together. A negative correlation says
that sharper is worse. Sharpness is the mean over batches, accuracy that on all OOD pictures.

Source: Andriushchenko et al., ICML 2023, arXiv:2302.07011, section 4 (rank correlation of sharpness and
generalisation).
"""

import numpy as np

from shiftbench.statistics.rows import Floats, Row
from shiftbench.systems.successful_interpolation.metrics import _pool

KIND = "curve"
PARAMS: dict[str, object] = {"of": "sharpness", "seed": 0}
UNIT = "correlation"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = False
RIGHT, KINDS = "path_accuracy", ("ood", "ood_finding")


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (str(params["of"]), RIGHT)


def compute(rows: list[Row], of: str, seed: int) -> list[Row]:
    """Return the correlations of each scope and radius."""
    right, given, found = _pool.lines(rows, RIGHT, KINDS), _pool.templates(rows, of), list[Row]()
    for group in _pool.groups(rows, of):
        sharp = _pool.lines(rows, of, (group,))
        steps = _pool.steps(sharp)
        pairs = {step: _pool.both(_pool.at(sharp, step), _pool.at(right, step)) for step in steps}
        for step, values in pairs.items():
            place = {"group": group, "step": step}
            found += _pool.pooled(given, values, _across, seed, **place)
        whole = {
            start: {name: [pairs[step][start][name] for step in steps] for name in nets}
            for start, nets in pairs[steps[0]].items()
        }
        found += _pool.pooled(given, whole, _pairs, seed, group=group, step=None)
        if len(steps) > 1:
            found += _pool.pooled(given, whole, _within, seed, group=f"{group}_within", step=None)
    return found


def _across(values: Floats, counts: Floats) -> Floats:
    return _pool.spearman(values[:, 0], values[:, 1], counts)


def _pairs(values: Floats, counts: Floats) -> Floats:
    flat = values.reshape(-1, 2)
    return _pool.spearman(flat[:, 0], flat[:, 1], np.repeat(counts, values.shape[1], axis=0))


def _within(values: Floats, counts: Floats) -> Floats:
    """Return the mean over nets of each net's own correlation, 0 where a side does not vary."""
    once = np.ones((values.shape[1], 1))
    own = [_pool.spearman(net[:, 0], net[:, 1], once)[0] for net in values]
    return _pool.average(np.nan_to_num(np.array(own)), counts)
