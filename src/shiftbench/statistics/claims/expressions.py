"""Expressions over metric rows: selectors and the closed set of combinations, under every resample at once.

`evaluate` walks an expression. A selector gives rows (`select`). A combination of one operand (`mean`, `max`, `area`,
...) makes one row of all its rows, or one row for each identity that remains without the column named by `over`.
A combination of two operands (`difference`, `ratio`, `spearman`, `kendall`) pairs their rows by identity.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from scipy.stats import rankdata

from shiftbench.base.errors import suggest
from shiftbench.statistics import intervals
from shiftbench.statistics.claims.metric_rows import NO_COLUMNS, Floats, MetricRows, NotEvaluable, take_rows
from shiftbench.statistics.claims.statements import TWO, parts

TAIL = 0.1  # the share of rows that `cvar` averages
_NULL_COLUMNS = ("group", "step")
"""Columns that must be null unless a selector names them: all samples of a set, outside of a stream."""


def evaluate(
    rows: MetricRows,
    expression: Mapping[str, Any],
    *,
    single_seeds: bool = False,
    open_columns: frozenset[str] = NO_COLUMNS,
) -> MetricRows:
    """Rows that an expression gives: one, or one for each identity that it leaves open; options as in `select`.

    Raises:
        NotEvaluable: rows are missing, or two operands have different identities.
    """
    if "metric" in expression:
        return select(rows, expression, single_seeds=single_seeds, open_columns=open_columns)
    name, operand, over = parts(expression)
    if name in TWO:
        first, second = (evaluate(rows, side, single_seeds=single_seeds, open_columns=open_columns) for side in operand)
        return _combine_two(name, *_align(first, second))
    if over is None:
        return _combine_one(name, evaluate(rows, operand, single_seeds=single_seeds, open_columns=open_columns))
    open_columns |= {over}
    return _combine_over(name, evaluate(rows, operand, single_seeds=single_seeds, open_columns=open_columns), over)


# ------------------------------------------------------------------ selectors


def select(
    rows: MetricRows, selector: Mapping[str, Any], *, single_seeds: bool, open_columns: frozenset[str] = NO_COLUMNS
) -> MetricRows:
    """Rows that a selector names.

    Args:
        rows: all rows.
        selector: column -> value, list of values, or None; `model` with or without the training set before it.
        single_seeds: select rows of single training seeds; else their means, and rows without a seed.
        open_columns: columns that combine or quantify. `group` and `step` among them may have any value but null.

    Raises:
        NotEvaluable: a column does not exist, or no row fits.
    """
    unknown = sorted(set(selector) - set(rows.identities.columns))
    if unknown:
        raise NotEvaluable(f"no column {unknown[0]!r} ({suggest(unknown[0], rows.identities.columns)})")
    keep = pl.lit(value=True)
    fixed = {**{name: None for name in _NULL_COLUMNS if name not in open_columns}, **selector}
    for name in open_columns.intersection(_NULL_COLUMNS) - set(selector):
        keep &= pl.col(name).is_not_null()  # all samples are no group, and rows without a step are in no stream
    for name, value in fixed.items():
        keep &= _model_matches(value, single_seeds=single_seeds) if name == "model" else _equals(name, value)
    if "model" not in selector:
        keep &= pl.col("seed").is_not_null() if single_seeds else pl.col("seed").is_null()
    selection = rows.take(rows.identities.select(keep).to_series(), frozenset(fixed))
    if not len(selection.identities):
        raise NotEvaluable(f"no row has {', '.join(f'{k}={v}' for k, v in selector.items())}{_present(rows, selector)}")
    return selection


def _present(rows: MetricRows, selector: Mapping[str, Any]) -> str:
    """The values of the first column of a selector that no row matches; empty if it is their combination."""
    for name, value in selector.items():
        matches = _model_matches(value, single_seeds=False) if name == "model" else _equals(name, value)
        if not rows.identities.select(matches).to_series().any():
            column = rows.identities[name]
            if name == "model":
                column = column.filter(rows.identities["seed"].is_null())
            known = column.drop_nulls().unique().sort().to_list()[:20]
            return f"; {name} has the values {', '.join(f'{one}' for one in known) or 'null alone'}"
    return ""


def _equals(name: str, value: Any) -> pl.Expr:
    if value is None:
        return pl.col(name).is_null()
    values = value if isinstance(value, list) else [value]
    if name == "severity":
        values = [float(v) for v in values]
    return pl.col(name).is_in(values).fill_null(value=False)


def _model_matches(value: Any, *, single_seeds: bool) -> pl.Expr:
    """Match `ARCHITECTURE-TRAINER`, with or without the training set before it and the seed after it."""
    names = value if isinstance(value, list) else [value]
    column = pl.col("model")
    if single_seeds:
        column = column.str.replace(r"-s\d+$", "")
    matches = column.is_in(names) | column.str.replace(r"^.*/", "").is_in(names)
    return matches & (pl.col("seed").is_not_null() if single_seeds else pl.lit(value=True))


# ------------------------------------------------------------------ combinations of one operand


def _combine_over(name: str, rows: MetricRows, column: str) -> MetricRows:
    """Combine rows that differ in one column: one row for each identity that the other columns make."""
    if column not in rows.identities.columns:
        raise NotEvaluable(f"no column {column!r} ({suggest(column, rows.identities.columns)})")
    others = rows.identities.drop(column)
    distinct = others.unique(maintain_order=True).with_row_index("number")
    numbers = others.join(distinct, on=others.columns, nulls_equal=True, maintain_order="left")["number"]
    combined = [_combine_one(name, rows.take(numbers == n, rows.fixed_columns)) for n in range(len(distinct))]
    ends = [row.ends for row in combined if row.ends is not None]
    return replace(
        rows,
        identities=pl.concat([row.identities for row in combined]),
        values=np.concatenate([row.values for row in combined]),
        fixed_columns=rows.fixed_columns | {column},
        ends=np.concatenate(ends) if ends else None,
        units=None if rows.units is None else np.concatenate([row.units for row in combined]),
    )


def _combine_one(name: str, rows: MetricRows) -> MetricRows:
    values = rows.values
    if name == "abs":
        return replace(rows, values=np.abs(values), ends=None)
    if name in ("area", "slope"):
        return _one_row(rows, _curve(name, rows))
    if name == "cvar":
        return _one_row(rows, _worst_tenth(rows))
    if name == "count":
        return _one_row(rows, np.where(np.isnan(values).any(axis=0), np.nan, (values > 0).sum(axis=0)))
    combined = _one_row(rows, np.asarray(getattr(np, name)(values, axis=0), dtype=np.float64))
    return replace(combined, ends=_mean_ends(rows, combined)) if name == "mean" else combined


def _one_row(rows: MetricRows, values: Floats) -> MetricRows:
    """A row computed from several; its units are those of the smallest."""
    return replace(
        rows,
        identities=rows.identities.head(1),
        values=values[None],
        fixed_columns=frozenset(rows.identities.columns),
        ends=None,
        units=None if rows.units is None else np.array([[rows.units[:, 0].min(), rows.units[:, 1].max()]]),
    )


def _mean_ends(rows: MetricRows, mean: MetricRows) -> Floats | None:
    """Ends of the interval of a mean, float64 (1, 2); None if the rows' intervals are of several kinds."""
    kinds = rows.interval_kinds
    if rows.ends is None or len(kinds) > 1:
        return None
    return intervals.of_mean(kinds.pop(), mean.values[0], rows.ends, mean.units_of(0))[None]


