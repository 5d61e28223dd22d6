"""Scores that tell whether an image still shows its class, from nets that are not evaluated themselves.

| `of` | score |
| --- | --- |
| `log_probability` | log softmax of the net's logits at the label |
| `logit` | the logit itself: of a zero-shot net with logits 100 cos(image, text), CLIPScore |
| `cosine` | of the net's features with those of the reference, the image of the same key without the shift |
| `softmax_cosine` | the same of the softmax of features: what CNS-Bench's released code does with DINOv2's token |

Source: CNS-Bench, ICCV 2025, arXiv 2507.17651, section on out-of-class filtering;
`evaluation/similiarity_computer.py` of odunkel/CNS-Bench.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.sample import Sample

Floats = NDArray[np.float64]
KINDS = ("log_probability", "logit", "cosine", "softmax_cosine")
BATCH = 256


@dataclass(frozen=True, slots=True)
class Score:
    """One score: its name, its kind (see above), and the model that gives it, without the seed."""

    name: str
    of: str
    model: str


def scores(given: Mapping[str, Any]) -> list[Score]:
    """Return the scores that an option `scores` names: `{NAME: {of: KIND, model: DATASET/MODEL-TRAINER}}`.

    Raises:
        ParamsError: there is none, or one is spelled otherwise.
    """
    if not given:
        raise ParamsError("scores is empty; name one at least: {of: KIND, model: DATASET/MODEL-TRAINER}")
    found = []
    for name, spec in given.items():
        if not isinstance(spec, Mapping) or set(spec) != {"of", "model"}:
            raise ParamsError(f"scores.{name} = {spec!r}: expected the keys `of` and `model`")
        if spec["of"] not in KINDS:
            raise ParamsError(f"scores.{name}.of = {spec['of']!r}; {suggest(str(spec['of']), KINDS)}")
        found.append(Score(name, spec["of"], str(spec["model"])))
    return found


def outputs(predictor: Any, samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
    """Return logits and features of samples, a batch at a time."""
    parts = [predictor(samples[at : at + BATCH]) for at in range(0, len(samples), BATCH)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def value(
    kind: str, shown: Mapping[str, NDArray[Any]], reference: Mapping[str, NDArray[Any]], labels: NDArray[np.int64]
) -> Floats:
    """Return one score per image, float64 (n,); higher = more like its class or its reference.

    Args:
        kind: see above.
        shown: `logits` and `features` of the images.
        reference: those of their references, in the same order.
        labels: the classes that they should show.
    """
    if kind in ("log_probability", "logit"):
        logits = shown["logits"].astype(np.float64)
        if kind == "log_probability":
            logits = np.log(_softmax(logits) + np.finfo(np.float64).tiny)
        return np.asarray(logits[np.arange(len(labels)), labels])
    one, other = (part["features"].astype(np.float64) for part in (shown, reference))
    if kind == "softmax_cosine":
        one, other = _softmax(one), _softmax(other)
    size = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / np.maximum(size, np.finfo(np.float64).tiny))


def _softmax(rows: Floats) -> Floats:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
