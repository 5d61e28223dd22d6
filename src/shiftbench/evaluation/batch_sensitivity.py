"""Sensitivity of outputs to the batch size and to the device, a recorded property of a result.

The first evaluated samples are predicted one by one, and together in a batch as large as the run's; if the run is on a
GPU, also on the CPU. The run file of every record contains the largest difference of a logit and the share of
predictions that flip, so that a reader knows how exact the last digits are.
"""

from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import devices
from shiftbench.evaluation.batching import Predictor

SAMPLES = 16
"""Number of samples that are predicted one by one; few, since a batch of one costs most."""


def measure(
    predictor: Predictor, folder: Path, batch_size: int, elsewhere: Callable[[], Predictor] | None = None
) -> dict[str, Any]:
    """Sensitivity to the batch size (`batch`) and, with another device, to the device (`device`).

    Args:
        predictor: samples -> outputs, each sample by itself.
        folder: shards; their first samples are read.
        batch_size: of the run.
        elsewhere: loads the same predictor on another device.
    """
    samples = list(islice(shards.read(folder), batch_size))
    few = samples[:SAMPLES]
    try:
        batch_logits = _logits(predictor, samples)
        single_logits = np.concatenate([_logits(predictor, [sample]) for sample in few])
        result = {"batch": {"sizes": [1, len(samples)], **compare(single_logits, batch_logits[: len(few)])}}
        if elsewhere:
            result["device"] = compare(batch_logits[: len(few)], _logits(elsewhere(), few))
    except _Unfit as reason:
        return {"batch": None, "reason": str(reason)}
    return result


class _Unfit(Exception):
    """These outputs cannot be compared; evaluation reports their errors itself."""


def _logits(predictor: Predictor, samples: list[Sample]) -> NDArray[np.float32]:
    if not samples:
        raise _Unfit("no samples")
    try:
        logits = predictor(samples).get("logits")
    except devices.out_of_memory():
        raise _Unfit(f"out of memory at batch size {len(samples)}") from None
    if logits is None or logits.shape[:1] != (len(samples),) or logits.ndim != 2:
        raise _Unfit("the outputs are no logits (n, C)")
    if not np.isfinite(logits).all():
        raise _Unfit("some logits are not finite")
    return logits


def compare(one: NDArray[np.float32], other: NDArray[np.float32]) -> dict[str, Any]:
    """Number of samples, largest absolute difference of a logit, and share of predictions (argmax) that differ."""
    flips = float(np.mean(one.argmax(1) != other.argmax(1)))
    return {"samples": len(one), "largest": float(np.abs(one - other).max()), "flip_rate": flips}
