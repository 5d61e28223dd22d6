"""From a benchmark's tables to a leaderboard: columns with intervals, paired differences and marks.

A column averages the metric rows of one or more positions (the clean set; all shifts at all levels; all
OOD sets under one detector). Means, their intervals and their differences are computed from the replicates, which are
paired by construction; where aggregate compared two weights itself, its differences are shown.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from shiftbench.base.refs import without_seed
from shiftbench.data import formats
from shiftbench.plugins.metrics.severity import ALEXNET
from shiftbench.report.cells import Cell
from shiftbench.report.measures import Entry, Measure
from shiftbench.statistics import intervals
from shiftbench.statistics.evaluation_scores import FULL_SPECTRUM
from shiftbench.statistics.intervals import MANY_UNITS, Units

Who = tuple[str, ...]  # weights, method; in the table of OOD detection also the detector
PLACE = ("dataset", "split", "shift", "severity", "detector")
_IDENTITY = list(formats.METRICS.key)
_PAIRED = [name for name in _IDENTITY if name != "model"]
_LEAD = ("accuracy",)  # first where it is there; `error` is its complement and is left out beside it
_DETECTION = ("auroc", "fpr95")
_CURVES = ("mce",)
FEW = 4  # detectors that a leaderboard of weights has room for
FIFTEEN = "ImageNet-C"
IMAGENET_C = frozenset(ALEXNET)
"""The fifteen corruptions of ImageNet-C; where a benchmark has others too, their mean is a column of its own."""
_OF_PROBABILITIES = ("ece",)
"""Metrics that mean nothing where a model gives a class and no probability."""


@dataclass(frozen=True, slots=True)
class Tables:
    """What aggregate made of one benchmark: METRICS, REPLICATES, DIFFERENCES, COMPARISONS, RELIABILITY and so on.

    `overlaps` alone stands outside the folder of tables.
    """

    metrics: pl.DataFrame
    replicates: pl.DataFrame
    differences: pl.DataFrame
    reliability: pl.DataFrame | None = None
    comparisons: pl.DataFrame | None = None
    risk_coverage: pl.DataFrame | None = None
    searches: pl.DataFrame | None = None
    roc: pl.DataFrame | None = None
    overlaps: pl.DataFrame | None = None

    @property
    def files(self) -> list[str]:
        """Names of the tables that there are."""
        own = (field.name for field in fields(self) if field.name != "overlaps")
        return [name for name in own if getattr(self, name) is not None]


@dataclass(frozen=True, slots=True)
class Difference:
    """Value of `a` minus value of `b`, paired, with interval and two-sided p-value."""

    a: Who
    b: Who
    value: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n: int

    @property
    def significant(self) -> bool:
        """Whether the interval is there and leaves out zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a leaderboard.

    Attributes:
        key: unique in the benchmark, fit for an HTML id and a JSON key.
        group: heading that it stands under.
        detector: of detection metrics, else None.
        positions: how many positions it averages.
        cells: dataset, split, shift and severity (None: a domain shift) of each; shift None: of all.
        entries: by weights and method; training seeds and their means.
        differences: between all pairs of means.
        best: who leads; empty where the direction is not known.
        tied: who does not differ significantly from the leader.
    """

    key: str
    group: str
    measure: Measure
    detector: str | None
    positions: int
    cells: tuple[Cell, ...]
    entries: dict[Who, Entry]
    differences: list[Difference] = field(default_factory=list)
    best: frozenset[Who] = frozenset()
    tied: frozenset[Who] = frozenset()

    @property
    def n(self) -> int | None:
        """The number of samples where it is the same in all entries."""
        found = {entry.n for entry in self.entries.values() if entry.value is not None}
        return found.pop() if len(found) == 1 else None

    @property
    def leads(self) -> bool:
        """Whether the column is kept longest where there is no room for all."""
        return self.measure.name in (*_LEAD, *_CURVES, *_DETECTION[:1])


@dataclass(frozen=True, slots=True)
class Places:
    """The metric rows of a benchmark, by what they are.

    Attributes:
        clean: sample metrics on the clean set.
        levels: the same on shifted sets with severities.
        domains: the same on shifted sets without.
        whole: the same on the clean and all shifted sets together, the full spectrum.
        curves: metrics of whole curves.
        detection: metrics of detectors, of OOD sets and their groups against the clean set.
        spectrum: the same against the full spectrum.
        failure: metrics of detectors on the clean set alone.
    """

    clean: pl.DataFrame
    levels: pl.DataFrame
    domains: pl.DataFrame
    whole: pl.DataFrame
    curves: pl.DataFrame
    detection: pl.DataFrame
    spectrum: pl.DataFrame
    failure: pl.DataFrame

    @classmethod
    def of(cls, tables: Tables, dataset: str, split: str) -> Places:
        """Sort the rows of whole test sets; subgroups and positions of streams are left out."""
        rows = tables.metrics.filter(pl.col("group").is_null(), pl.col("step").is_null(), pl.col("split") == split)
        sample = rows.filter(pl.col("detector").is_null())
        clean = sample.filter(
            pl.col("reference").is_null(), pl.col("shift") == "identity", pl.col("dataset") == dataset
        )
        shifted = sample.filter(
            pl.col("reference").is_not_null(),
            pl.col("shift").is_not_null(),
            pl.col("metric").is_in(clean["metric"].unique().to_list()),
        )
        whole = pl.col("shift") == FULL_SPECTRUM
        scored = rows.filter(pl.col("detector").is_not_null())
        ood = scored.filter(pl.col("dataset") != dataset)
        full = pl.col("reference").str.ends_with(f"/{FULL_SPECTRUM}")
        return cls(
            clean,
            shifted.filter(pl.col("severity").is_not_null()),
            shifted.filter(pl.col("severity").is_null() & ~whole),
            shifted.filter(whole),
            sample.filter(pl.col("shift").is_null()),
            ood.filter(~full),
            ood.filter(full),
            scored.filter(pl.col("dataset") == dataset, pl.col("reference").is_null()),
        )

    @property
    def metrics(self) -> list[str]:
        """Metrics of single cells, the leading one first."""
        return _ordered(self.clean)

    @property
    def who(self) -> list[Who]:
        """Means over seeds, and weights without a seed."""
        found = pl.concat([self.clean, self.detection]).filter(pl.col("seed").is_null())
        return sorted(set(found.select("model", "method").iter_rows()))


def _ordered(rows: pl.DataFrame) -> list[str]:
    names: list[str] = sorted(rows["metric"].unique().to_list())
    lead = [name for name in _LEAD if name in names]
    return [*lead, *(name for name in names if name not in lead and not (lead and name == "error"))]


def columns(tables: Tables, places: Places, about: Mapping[str, Mapping[str, Any]]) -> list[Column]:
    """Columns of a benchmark's leaderboard; many detectors have a table of their own, and no columns here.

    Args:
        tables: what aggregate made.
        places: the rows of `tables`, sorted.
        about: what is known about metrics by name (unit, higher_is_better, meaning, options).
    """
    averaged = [name for name in places.metrics if name in (*places.metrics[:1], "ece")]
    wanted = [("clean", name, None, places.clean) for name in places.metrics]
    wanted += [("corruptions", name, None, places.levels) for name in averaged]
    wanted += [("corruptions", name, None, places.curves) for name in _ordered(places.curves)]
    wanted += [(FIFTEEN, name, None, _fifteen(places.levels)) for name in averaged[:1]]
    wanted += [("domain shifts", name, None, places.domains) for name in averaged[:1]]
    sets = places.detection.filter(pl.col("shift").is_not_null())  # not the means over groups
    detectors = sorted(sets["detector"].unique().to_list())
    for detector in detectors if len(detectors) <= FEW else ():
        scored = sets.filter(pl.col("detector") == detector)
        wanted += [("OOD sets", name, detector, scored) for name in _DETECTION]
    classes = certain(tables)
    return [
        _column(
            tables,
            rows.filter(pl.col("metric") == name),
            group,
            Measure.of(name, about),
            detector,
            classes if name in _OF_PROBABILITIES else frozenset(),
        )
        for group, name, detector, rows in wanted
        if (rows["metric"] == name).any()
    ]


def _fifteen(levels: pl.DataFrame) -> pl.DataFrame:
    """Rows of ImageNet-C's corruptions where there are all of them and others too, else none."""
    asked = set(levels["shift"].unique().to_list())
    return levels.filter(pl.col("shift").is_in(list(IMAGENET_C)) & (asked > IMAGENET_C))


