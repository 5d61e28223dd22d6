"""The leaderboard of a benchmark, from its tables: columns with intervals, paired differences and marks.

A column averages the metric rows of one or more positions (the clean set; all shifts at all levels; all
OOD sets under one detector). Means, their intervals and their differences are computed from the replicates, which are
paired by construction; differences that aggregate computed itself are shown unchanged.
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
from shiftbench.statistics.detector_comparisons import holm
from shiftbench.statistics.evaluation_scores import FULL_SPECTRUM
from shiftbench.statistics.intervals import MANY_UNITS, Units

Who = tuple[str, ...]  # model, method; in the table of OOD detection also the detector
PLACE = ("dataset", "split", "shift", "severity", "detector")
_IDENTITY = list(formats.METRICS.key)
_PAIRED = [name for name in _IDENTITY if name != "model"]
_LEAD = ("accuracy",)  # is first; `error` is its complement and is left out then
_DETECTION = ("auroc", "fpr95")
_CURVES = ("mce",)
LEVEL = 0.05  # of p-values after Holm's correction
FEW = 4  # detectors that a leaderboard of models has room for
FIFTEEN = "ImageNet-C"
IMAGENET_C = frozenset(ALEXNET)
"""The fifteen corruptions of ImageNet-C; where a benchmark has others too, their mean is a column of its own."""
GROUPS = {
    "noise": ("gaussian_noise", "shot_noise", "impulse_noise"),
    "blur": ("defocus_blur", "glass_blur", "motion_blur", "zoom_blur"),
    "weather": ("snow", "frost", "fog", "brightness"),
    "digital": ("contrast", "elastic_transform", "pixelate", "jpeg_compression"),
}
"""Their groups: Hendrycks and Dietterich 2019, table 1."""
_OF_PROBABILITIES = ("ece",)
"""Metrics that are undefined for a model that gives classes without probabilities."""


@dataclass(frozen=True, slots=True)
class Tables:
    """Tables of one benchmark from the stage aggregate: METRICS, REPLICATES, DIFFERENCES, COMPARISONS and others.

    Only `overlaps` is outside the folder of tables.
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
        """Names of the existing tables."""
        names = (field.name for field in fields(self) if field.name != "overlaps")
        return [name for name in names if getattr(self, name) is not None]


@dataclass(frozen=True, slots=True)
class Difference:
    """Value of `a` minus value of `b`, paired, with interval and two-sided p-value.

    `p_holm` is corrected for all pairs of the column by Holm's method.
    """

    a: Who
    b: Who
    value: float | None
    low: float | None
    high: float | None
    p_value: float | None
    n: int
    p_holm: float | None = None

    @property
    def significant(self) -> bool:
        """Whether there is an interval without zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)

    @property
    def stands(self) -> bool:
        """Whether the difference is significant after Holm's correction, at 5%."""
        return self.p_holm is not None and self.p_holm < LEVEL


@dataclass(frozen=True, slots=True)
class Column:
    """One column of a leaderboard.

    Attributes:
        key: unique in the benchmark, fit for an HTML id and a JSON key.
        group: heading above it.
        detector: of detection metrics, else None.
        positions: how many positions it averages.
        cells: dataset, split, shift and severity (None: a domain shift) of each; shift None: of all.
        entries: by model and method; training seeds and their means.
        differences: between all pairs of means.
        best: the leading models; empty if the direction is not known.
        tied: models that do not differ significantly from the leader.
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
        """The number of samples, if it is the same in all entries."""
        counts = {entry.n for entry in self.entries.values() if entry.value is not None}
        return counts.pop() if len(counts) == 1 else None

    @property
    def leads(self) -> bool:
        """Whether the column is kept longest on narrow screens."""
        return self.measure.name in (*_LEAD, *_CURVES, *_DETECTION[:1])


@dataclass(frozen=True, slots=True)
class Places:
    """The metric rows of a benchmark by kind.

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
        """Metrics of single conditions, the leading one first."""
        return _ordered(self.clean)

    @property
    def who(self) -> list[Who]:
        """Means over seeds, and models without a seed."""
        rows = pl.concat([self.clean, self.detection]).filter(pl.col("seed").is_null())
        return sorted(set(rows.select("model", "method").iter_rows()))


