"""Severity: what a shift costs, by its severity and over shifts.

Metrics of curves map rows of another metric, the option `of`, to rows. A row with a severity is the value there, a row
of a shift without one that of the whole shift, and the row without a shift is the mean over the shifts. Resamples are
shared with the clean row, so that differences are paired.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from pydantic import Field
from scipy.stats import rankdata

from shiftbench.base.errors import ParamsError
from shiftbench.plugins import declare, fields
from shiftbench.statistics import severity_curves
from shiftbench.statistics.contributions import Contributions, Sums, ratio
from shiftbench.statistics.rows import Floats, Row, SeverityPath
from shiftbench.statistics.severity_curves import Curve

ALEXNET = {
    "gaussian_noise": 0.886428, "shot_noise": 0.894468, "impulse_noise": 0.922640, "defocus_blur": 0.819880,
    "glass_blur": 0.826268, "motion_blur": 0.785948, "zoom_blur": 0.798360, "snow": 0.866816, "frost": 0.826572,
    "fog": 0.819324, "brightness": 0.564592, "contrast": 0.853204, "elastic_transform": 0.646056,
    "pixelate": 0.717840, "jpeg_compression": 0.606500,
}  # fmt: skip
"""Errors of AlexNet on ImageNet-C, means over severities 1 to 5; the constants of Hendrycks and Dietterich's code."""
OF_BASELINE = "share of the baseline's errors"
LEVELS = [1.0, 2.0, 3.0, 4.0, 5.0]
CLEAN_ALEXNET = 0.435

Normaliser = Annotated[str, Field(description="`alexnet`, or a model of the benchmark, by whose errors is divided")]
Shifts = Annotated[
    Sequence[str] | None, Field(description="shifts that enter; null: all with severities (`alexnet`: with a constant)")
]
Falling = Annotated[bool, Field(description="reverse the sign: for a metric that falls with severity")]
Place = tuple[str | None, ...]


def source(options: Mapping[str, Any]) -> tuple[str, ...]:
    """The metric whose rows a metric of curves is computed from."""
    return (str(options["of"]),)


# ------------------------------------------------------------------ drops of accuracy


@declare.curve_metric(sources=source, higher_is_better=False, bounds=(-1.0, 1.0))
def accuracy_drop(rows: list[Row], of: fields.Of = "accuracy") -> list[Row]:
    """Accuracy drop: how much accuracy a shift costs, the clean accuracy minus the shifted one.

    Of a whole shift it is the mean over its severities. A domain shift has no severity and has its drop.

    Source: ImageNet-E (arXiv 2303.17096) calls it dropped accuracy, CNS-Bench (arXiv 2507.17651) accuracy drop, both in
    percent. We differ: here it is a share.
    """
    own = [row for row in rows if row.metric == of and row.group is None and row.step is None]
    clean = {(*_place(row), row.condition): row for row in own if row.reference is None}
    places: dict[Place, dict[str, list[Row]]] = {}
    for row in own:
        if row.reference is not None and row.shift is not None:
            drop = _drop(row, clean.get((*_place(row), row.reference)))
            places.setdefault(_place(row), {}).setdefault(row.shift, []).append(drop)
    return [row for shifts in places.values() for row in _with_means(shifts)]


def _drop(row: Row, clean: Row | None) -> Row:
    if clean is None:
        raise ParamsError(f"{row.model} has no clean {row.metric} for {row.shift}; evaluate the clean set too")
    return row.derived([clean, row], clean.all - row.all)


def _with_means(shifts: dict[str, list[Row]]) -> Iterator[Row]:
    whole = []
    for _, drops in sorted(shifts.items()):
        drops.sort(key=lambda row: row.severity or 0.0)
        if drops[0].severity is not None:
            yield from drops
            total = sum((row.all for row in drops[1:]), drops[0].all)
            whole.append(drops[0].derived(drops, total / len(drops), severity=None))
        else:
            whole.append(drops[0])
        yield whole[-1]
    yield severity_curves.mean(whole, [row.all for row in whole])


