"""Instability of a path of weights: how far its worst place lies above the mean of its ends, LII.

    LII = sup_a L(theta_a) - (L(theta_0) + L(theta_1)) / 2

At every a that was evaluated, the ends among them, so that it is never below half the distance of the ends. Rows are
of single nets: the group is that of the samples, `ood`, `id`, for the cross-entropy, and `ood_error` for the error.

Source: Frankle et al., "Linear Mode Connectivity and the Lottery Ticket Hypothesis", ICML 2020, arXiv:1912.05671,
section 2 (error barrier of a path).
"""

import numpy as np

from shiftbench.statistics.rows import Row

KIND = "curve"
PARAMS: dict[str, object] = {"groups": ["id", "val", "ood", "ood_finding"]}
UNIT = "nat or share"
RANGE = (0.0, None)
HIGHER_IS_BETTER = False
LOSS, RIGHT = "path_loss", "path_accuracy"


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """Return the metrics whose rows are needed."""
    return (LOSS, RIGHT)


def compute(rows: list[Row], groups: list[str]) -> list[Row]:
    """Return the instability of each path, on each group of samples."""
    paths: dict[tuple[object, ...], dict[int, Row]] = {}
    for row in rows:
        if row.metric in (LOSS, RIGHT) and row.group in groups:
            key = (row.metric, row.model, row.method, row.dataset, row.split, row.group)
            paths.setdefault(key, {})[row.step or 0] = row
    found = []
    for (metric, *_), path in paths.items():
        if {0, 100} <= set(path):
            own = list(path.values())
            line = {at: row.all if metric == LOSS else 1 - row.all for at, row in path.items()}
            worst = np.max(list(line.values()), axis=0)
            group = own[0].group if metric == LOSS else f"{own[0].group}_error"
            values = worst - (line[0] + line[100]) / 2
            found.append(own[0].derived(own, values, group=group, step=None))
    return found
