"""Rank reversal: by how much the clearest pair of models that changes its order between two severities does so.

Of two models f and g under a shift, f leads at the severity `mild` and g at `strong`; the pair's reversal is the
smaller of the two leads,

    r(f, g) = min(acc_f(mild) - acc_g(mild) - c sd, acc_g(strong) - acc_f(strong) - c sd').

sd and sd' are the bootstrap deviations of the two leads. Of n models n (n - 1) ordered pairs are looked at, of which
the clearest is shown; c takes off what chance gives in so many: z is the normal quantile and

    c = z(error / (2 n (n - 1))) - z(error / 2),

so that an interval of 1 - error above 0 says of all pairs together what Bonferroni's correction says. Both leads must
be above 0: an intersection-union test, which needs no correction for its two parts (Berger 1982). The row of a shift is
of the ordered pair whose smaller lead is the most bootstrap deviations; where no pair is reversed it is the one that
comes nearest. There is a further row for each pair whose two leads both have such an interval above 0, its `group`
saying which (`net-erm then net-pgd`).

All rows have the model that is first by name. Models are means over training seeds. Not defined for fewer
than two models.

Source: ours, for what CNS-Bench (ICCV 2025, arXiv 2507.17651) shows in figures, that ranks change with the scale;
Berger 1982, "Multiparameter hypothesis testing and acceptance sampling", Technometrics 24.
"""

import itertools
from collections.abc import Iterator

import numpy as np
from pydantic import Field
from scipy.stats import norm

from shiftbench.base.errors import ParamsError
from shiftbench.plugins import declare, fields
from shiftbench.statistics import bootstrap
from shiftbench.statistics.rows import Floats, Row

KIND = "curve"
UNIT = "share"
RANGE = (-1.0, 1.0)
HIGHER_IS_BETTER = True

Place = tuple[str | None, ...]
Leads = tuple[Floats, Floats]
"""Leads of an ordered pair: of the first at the mild severity, of the other at the strong; float64 (1 + resamples,)."""


class Options(declare.Options):
    of: fields.Of = "accuracy"
    mild: float = Field(0.5, ge=0, description="severity at which one model leads")
    strong: float = Field(2.5, ge=0, description="severity at which the other model leads")
    error: float = Field(0.05, gt=0, lt=1, description="error of an interval over all pairs together")


def sources(params: dict[str, object]) -> tuple[str, ...]:
    """The metric whose rows are needed."""
    return (str(params["of"]),)


def compute(rows: list[Row], of: str, mild: float, strong: float, error: float) -> list[Row]:
    """The clearest reversal under each shift, and one row for each pair that is reversed.

    Raises:
        ParamsError: `mild` is not below `strong`, or a model lacks a severity that others have.
    """
    if not mild < strong:
        raise ParamsError(f"rank_reversal: mild is {mild:g}, strong {strong:g}; it must be below")
    places: dict[Place, dict[float, dict[str, Row]]] = {}
    for row in rows:
        if _counts(row, of) and row.severity in (mild, strong):
            place = (row.method, row.detector, row.dataset, row.split, row.shift)
            places.setdefault(place, {}).setdefault(row.severity, {})[row.model] = row
    conditions = places.values()
    return [row for of_place in conditions for row in _reversals(of_place, mild, strong, error)]


def _counts(row: Row, of: str) -> bool:
    """Whether a row is of all samples of a shift, and a mean over training seeds."""
    open_ = (row.seed, row.group, row.step)
    return row.metric == of and row.shift is not None and open_ == (None, None, None)


def _reversals(severities: dict[float, dict[str, Row]], mild: float, strong: float, error: float) -> Iterator[Row]:
    before, after = (severities.get(severity, {}) for severity in (mild, strong))
    if before.keys() != after.keys():
        (bare, *_) = sorted(before.keys() ^ after.keys())
        raise ParamsError(
            f"rank_reversal: {bare} has no rows at both {mild:g} and {strong:g}; ask for these severities"
        )
    pairs = {
        (f, g): (before[f].all - before[g].all, after[g].all - after[f].all)
        for f, g in itertools.permutations(sorted(before), 2)
    }
    if not pairs:
        return
    every = [*before.values(), *after.values()]
    first = before[min(before)]
    clearest = max(pairs, key=lambda pair: _clearness(pairs[pair]))
    chance = float(norm.isf(error / 2 / len(pairs)) - norm.isf(error / 2))
    pairs = {pair: _without(leads, chance) for pair, leads in pairs.items()}
    yield first.derived(every, np.minimum(*pairs[clearest]), severity=None)
    for (f, g), leads in pairs.items():
        if all(bootstrap.interval(lead[1:])[0] > 0 for lead in leads):
            names = (model.partition("/")[2] for model in (f, g))
            group = " then ".join(names)
            yield first.derived(every, np.minimum(*leads), severity=None, group=group)


def _clearness(leads: Leads) -> float:
    """The smaller lead in bootstrap deviations; a lead of no deviation counts by its sign alone."""
    return min(float(lead[0]) / max(_deviation(lead), 1e-9) for lead in leads)


def _without(leads: Leads, chance: float) -> Leads:
    """Leads less `chance` bootstrap deviations of each."""
    mild, strong = (lead - chance * _deviation(lead) for lead in leads)
    return mild, strong


def _deviation(lead: Floats) -> float:
    return float(np.nanstd(lead[1:])) if len(lead) > 1 else 0.0