def _place(row: Row) -> Place:
    return row.model, row.method, row.detector, row.dataset, row.split


@declare.curve_metric(sources=source, higher_is_better=False, unit="share of the clean accuracy", bounds=(None, 1.0))
def accuracy_drop_relative(rows: list[Row], of: fields.Of = "accuracy") -> list[Row]:
    """Relative accuracy drop: the accuracy that a shift costs, as a share of the clean accuracy.

    Its rows are those of `accuracy_drop`. Models of different clean accuracy can be compared, which the drop itself
    mixes up. NaN if nothing is correct on clean samples.

    Source: the relative drop next to ImageNet-E's (arXiv 2303.17096) dropped accuracy.
    """
    clean = {
        (_place(row), row.condition): row
        for row in rows
        if row.metric == of and row.reference is None and row.group is None and row.step is None
    }
    drops = accuracy_drop(rows, of)
    return [drop.derived([drop], ratio(drop.all, clean[_place(drop), str(drop.reference)].all)) for drop in drops]


@declare.curve_metric(sources=source, higher_is_better=True, unit="that of the metric", bounds=(None, None))
def auc_severity(rows: list[Row], of: fields.Of = "accuracy") -> list[Row]:
    """Area under a metric's curve over severity, from the clean set at 0 to the highest level, by its width.

    Trapezoids over the levels that were run, divided by the highest level: the mean of the metric over severity, in
    its unit. Needs the clean row and one level.

    The direction is that of the default, accuracy.
    Source: the trapezoid rule as in scikit-learn's `auc`.
    """
    results: list[Row] = []
    for shifts in severity_curves.curves(rows, of).values():
        areas = [curve.row(_area(curve, curve.clean)) for curve in shifts.values() if curve.clean is not None]
        results += areas
        if areas:
            results.append(severity_curves.mean(areas, [row.all for row in areas]))
    return results


def _area(curve: Curve, clean: Row) -> Floats:
    last, before = 0.0, clean.all
    area = before * 0
    for severity, row in curve.rows.items():
        area = area + (severity - last) * (before + row.all) / 2
        last, before = severity, row.all
    return area / last


@declare.curve_metric(sources=source, higher_is_better=True, unit="correlation", bounds=(-1.0, 1.0))
def severity_rank(rows: list[Row], of: fields.Of = "accuracy", falling: Falling = False) -> list[Row]:  # noqa: FBT002
    """Spearman's correlation of a metric with the severity of a shift, the clean value at 0 included.

    -1: the metric falls from each severity to the next; equal values share a rank. One row per shift, none for domain
    shifts.

    Source: Spearman 1904; as `scipy.stats.spearmanr`, in each resample.
    """
    results = []
    for shifts in severity_curves.curves(rows, of).values():
        for curve in shifts.values():
            if curve.clean is None:
                raise ParamsError(
                    f"{curve.first.model} has no clean {of} for {curve.shift}; evaluate the clean set too"
                )
            values = np.stack([row.all for row in (curve.clean, *curve.rows.values())])
            results.append(curve.row(_spearman(-values if falling else values)))
    return results


def _spearman(values: Floats) -> Floats:
    """Correlation of values (levels, k) with their order, float64 (k,); NaN if all are equal."""
    ranks = rankdata(values, axis=0)
    order = np.arange(len(values)) - (len(values) - 1) / 2
    apart = ranks - ranks.mean(axis=0)
    with np.errstate(invalid="ignore"):
        whole: Floats = (order @ apart) / np.sqrt((order @ order) * (apart * apart).sum(axis=0))
    return np.where(np.isnan(values).any(axis=0), np.nan, whole)


# ------------------------------------------------------------------ corruption errors