def _ordered(rows: pl.DataFrame) -> list[str]:
    names: list[str] = sorted(rows["metric"].unique().to_list())
    lead = [name for name in _LEAD if name in names]
    return [*lead, *(name for name in names if name not in lead and not (lead and name == "error"))]


def columns(tables: Tables, places: Places, about: Mapping[str, Mapping[str, Any]]) -> list[Column]:
    """Columns of a benchmark's leaderboard; many detectors have a table of their own, and no columns here.

    Args:
        tables: those of the stage aggregate.
        places: the rows of `tables`, sorted.
        about: facts of metrics by name (unit, higher_is_better, meaning, options).
    """
    averaged = [name for name in places.metrics if name in (*places.metrics[:1], "ece")]
    parts = [("clean", name, None, places.clean) for name in places.metrics]
    parts += [("corruptions", name, None, places.levels) for name in averaged]
    parts += [("corruptions", name, None, places.curves) for name in _ordered(places.curves)]
    parts += [(FIFTEEN, name, None, _fifteen(places.levels)) for name in averaged[:1]]
    parts += [("domain shifts", name, None, places.domains) for name in averaged[:1]]
    sets = places.detection.filter(pl.col("shift").is_not_null())  # not the means over groups
    detectors = sorted(sets["detector"].unique().to_list())
    for detector in detectors if len(detectors) <= FEW else ():
        scored = sets.filter(pl.col("detector") == detector)
        parts += [("OOD sets", name, detector, scored) for name in _DETECTION]
    undefined = certain(tables)
    return [
        _column(
            tables,
            rows.filter(pl.col("metric") == name),
            group,
            Measure.of(name, about),
            detector,
            undefined if name in _OF_PROBABILITIES else frozenset(),
        )
        for group, name, detector, rows in parts
        if (rows["metric"] == name).any()
    ]


def means(tables: Tables, rows: pl.DataFrame, measure: Measure) -> dict[Who, Entry]:
    """The mean over the conditions of some metric rows of one metric, for each model and each training seed."""
    return {who: one.entry for who, one in _series(tables, rows, measure.kind).items()}


def _fifteen(levels: pl.DataFrame) -> pl.DataFrame:
    """Rows of ImageNet-C's corruptions where there are all of them and others too, else none."""
    shifts = set(levels["shift"].unique().to_list())
    return levels.filter(pl.col("shift").is_in(list(IMAGENET_C)) & (shifts > IMAGENET_C))


def certain(tables: Tables) -> frozenset[Who]:
    """Models whose confidence is always 1, since they predict a class without a probability."""
    table = tables.reliability
    if table is None:
        return frozenset()
    sums = table.group_by("model", "method").agg(pl.col("n", "confidence_e9").sum())
    certain_rows = sums.filter(pl.col("n") > 0, pl.col("confidence_e9") == pl.col("n") * formats.E9)
    models = set(certain_rows.select("model", "method").iter_rows())
    return frozenset(models | {(without_seed(weights)[0], method) for weights, method in models})


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
    aggregated = _aggregated_differences(tables, rows) if positions == 1 and not undefined else {}
    differences = [
        aggregated.get((a, b)) or _difference(a, b, series[a], series[b]) for a, b in itertools.combinations(means, 2)
    ]
    differences = _corrected(differences)
    best = _best(means, entries, measure)
    if any(one.value is not None and one.low is None and best & {one.a, one.b} for one in differences):
        best = frozenset()  # without a comparison there is no leader: two training seeds give no interval
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
        seed_values = [float(values[0]) for values in self.seeds.values()]
        ends = [_number_or_none(end(seed_values)) for end in (np.min, np.max)] if seed_values else [None, None]
        return Entry(_number_or_none(self.values[0]), self.low, self.high, self.n, len(seed_values) or None, *ends)

    def undefined(self) -> _Series:
        """A series without a value, for as many samples."""
        return _Series(np.full(len(self.values), np.nan), self.n)


