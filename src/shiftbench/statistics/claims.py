"""Claims: statements about metric rows, judged from stored replicates alone.

    selector -> rows -> combination -> a value under the data as they are and under every draw
             -> interval, corrected for how many claims the card makes -> verdict

| verdict | superiority, margin m | equivalence, margin m |
| --- | --- | --- |
| supported | the interval lies above m | the interval lies within (-m, m) |
| refuted | it lies below m | it lies outside |
| inconclusive | neither, or too few draws or seeds for the interval | the same |

Beside these: `reported` (kind `report`), `not evaluable` (rows are missing, or the gate does not hold), `not run at
this scale`. Draw i is the same resampling in every row, so any arithmetic on rows is paired. The error of a card with
m judged claims is 0.05/m for each, and where d of them are decided 0.05/(m-d) for the others, until none is decided
any more (Holm 1979, "A simple sequentially rejective multiple test procedure"). A claim of error e that k of n values
must fulfil is supported when k of them are, each at e/(n-k+1), and refuted when n-k+1 of them are, each at e/k (partial
conjunction, Benjamini and Heller 2008, and the same of its contrary). Equivalence takes the interval of twice the error
(two one-sided tests, Schuirmann 1987), and that is the interval which is printed.

With `unit: seed` training seeds are units, too: the claim is of new training runs, see `intervals.of_seeds`. Without it
the claim is of these models. A card whose claims were judged before, with other seeds or samples, says how often it was
looked at (`looks`): each look has its share of the error (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from shiftbench.base.errors import suggest
from shiftbench.statistics import intervals
from shiftbench.statistics.expressions import NONE, Floats, NotEvaluable, Rows, evaluate, extreme, leaves, scalar
from shiftbench.statistics.intervals import MANY, MANY_UNITS, Interval, Units
from shiftbench.statistics.statements import Claim

ERROR = 0.05
_DECIDED = ("supported", "refuted")


@dataclass(frozen=True, slots=True)
class Judged:
    """A claim, or one of the values that it is quantified over, and what the rows say.

    Attributes:
        name, claim: as the card has it.
        verdict: see above.
        value, low, high: with the interval that decided; None where nothing was evaluated, or several values were.
        confidence: of the interval; of a quantified claim, that by which its values are supported.
        seeds: training seeds that are units of the interval; None: samples alone are.
        units: what is resampled of the smallest row that the value is made of: samples or clusters; None: not known.
        reason: why it is not evaluable or inconclusive, and what a reader has to know of the interval.
        part: the column's value that a part is of; None: the claim itself.
        parts: of a claim that is quantified.
    """

    name: str
    claim: Claim
    verdict: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    confidence: float | None = None
    seeds: int | None = None
    units: int | None = None
    reason: str = ""
    part: str | None = None
    parts: tuple[Judged, ...] = ()


@dataclass(frozen=True, slots=True)
class Estimate:
    """A value with its replicates.

    Attributes:
        values: float64 (1 + draws,).
        by_seed: with seeds as units, those of each, float64 (seeds, 1 + draws).
        kind: of its interval, see `interval_kind`.
        units: what it is computed from, of the smallest part.
        extreme: `max` or `min`, of the parts.
        parts: of a largest or smallest value, those among which it is.
    """

    values: Floats
    by_seed: Floats | None = None
    kind: str = "draws"
    units: Units = MANY_UNITS
    extreme: str = ""
    parts: tuple[Estimate, ...] = ()

    @property
    def least(self) -> int | None:
        """The units of the smallest part; None: not known."""
        counts = [one.units.count for one in self.parts or (self,)]
        return min((n for n in counts if n is not None), default=None)

    def interval(self, error: float) -> Interval:
        """Return its interval, see `intervals`."""
        if self.parts:
            sure = [one.interval(error / len(self.parts)) for one in self.parts]
            return intervals.of_extreme(self.extreme, [one.interval(error) for one in self.parts], sure)
        if self.by_seed is not None:
            return intervals.of_seeds(self.by_seed, error, self.units, self.kind)
        return intervals.of_kind(self.kind, self.values, self.units, error)


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a claim is judged from.

    Attributes:
        estimates: of its value; of a quantified claim, by the values of its column.
        gate: value and replicates of what must hold first, float64 (1 + draws,); None: nothing must.
        lacking: why it is not evaluable; empty where it is.
    """

    estimates: Mapping[str | None, Estimate]
    gate: Floats | None = None
    lacking: str = ""


