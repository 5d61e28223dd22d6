"""Expressions over metric rows: selectors and the closed set of combinations, under every draw."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from shiftbench.base.errors import suggest
from shiftbench.data import formats
from shiftbench.statistics import bootstrap, intervals
from shiftbench.statistics.intervals import Units
from shiftbench.statistics.statements import TWO, parts

Floats = NDArray[np.float64]
TAIL = 0.1  # the share of rows that `cvar` averages
KEY = formats.METRICS.key
NONE: frozenset[str] = frozenset()
_PLAIN = ("group", "step")
"""Columns that are null unless a selector names them: all samples, no position of a stream."""


class NotEvaluable(Exception):
    """Rows are missing or do not fit; the message says which."""


@dataclass(frozen=True, slots=True)
class Rows:
    """Metric rows with their replicates.

    Attributes:
        places: the identity of each row, one row each.
        values: float64 (rows, 1 + draws): the value, then under each draw.
        named: the columns that a selector fixed, which do not tell rows apart.
        higher_is_better: of each metric; None, or not there: not known.
        kinds: of each metric's interval, see `interval_kind`.
        ends: of 95% intervals, float64 (rows, 2): the tables' own, and of means; None of other combinations.
        units: how many units each is computed from, and whether these are clusters of samples; int64 (rows, 2).
    """

    places: pl.DataFrame
    values: Floats
    named: frozenset[str] = frozenset()
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
    ) -> Rows:
        """Join the tables METRICS and REPLICATES of benchmarks."""
        both = metrics.join(replicates, on=list(KEY), nulls_equal=True, how="inner")
        values = np.empty((0, 1))
        if len(both):
            draws = np.array(both["draws"].to_list(), dtype=np.float64)
            values = np.column_stack([both["value"].cast(pl.Float64).to_numpy(), draws])
        ends = both.select(pl.col("ci_low", "ci_high").cast(pl.Float64)).to_numpy()
        units = both.select(pl.col("units"), pl.col("unit") == "cluster").cast(pl.Int64).to_numpy()
        return cls(both.select(*KEY, "seed"), values, NONE, higher_is_better, kinds, ends, units)

    def take(self, keep: pl.Series, named: frozenset[str]) -> Rows:
        """Return some of the rows."""
        at = keep.to_numpy()
        return replace(
            self,
            places=self.places.filter(keep),
            values=self.values[at],
            named=named,
            ends=_some(self.ends, at),
            units=_some(self.units, at),
        )

    @property
    def kind(self) -> str:
        """The kind of the rows' intervals: that of their metric, where these are its rows or means of them."""
        kinds = {self.kinds.get(metric, "draws") for metric in self.places["metric"].unique()}
        return kinds.pop() if self.ends is not None and len(kinds) == 1 else "draws"

    def units_of(self, at: int) -> Units:
        """Return what a row is computed from."""
        return Units() if self.units is None else Units(int(self.units[at, 0]), bool(self.units[at, 1]))

    @property
    def intervals(self) -> Floats:
        """The ends of 95% intervals, float64 (2, rows); of what is neither a row nor a mean, those of any value."""
        if self.ends is not None:
            return self.ends.T
        found = [
            intervals.of_draws(self.values[at], bootstrap.ERROR, self.units_of(at)) for at in range(len(self.values))
        ]
        ends = [[np.nan if e is None else e for e in (one.low, one.high)] for one in found]
        return np.array(ends).reshape(-1, 2).T


def _some(values: NDArray[Any] | None, at: NDArray[Any]) -> NDArray[Any] | None:
    return None if values is None else values[at]


