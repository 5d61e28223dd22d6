"""What a ranker loses on queries of a type that it was not trained on, against itself trained with it.

    (P_seen - P_unseen) / P_seen,   mean over the types

The queries are the same for both, so that their difficulty cancels: what is left is the shift of training. `types` says
for each type where it is tested (`at`: a shift, `identity` for the benchmark's own queries) and which datasets the two
arms were trained on, `seen` and `unseen`; they should have as many queries. A ranker that learns nothing from
queries loses nothing: 0. `seen: true` returns the mean of P_seen instead. Rows have the group `type`, and stand at
the clean position of the arm that had not seen the first type.

Source: leave one query type out, Wu et al., "Are Neural Ranking Models Robust?", TOIS 41(2), 2022,
https://arxiv.org/abs/2108.05018; the same ranker trained with the type as reference is our reading (its text was not
to be had).
"""

from collections.abc import Mapping
from typing import Any

import numpy as np

from shiftbench.base.errors import ParamsError
from shiftbench.statistics.rows import Floats, Row

KIND = "curve"
PARAMS: dict[str, object] = {"of": "mean_ndcg10", "types": {}, "seen": False, "least": 0.05}
UNIT = "share"
RANGE = (None, None)
HIGHER_IS_BETTER = False
KEYS = {"at", "seen", "unseen"}


def sources(params: dict[str, Any]) -> tuple[str, ...]:
    """Return the metric whose rows are needed.

    Raises:
        ParamsError: a type that does not say where it is tested, or what the two arms were trained on.
    """
    for name, spec in params["types"].items():
        if set(spec) != KEYS:
            raise ParamsError(f"unseen_type: {name} has {', '.join(spec)}; expected {', '.join(sorted(KEYS))}")
    return (str(params["of"]),)


def compute(
    rows: list[Row],
    of: str,
    types: Mapping[str, Any],
    seen: bool,  # noqa: FBT001 - as in params
    least: float,
) -> list[Row]:
    """Return a row for each ranker whose two arms are there for all types, and for those that learn nothing."""
    known = {
        (row.model, row.method, row.shift): row
        for row in rows
        if row.metric == of and row.group is None and row.step is None
    }
    learnt = {spec[arm] for spec in types.values() for arm in ("seen", "unseen")}
    first = next(iter(types.values()), None)
    found = []
    for (weights, method, shift), row in known.items():
        dataset, _, ranker = weights.partition("/")
        if first is None or shift != first["at"] or (dataset in learnt and dataset != first["unseen"]):
            continue
        pairs = [_arms(known, (dataset, ranker, method), spec, learnt) for spec in types.values()]
        if all(None not in pair for pair in pairs):
            both = [one for pair in pairs for one in pair if one is not None]
            values = np.mean([_value(*pair, seen=seen, least=least) for pair in pairs], axis=0)
            found.append(row.derived(both, values, group="type"))
    return found


def _arms(
    known: Mapping[tuple[str, str, str | None], Row],
    who: tuple[str, str, str],
    spec: Mapping[str, str],
    learnt: set[str],
) -> tuple[Row | None, Row | None]:
    """Return the rows of a ranker trained with a type and without it; the same one where it learns nothing."""
    dataset, ranker, method = who
    arms = [spec[arm] if dataset in learnt else dataset for arm in ("seen", "unseen")]
    one, other = (known.get((f"{arm}/{ranker}", method, spec["at"])) for arm in arms)
    return one, other


def _value(one: Any, other: Any, *, seen: bool, least: float) -> Floats:
    with_, without = one.all, other.all
    if seen:
        return np.asarray(with_)
    defined = with_ >= max(least, np.finfo(float).tiny)
    return np.where(defined, (with_ - without) / np.where(defined, with_, 1), np.nan)
