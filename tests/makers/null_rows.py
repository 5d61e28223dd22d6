"""Metric rows of the shape that a claim asks for, with values that know nothing of its arms.

The rows of a claim are those that its selectors name, one for each value of a list and of the columns that are combined
or quantified over. Every column of `values` is another draw of all of them: a level for each selector, now and then an
end of the metric's range, and around it a spread from row to row that the selectors share, have turned round, or each
for itself. What a claim says of its arms is then true in some draws and false in others, or the claim cannot fail.
"""

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shiftbench.statistics.claims.estimates import estimates
from shiftbench.statistics.claims.metric_rows import KEY, MetricRows, NotEvaluable
from shiftbench.statistics.claims.statements import Claim, parts

Floats = NDArray[np.float64]
Place = dict[str, Any]
OPEN = {"seed": [0, 1, 2], "severity": [1.0, 3.0, 5.0], "step": [0, 1, 2]}
"""Values of a column that is combined over; of any other three names."""
ROUND = -1
"""Instead of a number of values: lists go round together, so that a short one begins again where a long one goes on."""
_ANY = {name: f"any {name}" for name in KEY} | {"severity": 1.0, "group": None, "step": None}
_COLUMNS = (*KEY, "seed")
_SCHEMA = dict.fromkeys(KEY, pl.String) | {
    "severity": pl.Float64, "step": pl.Int32, "seed": pl.Int32,
}  # fmt: skip


class Leaf(NamedTuple):
    """A selector, and the columns of which it is to have several values."""

    selector: Mapping[str, Any]
    over: frozenset[str]


def under_the_null(claim: Claim, ranges: Mapping[str, tuple[float | None, float | None]], draws: int) -> Floats | None:
    """Return the values of a claim under draws that know nothing of its arms, float64 (parts, draws).

    Args:
        claim: with a value.
        ranges: of metrics, by name; (None, None) where it is not known.
        draws: how many.

    Returns:
        None where no rows were found that its selectors fit.
    """
    assert claim.value is not None
    seeded = "seed" in (claim.unit, claim.over)
    over = frozenset(filter(None, (claim.over, "seed" if seeded else None)))
    leaves = list(_leaves(claim.value, over))
    sizes = {len(_list(chosen)) for leaf in leaves for chosen in leaf.selector.values()}
    for alike, zipped in itertools.product((False, True), (0, 3, *sorted(sizes - {1, 3}), ROUND)):
        try:
            rows = _rows(leaves, claim, ranges, draws, (alike, zipped, seeded))
            return np.stack([one.values for one in estimates(claim, rows).values()])
        except NotEvaluable:
            continue
    return None


def _leaves(value: Mapping[str, Any], over: frozenset[str]) -> Iterator[Leaf]:
    if "metric" in value:
        yield Leaf(value, over)
        return
    name, operand, column = parts(value)
    more = {column} if column else {"severity"} if name in ("area", "slope") else set()
    if name in ("spearman", "kendall") and not any(map(_several, operand)):
        more = {"shift"}
    for one in operand if isinstance(operand, list) else [operand]:
        yield from _leaves(one, over | more)


def _several(value: Mapping[str, Any]) -> bool:
    leaves = _leaves(value, frozenset())
    return any(isinstance(chosen, list) for leaf in leaves for chosen in leaf.selector.values())


def _rows(
    leaves: list[Leaf],
    claim: Claim,
    ranges: Mapping[str, tuple[float | None, float | None]],
    draws: int,
    how: tuple[bool, int, bool],
) -> MetricRows:
    """Return the rows of all selectors.

    Args:
        leaves: the selectors.
        claim: whose they are.
        ranges: of metrics, by name.
        draws: how many.
        how: whether a selector that leaves a column out means what the others name in it; how many values a column
            has that is combined over, where lists of one length belong together, one by one (0: they do not; ROUND);
            whether there are training seeds.
    """
    alike, zipped, seeded = how
    named = {name: value for leaf in leaves for name, value in leaf.selector.items()}
    usual = _ANY | {name: _list(value)[0] for name, value in named.items() if alike and value}
    random, rows = np.random.default_rng(0), dict[tuple[object, ...], tuple[Place, Floats]]()
    spread, shared = np.maximum(random.uniform(-0.1, 0.3, draws), 0), random.random((64, draws))
    for leaf in leaves:
        level, sign = random.uniform(-0.2, 1.2, draws), random.choice([-1, 0, 1], draws)
        for number, place in enumerate(_places(leaf, usual, zipped=zipped, seeded=seeded)):
            own = np.where(sign == 0, random.random(draws), 0.5 + sign * (shared[number % 64] - 0.5))
            value = np.clip(level + spread * (own - 0.5), 0, 1)
            scaled = _scaled(value, ranges.get(place["metric"], (None, None)), claim.margin)
            rows.setdefault(tuple(place[name] for name in _COLUMNS), (place, scaled))
    frame = pl.DataFrame([place for place, _ in rows.values()], schema=_SCHEMA)
    values = np.stack([value for _, value in rows.values()])
    return MetricRows(frame, values, higher_is_better=dict.fromkeys(frame["metric"], True))


def _scaled(value: Floats, ends: tuple[float | None, float | None], margin: float) -> Floats:
    """Move values in [0, 1] to the range of a metric; where it has none, to one that holds the margin."""
    reach = 2 * (1 + abs(margin))
    low = -reach if ends[0] is None else ends[0]
    high = reach if ends[1] is None else ends[1]
    return low + value * (high - low)


def _places(leaf: Leaf, usual: Mapping[str, Any], *, zipped: int, seeded: bool) -> Iterator[Place]:
    """Yield the rows that one selector names."""
    columns = {}
    for name in _COLUMNS:
        if name in leaf.selector:
            columns[name] = _list(leaf.selector[name])
        elif name in leaf.over and (name != "seed" or seeded):
            columns[name] = OPEN.get(name, [f"{name} {i}" for i in range(zipped if zipped > 0 else 3)])
        else:
            columns[name] = [usual.get(name)]
    together = _round(columns) if zipped == ROUND else _together(columns)
    for chosen in together if zipped else itertools.product(*columns.values()):
        place = dict(zip(columns, chosen, strict=True))
        if place["severity"] is not None:
            place["severity"] = float(place["severity"])
        seed = "" if place["seed"] is None else f"-s{place['seed']}"
        yield place | {"model": f"{place['model']}{seed}"}


def _together(columns: Mapping[str, list[Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield one value of each column, those of lists of one length at the same place."""
    lengths = sorted({len(values) for name, values in columns.items() if name != "seed"})
    seeds = range(len(columns["seed"]))
    for *at, seed in itertools.product(*map(range, lengths), seeds):
        place = dict(zip(lengths, at, strict=True))
        yield tuple(values[seed if name == "seed" else place[len(values)]] for name, values in columns.items())


def _round(columns: Mapping[str, list[Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield one value of each column, weights and seeds each with all others, the rest of lists that go round."""
    free = ("model", "seed")
    longest = max(len(values) for name, values in columns.items() if name not in free)
    for at, *own in itertools.product(range(longest), *(columns[name] for name in free)):
        chosen = dict(zip(free, own, strict=True))
        yield tuple(chosen.get(name, values[at % len(values)]) for name, values in columns.items())


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]
