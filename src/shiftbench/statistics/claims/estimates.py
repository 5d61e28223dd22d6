"""The values that claims are judged from: one for each claim, or one for each value of a quantified column."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from shiftbench.base.errors import suggest
from shiftbench.statistics import intervals
from shiftbench.statistics.claims.expressions import evaluate, rows_by_selector, split_extreme
from shiftbench.statistics.claims.metric_rows import NO_COLUMNS, Floats, MetricRows, NotEvaluable, single_value
from shiftbench.statistics.claims.statements import Claim
from shiftbench.statistics.intervals import MANY, MANY_UNITS, Interval, Units


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its replicates.

    Attributes:
        values: float64 (1 + resamples,): the value, then the value under each resample.
        by_seed: float64 (seeds, 1 + resamples): the values of each training seed, or of each model, data set or shift,
            if these are the claim's units; else None.
        kind: kind of its interval, see `interval_kind`.
        units: units behind the value, of its smallest part.
        extreme: `max` or `min` of `parts`; empty if there are none.
        parts: the values of which this one is the largest or smallest.
    """

    values: Floats
    by_seed: Floats | None = None
    kind: str = "draws"
    units: Units = MANY_UNITS
    extreme: str = ""
    parts: tuple[Estimate, ...] = ()

    @property
    def smallest_units(self) -> int | None:
        """Number of units of the smallest part; None: not known."""
        counts = [part.units.count for part in self.parts or (self,)]
        return min((n for n in counts if n is not None), default=None)

    def interval(self, error: float) -> Interval:
        """Interval of the value; the error is of both sides together."""
        if self.parts:
            corrected = [part.interval(error / len(self.parts)) for part in self.parts]
            return intervals.of_extreme(self.extreme, [part.interval(error) for part in self.parts], corrected)
        if self.by_seed is not None:
            return intervals.of_seeds(self.by_seed, error, self.units, self.kind)
        return intervals.of_kind(self.kind, self.values, self.units, error)


@dataclass(frozen=True, slots=True)
class Evidence:
    """Values from which a claim is judged.

    Attributes:
        estimates: the claim's value (key None), or one for each value of the column that it is quantified over.
        gate: value and replicates of the claim's gate, float64 (1 + resamples,); None: it has no gate.
        reason: why the claim is not evaluable; empty if it is evaluable.
        note: for what the verdict holds, where the rows do not say so.
    """

    estimates: Mapping[str | None, Estimate]
    gate: Floats | None = None
    reason: str = ""
    note: str = ""


NO_EVIDENCE = Evidence({}, None, "there are no replicates of it")


def claims_of_configuration(claims: Mapping[str, Claim], configuration: str) -> dict[str, Claim]:
    """Claims that can be judged in a configuration; `smoke` rehearses those of `embedded`."""
    judged = "embedded" if configuration == "smoke" else configuration
    return {name: claim for name, claim in claims.items() if claim.scale == judged and claim.value is not None}


def evidence(claims: Mapping[str, Claim], rows: MetricRows, configuration: str = "embedded") -> dict[str, Evidence]:
    """Evidence for each claim of a configuration, by name."""
    return {name: _evidence_of(claim, rows) for name, claim in claims_of_configuration(claims, configuration).items()}


def _evidence_of(claim: Claim, rows: MetricRows) -> Evidence:
    try:
        gate = None if claim.gate is None else single_value(evaluate(rows, claim.gate["value"]))
        return Evidence(estimates(claim, rows), gate)
    except NotEvaluable as error:
        return Evidence({}, None, str(error))


def estimates(claim: Claim, rows: MetricRows) -> dict[str | None, Estimate]:
    """The claim's value (key None), or one for each value of the column that it is quantified over.

    Raises:
        NotEvaluable: rows are missing, or do not fit.
    """
    if not claim.over:
        return {None: _estimate(claim, rows)}
    open_columns = frozenset((claim.over,))
    groups = _rows_by_value(claim, rows, claim.over, open_columns)
    return {value: _estimate(claim, group, open_columns) for value, group in groups.items()}


def _estimate(claim: Claim, rows: MetricRows, open_columns: frozenset[str] = NO_COLUMNS) -> Estimate:
    """The claim's value on some rows; with another unit than `key` the mean of its values on the rows of each unit."""
    assert claim.value is not None  # noqa: S101 - judged claims have one
    if claim.unit == "key" or claim.over == "seed":
        return _estimate_of_sets(claim.value, [rows], single_seeds=claim.over == "seed", open_columns=open_columns)
    open_columns |= {claim.unit}
    units = [*_rows_by_value(claim, rows, claim.unit, open_columns).values()]
    single_seeds = claim.unit == "seed"
    return _estimate_of_sets(
        claim.value, units, single_seeds=single_seeds, open_columns=open_columns, seeds_are_units=True
    )


