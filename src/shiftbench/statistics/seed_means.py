"""Rows from rows: means over training seeds, and paired differences between models."""

import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import fields

import numpy as np

from shiftbench.base.refs import without_seed
from shiftbench.data import formats
from shiftbench.statistics import bootstrap, intervals
from shiftbench.statistics.benchmark_rows import BenchmarkRows, Metric
from shiftbench.statistics.intervals import Units
from shiftbench.statistics.rows import Floats, Row

IDENTITY = formats.METRICS.key
_PAIRED = tuple(name for name in IDENTITY if name != "model")
assert set(IDENTITY) <= {field.name for field in fields(Row)}  # noqa: S101 - the declarations agree


def identity(row: Row, names: Iterable[str] = IDENTITY) -> tuple[object, ...]:
    """Values that identify a row."""
    return tuple(getattr(row, name) for name in names)


def order(row: Row) -> tuple[tuple[bool, object], ...]:
    """Sort key of a row: by identity, null last."""
    return tuple((value is None, "" if value is None else value) for value in identity(row))


def means(rows: Iterable[Row]) -> Iterator[Row]:
    """Yield the mean over training seeds of each row whose model has one.

    The mean has the model's name without `-sN` and no seed. Its replicates are means of the seeds'
    replicates, over resampled samples with these seeds. Its interval covers new seeds, too
    (`intervals.of_seed_mean`).
    """
    for (model, *_), members in seed_groups(rows).items():
        values = np.add.accumulate([row.all for row in members])[-1] / len(members)
        yield members[0].derived(members, values, model=model, seed=None)


def seed_groups(rows: Iterable[Row]) -> dict[tuple[object, ...], list[Row]]:
    """Rows of all training seeds of each evaluation, seeds ascending; keys are those of `seed_group_key`."""
    groups: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        if row.seed is not None:
            model = without_seed(row.model)[0]
            groups.setdefault((model, *identity(row, _PAIRED)), []).append(row)
    for members in groups.values():
        members.sort(key=lambda row: row.seed or 0)
    return groups


def seed_group_key(row: Row) -> tuple[object, ...]:
    """Key of a mean in `seed_groups`."""
    return (row.model, *identity(row, _PAIRED))


def differences(benchmark: BenchmarkRows, rows: Iterable[Row]) -> Iterator[dict[str, object]]:
    """Yield the paired difference of all pairs of models in the same condition, as rows of DIFFERENCES.

    Models with a training seed are compared with each other, and so are means and models without a seed.
    Samples are matched by key: if two evaluations do not count the same samples, both sides are computed again on
    the shared ones. Rows made of several evaluations (means, curves, detection) are subtracted as they are; they
    are paired through the weights of the units that they share.
    """
    conditions: dict[tuple[object, ...], list[Row]] = {}
    for row in rows:
        conditions.setdefault((*identity(row, _PAIRED), row.seed is None), []).append(row)
    metrics = {metric.name: metric for metric in [*benchmark.sample, *benchmark.resampled]}
    seed_rows = seed_groups(rows)
    for members in conditions.values():
        pairs = list(itertools.combinations(sorted(members, key=lambda row: row.model), 2))
        if pairs:
            yield from _difference_rows(benchmark, metrics, pairs, seed_rows)


def _difference_rows(
    benchmark: BenchmarkRows,
    metrics: dict[str, Metric],
    pairs: list[tuple[Row, Row]],
    of_seeds: Mapping[tuple[object, ...], list[Row]],
) -> Iterator[dict[str, object]]:
    differences = [_difference(benchmark, metrics, first, second) for first, second in pairs]
    values = np.stack([first for first, _ in differences])
    ends = gap_intervals(pairs, values, of_seeds)
    for index, ((first, second), (_, n)) in enumerate(zip(pairs, differences, strict=True)):
        numbers = dict(
            zip(("difference", "ci_low", "ci_high", "p_value"), (values[index, 0], *ends[:, index]), strict=True)
        )
        yield {
            **{name: getattr(first, name) for name in _PAIRED},
            "model_a": first.model,
            "model_b": second.model,
            **{name: None if np.isnan(value) else float(value) for name, value in numbers.items()},
            "n": n,
        }


def gap_intervals(
    pairs: Sequence[tuple[Row, Row]], values: Floats, of_seeds: Mapping[tuple[object, ...], list[Row]]
) -> Floats:
    """Ends of the intervals of differences of rows, and two-sided p-values, float64 (3, pairs).

    Args:
        pairs: rows of single models, or means over seeds.
        values: their differences with replicates, float64 (pairs, 1 + resamples), NaN where not defined.
        of_seeds: the rows of all seeds, from `seed_groups`.
    """
    ends = np.stack([*bootstrap.interval(values[:, 1:]), bootstrap.p_value(values[:, 1:])])
    for index, (first, second) in enumerate(pairs):
        units = smallest_units(first, second)
        if first.seed is not None:
            sides = []
        else:
            sides = [
                {row.seed: row.all for row in of_seeds.get(seed_group_key(side), [side])} for side in (first, second)
            ]
        if not units.is_many or any(len(side) > 1 for side in sides):
            ends[:, index] = intervals.of_gap(values[index], sides, units)
    return ends


def smallest_units(*rows: Row) -> Units:
    """Units of the row that has the fewest."""
    least = min(rows, key=lambda row: row.units or row.n)
    return Units(least.units or least.n, any(row.unit == "cluster" for row in rows))


def _difference(benchmark: BenchmarkRows, metrics: dict[str, Metric], one: Row, two: Row) -> tuple[Floats, int]:
    if one.basis != two.basis and one.evaluation is not None and two.evaluation is not None:
        left, right, n = benchmark.shared(metrics[one.metric], one, two)
        return left - right, n
    return one.all - two.all, min(one.n, two.n)