def _series(tables: Tables, rows: pl.DataFrame, kind: str) -> dict[Who, _Series]:
    """Mean over all positions per model and method; not defined if a position is missing."""
    positions = rows.select(PLACE).unique().height
    joined = rows.join(tables.replicates, on=_IDENTITY, how="left", nulls_equal=True).sort(PLACE)
    parts = joined.partition_by("model", "method", as_dict=True, maintain_order=True)
    series: dict[Who, _Series] = {
        (str(model), str(method)): _mean(part, positions, kind) for (model, method), part in parts.items()
    }
    by_seed: dict[Who, dict[int | None, NDArray[np.float64]]] = {}
    for (model, method), seed_series in sorted(series.items()):
        mean, seed = without_seed(model)
        if seed is not None:
            by_seed.setdefault((mean, method), {})[seed] = seed_series.values
    return series | {who: _with_seeds(series[who], seeds, kind) for who, seeds in by_seed.items() if who in series}


def _mean(part: pl.DataFrame, whole: int, kind: str) -> _Series:
    replicates = [np.asarray(one if one is not None else [], dtype=np.float64) for one in part["draws"].to_list()]
    rows = [np.concatenate([[np.nan if v is None else v], d]) for v, d in zip(part["value"], replicates, strict=True)]
    n, count = (int(part[name].min() or 0) for name in ("n", "units"))  # type: ignore[arg-type]
    units = Units(count, bool((part["unit"] == "cluster").any()))
    if part.height != whole:
        return _Series(np.full(len(rows[0]), np.nan), n, units)
    values = np.add.accumulate(rows)[-1] / whole  # one after another: the same sum everywhere
    ends = part.select(pl.col("ci_low", "ci_high").cast(pl.Float64)).to_numpy()
    low, high = ends[0] if whole == 1 else intervals.of_mean(kind, values, ends, units)
    return _Series(values, n, units, _number_or_none(low), _number_or_none(high))


def _with_seeds(mean: _Series, seeds: Mapping[int | None, NDArray[np.float64]], kind: str) -> _Series:
    """A mean over training seeds with an interval that includes them."""
    if len(seeds) < 2:
        return replace(mean, seeds=seeds)
    by_seed = np.stack([*seeds.values()])
    ends = intervals.of_seed_mean(by_seed, kind, mean.units)
    low, high = ends + mean.values[0] - by_seed[:, 0].mean()
    return replace(mean, low=_number_or_none(low), high=_number_or_none(high), seeds=seeds)


def _difference(a: Who, b: Who, one: _Series, two: _Series) -> Difference:
    values = one.values - two.values
    units = min(one.units, two.units, key=lambda units: units.count or 0)
    sides = [side.seeds or {None: side.values} for side in (one, two)]
    low, high, p_value = intervals.of_gap(values, sides, units)
    ends = _number_or_none(low), _number_or_none(high)
    return Difference(a, b, _number_or_none(values[0]), *ends, _number_or_none(p_value), min(one.n, two.n))


def _corrected(differences: list[Difference]) -> list[Difference]:
    """The differences with p-values that are corrected for their number, the largest difference first."""
    tested = [one for one in differences if one.p_value is not None]
    corrected = iter(holm(np.array([one.p_value for one in tested], dtype=np.float64)).tolist() if tested else [])
    holmed = [one if one.p_value is None else replace(one, p_holm=next(corrected)) for one in differences]
    return sorted(holmed, key=lambda one: (one.value is None, -abs(one.value or 0.0), one.a, one.b))


def _aggregated_differences(tables: Tables, rows: pl.DataFrame) -> dict[tuple[Who, Who], Difference]:
    """Differences that aggregate computed for the condition of `rows`."""
    matching = tables.differences.join(rows.select(_PAIRED).unique(), on=_PAIRED, how="semi", nulls_equal=True)
    differences: dict[tuple[Who, Who], Difference] = {}
    for row in matching.iter_rows(named=True):
        a, b = (row["model_a"], row["method"]), (row["model_b"], row["method"])
        ends = row["difference"], row["ci_low"], row["ci_high"]
        differences[a, b] = Difference(a, b, *ends, row["p_value"], row["n"])
    return differences


def _best(means: list[Who], entries: dict[Who, Entry], measure: Measure) -> frozenset[Who]:
    values = {who: value for who in means if (value := entries[who].value) is not None}
    if measure.higher_is_better is None or len(values) < 2:  # a race needs two
        return frozenset()
    top = (max if measure.higher_is_better else min)(values.values())
    return frozenset(who for who, value in values.items() if value == top)


def _number_or_none(value: Any) -> float | None:
    return None if np.isnan(value) else float(value)