def _fewer(one: NDArray[np.int64] | None, other: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    """Return the units of what is computed from two rows each: those of the smaller."""
    if one is None or other is None:
        return None
    return np.stack([np.minimum(one[:, 0], other[:, 0]), np.maximum(one[:, 1], other[:, 1])], axis=1)


def _least(units: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    """Return the units of what is computed from several rows, int64 (1, 2): those of the smallest."""
    return None if units is None else np.array([[units[:, 0].min(), units[:, 1].max()]])


# ------------------------------------------------------------------ expressions


def select(rows: Rows, selector: Mapping[str, Any], *, seeded: bool, free: frozenset[str] = NONE) -> Rows:
    """Return the rows that a selector names.

    Args:
        rows: all rows.
        selector: column -> value, a list of values, or None; `weights` without the dataset that was learnt from.
        seeded: rows of single training seeds, else their means (and what has no seed).
        free: of `group` and `step`, those that may have any value where the selector does not name them.

    Raises:
        NotEvaluable: a column does not exist, or no row fits.
    """
    unknown = sorted(set(selector) - set(rows.places.columns))
    if unknown:
        raise NotEvaluable(f"no column {unknown[0]!r} ({suggest(unknown[0], rows.places.columns)})")
    keep = pl.lit(value=True)
    fixed = {**{name: None for name in _PLAIN if name not in free}, **selector}
    for name in free.intersection(_PLAIN) - set(selector):
        keep &= pl.col(name).is_not_null()  # the whole is no group, and what has no step is in no stream
    for name, value in fixed.items():
        keep &= _weights(value, seeded=seeded) if name == "model" else _is(name, value)
    if "model" not in selector:
        keep &= pl.col("seed").is_not_null() if seeded else pl.col("seed").is_null()
    found = rows.take(rows.places.select(keep).to_series(), frozenset(fixed))
    if not len(found.places):
        raise NotEvaluable(f"no row has {', '.join(f'{k}={v}' for k, v in selector.items())}")
    return found


def _is(name: str, value: Any) -> pl.Expr:
    if value is None:
        return pl.col(name).is_null()
    values = value if isinstance(value, list) else [value]
    known = [float(v) for v in values] if name == "severity" else values
    return pl.col(name).is_in(known).fill_null(value=False)


def _weights(value: Any, *, seeded: bool) -> pl.Expr:
    """Match `MODEL-TRAINER`, with the dataset before it or not, and with the seed behind it or not."""
    names = value if isinstance(value, list) else [value]
    column = pl.col("model")
    if seeded:
        column = column.str.replace(r"-s\d+$", "")
    fits = column.is_in(names) | column.str.replace(r"^.*/", "").is_in(names)
    return fits & (pl.col("seed").is_not_null() if seeded else pl.lit(value=True))


def evaluate(rows: Rows, expression: Mapping[str, Any], *, seeded: bool = False, free: frozenset[str] = NONE) -> Rows:
    """Return what an expression gives: one row, or one per place that it leaves open.

    Raises:
        NotEvaluable: rows are missing, or two operands have other places.
    """
    if "metric" in expression:
        return select(rows, expression, seeded=seeded, free=free)
    name, operand, over = parts(expression)
    if name in TWO:
        one, other = (evaluate(rows, part, seeded=seeded, free=free) for part in operand)
        return _two(name, *_aligned(one, other))
    if over is None:
        return _one(name, evaluate(rows, operand, seeded=seeded, free=free))
    return _over(name, evaluate(rows, operand, seeded=seeded, free=free | {over}), over)


def _over(name: str, rows: Rows, column: str) -> Rows:
    """Combine rows that differ in one column: one row for each place that the others make."""
    if column not in rows.places.columns:
        raise NotEvaluable(f"no column {column!r} ({suggest(column, rows.places.columns)})")
    others = rows.places.drop(column)
    places = others.unique(maintain_order=True).with_row_index("place")
    at = others.join(places, on=others.columns, nulls_equal=True, maintain_order="left")["place"]
    made = [_one(name, rows.take(at == place, rows.named)) for place in range(len(places))]
    values = np.concatenate([one.values for one in made])
    combined = pl.concat([one.places for one in made])
    ends = [one.ends for one in made if one.ends is not None]
    return replace(
        rows,
        places=combined,
        values=values,
        named=rows.named | {column},
        ends=np.concatenate(ends) if ends else None,
        units=None if rows.units is None else np.concatenate([one.units for one in made]),
    )


def _aligned(one: Rows, other: Rows) -> tuple[Rows, Rows]:
    """Put two operands into one order of their places; a column that a selector fixed may differ between them.

    Raises:
        NotEvaluable: they have not the same places.
    """
    if len(one.places) == len(other.places) == 1:
        return one, other
    fixed = {n for n in one.named | other.named if not one.places[n].sort().equals(other.places[n].sort())}
    names = [n for n in one.places.columns if n not in fixed]
    orders = [rows.places.with_row_index("at").sort(names or "at") for rows in (one, other)]
    if not orders[0].select(names).equals(orders[1].select(names)):
        raise NotEvaluable(f"the operands have {len(one.places)} and {len(other.places)} places, not the same ones")
    named = one.named | other.named
    first, second = (
        replace(
            rows,
            places=rows.places[order["at"]],
            values=rows.values[order["at"].to_numpy()],
            named=named,
            ends=None,
            units=_some(rows.units, order["at"].to_numpy()),
        )
        for rows, order in zip((one, other), orders, strict=True)
    )
    return first, second


def _two(name: str, one: Rows, other: Rows) -> Rows:
    one = replace(one, units=_fewer(one.units, other.units))
    if name == "difference":
        return replace(one, values=one.values - other.values, ends=None)
    if name == "ratio":
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(other.values == 0, np.nan, one.values / other.values)
        return replace(one, values=ratio, ends=None)
    if len(one.places) < 3:
        raise NotEvaluable(f"{name} needs three places at least, found {len(one.places)}")
    correlate = _spearman if name == "spearman" else _kendall
    return _single(one, correlate(one.values, other.values))


def _one(name: str, rows: Rows) -> Rows:
    if name == "abs":
        return replace(rows, values=np.abs(rows.values), ends=None)
    values = rows.values
    if name in ("area", "slope"):
        return _single(rows, _curve(name, rows))
    if name == "cvar":
        return _single(rows, _worst(rows))
    if name == "count":
        return _single(rows, np.where(np.isnan(values).any(axis=0), np.nan, (values > 0).sum(axis=0)))
    made = _single(rows, np.asarray(getattr(np, name)(values, axis=0), dtype=np.float64))
    if name != "mean":
        return made
    return replace(made, ends=_ends_of_mean(rows, made))


def _single(rows: Rows, values: Floats) -> Rows:
    named = frozenset(rows.places.columns)
    return replace(
        rows, places=rows.places.head(1), values=values[None], named=named, ends=None, units=_least(rows.units)
    )


def _ends_of_mean(rows: Rows, mean: Rows) -> Floats | None:
    """Return the ends of a mean of rows, where their intervals are of one kind; float64 (1, 2)."""
    kinds = {rows.kinds.get(metric, "draws") for metric in rows.places["metric"].unique()}
    if rows.ends is None or len(kinds) > 1:
        return None
    return intervals.of_mean(kinds.pop(), mean.values[0], rows.ends, mean.units_of(0))[None]


def _worst(rows: Rows) -> Floats:
    """Return the mean of the worst tenth of the rows: the lowest where higher is better; NaN where any row is NaN.

    Raises:
        NotEvaluable: which direction is better is not known, or metrics differ in it.
    """
    names = rows.places["metric"].unique().sort().to_list()
    directions = {rows.higher_is_better.get(name) for name in names}
    if directions not in ({True}, {False}):
        raise NotEvaluable(f"cvar needs metrics of one direction; that of {', '.join(names)} is not")
    ordered = np.sort(rows.values, axis=0)  # NaN last
    tenth = max(1, round(TAIL * len(ordered)))
    worst = ordered[:tenth] if directions == {True} else ordered[-tenth:]
    return np.where(np.isnan(ordered[-1]), np.nan, worst.mean(axis=0))


def _curve(name: str, rows: Rows) -> Floats:
    """Area under (mean height) or least-squares slope of a curve over severity."""
    at = rows.places["severity"].cast(pl.Float64)
    if at.null_count() or at.n_unique() < len(at) or len(at) < 2:
        raise NotEvaluable(f"{name} needs rows of two severities at least, one row each")
    order = np.argsort(at.to_numpy())
    x, y = at.to_numpy()[order], rows.values[order]
    if name == "area":
        area: Floats = np.trapezoid(y, x, axis=0) / (x[-1] - x[0])
        return area
    centred = x - x.mean()
    slope: Floats = centred @ y / (centred**2).sum()
    return slope


def _spearman(one: Floats, other: Floats) -> Floats:
    a, b = (rankdata(values, axis=0, nan_policy="propagate") for values in (one, other))
    a, b = a - a.mean(axis=0), b - b.mean(axis=0)
    scale = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(scale > 0, (a * b).sum(axis=0) / scale, np.nan)


def _kendall(one: Floats, other: Floats) -> Floats:
    """Tau-b over all pairs of places, for every draw at once."""
    at, to = np.triu_indices(len(one), 1)
    a, b = np.sign(one[at] - one[to]), np.sign(other[at] - other[to])
    scale = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(scale > 0, (a * b).sum(axis=0) / scale, np.nan)


def leaves(rows: Rows, expression: Mapping[str, Any], *, seeded: bool, free: frozenset[str] = NONE) -> list[Rows]:
    """Return what each selector of an expression names."""
    if "metric" in expression:
        return [select(rows, expression, seeded=seeded, free=free)]
    _, operand, over = parts(expression)
    free |= {over} if over else NONE
    operands: Sequence[Any] = operand if isinstance(operand, list) else [operand]
    return [leaf for one in operands for leaf in leaves(rows, one, seeded=seeded, free=free)]


def extreme(
    expression: Mapping[str, Any], free: frozenset[str] = NONE
) -> tuple[str, Mapping[str, Any], frozenset[str]]:
    """Return which extreme an expression is (empty: none), of what, and the columns that this leaves open.

    The largest of largest values is the largest of all.
    """
    name = ""
    while "metric" not in expression:
        outer, operand, over = parts(expression)
        if outer not in ("max", "min") or name not in ("", outer):
            break
        name, expression = outer, operand
        free |= {over} if over else NONE
    return name, expression, free


def only(rows: Rows) -> Rows:
    """Return the one row that there is.

    Raises:
        NotEvaluable: there are several.
    """
    if len(rows.places) != 1:
        raise NotEvaluable(
            f"the value has {len(rows.places)} rows; combine them (mean, max, ...) or quantify `over` a column"
        )
    return rows


def scalar(rows: Rows) -> Floats:
    """Return the values of the one row that there is, float64 (1 + draws,), as `only` does."""
    values: Floats = only(rows).values[0]
    return values