def _worst_tenth(rows: MetricRows) -> Floats:
    """Mean of the worst tenth of the rows: the lowest if higher is better; NaN if any row is NaN.

    Raises:
        NotEvaluable: the better direction is not known, or metrics differ in it.
    """
    names = rows.identities["metric"].unique().sort().to_list()
    directions = {rows.higher_is_better.get(name) for name in names}
    if directions not in ({True}, {False}):
        raise NotEvaluable(f"cvar needs metrics of one direction; that of {', '.join(names)} is not")
    ordered = np.sort(rows.values, axis=0)  # NaN last
    tenth = max(1, round(TAIL * len(ordered)))
    worst = ordered[:tenth] if directions == {True} else ordered[-tenth:]
    return np.where(np.isnan(ordered[-1]), np.nan, worst.mean(axis=0))


def _curve(name: str, rows: MetricRows) -> Floats:
    """Area under (mean height) or least-squares slope of a curve over severity."""
    severity = rows.identities["severity"].cast(pl.Float64)
    if severity.null_count() or severity.n_unique() < len(severity) or len(severity) < 2:
        raise NotEvaluable(f"{name} needs rows of two severities at least, one row each")
    order = np.argsort(severity.to_numpy())
    x, y = severity.to_numpy()[order], rows.values[order]
    if name == "area":
        area: Floats = np.trapezoid(y, x, axis=0) / (x[-1] - x[0])
        return area
    centred = x - x.mean()
    slope: Floats = centred @ y / (centred**2).sum()
    return slope