@declare.curve_metric(sources=source, higher_is_better=False, unit=OF_BASELINE, bounds=(0.0, None))
def mce(
    rows: list[Row], normaliser: Normaliser = "alexnet", shifts: Shifts = None, of: fields.Of = "error"
) -> list[Row]:
    """Mean corruption error: errors summed over severities, by those of a named normaliser, averaged over shifts.

    CE(shift) = sum over severities of error / sum over severities of the normaliser's error; mCE is the mean of CE over
    the shifts. A row with a shift is CE, the row without one is mCE.

    The errors of AlexNet are those on ImageNet-C at severities 1 to 5, and all five are needed. The resamples of a
    model that is the normaliser enter too. If one of the shifts is missing, the mean is not defined.

    Source: Hendrycks and Dietterich 2019, "Benchmarking neural network robustness to common corruptions and
    perturbations", section 4.2 and table 1. We give a ratio where the paper gives percent.
    """
    return corruption_errors(rows, normaliser, shifts, of, relative=False)


@declare.curve_metric(sources=source, higher_is_better=False, unit=OF_BASELINE, bounds=(None, None))
def relative_mce(
    rows: list[Row], normaliser: Normaliser = "alexnet", shifts: Shifts = None, of: fields.Of = "error"
) -> list[Row]:
    """Relative mean corruption error: as `mce`, of errors above the clean error.

    relative CE(shift) = sum over severities of (error - clean error) / the same of the normaliser. A row with a shift
    is relative CE, the row without one is relative mCE.

    Source: Hendrycks and Dietterich 2019, section 4.2. We give a ratio where the paper gives
    percent.
    """
    return corruption_errors(rows, normaliser, shifts, of, relative=True)


def corruption_errors(
    rows: list[Row], normaliser: str, shifts: Sequence[str] | None, of: str, *, relative: bool
) -> list[Row]:
    """Summed errors by those of the normaliser, per shift and averaged over shifts; see `mce`.

    Raises:
        ParamsError: the normaliser, or a clean row, is missing.
    """
    curves = severity_curves.curves(rows, of)
    results: list[Row] = []
    for place, own in curves.items():
        base = None if normaliser == "alexnet" else severity_curves.normaliser(curves, place, normaliser)
        known = ALEXNET if base is None else base
        chosen = sorted(shift for shift in own if shift in known) if shifts is None else sorted(shifts)
        per_shift = [own[shift].row(_ratio(own[shift], base, relative=relative)) for shift in chosen if shift in own]
        results += per_shift
        if per_shift:
            missing = len(per_shift) < len(chosen)
            results.append(
                severity_curves.mean(per_shift, [row.all * np.nan if missing else row.all for row in per_shift])
            )
    return results


def _ratio(own: Curve, base: dict[str, Curve] | None, *, relative: bool) -> Floats:
    above = _total(own, relative=relative)
    below = _alexnet(own, relative=relative) if base is None else _total(_like(own, base), relative=relative)
    return above / below if isinstance(below, float) else ratio(above, below)


def _like(own: Curve, base: dict[str, Curve]) -> Curve:
    other = base.get(own.shift)
    if other is None or list(other.rows) != list(own.rows):
        raise ParamsError(
            f"the normaliser is not evaluated under {own.shift} at severities {_levels(own)}; evaluate it there too"
        )
    return other


def _levels(curve: Curve) -> str:
    return ", ".join(f"{severity:g}" for severity in curve.rows)


def _total(curve: Curve, *, relative: bool) -> Floats:
    if relative and curve.clean is None:
        first = curve.first
        raise ParamsError(f"{first.model} has no clean {first.metric} for {curve.shift}; evaluate the clean set too")
    values = [row.all for row in curve.rows.values()]
    if relative and curve.clean is not None:
        values = [value - curve.clean.all for value in values]
    total = values[0]
    for value in values[1:]:
        total = total + value
    return total


