"""What mixing weights gains out of distribution over the better of both ends.

    gain = max_{0 < a < 1} acc_ood(theta_a) - max(acc_ood(theta_0), acc_ood(theta_1))

A net for which it is not above 0 is in the failure mode. The best a is that of the tested pictures (an oracle), for
all variants alike. Rows are of single nets; the group is `ood`, or `ood_VARIANT`, whose ends are those of the plain
path: a net that lost weights is not compared with a worse end.

Source: Wortsman et al., CVPR 2022, arXiv:2109.01903, section 4; the failure mode of arXiv:2410.16476, reconstructed.
"""

import numpy as np

from shiftbench.statistics.rows import Row
from shiftbench.systems.successful_interpolation.metrics import _pool

KIND = "curve"
PARAMS: dict[str, object] = {"group": "ood", "seed": 0}
UNIT = "share"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = True
OF = "path_accuracy"


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (OF,)


def compute(rows: list[Row], group: str, seed: int) -> list[Row]:
    """Return the gain of each net and of each of its variants, and the mean gain."""
    paths: dict[tuple[object, ...], dict[str, dict[int, Row]]] = {}
    for row in rows:
        name = row.group or ""
        own = name == group or (name.startswith(f"{group}_") and name != f"{group}_finding")
        if row.metric == OF and own and row.seed is not None:
            key = (row.model, row.method, row.dataset, row.split)
            paths.setdefault(key, {}).setdefault(name, {})[row.step or 0] = row
    found = list[Row]()
    for variants in paths.values():
        plain = variants.get(group, {})
        if not {0, 100} <= set(plain):
            continue
        ends = np.maximum(plain[0].all, plain[100].all)
        inner = {at for at in plain if 0 < at < 100}
        for path in variants.values():
            some = [row for at, row in path.items() if at in inner]
            if some and len(some) == len(inner):
                best = np.max([row.all for row in some], axis=0)
                found.append(some[0].derived(some, best - ends, step=None))
    gains: dict[str, dict[str, float]] = {}
    for row in (one for one in found if one.group == group):
        gains.setdefault(row.model, {})[row.method] = row.value
    given = {row.model: row for row in found}
    return found + _pool.pooled(given, gains, _pool.average, seed, group=group, step=None)
