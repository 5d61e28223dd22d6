"""A validity filter: scores of images, a threshold for each, and a vote of how many must pass.

An image passes a score when it lies *above* its threshold. Thresholds are fitted on images of which it is known
whether they are out of class (OOC): each alone removes at least the share `recall` of these. OOC is the positive
class: what the filter should remove.

Two rules say when an image goes, and they are not the same: CNS-Bench's text removes it when 2 of 4 scores fail, its
released code keeps it when 2 of 4 pass, and so removes it when 3 fail.

Source: CNS-Bench, ICCV 2025, arXiv 2507.17651, and `evaluation/metrics_computer.py` of odunkel/CNS-Bench (kept when
the passes and one are more than 2).

Scores come from models that are not evaluated themselves:

| `of` | score |
| --- | --- |
| `log_probability` | log softmax of the model's logits at the label |
| `logit` | the logit itself: of a zero-shot model with logits 100 cos(image, text), CLIPScore |
| `cosine` | of the model's features with those of the reference, the image of the same key without the shift |
| `softmax_cosine` | the same of the softmax of features: what CNS-Bench's released code does with DINOv2's token |

Their source is the section on out-of-class filtering and `evaluation/similiarity_computer.py` of odunkel/CNS-Bench.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.sample import Sample

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Filter:
    """Thresholds, and how many scores must pass.

    Attributes:
        thresholds: one per score, float64 (m,).
        keep_at: an image stays when so many scores pass at least.
    """

    thresholds: Floats
    keep_at: int

    def passes(self, scores: Floats) -> Flags:
        """Mask of the scores that pass, bool (..., n, m), of scores (..., n, m)."""
        return scores > self.thresholds

    def keeps(self, scores: Floats) -> Flags:
        """Mask of the images that stay, bool (..., n)."""
        keep: Flags = self.passes(scores).sum(axis=-1) >= self.keep_at
        return keep


@dataclass(frozen=True, slots=True)
class Voter:
    """A score alone or a vote: its name, and the columns of scores that it reads."""

    name: str
    columns: list[int]
    filter: Filter

    def keeps(self, scores: Floats) -> Flags:
        """Mask of the images that stay, bool (..., n), of scores (..., n, m)."""
        return self.filter.keeps(scores[..., self.columns])


def voters(names: Sequence[str], thresholds: Floats) -> list[Voter]:
    """Each score alone, under its name, and each vote of all of them, `keep_K_of_N`."""
    alone = [Voter(name, [at], Filter(thresholds[[at]], 1)) for at, name in enumerate(names)]
    every, count = list(range(len(names))), len(names)
    votes = [Voter(f"keep_{k}_of_{count}", every, Filter(thresholds, k)) for k in range(1, count + 1)]
    return [*alone, *votes]


def fit_thresholds(scores: Floats, out: Flags, recall: float) -> Floats:
    """One threshold per score, so that each alone removes the share `recall` of OOC images, at least.

    Args:
        scores: of calibration images, float64 (n, m).
        out: which of them are OOC, bool (n,).
        recall: above 0, at most 1.

    Raises:
        ParamsError: no image is OOC, or the recall is out of range.

    Example:
        >>> fit_thresholds(np.array([[1.0], [2.0], [3.0], [9.0]]), np.array([True, True, True, False]), 0.6)
        array([2.])
    """
    if not 0 < recall <= 1 or not out.any():
        raise ParamsError(
            f"a filter needs OOC images to be fitted on (there are {int(out.sum())}) and a recall above 0, at most 1 "
            f"({recall:g})"
        )
    ascending = np.sort(scores[out], axis=0)
    thresholds: Floats = ascending[math.ceil(recall * len(ascending) - 1e-9) - 1]
    return thresholds


def keep_at(drop_at: int, scores: int) -> int:
    """Number of scores that must pass if `drop_at` failures drop an image.

    Example:
        >>> keep_at(2, 4), keep_at(3, 4)
        (3, 2)
    """
    return scores - drop_at + 1


def whole(keep: Flags, paths: Sequence[str]) -> Flags:
    """Mask of the images that stay if a path stays only as a whole, bool (n,).

    Args:
        keep: which images the vote keeps.
        paths: the path of each.
    """
    broken = {path for path, stays in zip(paths, keep, strict=True) if not stays}
    return np.array([path not in broken for path in paths], dtype=np.bool_)


def rates(keep: Flags, out: Flags) -> dict[str, float]:
    """Rates of a filter; NaN where one kind of image is missing.

    Args:
        keep: which images stay.
        out: which are OOC.

    Returns:
        `true_positive_rate` (OOC images that go), `false_positive_rate` (others that go), `balanced_accuracy`.
    """
    shares = [float(np.mean(~keep[kind])) if kind.any() else math.nan for kind in (out, ~out)]
    true, false = shares
    return {"true_positive_rate": true, "false_positive_rate": false, "balanced_accuracy": (true + 1 - false) / 2}


# ------------------------------------------------------------------ scores

KINDS = ("log_probability", "logit", "cosine", "softmax_cosine")
BATCH = 256


@dataclass(frozen=True, slots=True)
class Score:
    """One score: its name, its kind (see above), and the model that gives it, without the seed."""

    name: str
    of: str
    model: str


def scores(specs: Mapping[str, Any]) -> list[Score]:
    """The scores that an option `scores` names: `{NAME: {of: KIND, model: DATASET/MODEL-TRAINER}}`.

    Raises:
        ParamsError: there is none, or one is spelled otherwise.
    """
    if not specs:
        raise ParamsError("scores is empty; name one at least: {of: KIND, model: DATASET/MODEL-TRAINER}")
    all_scores = []
    for name, spec in specs.items():
        if not isinstance(spec, Mapping) or set(spec) != {"of", "model"}:
            raise ParamsError(f"scores.{name} = {spec!r}: expected the keys `of` and `model`")
        if spec["of"] not in KINDS:
            raise ParamsError(f"scores.{name}.of = {spec['of']!r}; {suggest(str(spec['of']), KINDS)}")
        all_scores.append(Score(name, spec["of"], str(spec["model"])))
    return all_scores


def outputs(predictor: Any, samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
    """Logits and features of samples, a batch at a time."""
    parts = [predictor(samples[at : at + BATCH]) for at in range(0, len(samples), BATCH)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def value(
    kind: str,
    image_outputs: Mapping[str, NDArray[Any]],
    reference: Mapping[str, NDArray[Any]],
    labels: NDArray[np.int64],
) -> Floats:
    """One score per image, float64 (n,); higher = more like its class or its reference.

    Args:
        kind: see above.
        image_outputs: `logits` and `features` of the images.
        reference: those of their references, in the same order.
        labels: the classes that they should show.
    """
    if kind in ("log_probability", "logit"):
        logits = image_outputs["logits"].astype(np.float64)
        if kind == "log_probability":
            logits = np.log(_softmax(logits) + np.finfo(np.float64).tiny)
        return np.asarray(logits[np.arange(len(labels)), labels])
    one, other = (part["features"].astype(np.float64) for part in (image_outputs, reference))
    if kind == "softmax_cosine":
        one, other = _softmax(one), _softmax(other)
    size = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.asarray((one * other).sum(axis=1) / np.maximum(size, np.finfo(np.float64).tiny))


def _softmax(rows: Floats) -> Floats:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))