UNKNOWN = Evidence({}, None, "there are no replicates of it")


def judge(claims: Mapping[str, Claim], rows: Rows, scale: str = "embedded", looks: int = 1) -> list[Judged]:
    """Judge all claims of a card by the rows of its benchmarks, see `judge_evidence`."""
    return judge_evidence(claims, evidence(claims, rows, scale), scale, looks)


def evidence(claims: Mapping[str, Claim], rows: Rows, scale: str = "embedded") -> dict[str, Evidence]:
    """Return what the claims of a scale are judged from, by name."""
    return {name: _evidence(claim, rows) for name, claim in of_scale(claims, scale).items()}


def of_scale(claims: Mapping[str, Claim], scale: str) -> dict[str, Claim]:
    """Return the claims that can be judged at a scale; `smoke` rehearses those of `embedded`."""
    wanted = "embedded" if scale == "smoke" else scale
    return {name: claim for name, claim in claims.items() if claim.scale == wanted and claim.value is not None}


def _evidence(claim: Claim, rows: Rows) -> Evidence:
    try:
        gate = None if claim.gate is None else scalar(evaluate(rows, claim.gate["value"]))
        return Evidence(estimates(claim, rows), gate)
    except NotEvaluable as reason:
        return Evidence({}, None, str(reason))


def judge_evidence(
    claims: Mapping[str, Claim], known: Mapping[str, Evidence], scale: str = "embedded", looks: int = 1
) -> list[Judged]:
    """Judge all claims of a card.

    Args:
        claims: of the card, by name.
        known: what they are judged from, by name; a claim that is not there is not evaluable.
        scale: that they were run at; claims of other scales are not run.
        looks: how often they were judged at this scale, this time included.
    """
    here = of_scale(claims, scale)
    found = {name: Judged(name, claim, "not run at this scale") for name, claim in claims.items()}
    tested = [name for name, claim in here.items() if claim.kind != "report"]
    todo, decided = list(here), 0
    while todo:
        error = share_of_error(len(tested) - decided, looks)
        found |= {name: _judge(Judged(name, here[name], ""), known.get(name, UNKNOWN), error) for name in todo}
        new = [name for name in todo if name in tested and found[name].verdict in _DECIDED]
        decided += len(new)
        todo = [name for name in todo if new and name in tested and name not in new]
    return list(found.values())


def share_of_error(judged: int, looks: int) -> float:
    """Return the error of each of a card's claims, of which `judged` are not decided yet."""
    return ERROR / looks / max(1, judged)


def _judge(asked: Judged, known: Evidence, error: float) -> Judged:
    reason = known.lacking or _gate(asked.claim, known.gate)
    if reason:
        return replace(asked, verdict="not evaluable", reason=reason)
    try:
        if asked.claim.over:
            return _quantified(asked, known.estimates, error)
        return _verdict(asked, known.estimates[None], error, error)
    except NotEvaluable as why:
        return replace(asked, verdict="not evaluable", reason=str(why))


def _gate(claim: Claim, values: Floats | None) -> str:
    """Return why the gate does not hold; empty when it does, or there is none."""
    if claim.gate is None or values is None:
        return ""
    found, above = intervals.of_draws(values, ERROR), claim.gate["above"]
    if found.low is not None and found.low > above and not found.doubt:
        return ""
    ends = "" if found.low is None else f" [{found.low:.4g}, {found.high:.4g}]"
    said = f"the gate is {values[0]:.4g}{ends}, not above {above:g}"
    return f"{said}: {found.doubt}" if found.doubt else said


