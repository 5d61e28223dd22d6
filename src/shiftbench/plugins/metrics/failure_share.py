"""Failure share: the share of samples right without shift whose prediction first is wrong at a severity.

One row per severity: the histogram of failure points. What is missing from their sum never fails.

Source: CNS-Bench, ICCV 2025, https://arxiv.org/abs/2507.17651, histogram of failure points; see `failure_point`.
"""

from shiftbench.plugins.metrics.failure_point import reduce as reduce
from shiftbench.statistics.contributions import Sums, ratio
from shiftbench.statistics.rows import Floats, SeverityPath

KIND = "path"
COLUMNS = ("correct",)
PARAMS: dict[str, object] = {}
UNIT = "share"
RANGE = (0.0, 1.0)
HIGHER_IS_BETTER = False


def finish(sums: Sums, path: SeverityPath) -> dict[float | None, Floats]:
    """Return the share that fails first at each severity, float64 (k,)."""
    counts = sums.binned[: len(path.severities) - 1]
    return {severity: ratio(count, sums.count) for severity, count in zip(path.severities[1:], counts, strict=True)}
