"""Statistics over a pool of networks, which are resampled: resample i takes each network a Poisson(1) number of times.

Rows of single networks come from an analysis: `model` is the network that all of a pool were fine-tuned from (the
start), `method` the network, `step` the place on its path. A statistic is computed from the networks of each start,
again in every resample (ranks, too). Its mean over starts follows. Rows of statistics have the method `pool`. Images
are not resampled: an interval covers what another pool would give on these images.
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
"""Network -> its values along its path."""
Values = Mapping[str, Mapping[str, object]]
"""Start -> network -> one or several numbers, equally many for all networks."""
Statistic = Callable[[Floats, Floats], Floats]
"""(values (networks, ...), how often each network counts (networks, 1 + resamples)) -> (1 + resamples,)."""


def lines(rows: Iterable[Row], metric: str, groups: Sequence[str]) -> dict[str, Nets]:
    """Start -> network -> values along its path; the mean over groups."""
    paths: dict[str, dict[str, dict[int, list[float]]]] = {}
    for row in rows:
        known = row.seed is not None and row.method != METHOD
        if known and row.metric == metric and row.group in groups:
            net = paths.setdefault(row.model, {}).setdefault(row.method, {})
            net.setdefault(row.step or 0, []).append(row.value)
    return {
        start: {name: {at: float(np.mean(several)) for at, several in line.items()} for name, line in nets.items()}
        for start, nets in paths.items()
    }


def groups(rows: Iterable[Row], metric: str) -> list[str]:
    """Groups of a metric's rows, sorted."""
    names = {row.group for row in rows if row.metric == metric and row.method != METHOD}
    return sorted(name for name in names if name is not None)


def templates(rows: Iterable[Row], metric: str) -> dict[str, Row]:
    """For each start a row with the identity that all of its rows share."""
    return {row.model: row for row in rows if row.metric == metric and row.seed is not None}


def weights(start: str, nets: Sequence[str], resamples: int, seed: int) -> Floats:
    """How often each network counts, float64 (networks, 1 + resamples)."""
    units = pa.array([f"{start}/{net}" for net in nets], pa.string())
    return bootstrap.weights(units, resamples, seed).astype(np.float64)


def pooled(starts: Mapping[str, Row], values: Values, statistic: Statistic, seed: int, **place: object) -> list[Row]:
    """Rows of a statistic: one for each start, and one of the mean over starts.

    Args:
        starts: a row of each start, see `templates`.
        values: of all networks.
        statistic: of the networks of one start.
        seed: of the resamples.
        place: columns of the rows.
    """
    rows = []
    for start, own in values.items():
        if own:
            names, template = sorted(own), starts[start]
            counts = weights(start, names, len(template.resamples), seed)
            stacked = np.array([own[name] for name in names], dtype=np.float64)
            rows.append(row(template, statistic(stacked, counts), len(names), **place))
    return [*rows, *mean(rows)]


def at(paths: Mapping[str, Nets], step: int) -> dict[str, dict[str, float]]:
    """Values of all networks that have one at a step."""
    return {start: {name: line[step] for name, line in nets.items() if step in line} for start, nets in paths.items()}


def steps(paths: Mapping[str, Nets]) -> list[int]:
    """Steps of all paths, ascending."""
    return sorted({step for nets in paths.values() for line in nets.values() for step in line})


def both(one: Mapping[str, Mapping[str, float]], other: Mapping[str, Mapping[str, float]]) -> Values:
    """Pairs of values, for the networks that have both."""
    return {
        start: {name: (value, other[start][name]) for name, value in own.items() if name in other[start]}
        for start, own in one.items()
        if start in other
    }


def mean(rows: Sequence[Row]) -> list[Row]:
    """Mean over the starts of one model, as a row; without a start there is no row."""
    models: dict[str, list[Row]] = {}
    for one in rows:
        models.setdefault(without_seed(one.model)[0], []).append(one)
    means = []
    for model, members in models.items():
        values = np.mean([one.all for one in members], axis=0)
        count = sum(one.n for one in members)
        means.append(replace(row(members[0], values, count), model=model, seed=None))
    return means


def row(template: Row, values: Floats, count: int, **place: object) -> Row:
    """Row of a pool of `count` networks, from value and resamples float64 (1 + resamples,)."""
    derived = template.derived([template], values, **{"method": METHOD, **place})
    return replace(derived, n=count, units=count, basis=None)


def average(values: Floats, counts: Floats) -> Floats:
    """Mean of (n,) under counts (n, k), float64 (k,); NaN if nothing counts."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray((values @ counts) / counts.sum(0))


def spearman(one: Floats, other: Floats, counts: Floats) -> Floats:
    """Spearman's correlation of two values (n,), with each unit counted (n, k) times, float64 (k,).

    Ranks are computed again in each resample; equal values share the mean of their ranks. NaN if a side does not vary.
    """
    a, b = (_ranks(values, counts) for values in (one, other))
    total = counts.sum(0)
    with np.errstate(invalid="ignore", divide="ignore"):
        a, b = (ranks - (counts * ranks).sum(0) / total for ranks in (a, b))
        scale = np.sqrt((counts * a * a).sum(0) * (counts * b * b).sum(0))
        correlation: Floats = np.where(scale > 1e-9, (counts * a * b).sum(0) / scale, np.nan)
    return np.clip(correlation, -1.0, 1.0)


def _ranks(values: Floats, counts: Floats) -> Floats:
    below = (values[:, None] > values[None, :]).astype(np.float64) @ counts
    equal = (values[:, None] == values[None, :]).astype(np.float64) @ counts
    ranks: Floats = below + (equal + 1) / 2
    return ranks