def estimates(claim: Claim, rows: Rows) -> dict[str | None, Estimate]:
    """Return the claim's value; of a quantified claim, for each value of its column.

    Raises:
        NotEvaluable: rows are missing, or do not fit.
    """
    if not claim.over:
        return {None: _estimate(claim, rows)}
    free = frozenset((claim.over,))
    split = _split(claim, rows, claim.over, free)
    return {value: _estimate(claim, own, free) for value, own in split.items()}


def _estimate(claim: Claim, rows: Rows, free: frozenset[str] = NONE) -> Estimate:
    """Return the claim's value.

    Args:
        claim: with `unit: seed` its value is the mean over seeds of the value of each.
        rows: of one value of the column that the claim is quantified over, if it is.
        free: that column.
    """
    assert claim.value is not None  # noqa: S101 - judged claims have one
    seeded = claim.over == "seed"
    if claim.unit == "key" or seeded:
        return _of(claim.value, [rows], seeded=seeded, free=free)
    free |= {"seed"}
    own = [*_split(claim, rows, "seed", free).values()]
    return _of(claim.value, own, seeded=True, free=free, of_seeds=True)


def _of(
    expression: Mapping[str, Any], sets: list[Rows], *, seeded: bool, free: frozenset[str], of_seeds: bool = False
) -> Estimate:
    """Return what an expression gives on the rows of each training seed, or on all rows."""
    whole = np.stack([scalar(evaluate(rows, expression, seeded=seeded, free=free)) for rows in sets])

    def parts_of(operand: Mapping[str, Any]) -> tuple[str, list[Estimate]]:
        """Return which extreme an operand is (empty: none), and the values of which it is the extreme."""
        name, inner, open_ = extreme(operand, free)
        found = [evaluate(rows, inner, seeded=seeded, free=open_) for rows in sets]
        if len({len(one.places) for one in found}) != 1:
            raise NotEvaluable(f"the {name} is of another number of values for some seeds")
        return name, [_row(found, at, of_seeds=of_seeds) for at in range(len(found[0].places))]

    name, parts = _of_difference(expression, parts_of) or parts_of(expression)
    if len(parts) == 1:
        return parts[0]
    return Estimate(whole.mean(axis=0), extreme=name, parts=tuple(parts))


_CONTRARY = {"max": "min", "min": "max", "": ""}


def _of_difference(
    expression: Mapping[str, Any], parts_of: Callable[[Mapping[str, Any]], tuple[str, list[Estimate]]]
) -> tuple[str, list[Estimate]] | None:
    """Return a difference from or of an extreme as an extreme of differences: a - max(b) is the smallest a - b.

    None: it is no difference, has no extreme, or has one on both sides that make no common extreme (max - max). Of
    these the interval is that of any value, since the extremes of equal arms err alike.
    """
    if "difference" not in expression:
        return None
    (one, first), (other, second) = (parts_of(operand) for operand in expression["difference"])
    names = {one, _CONTRARY[other]} - {""}
    if len(names) != 1:
        return None
    if (not one and len(first) > 1) or (not other and len(second) > 1):
        return None
    return names.pop(), [_minus(a, b) for a in first for b in second]


def _minus(one: Estimate, other: Estimate) -> Estimate:
    by_seed = None if one.by_seed is None or other.by_seed is None else one.by_seed - other.by_seed
    return Estimate(one.values - other.values, by_seed, units=_smaller(one.units, other.units))


def _smaller(one: Units, other: Units) -> Units:
    counts = [units.count for units in (one, other) if units.count is not None]
    return Units(min(counts, default=None), one.clustered or other.clustered)


def _row(found: list[Rows], at: int, *, of_seeds: bool) -> Estimate:
    values = np.stack([one.values[at] for one in found])
    units = min((one.units_of(at) for one in found), key=lambda one: one.count or MANY)
    by_seed = values if of_seeds else None
    return Estimate(values.mean(axis=0), by_seed, found[0].kind, units)


