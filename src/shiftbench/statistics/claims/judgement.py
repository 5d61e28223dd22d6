"""Verdicts on claims, from stored replicates alone.

| verdict | superiority, margin m | equivalence, margin m |
| --- | --- | --- |
| supported | the interval lies above m | the interval lies within (-m, m) |
| refuted | it lies below m | it lies outside |
| inconclusive | neither, or too few resamples or seeds for the interval | the same |

The other verdicts are `reported` (kind `report`), `not evaluable` (rows are missing, or the gate does not hold) and
`not run at this scale`. Resample i is the same in every row, so arithmetic on rows is paired.

- **Several claims:** with m judged claims on a card, each has the error 0.05/m. Once d of them are decided, the others
  have 0.05/(m-d), until no further claim is decided (Holm 1979, "A simple sequentially rejective multiple test
  procedure").
- **Quantified claims:** a claim of error e says that k of n values fulfil it. It is supported if k of them are
  supported, each at e/(n-k+1), and refuted if n-k+1 of them are refuted, each at e/k (partial conjunction, Benjamini
  and Heller 2008, and the same for the contrary).
- **Equivalence** uses, and prints, the interval of twice the error (two one-sided tests, Schuirmann 1987).
- **Training seeds:** with `unit: seed` the claim is about new training runs, see `intervals.of_seeds`. Without it the
  claim is about these models.
- **Models, data sets and shifts** as units are judged in the same way: the claim is about others like them.
- **Looks:** a card states how often its claims were judged with other seeds or samples (`looks`). Each look has its
  share of the error (Bonferroni).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np

from shiftbench.statistics import intervals
from shiftbench.statistics.claims.estimates import NO_EVIDENCE, Estimate, Evidence, claims_of_configuration, evidence
from shiftbench.statistics.claims.metric_rows import Floats, MetricRows, NotEvaluable
from shiftbench.statistics.claims.statements import Claim
from shiftbench.statistics.intervals import Interval

ERROR = 0.05
NOT_EVALUABLE = "not evaluable"
_DECIDED = ("supported", "refuted")


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on a claim, or on one of the values that it is quantified over.

    Attributes:
        name, claim: as the card states them.
        verdict: see above.
        value, low, high: with the interval that decided; None for a claim without a value, or with several values.
        confidence: of the interval; for a quantified claim, the one by which its values are supported.
        seeds: training seeds (or models, ...) that are units of the interval; None: only samples are units.
        units: samples or clusters of the smallest row behind the value; None: not known.
        reason: why the claim is not evaluable or inconclusive, or a note on the interval.
        part: value of the quantified column; None: the claim itself.
        parts: verdicts on the values of a quantified claim.
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
    parts: tuple[Judgement, ...] = ()


def judge(
    claims: Mapping[str, Claim], rows: MetricRows, configuration: str = "embedded", looks: int = 1
) -> list[Judgement]:
    """Judge all claims of a card by the rows of its benchmarks, see `judge_evidence`."""
    return judge_evidence(claims, evidence(claims, rows, configuration), configuration, looks)


def judge_evidence(
    claims: Mapping[str, Claim],
    evidence_by_claim: Mapping[str, Evidence],
    configuration: str = "embedded",
    looks: int = 1,
) -> list[Judgement]:
    """Judge all claims of a card.

    Args:
        claims: of the card, by name.
        evidence_by_claim: by name; a claim without evidence is not evaluable.
        configuration: the one that was run; claims of others get the verdict `not run at this scale`.
        looks: how often the claims were judged in this configuration, this time included.
    """
    claims_here = claims_of_configuration(claims, configuration)
    judgements = {name: Judgement(name, claim, "not run at this scale") for name, claim in claims.items()}
    tested_claims = [name for name, claim in claims_here.items() if claim.kind != "report"]
    open_claims, decided_count = list(claims_here), 0
    while open_claims:
        error = share_of_error(len(tested_claims) - decided_count, looks)
        for name in open_claims:
            draft = Judgement(name, claims_here[name], "")
            judgements[name] = _judge_claim(draft, evidence_by_claim.get(name, NO_EVIDENCE), error)
        new = [name for name in open_claims if name in tested_claims and judgements[name].verdict in _DECIDED]
        decided_count += len(new)
        open_claims = [name for name in open_claims if new and name in tested_claims and name not in new]
    return list(judgements.values())


def share_of_error(undecided: int, looks: int) -> float:
    """Error of each of a card's undecided claims."""
    return ERROR / looks / max(1, undecided)


