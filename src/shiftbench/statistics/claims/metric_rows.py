"""Metric rows of a card's benchmarks with their replicates; expressions of claims are evaluated on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shiftbench.data import formats
from shiftbench.statistics import bootstrap, intervals
from shiftbench.statistics.intervals import Units

Floats = NDArray[np.float64]
KEY = formats.METRICS.key
NO_COLUMNS: frozenset[str] = frozenset()
NOT_KNOWN = -1
"""Number of units of a row whose samples nobody stated."""


class NotEvaluable(Exception):
    """Rows are missing or do not fit; the message says which."""


@dataclass(frozen=True, slots=True)
class MetricRows:
    """Metric rows with their replicates.

    Attributes:
        identities: the columns of METRICS.key and `seed`, one line for each row.
        values: float64 (rows, 1 + resamples): the value, then the value under each resample.
        fixed_columns: columns that a selector fixed; they do not distinguish rows.
        higher_is_better: by metric; None or a missing metric: not known.
        kinds: kind of interval by metric, see `interval_kind`.
        ends: of 95% intervals, float64 (rows, 2): those of the tables, and of means; None for other combinations.
        units: int64 (rows, 2): number of units behind each value, NOT_KNOWN or more, and 1 if they are clusters.
    """

    identities: pl.DataFrame
    values: Floats
    fixed_columns: frozenset[str] = NO_COLUMNS
    higher_is_better: Mapping[str, bool | None] = field(default_factory=dict)
    kinds: Mapping[str, str] = field(default_factory=dict)
    ends: Floats | None = None
    units: NDArray[np.int64] | None = None

    @classmethod
    def of(
        cls,
        metrics: pl.DataFrame,
        replicates: pl.DataFrame,
        higher_is_better: Mapping[str, bool | None] = MappingProxyType({}),
        kinds: Mapping[str, str] = MappingProxyType({}),
    ) -> MetricRows:
        """Join the tables METRICS and REPLICATES of benchmarks."""
        joined = metrics.join(replicates, on=list(KEY), nulls_equal=True, how="inner")
        values = np.empty((0, 1))
        if len(joined):
            resamples = np.array(joined["draws"].to_list(), dtype=np.float64)
            values = np.column_stack([joined["value"].cast(pl.Float64).to_numpy(), resamples])
        ends = joined.select(pl.col("ci_low", "ci_high").cast(pl.Float64)).to_numpy()
        units = joined.select(pl.col("units"), pl.col("unit") == "cluster").cast(pl.Int64).to_numpy()
        return cls(joined.select(*KEY, "seed"), values, NO_COLUMNS, higher_is_better, kinds, ends, units)

    def take(self, keep: pl.Series, fixed_columns: frozenset[str]) -> MetricRows:
        """Rows at which a boolean series is true."""
        mask = keep.to_numpy()
        return replace(
            self,
            identities=self.identities.filter(keep),
            values=self.values[mask],
            fixed_columns=fixed_columns,
            ends=take_rows(self.ends, mask),
            units=take_rows(self.units, mask),
        )

    @property
    def interval_kind(self) -> str:
        """Kind of the rows' intervals: that of their metric for its rows and their means, else `draws`."""
        kinds = self.interval_kinds
        return kinds.pop() if self.ends is not None and len(kinds) == 1 else "draws"

    @property
    def interval_kinds(self) -> set[str]:
        """Kinds of interval of the rows' metrics."""
        return {self.kinds.get(metric, "draws") for metric in self.identities["metric"].unique()}

    def units_of(self, row: int) -> Units:
        """Units behind the value of a row."""
        if self.units is None or self.units[row, 0] == NOT_KNOWN:
            return Units()
        return Units(int(self.units[row, 0]), bool(self.units[row, 1]))

    @property
    def intervals(self) -> Floats:
        """Ends of the rows' 95% intervals, float64 (2, rows); percentiles if `ends` is None."""
        if self.ends is not None:
            return self.ends.T
        computed = [
            intervals.of_resamples(values, bootstrap.ERROR, self.units_of(row))
            for row, values in enumerate(self.values)
        ]
        ends = [[np.nan if end is None else end for end in (interval.low, interval.high)] for interval in computed]
        return np.array(ends).reshape(-1, 2).T


def take_rows(values: NDArray[Any] | None, rows: NDArray[Any]) -> NDArray[Any] | None:
    """Rows of an array that may be None, by a mask or by indices."""
    return None if values is None else values[rows]


def single_row(rows: MetricRows) -> MetricRows:
    """The rows, if there is exactly one.

    Raises:
        NotEvaluable: there are several.
    """
    if len(rows.identities) != 1:
        raise NotEvaluable(
            f"the value has {len(rows.identities)} rows; combine them (mean, max, ...) or quantify `over` a column"
        )
    return rows


def single_value(rows: MetricRows) -> Floats:
    """Value and replicates of the only row, float64 (1 + resamples,); see `single_row`."""
    values: Floats = single_row(rows).values[0]
    return values
