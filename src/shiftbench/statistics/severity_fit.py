"""Fall of accuracy with the severity of a shift: measured at some severities, interpolated, inverted.

Between measured severities the fall is linear on its isotonic fit, which starts at 0. Where a bracket around a
crossing, or around an end of its interval, is wide, its middle is measured next; each measurement
serves every requested fall. The interval is the project's bootstrap: under each resample the clean and the
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

NARROWEST = 1 / 500  # of the range: a narrower bracket is never divided
DIVISIONS = 4  # brackets become narrower than the interval by this factor


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
        """Fall at a severity, a share, float64 (1 + resamples,): in the data, then under each resample."""
        if severity not in self.accuracy:
            self.accuracy[severity] = self._accuracy(self._judge(severity))
        return self.accuracy[0.0] - self.accuracy[severity]

    def _accuracy(self, table: pa.Table) -> Floats:
        correct = table.column("correct").combine_chunks()
        counts = correct.is_valid().to_numpy(zero_copy_only=False).astype(np.int64)
        hits = correct.fill_null(False).to_numpy(zero_copy_only=False).astype(np.int64)  # noqa: FBT003
        (sums,) = weighted_sums([Contributions(counts, (hits,))], self._weights)
        return ratio(sums.sums[0], sums.count)

    def invert(self, drop: float) -> Floats:
        """Severity of a fall, float64 (1 + resamples,); infinite where it is not reached."""
        severities = np.array(sorted(self.accuracy))
        falls = _rising(np.stack([self.measure(severity) for severity in severities]))
        after = (falls >= drop).argmax(axis=0)
        columns = np.arange(falls.shape[1])
        below, above = falls[after - 1, columns], falls[after, columns]
        with np.errstate(invalid="ignore", divide="ignore"):
            fraction = (drop - below) / (above - below)
        crossing = severities[after - 1] + fraction * (severities[after] - severities[after - 1])
        crossing = np.where(after > 0, crossing, np.inf)
        return np.where(np.isnan(falls).any(axis=0), np.nan, crossing)

    def locate(self, drop: float) -> Floats:
        """Measure until the brackets around a fall and its interval are narrow; return as `invert`."""
        self.measure(self.end)
        while True:
            crossing = self.invert(drop)
            middle = self._widest(crossing)
            if middle is None:
                return crossing
            self.measure(middle)

    def _widest(self, values: Floats) -> float | None:
        """Middle of the widest bracket that is too wide."""
        low, high = (float(end) for end in bootstrap.interval(values[1:]))
        width = min(high, self.end) - low
        limit = max(NARROWEST * self.end, width / DIVISIONS if np.isfinite(width) else 0.0)
        measured = np.array(sorted(self.accuracy))
        ends = [at for at in (float(values[0]), low, high) if np.isfinite(at)]
        brackets = {int(np.searchsorted(measured, at)) for at in ends}
        wide = [(measured[b] - measured[b - 1], b) for b in brackets if measured[b] - measured[b - 1] > limit]
        if not wide:
            return None
        _, at = max(wide)
        return float(measured[at - 1] + measured[at]) / 2


def _rising(falls: Floats) -> Floats:
    """The isotonic fit along axis 0, whose first row (severity 0) is 0; a column with NaN stays."""
    fitted = falls.copy()
    for column in np.flatnonzero(~np.isnan(falls).any(axis=0)):
        if len(falls) > 1:
            fitted[1:, column] = np.maximum(isotonic_regression(falls[1:, column]).x, 0.0)
    return fitted
