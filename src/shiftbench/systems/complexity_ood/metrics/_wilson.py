"""An end of Wilson's interval of accuracy; entries say which.

    (p + z^2 / 2n +- z sqrt(p (1 - p) / n + z^2 / 4n^2)) / (1 + z^2 / n),   z the normal quantile of 0.975

Of questions that are independent; the intervals of the tables come from the bootstrap, which knows of clusters.

Source: Wilson 1927, JASA 22; as `scipy.stats.binomtest(...).proportion_ci(method="wilson")`, tested.
"""

from statistics import NormalDist

import numpy as np

from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Rows

KIND = "sample"
COLUMNS = ("correct",)
PARAMS: dict[str, object] = {"upper": False}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = True
Z = NormalDist().inv_cdf(0.975)


def reduce(rows: Rows, **_: object) -> Contributions:
    """Each sample adds 1 when it is right."""
    return Contributions(rows.present("correct"), (rows.column("correct"),))


def finish(sums: Sums, *, upper: bool) -> Floats:
    """Return that end, float64 (k,)."""
    share, n = ratio(sums.sums[0], sums.count), np.maximum(sums.count, 1)
    half = Z * np.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    end = (share + Z * Z / (2 * n) + (half if upper else -half)) / (1 + Z * Z / n)
    return np.clip(end, 0, 1)