def _alexnet(curve: Curve, *, relative: bool) -> float:
    if curve.shift not in ALEXNET or list(curve.rows) != LEVELS:
        raise ParamsError(
            f"normaliser 'alexnet' has errors of ImageNet-C's {len(ALEXNET)} shifts over severities 1 to 5; "
            f"found {curve.shift} at {_levels(curve)}. Name a model of this benchmark, or evaluate all five"
        )
    return len(LEVELS) * (ALEXNET[curve.shift] - (CLEAN_ALEXNET if relative else 0))


# ------------------------------------------------------------------ paths of samples


def _failures(path: SeverityPath) -> Contributions:
    """Count samples by where they fail first: bin i is severity i + 1 of the path, the last bin nowhere."""
    right = [rows.column("correct") for rows in path.rows]
    counting = right[0].copy()
    for rows in path.rows[1:]:
        counting *= rows.present("correct")
    wrong = np.stack([1 - column for column in right[1:]] + [np.ones_like(counting)])
    return Contributions(counting, binned=counting, bins=wrong.argmax(axis=0), width=len(path.severities))


def _mean_severity(sums: Sums, path: SeverityPath) -> dict[float | None, Floats]:
    total = np.zeros(sums.count.shape)
    for severity, count in zip((*path.severities[1:], path.never), sums.binned, strict=True):
        total += severity * count
    return {None: ratio(total, sums.count)}


def _histogram(sums: Sums, path: SeverityPath) -> dict[float | None, Floats]:
    counts = sums.binned[: len(path.severities) - 1]
    return {severity: ratio(count, sums.count) for severity, count in zip(path.severities[1:], counts, strict=True)}


def _shares_and_mean(sums: Sums, path: SeverityPath) -> dict[float | None, Floats]:
    shares = [ratio(flipped, sums.count) for flipped in sums.sums]
    total = shares[0]
    for share in shares[1:]:
        total = total + share
    return {None: total / len(shares), **dict(zip(path.severities[1:], shares, strict=True))}


@declare.path_metric(
    columns=("correct",), finish=_mean_severity, higher_is_better=True, unit="severity", bounds=(0.0, None)
)
def failure_point(path: SeverityPath) -> Contributions:
    """Severity at which a prediction first is wrong, as the mean over samples that are correct without shift.

    A sample that is correct at every severity that was evaluated counts as the highest plus the last step (levels 1, 3
    and 5: as 7). One that is wrong at a severity has failed there, also if it is correct again at a higher one.

    Source: CNS-Bench, ICCV 2025, https://arxiv.org/abs/2507.17651: FP(i) = min {s: wrong at s} along the path of one
    image, 3.0 for an image that never fails at severities 0 to 2.5 in steps of 0.5. We differ: images that are wrong at
    severity 0 are left out (`error` of the clean set says how many they are). The histogram is `failure_share`.
    """
    return _failures(path)


@declare.path_metric(columns=("correct",), finish=_histogram, higher_is_better=False)
def failure_share(path: SeverityPath) -> Contributions:
    """Share of samples correct without shift whose prediction first is wrong at a severity.

    One row per severity: the histogram of failure points. The rest of 1 is the share that never fails.

    Source: CNS-Bench, ICCV 2025, https://arxiv.org/abs/2507.17651, histogram of failure points; see `failure_point`.
    """
    return _failures(path)


@declare.path_metric(columns=("correct",), finish=_shares_and_mean, higher_is_better=False)
def flip_rate(path: SeverityPath) -> Contributions:
    """Flip rate: the share of samples correct without shift that are wrong under it, at each severity.

    Samples are joined by key. If a shift repairs as much as it breaks, accuracy does not fall, but predictions flip.

    Source: a second view of ImageNet-E's (arXiv 2303.17096) dropped accuracy, which counts repaired samples against it.
    """
    right = path.rows[0].column("correct").copy()
    for rows in path.rows[1:]:
        right *= rows.present("correct")
    return Contributions(right, tuple(right * (1 - rows.column("correct")) for rows in path.rows[1:]))
