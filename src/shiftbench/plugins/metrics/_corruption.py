"""Corruption errors relative to a normaliser; helper of mce and relative_mce.

Source: Hendrycks and Dietterich 2019, "Benchmarking neural network robustness to common corruptions
and perturbations", section 4.2 and table 1; the constants of AlexNet are those of their code.
"""

import numpy as np

from shiftbench.base.errors import ParamsError
from shiftbench.statistics import severity_curves
from shiftbench.statistics.contributions import ratio
from shiftbench.statistics.rows import Floats, Row
from shiftbench.statistics.severity_curves import Curve

ALEXNET = {
    "gaussian_noise": 0.886428, "shot_noise": 0.894468, "impulse_noise": 0.922640, "defocus_blur": 0.819880,
    "glass_blur": 0.826268, "motion_blur": 0.785948, "zoom_blur": 0.798360, "snow": 0.866816, "frost": 0.826572,
    "fog": 0.819324, "brightness": 0.564592, "contrast": 0.853204, "elastic_transform": 0.646056,
    "pixelate": 0.717840, "jpeg_compression": 0.606500,
}  # fmt: skip
LEVELS = [1.0, 2.0, 3.0, 4.0, 5.0]
CLEAN_ALEXNET = 0.435


def ratios(rows: list[Row], normaliser: str, shifts: list[str] | None, of: str, *, relative: bool) -> list[Row]:
    """Return summed errors by those of the normaliser, per shift and meaned over shifts.

    Args:
        rows: rows of the error `of` (and others).
        normaliser: `alexnet`, or weights of the benchmark.
        shifts: which enter; default: all with levels (and, for alexnet, a constant). When one is
            missing, the mean is not defined.
        of: the metric that is the error.
        relative: subtract the clean error from each error first.

    Raises:
        ParamsError: the normaliser, or a clean row, is not there.
    """
    found = severity_curves.curves(rows, of)
    results: list[Row] = []
    for place, own in found.items():
        base = None if normaliser == "alexnet" else severity_curves.normaliser(found, place, normaliser)
        known = ALEXNET if base is None else base
        wanted = sorted(shift for shift in own if shift in known) if shifts is None else sorted(shifts)
        per_shift = [own[shift].row(_ratio(own[shift], base, relative=relative)) for shift in wanted if shift in own]
        results += per_shift
        if per_shift:
            missing = len(per_shift) < len(wanted)
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
            f"found {curve.shift} at {_levels(curve)}. Name weights of this benchmark, or evaluate all five"
        )
    return len(LEVELS) * (ALEXNET[curve.shift] - (CLEAN_ALEXNET if relative else 0))
