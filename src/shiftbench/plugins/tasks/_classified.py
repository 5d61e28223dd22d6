"""Rows of tasks whose answer is one of a fixed list of classes; helper of the tasks that have one."""

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from scipy.special import logsumexp

from shiftbench.base.errors import ModelError, ParamsError, RangeError, suggest
from shiftbench.base.sample import Sample
from shiftbench.data import formats
from shiftbench.plugins.tasks._classes import UNKNOWN, LabelSpace

METRICS = (
    *("accuracy", "error", "ece", "nll", "brier"),
    *("mce", "relative_mce", "auc_severity", "failure_point", "failure_share"),
    *("auroc", "fpr95", "fpr95_idpos", "aupr_out"),
)
FORMATS = {"full": formats.RECORDS_FULL, "top20": formats.RECORDS_TOP20}


def form(outputs: str) -> formats.Format:
    """The record format of an outputs mode.

    Raises:
        ParamsError: the mode is neither `full` nor `top20`.
    """
    if outputs not in FORMATS:
        raise ParamsError(f"evaluate.outputs is {outputs!r} ({suggest(outputs, FORMATS)})")
    return FORMATS[outputs]


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse a sample that is none of the task.

    Raises:
        RangeError: a label that no class has; names the sample.
    """
    label = sample.fields.get("label", 0)
    if not 0 <= label < len(classes):
        raise RangeError(
            f"{sample.key}: label {label} lies outside the {len(classes)} classes (0 to {len(classes) - 1})"
        )


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per sample, in the order of the samples.

    Args:
        samples: n samples with a `label`; `meta` may hold `group` and `cluster`.
        outputs: `logits` float (n, C).
        space: the dataset's classes in the model's.
        outputs_mode: `full` or `top20`.

    Raises:
        ModelError: logits of another shape than (n, C), or one that is not finite; names the sample.
        RangeError: a label that the dataset does not have; names the sample.
    """
    form(outputs_mode)
    keys = [sample.key for sample in samples]
    logits = checked(outputs, keys, len(space.model_classes))
    labels = space.labels([int(sample.fields["label"]) for sample in samples], keys)
    columns = {"key": keys, **judged(logits, labels, space), **metas(samples)}
    columns |= _all(logits) if outputs_mode == "full" else _largest(logits, labels)
    arrow = form(outputs_mode).arrow
    return pa.table({name: columns[name] for name in arrow.names}, schema=arrow)


def checked(outputs: dict[str, np.ndarray], keys: list[str], classes: int) -> NDArray[np.float32]:
    """The logits, float32 (n, C), checked."""
    if "logits" not in outputs:
        raise ModelError(f"the model gives no logits (it gives {', '.join(sorted(outputs)) or 'nothing'})")
    logits = np.asarray(outputs["logits"], dtype=np.float32)
    if logits.shape != (len(keys), classes):
        raise ModelError(
            f"logits of {keys[0] if keys else 'an empty batch'!r} and its batch: expected shape {(len(keys), classes)} "
            f"(samples, classes of the model), found {logits.shape}; check the model's head"
        )
    finite = np.isfinite(logits).all(axis=1)
    if not finite.all():
        at = int(np.argmin(finite))
        raise ModelError(f"sample {keys[at]!r}: a logit is {_worst(logits[at])}; a model must give finite logits")
    return logits


def _worst(row: NDArray[np.float32]) -> float:
    return float(row[~np.isfinite(row)][0])


def judged(logits: NDArray[np.float32], labels: NDArray[np.int32], space: LabelSpace) -> dict[str, Any]:
    """The columns label, prediction, correct, confidence_e9, nll_e9 and brier_e9.

    The softmax runs in float64 over the allowed classes; results are rounded to billionths here, once.
    """
    allowed, known = space.allowed, labels != UNKNOWN
    shown = logits[:, allowed].astype(np.float64)
    best = np.argmax(shown, axis=1) if len(shown) else np.zeros(0, dtype=np.int64)
    logs = shown - logsumexp(shown, axis=1, keepdims=True)
    probabilities = np.exp(logs)
    at = np.where(known, np.searchsorted(allowed, labels), 0)
    each = np.arange(len(labels))
    target = probabilities[each, at]
    brier = np.square(probabilities).sum(axis=1) - np.square(target) + np.square(1 - target)
    prediction = allowed[best]
    return {
        "label": labels,
        "prediction": prediction,
        "correct": pa.array(prediction == labels, mask=~known),
        "confidence_e9": _e9(probabilities[each, best], formats.E9),
        "nll_e9": pa.array(_e9(-logs[each, at], formats.NLL_LIMIT), mask=~known),
        "brier_e9": pa.array(_e9(brier, 2 * formats.E9), mask=~known),
    }


def _e9(values: NDArray[np.float64], limit: int) -> NDArray[np.int64]:
    return np.clip(np.rint(values * formats.E9), 0, limit).astype(np.int64)


def metas(samples: list[Sample]) -> dict[str, pa.Array]:
    """The columns `group` and `cluster` of samples, null where their `meta` has none."""
    fields: list[dict[str, str]] = [sample.fields.get("meta") or {} for sample in samples]
    return {name: pa.array([meta.get(name) for meta in fields], pa.string()) for name in ("group", "cluster")}


def _all(logits: NDArray[np.float32]) -> dict[str, pa.Array]:
    return {"logits": _lists(logits, pa.float32())}


def _largest(logits: NDArray[np.float32], labels: NDArray[np.int32]) -> dict[str, pa.Array]:
    order = np.argsort(-logits, axis=1, kind="stable")[:, : formats.TOP]
    known = labels != UNKNOWN
    own = logits[np.arange(len(labels)), np.where(known, labels, 0)]
    return {
        "logsumexp": pa.array(logsumexp(logits.astype(np.float64), axis=1)),
        "label_logit": pa.array(own, mask=~known),
        "top_classes": _lists(order.astype(np.int32), pa.int32()),
        "top_logits": _lists(np.take_along_axis(logits, order, axis=1), pa.float32()),
    }


def _lists(values: np.ndarray, dtype: pa.DataType) -> pa.ListArray:
    n, width = values.shape
    offsets = np.arange(0, n * width + 1, width, dtype=np.int32) if width else np.zeros(n + 1, dtype=np.int32)
    return pa.ListArray.from_arrays(offsets, pa.array(np.ascontiguousarray(values).ravel(), dtype))