def _estimate_of_sets(
    expression: Mapping[str, Any],
    sets: list[MetricRows],
    *,
    single_seeds: bool,
    open_columns: frozenset[str],
    seeds_are_units: bool = False,
) -> Estimate:
    """Mean of an expression over sets of rows: the rows of each training seed, or all rows as the only set."""

    def values_of_extreme(operand: Mapping[str, Any]) -> tuple[str, list[Estimate]]:
        """Name of the extreme that an operand is, and the values among which it is; no name and one value if none."""
        name, inner, inner_columns = split_extreme(operand, open_columns)
        results = [evaluate(rows, inner, single_seeds=single_seeds, open_columns=inner_columns) for rows in sets]
        if len({len(rows.identities) for rows in results}) != 1:
            raise NotEvaluable(f"the {name} is of another number of values for some seeds")
        count = len(results[0].identities)
        return name, [_estimate_of_row(results, row, seeds_are_units=seeds_are_units) for row in range(count)]

    whole = np.stack(
        [
            single_value(evaluate(rows, expression, single_seeds=single_seeds, open_columns=open_columns))
            for rows in sets
        ]
    )
    name, parts = _extreme_of_differences(expression, values_of_extreme) or values_of_extreme(expression)
    if len(parts) == 1:
        return parts[0]
    return Estimate(whole.mean(axis=0), extreme=name, parts=tuple(parts))


def _estimate_of_row(results: list[MetricRows], row: int, *, seeds_are_units: bool) -> Estimate:
    values = np.stack([rows.values[row] for rows in results])
    units = min((rows.units_of(row) for rows in results), key=lambda one: one.count or MANY)
    by_seed = values if seeds_are_units else None
    return Estimate(values.mean(axis=0), by_seed, results[0].interval_kind, units)


_OPPOSITE = {"max": "min", "min": "max", "": ""}


def _extreme_of_differences(
    expression: Mapping[str, Any], values_of_extreme: Callable[[Mapping[str, Any]], tuple[str, list[Estimate]]]
) -> tuple[str, list[Estimate]] | None:
    """Rewrite a difference from or of an extreme as an extreme of differences: a - max(b) is the smallest a - b.

    None: the expression is no difference, has no extreme, or has one on both sides that make no common extreme
    (max - max). The last has the interval of any value, since the extremes of equal arms have equal errors.
    """
    if "difference" not in expression:
        return None
    (first_extreme, first), (second_extreme, second) = (
        values_of_extreme(operand) for operand in expression["difference"]
    )
    names = {first_extreme, _OPPOSITE[second_extreme]} - {""}
    if len(names) != 1:
        return None
    if (not first_extreme and len(first) > 1) or (not second_extreme and len(second) > 1):
        return None
    return names.pop(), [_difference(a, b) for a in first for b in second]


def _difference(one: Estimate, other: Estimate) -> Estimate:
    """Difference of two estimates; its units are those of the smaller."""
    by_seed = None if one.by_seed is None or other.by_seed is None else one.by_seed - other.by_seed
    counts = [units.count for units in (one.units, other.units) if units.count is not None]
    units = Units(min(counts, default=None), one.units.clustered or other.units.clustered)
    return Estimate(one.values - other.values, by_seed, units=units)


def _rows_by_value(claim: Claim, rows: MetricRows, column: str, open_columns: frozenset[str]) -> dict[str, MetricRows]:
    """Rows of each value of a column that all selectors of the claim leave open.

    Raises:
        NotEvaluable: there is no such column, or the selectors find different values in it.
    """
    assert claim.value is not None  # noqa: S101 - judged claims have one
    if column not in rows.identities.columns:
        raise NotEvaluable(f"no column {column!r} ({suggest(column, rows.identities.columns)})")
    single_seeds = "seed" in (column, claim.unit)
    selections = rows_by_selector(rows, claim.value, single_seeds=single_seeds, open_columns=open_columns)
    values = [frozenset(selection.identities[column].drop_nulls().to_list()) for selection in selections]
    if len(set(values)) != 1 or not values[0]:
        raise NotEvaluable(f"the operands have not the same values of {column}")
    return {
        str(value): rows.take((rows.identities[column] == value).fill_null(value=False), rows.fixed_columns)
        for value in sorted(values[0])
    }