def _split(claim: Claim, rows: Rows, column: str, free: frozenset[str]) -> dict[str, Rows]:
    """Return the rows of each value of a column that all of the claim's selectors leave open."""
    assert claim.value is not None  # noqa: S101 - judged claims have one
    if column not in rows.places.columns:
        raise NotEvaluable(f"no column {column!r} ({suggest(column, rows.places.columns)})")
    seeded = "seed" in (column, claim.unit)
    open_ = leaves(rows, claim.value, seeded=seeded, free=free)
    sets = [frozenset(leaf.places[column].drop_nulls().to_list()) for leaf in open_]
    if len(set(sets)) != 1 or not sets[0]:
        raise NotEvaluable(f"the operands have not the same values of {column}")
    return {
        str(value): rows.take((rows.places[column] == value).fill_null(value=False), rows.named)
        for value in sorted(sets[0])
    }


def _quantified(asked: Judged, found: Mapping[str | None, Estimate], error: float) -> Judged:
    claim, n = asked.claim, len(found)
    k = {"all": n, "exists": 1}.get(str(claim.quantifier), claim.quantifier)
    if not isinstance(k, int) or k > n:
        raise NotEvaluable(f"{k} of {n} values of {claim.over} are asked for")
    support, refutation = error / (n - k + 1), error / k
    parts = tuple(
        _verdict(replace(asked, part=value), estimate, support, refutation) for value, estimate in found.items()
    )
    verdicts = [part.verdict for part in parts]
    verdict, reason = "inconclusive", ""
    if claim.kind == "report":
        verdict = "reported"
    elif verdicts.count("supported") >= k:
        verdict = "supported"
    elif verdicts.count("refuted") > n - k:
        verdict = "refuted"
    else:
        doubts = (part.reason for part in parts if part.verdict == "inconclusive")
        reason = next(filter(None, doubts), "")
    sides = 2 if claim.kind == "equivalence" else 1
    sure = parts[0].confidence if claim.kind == "report" else 1 - sides * support
    units = min((one.units for one in parts if one.units is not None), default=None)
    of = replace(asked, seeds=parts[0].seeds, units=units)
    return replace(of, verdict=verdict, confidence=sure, reason=reason, parts=parts)


def _verdict(asked: Judged, estimate: Estimate, support: float, refutation: float) -> Judged:
    """Return the verdict of a value, with the interval that decided it.

    Args:
        asked: the claim.
        estimate: its value.
        support: error with which it may be called supported; where nothing decides, this interval is shown.
        refutation: error with which it may be called refuted.
    """
    claim, value = asked.claim, float(estimate.values[0])
    if not np.isfinite(value):
        raise NotEvaluable("the value is not defined on these rows")
    seeds = None if estimate.by_seed is None else len(estimate.by_seed)
    asked = replace(asked, value=value, seeds=seeds, units=estimate.least)
    if claim.kind == "report":
        shown = estimate.interval(ERROR)
        return _with(asked, "reported", shown, ERROR, shown.doubt)
    sides = 2 if claim.kind == "equivalence" else 1
    support, refutation = sides * support, sides * refutation
    found = {error: estimate.interval(error) for error in {support, refutation}}
    for verdict, error in (("supported", support), ("refuted", refutation)):
        if not found[error].doubt and _side(claim, found[error]) == verdict:
            return _with(asked, verdict, found[error], error)
    doubt = found[min(support, refutation)].doubt
    return _with(asked, "inconclusive", found[support], support, doubt)


def _with(asked: Judged, verdict: str, found: Interval, error: float, doubt: str = "") -> Judged:
    return replace(
        asked,
        verdict=verdict,
        low=found.low,
        high=found.high,
        confidence=1 - error,
        reason="; ".join(filter(None, (doubt, found.note))),
    )


def _side(claim: Claim, found: Interval) -> str:
    """Return what an interval says of a claim."""
    if found.low is None or found.high is None:
        return "inconclusive"
    low = found.low if found.decides[0] else -np.inf
    high = found.high if found.decides[1] else np.inf
    margin = claim.margin
    if claim.kind == "superiority":
        supported, refuted = low > margin, high < margin
    else:
        supported, refuted = -margin < low and high < margin, low > margin or high < -margin
    return "supported" if supported else "refuted" if refuted else "inconclusive"
