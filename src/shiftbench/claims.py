"""Claims: statements about metric rows, judged from stored replicates alone.

    selector -> rows -> combination -> a value under the data as they are and under every draw
             -> interval, corrected for how many claims the card makes -> verdict

| verdict | superiority, margin m | equivalence, margin m |
| --- | --- | --- |
| supported | the interval lies above m | the interval lies within (-m, m) |
| refuted | it lies below m | it lies outside |
| inconclusive | neither | neither |

Beside these: `reported` (kind `report`), `not evaluable` (rows are missing, or the gate does not hold), `not run at
this scale`. Draw i is the same resampling in every row, so any arithmetic on rows is paired. The error of a card with
m judged claims is 0.05/m for each (Bonferroni); of a claim that k of n values must fulfil, 0.05/m/(n-k+1) for each
value (partial conjunction, Benjamini and Heller 2008). Equivalence takes the interval of twice the error (two
one-sided tests).

With `unit: seed` training seeds are resampled, too: each draw weighs them by Poisson(1). With few seeds such an
interval is too short; it is still longer than one that takes the seeds as given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray
from scipy.stats import rankdata

from shiftbench import bootstrap, formats
from shiftbench.cards import TWO, Card, Claim
from shiftbench.errors import near

Floats = NDArray[np.float64]
ERROR = 0.05
TAIL = 0.1  # the share of rows that `cvar` averages
KEY = formats.METRICS.key
_PLAIN = ("group", "step")
"""Columns that are null unless a selector names them: all samples, no position of a stream."""


class NotEvaluable(Exception):
    """Rows are missing or do not fit; the message says which."""


@dataclass(frozen=True, slots=True)
class Judged:
    """A claim and what the rows say.

    Attributes:
        name, claim: as the card has it.
        verdict: see above.
        value, low, high: with the corrected interval; None where nothing was evaluated, or several values were.
        confidence: of the interval.
        parts: of a claim that is quantified: (column's value, verdict, value, low, high).
        reason: why it is not evaluable; what the gate said.
    """

    name: str
    claim: Claim
    verdict: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    parts: tuple[tuple[str, str, float, float, float], ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Rows:
    """Metric rows with their replicates.

    Attributes:
        places: the identity of each row, one row each.
        values: float64 (rows, 1 + draws): the value, then under each draw.
        named: the columns that a selector fixed, which do not tell rows apart.
    """

    places: pl.DataFrame
    values: Floats
    named: frozenset[str] = frozenset()

    @classmethod
    def of(cls, metrics: pl.DataFrame, replicates: pl.DataFrame) -> Rows:
        """Join the tables METRICS and REPLICATES of campaigns."""
        both = metrics.join(replicates, on=list(KEY), nulls_equal=True, how="inner")
        if not len(both):
            return cls(both.select(*KEY, "seed"), np.empty((0, 1)))
        draws = np.array(both["draws"].to_list(), dtype=np.float64)
        values = np.column_stack([both["value"].cast(pl.Float64).to_numpy(), draws])
        return cls(both.select(*KEY, "seed"), values)

    def take(self, keep: pl.Series, named: frozenset[str]) -> Rows:
        """Return some of the rows."""
        mask = keep.to_numpy()
        return Rows(self.places.filter(keep), self.values[mask], named)


# ------------------------------------------------------------------ expressions


def select(rows: Rows, selector: Mapping[str, Any], *, seeded: bool) -> Rows:
    """Return the rows that a selector names.

    Args:
        rows: all rows.
        selector: column -> value, a list of values, or None; `weights` without the dataset that was learnt from.
        seeded: rows of single training seeds, else their means (and what has no seed).

    Raises:
        NotEvaluable: a column does not exist, or no row fits.
    """
    unknown = sorted(set(selector) - set(rows.places.columns))
    if unknown:
        raise NotEvaluable(f"no column {unknown[0]!r} ({near(unknown[0], rows.places.columns)})")
    keep = pl.lit(value=True)
    for name, value in {**dict.fromkeys(_PLAIN), **selector}.items():
        keep &= _weights(value, seeded=seeded) if name == "weights" else _is(name, value)
    if "weights" not in selector:
        keep &= pl.col("seed").is_not_null() if seeded else pl.col("seed").is_null()
    found = rows.take(rows.places.select(keep).to_series(), frozenset((*selector, *_PLAIN)))
    if not len(found.places):
        raise NotEvaluable(f"no row has {', '.join(f'{k}={v}' for k, v in selector.items())}")
    return found


def _is(name: str, value: Any) -> pl.Expr:
    if value is None:
        return pl.col(name).is_null()
    values = value if isinstance(value, list) else [value]
    return pl.col(name).is_in([float(v) for v in values] if name == "severity" else values)


def _weights(value: Any, *, seeded: bool) -> pl.Expr:
    """Match `MODEL-TRAINER`, with the dataset before it or not, and with the seed behind it or not."""
    names = value if isinstance(value, list) else [value]
    column = pl.col("weights")
    if seeded:
        column = column.str.replace(r"-s\d+$", "")
    fits = column.is_in(names) | column.str.replace(r"^.*/", "").is_in(names)
    return fits & (pl.col("seed").is_not_null() if seeded else pl.lit(value=True))


def evaluate(rows: Rows, expression: Mapping[str, Any], *, seeded: bool = False) -> Rows:
    """Return what an expression gives: one row, or one per place that it leaves open.

    Raises:
        NotEvaluable: rows are missing, or two operands have other places.
    """
    if "metric" in expression:
        return select(rows, expression, seeded=seeded)
    ((name, operand),) = expression.items()
    if name in TWO:
        one, other = (evaluate(rows, part, seeded=seeded) for part in operand)
        return _two(name, *_aligned(one, other))
    return _one(name, evaluate(rows, operand, seeded=seeded))


def _aligned(one: Rows, other: Rows) -> tuple[Rows, Rows]:
    """Put two operands into one order of the places that neither fixed.

    Raises:
        NotEvaluable: they have not the same places.
    """
    if len(one.places) == len(other.places) == 1:
        return one, other
    names = [n for n in one.places.columns if n not in one.named | other.named]
    orders = [rows.places.with_row_index("at").sort(*names) for rows in (one, other)]
    if not orders[0].select(names).equals(orders[1].select(names)):
        raise NotEvaluable(
            f"the operands have {len(one.places)} and {len(other.places)} places, not the same ones"
        )
    named = one.named | other.named
    first, second = (
        Rows(rows.places[order["at"]], rows.values[order["at"].to_numpy()], named)
        for rows, order in zip((one, other), orders, strict=True)
    )
    return first, second


def _two(name: str, one: Rows, other: Rows) -> Rows:
    if name == "difference":
        return Rows(one.places, one.values - other.values, one.named)
    if name == "ratio":
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(other.values == 0, np.nan, one.values / other.values)
        return Rows(one.places, ratio, one.named)
    if len(one.places) < 3:
        raise NotEvaluable(f"{name} needs three places at least, found {len(one.places)}")
    correlate = _spearman if name == "spearman" else _kendall
    return _single(one, correlate(one.values, other.values))


def _one(name: str, rows: Rows) -> Rows:
    if name == "abs":
        return Rows(rows.places, np.abs(rows.values), rows.named)
    values = rows.values
    if name in ("area", "slope"):
        return _single(rows, _curve(name, rows))
    if name == "cvar":
        worst = np.sort(values, axis=0)[: max(1, round(TAIL * len(values)))]
        return _single(rows, worst.mean(axis=0))
    if name == "count":
        return _single(
            rows, np.where(np.isnan(values).any(axis=0), np.nan, (values > 0).sum(axis=0))
        )
    return _single(rows, np.asarray(getattr(np, name)(values, axis=0), dtype=np.float64))


def _single(rows: Rows, values: Floats) -> Rows:
    return Rows(rows.places.head(1), values[None], frozenset(rows.places.columns))


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


# ------------------------------------------------------------------ verdicts


def judge(card: Card, rows: Rows, scale: str = "embedded") -> list[Judged]:
    """Judge all claims of a card.

    Args:
        card: the system.
        rows: of its campaigns.
        scale: that they were run at; claims of other scales are not run.
    """
    here = [claim for claim in card.claims.values() if claim.scale == scale]
    count = sum(claim.kind not in ("report", "exact") for claim in here)
    error = ERROR / max(1, count)
    return [
        _judge(name, claim, rows, error)
        if claim.scale == scale and claim.value is not None
        else Judged(name, claim, "not run at this scale")
        for name, claim in card.claims.items()
    ]


def _judge(name: str, claim: Claim, rows: Rows, error: float) -> Judged:
    try:
        held = _gate(claim, rows)
        if held:
            return Judged(name, claim, "not evaluable", reason=held)
        if claim.over:
            return _quantified(name, claim, rows, error)
        values = _values(claim, rows)
        verdict, low, high = _verdict(claim, values, error)
    except NotEvaluable as reason:
        return Judged(name, claim, "not evaluable", reason=str(reason))
    return Judged(name, claim, verdict, float(values[0]), low, high, 1 - error)


def _gate(claim: Claim, rows: Rows) -> str:
    """Return why the gate does not hold; empty when it does, or there is none."""
    if claim.gate is None:
        return ""
    values = _scalar(evaluate(rows, claim.gate["value"]))
    low, high = _interval(values, ERROR)
    if low > claim.gate["above"]:
        return ""
    return f"the gate is {values[0]:.4g} [{low:.4g}, {high:.4g}], not above {claim.gate['above']:g}"


def _values(claim: Claim, rows: Rows) -> Floats:
    """Return the claim's value and its replicates, float64 (1 + draws,)."""
    assert claim.value is not None  # noqa: S101 - judged claims have one
    if claim.unit == "key":
        return _scalar(evaluate(rows, claim.value))
    parts = _parts(claim, rows, "seed")
    units = pa.array([f"seed {value}" for value in parts])
    weights = bootstrap.weights(units, len(next(iter(parts.values()))) - 1, 0).astype(np.float64)
    total = weights.sum(axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(
            total > 0, (weights * np.stack(list(parts.values()))).sum(axis=0) / total, np.nan
        )


def _parts(claim: Claim, rows: Rows, column: str) -> dict[str, Floats]:
    """Return the claim's value for each value of a column that all its selectors leave open."""
    assert claim.value is not None  # noqa: S101 - judged claims have one
    if column not in rows.places.columns:
        raise NotEvaluable(f"no column {column!r} ({near(column, rows.places.columns)})")
    seeded = column == "seed"
    open_ = evaluate_leaves(rows, claim.value, seeded=seeded)
    sets = [frozenset(leaf.places[column].drop_nulls().to_list()) for leaf in open_]
    if len(set(sets)) != 1 or not sets[0]:
        raise NotEvaluable(f"the operands have not the same values of {column}")
    found = {}
    for value in sorted(sets[0]):
        own = rows.take((rows.places[column] == value).fill_null(value=False), rows.named)
        found[str(value)] = _scalar(evaluate(own, claim.value, seeded=seeded))
    return found


def evaluate_leaves(rows: Rows, expression: Mapping[str, Any], *, seeded: bool) -> list[Rows]:
    """Return what each selector of an expression names."""
    if "metric" in expression:
        return [select(rows, expression, seeded=seeded)]
    ((_, operand),) = expression.items()
    operands: Sequence[Any] = operand if isinstance(operand, list) else [operand]
    return [leaf for one in operands for leaf in evaluate_leaves(rows, one, seeded=seeded)]


def _quantified(name: str, claim: Claim, rows: Rows, error: float) -> Judged:
    assert claim.over is not None  # noqa: S101 - the caller looked
    parts = _parts(claim, rows, claim.over)
    needed = {"all": len(parts), "exists": 1}.get(str(claim.quantifier), claim.quantifier)
    if not isinstance(needed, int) or needed > len(parts):
        raise NotEvaluable(f"{needed} of {len(parts)} values of {claim.over} are asked for")
    share = error / (len(parts) - needed + 1)
    judged = {value: _verdict(claim, draws, share) for value, draws in parts.items()}
    verdicts = [verdict for verdict, _, _ in judged.values()]
    if claim.kind == "report":
        verdict = "reported"
    elif verdicts.count("supported") >= needed:
        verdict = "supported"
    elif len(verdicts) - verdicts.count("refuted") < needed:
        verdict = "refuted"
    else:
        verdict = "inconclusive"
    rows_ = tuple(
        (value, one[0], float(parts[value][0]), one[1], one[2]) for value, one in judged.items()
    )
    return Judged(name, claim, verdict, confidence=1 - share, parts=rows_)


def _verdict(claim: Claim, values: Floats, error: float) -> tuple[str, float, float]:
    """Return the verdict and the interval of a value with its replicates."""
    if not np.isfinite(values[0]):
        raise NotEvaluable("the value is not defined on these rows")
    low, high = _interval(values, 2 * error if claim.kind == "equivalence" else error)
    if claim.kind == "report":
        return "reported", low, high
    if claim.kind == "exact":
        return ("supported" if values[0] == claim.margin else "refuted"), low, high
    if claim.kind == "superiority":
        return _side(low > claim.margin, high < claim.margin), low, high
    inside = -claim.margin < low and high < claim.margin
    return _side(inside, low > claim.margin or high < -claim.margin), low, high


def _side(supported: bool, refuted: bool) -> str:  # noqa: FBT001 - the two sides of one interval
    return "supported" if supported else "refuted" if refuted else "inconclusive"


def _interval(values: Floats, error: float) -> tuple[float, float]:
    """Return the percentile interval of the replicates, as `bootstrap.interval` does for 95%."""
    draws = np.sort(values[1:][~np.isnan(values[1:])])
    if len(draws) < 2:
        raise NotEvaluable("there are no replicates; set bootstrap.draws")
    skip = max(1, int(np.floor(error / 2 * len(draws) + 1e-9))) - 1
    return float(draws[skip]), float(draws[len(draws) - 1 - skip])


def _scalar(rows: Rows) -> Floats:
    if len(rows.places) != 1:
        raise NotEvaluable(
            f"the value has {len(rows.places)} rows; combine them (mean, max, ...) or quantify `over` a column"
        )
    values: Floats = rows.values[0]
    return values
