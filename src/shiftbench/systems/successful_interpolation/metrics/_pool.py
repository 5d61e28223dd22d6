"""Statistics over a pool of nets, which are what is resampled: draw i takes each net a Poisson(1) number of times.

What an analysis observed has rows of single nets: `weights` is the net that all of a pool were fine-tuned from,
`method` the net, `step` the place on its path. A statistic is made of the nets of each start, under every draw anew
(ranks, too), and then is the mean over starts; its rows have the method `pool`. Pictures are not resampled: an
interval says what another pool would give on these pictures.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from shiftbench.base.refs import without_seed
from shiftbench.statistics import bootstrap
from shiftbench.statistics.rows import Floats, Row

METHOD = "pool"
Line = dict[int, float]
"""Step, a in hundredths -> value."""
Nets = dict[str, Line]
"""Net -> its values along its path."""
Values = Mapping[str, Mapping[str, object]]
"""Start -> net -> a number or several, as many for all nets."""
Statistic = Callable[[Floats, Floats], Floats]
"""(values (nets, ...), how often each net counts (nets, 1 + draws)) -> (1 + draws,)."""


def lines(rows: Iterable[Row], metric: str, groups: Sequence[str]) -> dict[str, Nets]:
    """Return start -> net -> values along its path; the mean over groups."""
    found: dict[str, dict[str, dict[int, list[float]]]] = {}
    for row in rows:
        known = row.seed is not None and row.method != METHOD
        if known and row.metric == metric and row.group in groups:
            net = found.setdefault(row.model, {}).setdefault(row.method, {})
            net.setdefault(row.step or 0, []).append(row.value)
    return {
        start: {name: {at: float(np.mean(several)) for at, several in line.items()} for name, line in nets.items()}
        for start, nets in found.items()
    }


def groups(rows: Iterable[Row], metric: str) -> list[str]:
    """Return the groups of a metric's rows, sorted."""
    found = {row.group for row in rows if row.metric == metric and row.method != METHOD}
    return sorted(name for name in found if name is not None)


def templates(rows: Iterable[Row], metric: str) -> dict[str, Row]:
    """Return for each start a row that says where all of its rows stand."""
    return {row.model: row for row in rows if row.metric == metric and row.seed is not None}


def weights(start: str, nets: Sequence[str], draws: int, seed: int) -> Floats:
    """Return how often each net counts, float64 (nets, 1 + draws)."""
    units = pa.array([f"{start}/{net}" for net in nets], pa.string())
    return bootstrap.weights(units, draws, seed).astype(np.float64)


def pooled(given: Mapping[str, Row], values: Values, statistic: Statistic, seed: int, **place: object) -> list[Row]:
    """Return a statistic's row for each start, and that of the mean over starts.

    Args:
        given: a row of each start, see `templates`.
        values: of all nets.
        statistic: of the nets of one start.
        seed: of the draws.
        place: columns of the rows.
    """
    found = []
    for start, own in values.items():
        if own:
            names, template = sorted(own), given[start]
            counts = weights(start, names, len(template.resamples), seed)
            held = np.array([own[name] for name in names], dtype=np.float64)
            found.append(row(template, statistic(held, counts), len(names), **place))
    return [*found, *mean(found)]


def at(paths: Mapping[str, Nets], step: int) -> dict[str, dict[str, float]]:
    """Return the values of all nets that have one at a step."""
    return {start: {name: line[step] for name, line in nets.items() if step in line} for start, nets in paths.items()}


def steps(paths: Mapping[str, Nets]) -> list[int]:
    """Return the steps of all paths, ascending."""
    return sorted({step for nets in paths.values() for line in nets.values() for step in line})


def both(one: Mapping[str, Mapping[str, float]], other: Mapping[str, Mapping[str, float]]) -> Values:
    """Return pairs of values, of the nets that have both."""
    return {
        start: {name: (value, other[start][name]) for name, value in own.items() if name in other[start]}
        for start, own in one.items()
        if start in other
    }


def mean(rows: Sequence[Row]) -> list[Row]:
    """Return the mean over starts of one family, as a row; of none no row."""
    families: dict[str, list[Row]] = {}
    for one in rows:
        families.setdefault(without_seed(one.model)[0], []).append(one)
    made = []
    for family, members in families.items():
        values = np.mean([one.all for one in members], axis=0)
        count = sum(one.n for one in members)
        made.append(replace(row(members[0], values, count), model=family, seed=None))
    return made


def row(template: Row, values: Floats, count: int, **place: object) -> Row:
    """Return a row of a pool of `count` nets, from value and replicates float64 (1 + draws,)."""
    made = template.derived([template], values, **{"method": METHOD, **place})
    return replace(made, n=count, units=count, basis=None)


def average(values: Floats, counts: Floats) -> Floats:
    """Return the mean of (n,) under counts (n, k), float64 (k,); NaN where nothing counts."""
    with np.errstate(invalid="ignore", divide="ignore"):
        found: Floats = (values @ counts) / counts.sum(0)
    return found


def spearman(one: Floats, other: Floats, counts: Floats) -> Floats:
    """Return Spearman's correlation of two values (n,), each unit counted as often as (n, k) says, float64 (k,).

    Ranks are made under each draw anew; equal values share the mean of their ranks. NaN where one side does not vary.
    """
    a, b = (_ranks(values, counts) for values in (one, other))
    total = counts.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (ranks - (counts * ranks).sum(0) / total for ranks in (a, b))
        scale = np.sqrt((counts * a * a).sum(0) * (counts * b * b).sum(0))
        found: Floats = np.where(scale > 1e-9, (counts * a * b).sum(0) / scale, np.nan)
    return np.clip(found, -1.0, 1.0)


def _ranks(values: Floats, counts: Floats) -> Floats:
    below = (values[:, None] > values[None, :]).astype(np.float64) @ counts
    equal = (values[:, None] == values[None, :]).astype(np.float64) @ counts
    ranks: Floats = below + (equal + 1) / 2
    return ranks
