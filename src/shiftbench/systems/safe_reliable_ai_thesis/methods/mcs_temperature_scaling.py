"""MCS temperature scaling: a temperature for each class, moved from the common one by the class's miscalibration.

    1. T* minimises ECE on the val split (methods/temperature_scaling.py, `by: ece`)
    2. level_k at T*: mean of confidence - [right] over the val samples of class k (metrics/miscalibration.py)
    3. levels beyond [q1 - 1.5 IQR, q3 + 1.5 IQR] are set to these ends (midpoint quartiles), then `scale`d
    4. T_k = T* (1 + g level_k), g of -2, -1.999, ..., 1.999 with the lowest ECE on val; of equals the lowest
    5. the logit of class k is divided by T_k, so that predictions can change

Source: Ao, Rueger and Siddharthan, "Two Sides of Miscalibration", UAI 2023; AoShuang92/miscalibration_TS, `msc_ts.py`
(`optimal_T`, `normalized_mcs_t`, `tuning_ece_level_factor`). `scale: max` turns the signs of levels round where the
largest is below 0, `min_max` loses them; the release has no default. With `held_out`, samples are parted by the hash of
their keys; the release has all of val for both. Differs: levels are not rounded to 0.001 on the way, a g that
makes some temperature 0 or less is passed over, and a class without a val sample has the level 0.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import softmax

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.data.splits import unit
from shiftbench.plugins import declare
from shiftbench.plugins.detectors._rows import Rows
from shiftbench.plugins.methods import _recalibrating, temperature_scaling
from shiftbench.plugins.methods._recalibrating import Logits, Recalibrated
from shiftbench.statistics.rows import Floats

SEES = "sample"
TASKS = ("classification", "text_classification", "visual_question")
FACTORS = np.arange(-2000, 2000) / 1000
SCALES = ("none", "max", "min_max")

needs = _recalibrating.needs


class Options(declare.Options):
    scale: Literal["none", "max", "min_max"] = Field(
        "none", description="leave levels, divide by the largest, or stretch to 0 to 1"
    )
    held_out: float = Field(
        0.0, ge=0, lt=1, description="share of the val samples on which g is chosen; 0: all, for levels too"
    )


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> Recalibrated:
    """The recalibrated predictor; `predictor` is not called.

    Raises:
        ParamsError: there is no such scale, or `held_out` leaves nothing to one of the two parts.
    """
    if params["scale"] not in SCALES:
        raise ParamsError(f"mcs_temperature_scaling: scale is {params['scale']!r}; {suggest(params['scale'], SCALES)}")
    if not 0 <= params["held_out"] < 1:
        raise ParamsError(
            f"mcs_temperature_scaling: held_out is {params['held_out']:g}; expected a share from 0 to below 1"
        )

    def fit(rows: Rows) -> Callable[[Logits], Logits]:
        temperatures = class_temperatures(rows, params["scale"], params["held_out"])
        return lambda logits: logits / temperatures

    return Recalibrated(fit)


def class_temperatures(rows: Rows, scale: str = "none", held_out: float = 0.0) -> Floats:
    """The temperature of each class, float64 (C,).

    Raises:
        ParamsError: one of the two parts of the val split has no sample.
    """
    common = temperature_scaling.best_calibrated(rows)
    logits, labels = rows.logits.astype(np.float64), rows.labels
    selects_factor = np.array([unit("held_out", key) < held_out for key in rows.keys])
    measures_levels = ~selects_factor if held_out else ~selects_factor | True
    selects_factor = selects_factor if held_out else measures_levels
    if not (selects_factor.any() and measures_levels.any()):
        raise ParamsError(f"{rows.name}: {len(rows)} val samples are too few for held_out = {held_out:g}")
    class_levels = levels(logits[measures_levels] / common, labels[measures_levels])
    scaled_levels = scaled(clipped(class_levels), scale)
    return common * (
        1 + best_factor(logits[selects_factor], labels[selects_factor], common, scaled_levels) * scaled_levels
    )


def levels(logits: Logits, labels: NDArray[np.int32]) -> Floats:
    """The level of each class, float64 (C,); of a class without a sample 0."""
    shares = softmax(logits, axis=1)
    gaps = shares.max(axis=1) - (shares.argmax(axis=1) == labels)
    classes = logits.shape[1]
    number = np.bincount(labels, minlength=classes)
    return np.bincount(labels, gaps, classes) / np.maximum(number, 1)


def clipped(values: Floats) -> Floats:
    """Levels within one and a half interquartile ranges of their quartiles."""
    low, high = np.percentile(values, [25, 75], method="midpoint")
    reach = 1.5 * (high - low)
    return np.clip(values, low - reach, high + reach)


def scaled(values: Floats, scale: str) -> Floats:
    """Levels as they are (`none`), divided by the largest (`max`), or stretched to 0 to 1 (`min_max`).

    Raises:
        ParamsError: they cannot be: the largest is 0, or all are equal.
    """
    if scale == "none":
        return values
    low, span = (0.0, values.max()) if scale == "max" else (values.min(), np.ptp(values))
    if span == 0:
        raise ParamsError(f"mcs_temperature_scaling: levels {values} cannot be scaled by {scale!r}")
    return (values - low) / span


def best_factor(logits: Logits, labels: NDArray[np.int32], common: float, scaled_levels: Floats) -> float:
    """The g of FACTORS with the lowest ECE, of equals the lowest; those with a temperature <= 0 are left out."""
    temperatures = common * (1 + FACTORS[:, None] * scaled_levels)
    allowed = temperatures.min(axis=1) > 0
    errors = temperature_scaling.eces(logits, labels, temperatures[allowed])
    return float(FACTORS[allowed][np.argmin(errors)])
