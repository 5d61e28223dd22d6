"""Fall of accuracy with the severity of a shift: measured at some severities, interpolated, inverted.

Between measured severities the fall is linear on its isotonic fit, which starts at 0. Where a bracket around a
crossing, or around an end of its interval, is wide, its middle is measured next; each measurement
serves every fall that is asked for. The interval is the project's bootstrap: under each resample the clean and the
shifted accuracies are those of the same resampled samples, fitted and inverted.

Source: inverse (calibration) intervals by inverting a monotone fit, Osborne 1991, "Statistical calibration: a
review", International Statistical Review 59; isotonic regression is SciPy's.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from scipy.optimize import isotonic_regression

from shiftbench.base.errors import DataError
from shiftbench.statistics import bootstrap
from shiftbench.statistics.benchmark_rows import Lists
from shiftbench.statistics.contributions import Contributions, ratio, weighted_sums
from shiftbench.statistics.rows import Floats

FINEST = 1 / 500  # of the range: a narrower bracket is never divided
WITHIN = 4  # how much narrower than the interval brackets become


class Curve:
    """Measured fall of accuracy with severity: in the data and under each resample.

    Args:
        judge: severity -> table of key, cluster and correct (bool, null where it does not count).
        end: the highest severity.
        resamples: bootstrap resamples.
        seed: of the bootstrap.

    Raises:
        DataError: no sample counts.
    """

    def __init__(self, judge: Callable[[float], pa.Table], end: float, resamples: int, seed: int) -> None:
        self._judge, self.end = judge, end
        table = judge(0.0)
        self.n = len(table) - table.column("correct").null_count
        if not self.n:
            raise DataError("no sample has a label among the model's classes; nothing can be right")
        units = Lists().intern(table, Path("samples")).units
        self._weights = bootstrap.weights(units, resamples, seed)
        self.accuracy = {0.0: self._accuracy(table)}

    def measure(self, severity: float) -> Floats:
        """Return the fall at a severity, a share, float64 (1 + resamples,): in the data, then under each resample."""
        if severity not in self.accuracy:
            self.accuracy[severity] = self._accuracy(self._judge(severity))
        return self.accuracy[0.0] - self.accuracy[severity]

    def _accuracy(self, table: pa.Table) -> Floats:
        right = table.column("correct").combine_chunks()
        counts = right.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)
        hits = right.fill_null(False).to_numpy(zero_copy_only=False).astype(np.int64)  # noqa: FBT003
        (sums,) = weighted_sums([Contributions(counts, (hits,))], self._weights)
        return ratio(sums.sums[0], sums.count)

    def invert(self, drop: float) -> Floats:
        """Return the severity of a fall, float64 (1 + resamples,); infinite where it is not reached."""
        severities = np.array(sorted(self.accuracy))
        falls = _rising(np.stack([self.measure(severity) for severity in severities]))
        after = (falls >= drop).argmax(axis=0)
        every = np.arange(falls.shape[1])
        below, above = falls[after - 1, every], falls[after, every]
        with np.errstate(invalid="ignore", divide="ignore"):
            part = (drop - below) / (above - below)
        found = severities[after - 1] + part * (severities[after] - severities[after - 1])
        found = np.where(after > 0, found, np.inf)
        return np.where(np.isnan(falls).any(axis=0), np.nan, found)

    def locate(self, drop: float) -> Floats:
        """Measure until the brackets around a fall and its interval are narrow; return as `invert`."""
        self.measure(self.end)
        while True:
            found = self.invert(drop)
            middle = self._widest(found)
            if middle is None:
                return found
            self.measure(middle)

    def _widest(self, found: Floats) -> float | None:
        """Return the middle of the widest bracket that is too wide."""
        low, high = (float(end) for end in bootstrap.interval(found[1:]))
        within = min(high, self.end) - low
        limit = max(FINEST * self.end, within / WITHIN if np.isfinite(within) else 0.0)
        known = np.array(sorted(self.accuracy))
        ends = [at for at in (float(found[0]), low, high) if np.isfinite(at)]
        brackets = {int(np.searchsorted(known, at)) for at in ends}
        wide = [(known[b] - known[b - 1], b) for b in brackets if known[b] - known[b - 1] > limit]
        if not wide:
            return None
        _, at = max(wide)
        return float(known[at - 1] + known[at]) / 2


def _rising(falls: Floats) -> Floats:
    """Return the isotonic fit along axis 0, whose first row (severity 0) is 0; a column with NaN stays."""
    fitted = falls.copy()
    for column in np.flatnonzero(~np.isnan(falls).any(axis=0)):
        if len(falls) > 1:
            fitted[1:, column] = np.maximum(isotonic_regression(falls[1:, column]).x, 0.0)
    return fitted
