"""Evidence for claims from released rows: numbers that others measured, with what is known of their errors.

rows of format RELEASED -> MetricRows of those that expressions name -> Evidence

A model whose name ends with `-sN` is that of seed N, and the mean over seeds has its name without it, as in METRICS.
A value without an interval supports no claim about samples. It may be a unit of a claim about other seeds, models, data
sets or shifts, whose interval comes from how far the units lie apart.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shiftbench.base.errors import DataError
from shiftbench.statistics import released_rows
from shiftbench.statistics.claims import estimates
from shiftbench.statistics.claims.estimates import Estimate, Evidence
from shiftbench.statistics.claims.expressions import rows_by_selector
from shiftbench.statistics.claims.metric_rows import KEY, NO_COLUMNS, NOT_KNOWN, Floats, MetricRows, NotEvaluable
from shiftbench.statistics.claims.statements import TWO, Claim, parts

SCALE = "released"
_SEED = r"-s(\d+)$"
_ARMS = ("model", "method", "detector")
"""Columns whose values may share samples."""
_SHARED = "share samples, which nobody has: a mean of them has no interval unless they are its units"


@dataclass(frozen=True, slots=True)
class Released:
    """Released rows as claims see them: single rows, then means over seeds.

    Attributes:
        rows: of format RELEASED.
        identities: the columns of METRICS.key and `seed`, one line for each single row and each mean.
        members: for each line the indices of the rows that it is the mean of.
    """

    rows: pl.DataFrame
    identities: pl.DataFrame
    members: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, rows: pl.DataFrame) -> Released:
        """Take rows of the format RELEASED, with or without intervals."""
        single = rows.select(
            benchmark="release",
            task=pl.lit(None, pl.String),
            **{name: pl.col(name) for name in KEY if name not in ("benchmark", "task", "step")},
            step=pl.lit(None, pl.Int32),
            seed=pl.col("model").str.extract(_SEED).cast(pl.Int32),
        ).select(*KEY, "seed")
        seeded = single.with_row_index("index").filter(pl.col("seed").is_not_null())
        means = (
            seeded.with_columns(pl.col("model").str.replace(_SEED, ""))
            .group_by(KEY, maintain_order=True)
            .agg(pl.col("index"))
            .with_columns(seed=pl.lit(None, pl.Int32))
        )
        identities = pl.concat([single, means.select(*KEY, "seed")])
        members = (*((index,) for index in range(len(rows))), *(tuple(one) for one in means["index"]))
        return cls(rows, identities, members)

    def selected(
        self, expression: Mapping[str, Any], open_columns: frozenset[str] = NO_COLUMNS, *, single_seeds: bool = False
    ) -> Released:
        """The lines that an expression names, options as in `expressions.select`.

        Raises:
            NotEvaluable: no line fits.
            DataError: two of the lines are one number by their columns.
        """
        index = MetricRows(self.identities, np.arange(len(self.identities), dtype=np.float64)[:, None])
        found = rows_by_selector(index, expression, single_seeds=single_seeds, open_columns=open_columns)
        named = {int(value) for rows in found for value in rows.values[:, 0]}
        lines = sorted(named)
        kept = self.identities[lines]
        twice = kept.filter(kept.is_duplicated())
        if len(twice):
            first = ", ".join(
                f"{name} {value}" for name, value in twice.row(0, named=True).items() if value is not None
            )
            raise DataError(f"{len(twice)} released numbers of claims are not told apart by their columns: {first}")
        members = [self.members[line] for line in lines]
        used = sorted({row for rows in members for row in rows})
        place = {row: at for at, row in enumerate(used)}
        return Released(self.rows[used], kept, tuple(tuple(place[row] for row in rows) for rows in members))

    def metric_rows(self, draws: Floats) -> MetricRows:
        """Metric rows with given values.

        Args:
            draws: of each of `rows`, float64 (rows, 1 + resamples).
        """
        values = np.array([draws[list(rows)].mean(axis=0) for rows in self.members])
        has_ends = "ci_low" in self.rows.columns
        ends = self.rows.select("ci_low", "ci_high").to_numpy() if has_ends else np.full((len(self.rows), 2), np.nan)
        nothing = np.full(2, np.nan)
        own = np.array([ends[rows[0]] if len(rows) == 1 else nothing for rows in self.members]).reshape(-1, 2)
        units = np.array([[self._units(rows), 0] for rows in self.members], dtype=np.int64).reshape(-1, 2)
        return MetricRows(self.identities, values.reshape(len(self.members), draws.shape[1]), ends=own, units=units)

    def _units(self, rows: tuple[int, ...]) -> int:
        """Samples behind a line; NOT_KNOWN if its error is that of trainings, or has no number of samples."""
        part = self.rows[list(rows)]
        counts = part["n"].to_list()
        by_seeds = bool(part.select(released_rows.BY_SEEDS).to_series().any())
        return NOT_KNOWN if by_seeds or None in counts else min(counts)


def evidence(claims: Mapping[str, Claim], rows: pl.DataFrame, resamples: int, seed: int) -> dict[str, Evidence]:
    """Evidence for the claims of the scale `released`, by name.

    Args:
        claims: of a card, by name.
        rows: of the format RELEASED.
        resamples: number of draws.
        seed: of the run.
    """
    known = Released.of(rows)
    judged = estimates.claims_of_configuration(claims, SCALE)
    return {name: _evidence(claim, known, resamples, seed) for name, claim in judged.items()}


def _evidence(claim: Claim, known: Released, resamples: int, seed: int) -> Evidence:
    assert claim.value is not None  # noqa: S101 - judged claims have one
    over_units = claim.unit != "key"
    open_columns = frozenset(filter(None, (claim.over, claim.unit if over_units else None)))
    try:
        used = known.selected(claim.value, open_columns, single_seeds="seed" in open_columns)
    except NotEvaluable as error:
        return Evidence({}, None, str(error))
    draws = released_rows.draws(used.rows, resamples, seed)
    unknown: NDArray[np.bool_] = np.asarray(np.isnan(draws[:, 1:]).all(axis=1))
    if over_units:
        draws[unknown, 1:] = draws[unknown, :1]
    try:
        found = estimates.estimates(claim, used.metric_rows(draws))
    except NotEvaluable as error:
        return Evidence({}, None, str(error))
    if not over_units and claim.kind != "report":
        if unknown.any():
            return Evidence({}, None, _no_interval(unknown))
        if column := _column_of_shared_samples(claim.value, used, open_columns):
            return Evidence({}, None, f"numbers of several {column}s {_SHARED}")
    return Evidence(found, None, "", _scope(claim, found, used.rows, unknown))


def _column_of_shared_samples(expression: Mapping[str, Any], known: Released, open_columns: frozenset[str]) -> str:
    """The column in which numbers differ that one combination makes of the same samples; empty if there are none.

    Their errors are not independent, and nobody has the samples: an interval from their draws would be too narrow.
    """
    if "metric" in expression:
        return ""
    name, operand, over = parts(expression)
    if name in TWO:
        return next(filter(None, (_column_of_shared_samples(side, known, open_columns) for side in operand)), "")
    if "metric" not in operand:
        return _column_of_shared_samples(operand, known, open_columns | ({over} if over else set()))
    lines = known.selected(operand, open_columns | ({over} if over else set()))
    units = lines.metric_rows(released_rows.draws(lines.rows, 1, 0)).units
    counted = lines.identities.filter(pl.Series(units[:, 0] != NOT_KNOWN)) if units is not None else lines.identities
    own = {over} if over else set(_ARMS)
    return next((column for column in _ARMS if column in own and counted.drop(column).is_duplicated().any()), "")


def _no_interval(unknown: NDArray[np.bool_]) -> str:
    return (
        f"no interval can be had: of {int(unknown.sum())} of its {len(unknown)} numbers neither a spread over "
        f"{released_rows.FEWEST_SEEDS} seeds or more nor the number of samples is known"
    )


def _scope(claim: Claim, found: Mapping[str | None, Estimate], rows: pl.DataFrame, unknown: NDArray[np.bool_]) -> str:
    """For what a verdict holds."""
    if claim.unit != "key":
        counts = {len(one.by_seed) for one in found.values() if one.by_seed is not None}
        noun = {"dataset": "data set"}.get(claim.unit, claim.unit)
        return f"these released numbers, with {' or '.join(map(str, sorted(counts)))} {noun}s as units"
    by_seeds = rows.select(released_rows.BY_SEEDS).to_series().to_numpy()
    texts = []
    if by_seeds.any():
        texts.append(f"means of {_range(rows.filter(by_seeds)['seeds'])} seeds each, as printed")
    if (~by_seeds & ~unknown).any():
        texts.append(f"shares of {_range(rows.filter(~by_seeds & ~unknown)['n'])} samples each")
    if unknown.any():
        texts.append("no interval can be had of them" if unknown.all() else "the others have no interval")
    return f"these released numbers: {'; '.join(texts)}"


def _range(counts: pl.Series) -> str:
    low, high = int(min(counts)), int(max(counts))
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def widened(rows: pl.DataFrame, half_units: Floats) -> Floats:
    """Values of rows, and with one row after the other moved by its rounding, float64 (rows, 1 + rows).

    The sum of the moves of an expression's value is how far the rounding of its terms may take it.
    """
    values = np.repeat(rows["value"].to_numpy()[:, None], 1 + len(rows), axis=1)
    values[np.arange(len(rows)), 1 + np.arange(len(rows))] += half_units
    return values