def certain(tables: Tables) -> frozenset[Who]:
    """Return who is sure of everything, as predictions are that are a class and no probability."""
    table = tables.reliability
    if table is None:
        return frozenset()
    sums = table.group_by("model", "method").agg(pl.col("n", "confidence_e9").sum())
    sure = sums.filter(pl.col("n") > 0, pl.col("confidence_e9") == pl.col("n") * formats.E9)
    own = set(sure.select("model", "method").iter_rows())
    return frozenset(own | {(without_seed(weights)[0], method) for weights, method in own})


def _column(
    tables: Tables, rows: pl.DataFrame, group: str, measure: Measure, detector: str | None, undefined: frozenset[Who]
) -> Column:
    series = {
        who: one.undefined() if who in undefined else one for who, one in _series(tables, rows, measure.kind).items()
    }
    entries = {who: one.entry for who, one in series.items()}
    means = sorted(set(rows.filter(pl.col("seed").is_null()).select("model", "method").iter_rows()))
    positions = rows.select(PLACE).unique().height
    cells = rows.select(PLACE[:-1]).unique().sort(PLACE[:-1]).iter_rows()
    known = _known(tables, rows) if positions == 1 and not undefined else {}
    differences = [
        known.get((a, b)) or _difference(a, b, series[a], series[b]) for a, b in itertools.combinations(means, 2)
    ]
    best = _best(means, entries, measure)
    if any(one.value is not None and one.low is None and best & {one.a, one.b} for one in differences):
        best = frozenset()  # what cannot be compared has no leader: two training seeds say nothing of new ones
    tied = {
        who
        for one in differences
        for who, other in ((one.a, one.b), (one.b, one.a))
        if other in best and one.low is not None and not one.significant
    }
    parts = [group.replace(" ", "-"), measure.name, detector]
    key = "-".join(part for part in parts if part)
    return Column(
        key, group, measure, detector, positions, tuple(cells), entries, differences, best, frozenset(tied) - best
    )


