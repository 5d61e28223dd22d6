"""Temperature scaling: all logits are divided by one number T, which changes confidences and no prediction.

    by: nll    T in [0.1, 100] minimises the negative log-likelihood of the val split (`detectors/temp_scale.py`)
    by: ece    T minimises its ECE (15 bins) over 0.5, 0.51, ..., 1.99; of equals the lowest

Source: Guo et al. 2017, "On calibration of modern neural networks", section 4.2 (`nll`); `ece` is the search of Ao,
Rueger and Siddharthan, UAI 2023 (AoShuang92/miscalibration_TS, `optimal_T`).
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.detectors import temp_scale
from shiftbench.plugins.detectors._rows import Known, Rows
from shiftbench.plugins.methods import _recalibrating
from shiftbench.plugins.methods._recalibrating import Logits, Recalibrated

SEES = "sample"
TASKS = ("classification", "text_classification", "visual_question")
GRID = np.arange(50, 200) / 100
BINS = 15
HELD = 500_000
"""Logits that are looked at together, over all temperatures."""

needs = _recalibrating.needs


class Options(declare.Options):
    by: Literal["nll", "ece"] = Field("nll", description="what T minimises: the negative log-likelihood, or the ECE")


def wrap(predictor: Callable[..., Any], params: dict[str, Any], inputs: Mapping[Ref, Path]) -> Recalibrated:
    """The recalibrated predictor; `predictor` is not called."""
    choose = {"nll": likeliest, "ece": best_calibrated}
    if params["by"] not in choose:
        raise ParamsError(f"temperature_scaling: by is {params['by']!r}; {suggest(params['by'], choose)}")

    def fit(rows: Rows) -> Callable[[Logits], Logits]:
        temperature = choose[params["by"]](rows)
        return lambda logits: logits / temperature

    return Recalibrated(fit)


def likeliest(rows: Rows) -> float:
    """The T of the highest likelihood, in [0.1, 100]."""
    return temp_scale.fit(Known({"val": rows}), {})


def best_calibrated(rows: Rows) -> float:
    """The T of GRID with the lowest ECE, of equals the lowest."""
    errors = eces(rows.logits.astype(np.float64), rows.labels, GRID[:, None])
    return float(GRID[np.argmin(errors)])


def ece(logits: Logits, labels: NDArray[np.int32]) -> float:
    """The ECE of logits (n, C) under labels (n,), bins open on the left; as the metric `ece`, in float64."""
    return float(eces(logits, labels, np.ones((1, 1)))[0])


def eces(logits: Logits, labels: NDArray[np.int32], temperatures: Logits) -> NDArray[np.float64]:
    """The ECE of logits (n, C) divided by each row of temperatures, (m, C) or (m, 1); float64 (m,)."""
    step = max(1, HELD // logits.size)
    parts = [_eces(logits, labels, temperatures[low : low + step]) for low in range(0, len(temperatures), step)]
    return np.concatenate(parts)


def _eces(logits: Logits, labels: NDArray[np.int32], temperatures: Logits) -> NDArray[np.float64]:
    shown = logits / temperatures[:, None]
    highest = shown.max(axis=2, keepdims=True)
    confidence = 1 / np.exp(shown - highest).sum(axis=2)
    gaps = confidence - (shown.argmax(axis=2) == labels)
    which = np.maximum(np.ceil(confidence * BINS).astype(np.int64) - 1, 0)
    which += BINS * np.arange(len(shown))[:, None]
    binned = np.bincount(which.ravel(), gaps.ravel(), BINS * len(shown))
    total: NDArray[np.float64] = np.abs(binned).reshape(-1, BINS).sum(axis=1)
    return total / len(logits)
