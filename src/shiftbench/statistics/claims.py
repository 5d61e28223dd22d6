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

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from shiftbench.errors import near
from shiftbench.statistics import bootstrap
from shiftbench.statistics.expressions import (
    Floats,
    NotEvaluable,
    Rows,
    evaluate,
    leaves,
    scalar,
)
from shiftbench.statistics.statements import Claim

ERROR = 0.05


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


def judge(claims: Mapping[str, Claim], rows: Rows, scale: str = "embedded") -> list[Judged]:
    """Judge all claims of a card.

    Args:
        claims: of the card, by name.
        rows: of its campaigns.
        scale: that they were run at; claims of other scales are not run, but `smoke` rehearses those of `embedded`.
    """
    wanted = "embedded" if scale == "smoke" else scale
    here = [claim for claim in claims.values() if claim.scale == wanted]
    count = sum(claim.kind not in ("report", "exact") for claim in here)
    error = ERROR / max(1, count)
    return [
        _judge(name, claim, rows, error)
        if claim.scale == wanted and claim.value is not None
        else Judged(name, claim, "not run at this scale")
        for name, claim in claims.items()
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
    values = scalar(evaluate(rows, claim.gate["value"]))
    low, high = _interval(values, ERROR)
    if low > claim.gate["above"]:
        return ""
    return f"the gate is {values[0]:.4g} [{low:.4g}, {high:.4g}], not above {claim.gate['above']:g}"


def _values(claim: Claim, rows: Rows) -> Floats:
    """Return the claim's value and its replicates, float64 (1 + draws,)."""
    assert claim.value is not None  # noqa: S101 - judged claims have one
    if claim.unit == "key":
        return scalar(evaluate(rows, claim.value))
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
    seeded, free = column == "seed", frozenset((column,))
    open_ = leaves(rows, claim.value, seeded=seeded, free=free)
    sets = [frozenset(leaf.places[column].drop_nulls().to_list()) for leaf in open_]
    if len(set(sets)) != 1 or not sets[0]:
        raise NotEvaluable(f"the operands have not the same values of {column}")
    found = {}
    for value in sorted(sets[0]):
        own = rows.take((rows.places[column] == value).fill_null(value=False), rows.named)
        found[str(value)] = scalar(evaluate(own, claim.value, seeded=seeded, free=free))
    return found


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