@dataclass(frozen=True, slots=True)
class _Series:
    """Mean over positions.

    Attributes:
        values: the value and its replicates, float64 (1 + draws,), NaN where not defined.
        n: samples of the smallest position.
        units: what is resampled there.
        low, high: its interval.
        seeds: of a mean over training seeds, by seed, their values.
    """

    values: NDArray[np.float64]
    n: int
    units: Units = MANY_UNITS
    low: float | None = None
    high: float | None = None
    seeds: Mapping[int | None, NDArray[np.float64]] = field(default_factory=dict)

    @property
    def entry(self) -> Entry:
        own = [float(values[0]) for values in self.seeds.values()]
        ends = [_maybe(end(own)) for end in (np.min, np.max)] if own else [None, None]
        return Entry(_maybe(self.values[0]), self.low, self.high, self.n, len(own) or None, *ends)

    def undefined(self) -> _Series:
        """Return what has no value, for as many samples."""
        return _Series(np.full(len(self.values), np.nan), self.n)


def _series(tables: Tables, rows: pl.DataFrame, kind: str) -> dict[Who, _Series]:
    """Mean over all positions per weights and method; not defined where a position is missing."""
    whole = rows.select(PLACE).unique().height
    joined = rows.join(tables.replicates, on=_IDENTITY, how="left", nulls_equal=True).sort(PLACE)
    parts = joined.partition_by("model", "method", as_dict=True, maintain_order=True)
    found: dict[Who, _Series] = {
        (str(weights), str(method)): _mean(part, whole, kind) for (weights, method), part in parts.items()
    }
    of_seeds: dict[Who, dict[int | None, NDArray[np.float64]]] = {}
    for (weights, method), one in sorted(found.items()):
        family, seed = without_seed(weights)
        if seed is not None:
            of_seeds.setdefault((family, method), {})[seed] = one.values
    return found | {who: _with_seeds(found[who], seeds, kind) for who, seeds in of_seeds.items() if who in found}


