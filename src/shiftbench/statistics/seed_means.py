"""Rows from rows: means over training seeds, and paired differences between weights."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator
from dataclasses import fields

import numpy as np

from shiftbench.data import formats
from shiftbench.refs import without_seed
from shiftbench.statistics import bootstrap
from shiftbench.statistics.campaign_rows import CampaignRows, Metric
from shiftbench.statistics.rows import Floats, Row

IDENTITY = formats.METRICS.key
_PAIRED = tuple(name for name in IDENTITY if name != "weights")
assert set(IDENTITY) <= {field.name for field in fields(Row)}  # noqa: S101 - the declarations agree


def identity(row: Row, names: Iterable[str] = IDENTITY) -> tuple[object, ...]:
    """Return the values that identify a row."""
    return tuple(getattr(row, name) for name in names)


def order(row: Row) -> tuple[tuple[bool, object], ...]:
    """Return the sort key of a row: by identity, null last."""
    return tuple((value is None, "" if value is None else value) for value in identity(row))


def means(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the mean over training seeds of each row whose weights have one.

    The mean has the weights' name without `-sN` and no seed. Its replicates are means of the seeds'
    replicates: its interval is that of resampled samples with these seeds, not of new seeds.
    """
    families: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.seed is not None:
            family = without_seed(row.weights)[0]
            families.setdefault((family, *identity(row, _PAIRED)), []).append(row)
    for members in families.values():
        members.sort(key=lambda row: row.seed or 0)
        family = without_seed(members[0].weights)[0]
        values = np.add.accumulate([row.all for row in members])[-1] / len(members)
        yield members[0].derived(members, values, weights=family, seed=None)


def differences(campaign: CampaignRows, rows: Iterable[Row]) -> Iterator[dict[str, object]]:
    """Yield the paired difference of all pairs of weights in the same place, as rows of DIFFERENCES.

    Weights with a training seed are compared with each other, and so are means and weights without.
    Samples are matched by key: where two cells do not count the same samples, both sides are computed again on
    the shared ones. Rows made of several cells (means, curves, detection) are subtracted as they are; they
    are paired through the weights of the units that they share.
    """
    places: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        places.setdefault((*identity(row, _PAIRED), row.seed is None), []).append(row)
    metrics = {metric.name: metric for metric in [*campaign.sample, *campaign.resampled]}
    for members in places.values():
        pairs = list(itertools.combinations(sorted(members, key=lambda row: row.weights), 2))
        if pairs:
            yield from _compared(campaign, metrics, pairs)


def _compared(
    campaign: CampaignRows, metrics: dict[str, Metric], pairs: list[tuple[Row, Row]]
) -> Iterator[dict[str, object]]:
    found = [_difference(campaign, metrics, one, two) for one, two in pairs]
    replicates = np.stack([values[1:] for values, _ in found])
    lows, highs = bootstrap.interval(replicates)
    p_values = bootstrap.p_value(replicates)
    for at, ((one, two), (values, n)) in enumerate(zip(pairs, found, strict=True)):
        numbers = {
            "difference": values[0],
            "ci_low": lows[at],
            "ci_high": highs[at],
            "p_value": p_values[at],
        }
        yield {
            **{name: getattr(one, name) for name in _PAIRED},
            "weights_a": one.weights,
            "weights_b": two.weights,
            **{name: None if np.isnan(value) else float(value) for name, value in numbers.items()},
            "n": n,
        }


def _difference(
    campaign: CampaignRows, metrics: dict[str, Metric], one: Row, two: Row
) -> tuple[Floats, int]:
    if one.basis != two.basis and one.cell is not None and two.cell is not None:
        left, right, n = campaign.shared(metrics[one.metric], one, two)
        return left - right, n
    return one.all - two.all, min(one.n, two.n)
