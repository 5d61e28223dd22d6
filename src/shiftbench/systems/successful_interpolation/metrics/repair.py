"""What sparse layers change in the gain of nets whose interpolation fails: mean of (gain with sparsity - gain).

Of the nets that have a sparse variant, which are those that failed on other pictures (`interpolation_path`), of all
starts together: a start may have none. The group is the variant, `delta_0.3_stragglers`, `delta_0.3_others`. Nets are
resampled.

Source: arXiv:2410.16476, reconstructed; the control, as many layers that are no stragglers, is ours.
"""

from dataclasses import replace

import numpy as np

from shiftbench.base.refs import without_seed
from shiftbench.statistics.rows import Row
from shiftbench.systems.successful_interpolation.metrics import _pool

KIND = "curve"
PARAMS: dict[str, object] = {"group": "ood", "seed": 0}
UNIT = "share"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = True
OF = "interpolation_gain"


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (OF,)


def compute(rows: list[Row], group: str, seed: int) -> list[Row]:
    """Return the mean change of each variant, one row for all starts."""
    plain, given = _pool.at(_pool.lines(rows, OF, (group,)), 0), _pool.templates(rows, OF)
    found = []
    for name in _pool.groups(rows, OF):
        variant = name.removeprefix(f"{group}_")
        if variant == name:
            continue
        sparse = _pool.at(_pool.lines(rows, OF, (name,)), 0)
        pairs = [
            (start, net, value - plain[start][net]) for start, nets in sparse.items() for net, value in nets.items()
        ]
        template = given[pairs[0][0]]
        draws = len(template.resamples)
        counts = np.concatenate([_pool.weights(start, [net], draws, seed) for start, net, _ in pairs])
        values = _pool.average(np.array([change for *_, change in pairs]), counts)
        family = without_seed(template.model)[0]
        made = _pool.row(template, values, len(pairs), group=variant, step=None)
        found.append(replace(made, model=family, seed=None))
    return found