def _mean(part: pl.DataFrame, whole: int, kind: str) -> _Series:
    draws = [np.asarray(one if one is not None else [], dtype=np.float64) for one in part["draws"].to_list()]
    rows = [np.concatenate([[np.nan if v is None else v], d]) for v, d in zip(part["value"], draws, strict=True)]
    n, count = (int(part[name].min() or 0) for name in ("n", "units"))  # type: ignore[arg-type]
    units = Units(count, bool((part["unit"] == "cluster").any()))
    if part.height != whole:
        return _Series(np.full(len(rows[0]), np.nan), n, units)
    values = np.add.accumulate(rows)[-1] / whole  # one after another: the same sum everywhere
    ends = part.select(pl.col("ci_low", "ci_high").cast(pl.Float64)).to_numpy()
    low, high = ends[0] if whole == 1 else intervals.of_mean(kind, values, ends, units)
    return _Series(values, n, units, _maybe(low), _maybe(high))


def _with_seeds(mean: _Series, seeds: Mapping[int | None, NDArray[np.float64]], kind: str) -> _Series:
    """A mean over training seeds with an interval that includes them."""
    if len(seeds) < 2:
        return replace(mean, seeds=seeds)
    by_seed = np.stack([*seeds.values()])
    ends = intervals.of_seed_mean(by_seed, kind, mean.units)
    low, high = ends + mean.values[0] - by_seed[:, 0].mean()
    return replace(mean, low=_maybe(low), high=_maybe(high), seeds=seeds)


def _difference(a: Who, b: Who, one: _Series, two: _Series) -> Difference:
    values = one.values - two.values
    units = min(one.units, two.units, key=lambda units: units.count or 0)
    sides = [side.seeds or {None: side.values} for side in (one, two)]
    low, high, p_value = intervals.of_gap(values, sides, units)
    ends = _maybe(low), _maybe(high)
    return Difference(a, b, _maybe(values[0]), *ends, _maybe(p_value), min(one.n, two.n))


def _known(tables: Tables, rows: pl.DataFrame) -> dict[tuple[Who, Who], Difference]:
    """Differences that aggregate computed in the place of `rows`."""
    found = tables.differences.join(rows.select(_PAIRED).unique(), on=_PAIRED, how="semi", nulls_equal=True)
    known: dict[tuple[Who, Who], Difference] = {}
    for row in found.iter_rows(named=True):
        a, b = (row["model_a"], row["method"]), (row["model_b"], row["method"])
        ends = row["difference"], row["ci_low"], row["ci_high"]
        known[a, b] = Difference(a, b, *ends, row["p_value"], row["n"])
    return known


def _best(means: list[Who], entries: dict[Who, Entry], measure: Measure) -> frozenset[Who]:
    values = {who: value for who in means if (value := entries[who].value) is not None}
    if measure.higher_is_better is None or len(values) < 2:  # a race needs two
        return frozenset()
    top = (max if measure.higher_is_better else min)(values.values())
    return frozenset(who for who, value in values.items() if value == top)


def _maybe(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