# ------------------------------------------------------------------ combinations of two operands


def _align(first: MetricRows, second: MetricRows) -> tuple[MetricRows, MetricRows]:
    """Sort two operands by identity; columns that a selector fixed may differ between them.

    Raises:
        NotEvaluable: their identities differ.
    """
    if len(first.identities) == len(second.identities) == 1:
        return first, second
    fixed_columns = first.fixed_columns | second.fixed_columns
    different = {
        name for name in fixed_columns if not first.identities[name].sort().equals(second.identities[name].sort())
    }
    names = [name for name in first.identities.columns if name not in different]
    orders = [rows.identities.with_row_index("row").sort(names or "row") for rows in (first, second)]
    if not orders[0].select(names).equals(orders[1].select(names)):
        raise NotEvaluable(
            f"the operands have {len(first.identities)} and {len(second.identities)} places, not the same ones"
        )
    aligned_first, aligned_second = (
        replace(
            rows,
            identities=rows.identities[order["row"]],
            values=rows.values[order["row"].to_numpy()],
            fixed_columns=fixed_columns,
            ends=None,
            units=take_rows(rows.units, order["row"].to_numpy()),
        )
        for rows, order in zip((first, second), orders, strict=True)
    )
    return aligned_first, aligned_second


def _combine_two(name: str, first: MetricRows, second: MetricRows) -> MetricRows:
    first = replace(first, units=_smaller_units(first.units, second.units))
    if name == "difference":
        return replace(first, values=first.values - second.values, ends=None)
    if name == "ratio":
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(second.values == 0, np.nan, first.values / second.values)
        return replace(first, values=ratio, ends=None)
    if len(first.identities) < 3:
        raise NotEvaluable(f"{name} needs three places at least, found {len(first.identities)}")
    correlation = _spearman if name == "spearman" else _kendall
    return _one_row(first, correlation(first.values, second.values))


def _smaller_units(first: NDArray[np.int64] | None, second: NDArray[np.int64] | None) -> NDArray[np.int64] | None:
    """Units of values computed from two rows each: those of the smaller row."""
    if first is None or second is None:
        return None
    return np.stack([np.minimum(first[:, 0], second[:, 0]), np.maximum(first[:, 1], second[:, 1])], axis=1)


def _spearman(first: Floats, second: Floats) -> Floats:
    a, b = (rankdata(values, axis=0, nan_policy="propagate") for values in (first, second))
    return _correlation(a - a.mean(axis=0), b - b.mean(axis=0))


def _kendall(first: Floats, second: Floats) -> Floats:
    """Tau-b over all pairs of rows, for every resample at once."""
    i, j = np.triu_indices(len(first), 1)
    return _correlation(np.sign(first[i] - first[j]), np.sign(second[i] - second[j]))


def _correlation(a: Floats, b: Floats) -> Floats:
    """Cosine of the angle between the columns of two arrays; NaN if a column is 0."""
    norm = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(norm > 0, (a * b).sum(axis=0) / norm, np.nan)


# ------------------------------------------------------------------ parts of an expression


def rows_by_selector(
    rows: MetricRows, expression: Mapping[str, Any], *, single_seeds: bool, open_columns: frozenset[str] = NO_COLUMNS
) -> list[MetricRows]:
    """Rows that each selector of an expression names."""
    if "metric" in expression:
        return [select(rows, expression, single_seeds=single_seeds, open_columns=open_columns)]
    _, operand, over = parts(expression)
    open_columns |= {over} if over else NO_COLUMNS
    operands: Sequence[Any] = operand if isinstance(operand, list) else [operand]
    return [
        selection
        for side in operands
        for selection in rows_by_selector(rows, side, single_seeds=single_seeds, open_columns=open_columns)
    ]


def split_extreme(
    expression: Mapping[str, Any], open_columns: frozenset[str] = NO_COLUMNS
) -> tuple[str, Mapping[str, Any], frozenset[str]]:
    """Name of the extreme that an expression is (`max`, `min` or empty), its operand, and the operand's open columns.

    Nested extremes of one name are one extreme: the largest of largest values is the largest of all.
    """
    name = ""
    while "metric" not in expression:
        outer, operand, over = parts(expression)
        if outer not in ("max", "min") or name not in ("", outer):
            break
        name, expression = outer, operand
        open_columns |= {over} if over else NO_COLUMNS
    return name, expression, open_columns
