"""Fall of confidence from ID to outlier: test images that are mixed with auxiliary outliers at eleven shares.

Each test image x is mixed with one outlier o, m = lam x + (1 - lam) o for lam = 0, 0.1, ..., 1, which stands in the
column `severity`. Two metrics, one unit per test image: `mixed_confidence`, the largest probability of m, and
`mixed_confidence_line`, 1/C + lam (p - 1/C) with p that of x alone: where a linear decay to the uniform distribution
would lie. Their difference at one lam, averaged, is how far the mean curve is from the line of its own ends.

Source: Zhang et al., "Mixture Outlier Exposure", WACV 2023: the mechanism that its loss is meant to teach; the measure
is ours. Outliers come from a split that no trainer reads (`val`), the same for all weights.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

import numpy as np
import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.data import shards, splits
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.plugins.trainers import _mixing

SHARES = tuple(n / 10 for n in range(11))


class Options(declare.Options):
    outliers: str = Field("animal_shape", description="data set of the outliers that images are mixed with")
    outliers_split: Literal["train", "val", "test"] = Field("val", description="its split, which no trainer may read")
    samples: int = Field(500, ge=1, description="test images, at most")


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The benchmark's checkpoints, its test images and the outliers."""
    return [
        *(Ref("checkpoints", name) for name in params["checkpoints"]),
        refs.shards(params["dataset"], params["split"]),
        refs.shards(params["outliers"], params["outliers_split"]),
    ]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield both metrics of each weights, image and share."""
    params = job.params
    folder = job.folder(refs.shards(params["dataset"], params["split"]))
    keys = [row.key for row in shards.index(folder)]
    chosen = sorted(keys, key=lambda key: splits.unit("subset", key))[: params["samples"]]
    by_key = {sample.key: sample for sample in shards.read(folder, keys=frozenset(chosen))}
    samples = [by_key[key] for key in chosen]
    pool = shards.Lookup(job.folder(refs.shards(params["outliers"], params["outliers_split"])))
    partners = [pool[_partner(job, key, len(pool))] for key in chosen]
    for name in params["checkpoints"]:
        predictor = job.predictor(Ref("checkpoints", name))
        images, outliers = (torch.from_numpy(predictor.prepare(some)) for some in (samples, partners))
        metrics = confidences(predictor, images, outliers)
        yield from _observations(metrics, chosen, name, params)


def _partner(job: Measurement, key: str, count: int) -> int:
    rng = RandomStream(job.seed, "mixing_decay", job.params["dataset"], key)
    return int(rng.integers(0, count, 1)[0])


def confidences(
    predictor: nets.TorchPredictor, images: torch.Tensor, outliers: torch.Tensor, batch: int = 256
) -> dict[str, np.ndarray[Any, Any]]:
    """Each metric's values, float64 (shares, n).

    Args:
        predictor: of the weights.
        images: prepared, (n, channels, h, w).
        outliers: one for each image, likewise.
        batch: images per forward pass.
    """
    rows = []
    for share in SHARES:
        parts = [
            _mixing.mixup(images[at : at + batch], outliers[at : at + batch], share).numpy()
            for at in range(0, len(images), batch)
        ]
        logits = np.concatenate([predictor.predict_prepared(part)["logits"] for part in parts])
        rows.append(torch.from_numpy(logits).double().softmax(1).max(1).values.numpy())
    curves = np.stack(rows)
    uniform = 1 / logits.shape[1]
    line = uniform + np.outer(SHARES, curves[-1] - uniform)
    return {"mixed_confidence": curves, "mixed_confidence_line": line}


def _observations(
    metrics: Mapping[str, np.ndarray[Any, Any]], keys: list[str], model: str, params: Mapping[str, Any]
) -> Iterable[Observation]:
    for metric, values in metrics.items():
        for share, row in zip(SHARES, values.tolist(), strict=True):
            for key, value in zip(keys, row, strict=True):
                yield Observation(metric, key, value, model, params["dataset"], split=params["split"], severity=share)
