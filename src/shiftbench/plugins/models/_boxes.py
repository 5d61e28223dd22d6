"""Object detectors: the contract of their networks, and the predictor around one; helper of models that give boxes.

A network has `loss(images, truths) -> scalar`, to be trained by `trainers/boxes.py`, and `detect(images) ->
list[Detections]`, both with `images` uint8 (n, 3, h, w) as the model's `prepare_batch` makes them, and boxes in their
pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
from pydantic import Field

from shiftbench.base.sample import Sample
from shiftbench.data import boxes
from shiftbench.evaluation import nets
from shiftbench.plugins.models import _images
from shiftbench.plugins.models._placed import PlacedNet

Array = npt.NDArray[Any]
Top = Annotated[int, Field(ge=1, description="largest number of boxes in an image")]
Threshold = Annotated[float, Field(ge=0, le=1, description="lowest score of a box")]


@dataclass(frozen=True, slots=True)
class Truth:
    """The true boxes of an image for training: x0, y0, x1, y1 float32 (g, 4) and labels int64 (g,); no crowds."""

    boxes: torch.Tensor
    labels: torch.Tensor


@dataclass(frozen=True, slots=True)
class Detections:
    """The boxes that a network finds in an image: x0, y0, x1, y1 float32 (k, 4), scores (k,), classes int64 (k,).

    Attributes:
        logits: of the cell of each box, (k, C); None: the network has none.
        features: of that cell, (k, d); None: the network has none.
    """

    boxes: torch.Tensor
    scores: torch.Tensor
    classes: torch.Tensor
    logits: torch.Tensor | None = None
    features: torch.Tensor | None = None


def square(samples: Sequence[Sample], size: int) -> Array:
    """Uint8 (n, 3, size, size): colour, stretched to a square where it is none."""
    return _images.colour_batch(samples, lambda image: _images.resize(image, size, size, "bilinear"))


def truth(sample: Sample, shape: tuple[int, ...]) -> Truth:
    """The true boxes of a sample in the pixels of the network's input (h, w); crowds are left out."""
    arrays = boxes.arrays(sample.fields["boxes"])
    scale = _scale(sample, shape)
    corners = np.concatenate([arrays.xywh[:, :2], arrays.xywh[:, :2] + arrays.xywh[:, 2:]], axis=1)
    kept = ~arrays.crowd
    return Truth(torch.from_numpy((corners * scale)[kept].astype(np.float32)), torch.from_numpy(arrays.labels[kept]))


def _scale(sample: Sample, shape: tuple[int, ...]) -> npt.NDArray[np.float64]:
    """Factors from pixels of the image to pixels of the network's input, for x0, y0, x1, y1."""
    height, width = sample.fields["image"].shape[:2]
    return np.array([shape[1] / width, shape[0] / height] * 2)


class BoxPredictor(PlacedNet):
    """A network that finds boxes, with its weights; the outputs are those of `tasks/detection.py`."""

    def __call__(self, samples: Sequence[Sample]) -> nets.Outputs:
        """Prepare and predict."""
        batch = nets.prepare(self.model, samples, self.params)
        images = torch.from_numpy(batch).to(self.device)
        with self.computing():
            detections = self.net.detect(images)
        return outputs(samples, detections, batch.shape[2:])


def outputs(samples: Sequence[Sample], detections: Sequence[Detections], shape: tuple[int, ...]) -> nets.Outputs:
    """Detections in the task's format: in pixels of the images, cut off at their edges.

    Args:
        samples: n samples.
        detections: in the pixels of an input (h, w).
        shape: of that input.
    """
    entries: dict[str, list[Array]] = {}
    for sample, one in zip(samples, detections, strict=True):
        height, width = sample.fields["image"].shape[:2]
        corners = one.boxes.float().cpu().numpy() / _scale(sample, shape)
        corners = np.clip(corners, 0, np.array([width, height, width, height]))
        size = np.maximum(corners[:, 2:] - corners[:, :2], 0)
        row = {
            "boxes": np.concatenate([corners[:, :2], size], axis=1).astype(np.float32),
            "scores": nets.to_numpy(one.scores),
            "classes": one.classes.cpu().numpy().astype(np.int64),
        }
        if one.logits is not None:
            row["cell_logits"] = nets.to_numpy(one.logits)
        if one.features is not None:
            row["cell_features"] = nets.to_numpy(one.features)
        for name, value in row.items():
            entries.setdefault(name, []).append(value)
    return {name: ragged(values) for name, values in entries.items()}


def ragged(values: Sequence[Array]) -> Array:
    """Arrays of several lengths as one object array (n,)."""
    whole = np.empty(len(values), dtype=object)
    for at, value in enumerate(values):
        whole[at] = value
    return whole