def _judge_claim(draft: Judgement, known: Evidence, error: float) -> Judgement:
    reason = known.reason or _gate_failure(draft.claim, known.gate)
    if reason:
        return replace(draft, verdict=NOT_EVALUABLE, reason=reason)
    try:
        if draft.claim.over:
            return _with_note(_judge_quantified(draft, known.estimates, error), known.note)
        return _with_note(_judge_estimate(draft, known.estimates[None], error, error), known.note)
    except NotEvaluable as problem:
        return replace(draft, verdict=NOT_EVALUABLE, reason=str(problem))


def _with_note(judged: Judgement, note: str) -> Judgement:
    """A judgement with the note of its evidence; it takes the place of the reason why there is no interval."""
    reason = judged.reason if judged.low is not None or judged.parts else ""
    return replace(judged, reason="; ".join(filter(None, (reason, note)))) if note else judged


def _gate_failure(claim: Claim, values: Floats | None) -> str:
    """Why the gate does not hold; empty if it holds or there is none."""
    if claim.gate is None or values is None:
        return ""
    interval, bound = intervals.of_resamples(values, ERROR), claim.gate["above"]
    if interval.low is not None and interval.low > bound and not interval.doubt:
        return ""
    ends = "" if interval.low is None else f" [{interval.low:.4g}, {interval.high:.4g}]"
    reason = f"the gate is {values[0]:.4g}{ends}, not above {bound:g}"
    return f"{reason}: {interval.doubt}" if interval.doubt else reason


def _judge_quantified(draft: Judgement, estimates: Mapping[str | None, Estimate], error: float) -> Judgement:
    """Judge a claim that k of n values must fulfil."""
    claim, n = draft.claim, len(estimates)
    k = {"all": n, "exists": 1}.get(str(claim.quantifier), claim.quantifier)
    if not isinstance(k, int) or k > n:
        raise NotEvaluable(f"{k} of {n} values of {claim.over} are asked for")
    support, refutation = error / (n - k + 1), error / k
    parts = tuple(
        _judge_estimate(replace(draft, part=value), estimate, support, refutation)
        for value, estimate in estimates.items()
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
    return replace(
        draft,
        verdict=verdict,
        confidence=parts[0].confidence if claim.kind == "report" else 1 - _sides(claim) * support,
        seeds=parts[0].seeds,
        units=min((part.units for part in parts if part.units is not None), default=None),
        reason=reason,
        parts=parts,
    )


def _judge_estimate(draft: Judgement, estimate: Estimate, support: float, refutation: float) -> Judgement:
    """Judge a value, with the interval that decides it.

    Args:
        draft: the claim.
        estimate: its value.
        support: error at which it may be supported; if nothing decides, this interval is printed.
        refutation: error at which it may be refuted.
    """
    claim, value = draft.claim, float(estimate.values[0])
    if not np.isfinite(value):
        raise NotEvaluable("the value is not defined on these rows")
    seeds = None if estimate.by_seed is None else len(estimate.by_seed)
    draft = replace(draft, value=value, seeds=seeds, units=estimate.smallest_units)
    if claim.kind == "report":
        interval = estimate.interval(ERROR)
        return _complete(draft, "reported", interval, ERROR, interval.doubt)
    support, refutation = _sides(claim) * support, _sides(claim) * refutation
    by_error = {error: estimate.interval(error) for error in {support, refutation}}
    for verdict, error in (("supported", support), ("refuted", refutation)):
        if not by_error[error].doubt and _verdict_of(claim, by_error[error]) == verdict:
            return _complete(draft, verdict, by_error[error], error)
    doubt = by_error[min(support, refutation)].doubt
    return _complete(draft, "inconclusive", by_error[support], support, doubt)


def _sides(claim: Claim) -> int:
    """Number of one-sided tests that share the printed interval."""
    return 2 if claim.kind == "equivalence" else 1


def _complete(draft: Judgement, verdict: str, interval: Interval, error: float, doubt: str = "") -> Judgement:
    return replace(
        draft,
        verdict=verdict,
        low=interval.low,
        high=interval.high,
        confidence=1 - error,
        reason="; ".join(filter(None, (doubt, interval.note))),
    )


def _verdict_of(claim: Claim, interval: Interval) -> str:
    """Verdict that an interval gives."""
    if interval.low is None or interval.high is None:
        return "inconclusive"
    low = interval.low if interval.decides[0] else -np.inf
    high = interval.high if interval.decides[1] else np.inf
    margin = claim.margin
    if claim.kind == "superiority":
        supported, refuted = low > margin, high < margin
    else:
        supported, refuted = -margin < low and high < margin, low > margin or high < -margin
    return "supported" if supported else "refuted" if refuted else "inconclusive"
