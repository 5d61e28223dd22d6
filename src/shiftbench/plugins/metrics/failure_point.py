"""Failure point: the severity at which a prediction first is wrong, as the mean over samples right without shift.

A sample that is right at every severity that was evaluated counts as the highest and, once more, the last step
(levels 1, 3 and 5: as 7). One that is wrong at a severity has failed there, also if a higher one is right again.
A row with a shift is that shift's, the row without one the mean over the shifts.

Source: CNS-Bench, ICCV 2025, https://arxiv.org/abs/2507.17651: FP(i) = min {s: wrong at s} along the path of one
image, 3.0 for an image that never fails at severities 0 to 2.5 in steps of 0.5. Differs: images that are wrong
at severity 0 are left out here (`error` of the clean set tells how many they are). The histogram:
`failure_share`.
"""

import numpy as np

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, SeverityPath

KIND = "path"
COLUMNS = ("correct",)
PARAMS: dict[str, object] = {}
UNIT = "severity"
RANGE = (0.0, None)
HIGHER_IS_BETTER = True


def reduce(path: SeverityPath) -> Contributions:
    """Count samples by where they fail first: bin i is severity i + 1 of the path, the last bin nowhere."""
    right = [rows.column("correct") for rows in path.rows]
    counting = right[0].copy()
    for rows in path.rows[1:]:
        counting *= rows.present("correct")
    wrong = np.stack([1 - column for column in right[1:]] + [np.ones_like(counting)])
    return Contributions(counting, binned=counting, bins=wrong.argmax(axis=0), width=len(path.severities))


def finish(sums: Sums, path: SeverityPath) -> dict[float | None, Floats]:
    """Return the mean severity, float64 (k,), for the path as a whole (None)."""
    total = np.zeros(sums.count.shape)
    for severity, count in zip((*path.severities[1:], path.never), sums.binned, strict=True):
        total += severity * count
    return {None: ratio(total, sums.count)}
