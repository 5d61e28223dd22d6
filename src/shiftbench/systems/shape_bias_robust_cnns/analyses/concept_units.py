"""Network dissection: which concept a unit detects, if any, with drawn concepts or with Broden's.

A unit's map, brought to the size of the annotation, marks what lies above the value that the top `quantile` of all its
activations have; of each concept the intersection over union with the marks over all pictures is taken, and the unit is
a detector of the best one from `iou` on. In a picture marks count against the concepts of a category only if one of
them touches it, as in the released code, since categories are annotated in different pictures.

    concept_unit   1 where the unit detects a concept of the group, else 0; groups are the layer and a category, or
                   `low` for those that are low-level, as conv1_low
    concept_iou    the best intersection over union; its group is the layer

Concepts are drawn from the tested split (an analogue of Broden for pictures on black, `_concepts.py`), or, with `path`,
those of Broden in this folder, whose pictures are shown to the models as any other.

Source: Bau et al. 2017, "Network Dissection", arXiv:1704.05796, with the constants of settings.py and the sums of
feature_operation.py in https://github.com/anguyen8/shape-bias (0.005, 0.04); Chen, Agarwal and Nguyen 2020,
arXiv:2006.09373. Differs: a quantile is the edge of one of 16,384 bins. The released code normalises pictures before it
gives them to AlexNet-R and ResNet-50-R, which normalise once more; here each model normalises once.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base.refs import Ref
from shiftbench.evaluation.nets import TorchPredictor
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.shape_bias_robust_cnns.analyses import _concepts, _units

CLEAN, BINS = "identity/0", 1 << 14
Maps = Iterator[tuple[list[_concepts.Annotated], torch.Tensor]]


class Options(declare.Options):
    layers: _units.Layers = Field({"conv1": "body.2"})
    path: str = Field("", description="folder of Broden; empty: concepts drawn from the tested split")
    quantile: float = Field(0.005, gt=0, lt=1, description="share of a unit's activations that are marked")
    iou: float = Field(0.04, ge=0, le=1, description="intersection over union from which a unit detects a concept")
    classes: int = Field(10, ge=1, description="number of classes of the tested split")
    samples: _units.Samples = 1000
    only: _units.Only = Field([])


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoints, and without a path the tested shards."""
    weights = [Ref("checkpoints", name) for name in _units.measured(params)]
    return weights if params["path"] else [*weights, _units.place(CLEAN, params)]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the concept of each unit of each model."""
    params = job.params
    source = _source(job)
    for weights in _units.measured(params):
        predictor = job.predictor(Ref("checkpoints", weights))
        columns = {"model": weights, "dataset": params["dataset"], "split": params["split"]}
        for layer, path in params["layers"].items():
            ious = overlaps(predictor, path, source, params["quantile"])
            for unit, row in enumerate(ious):
                best = int(row.argmax())
                category = source.names[best][0] if row[best] >= params["iou"] else "none"
                key = f"{layer}_{unit:04d}"
                yield Observation("concept_iou", key, float(row[best]), group=layer, **columns)
                for group, members in groups(source.names).items():
                    layer_group = f"{layer}_{group}"
                    yield Observation("concept_unit", key, float(category in members), group=layer_group, **columns)


def _source(job: Measurement) -> _concepts.Source:
    params = job.params
    if params["path"]:
        return _concepts.Broden(Path(params["path"]).expanduser(), params["samples"])
    return _concepts.Drawn(list(_units.batches(job, _units.place(CLEAN, params))), params["classes"])


def groups(names: Sequence[_concepts.Concept]) -> dict[str, tuple[str, ...]]:
    """Group -> categories: each alone, and those that are low-level."""
    single = {category: (category,) for category, _ in names}
    return {**single, "low": _concepts.LOW}


def overlaps(predictor: TorchPredictor, path: str, source: _concepts.Source, quantile: float) -> _units.Floats:
    """The intersection over union of each unit's marks and each concept, float64 (units, concepts).

    Args:
        predictor: whose model is looked at.
        path: of one layer.
        source: pictures and where concepts are.
        quantile: share of a unit's activations, over all pictures and places, that are marks.
    """

    def maps() -> Maps:
        for batch in source.batches():
            samples = [picture.sample for picture in batch]
            yield batch, _units.activations(predictor, {"layer": path}, samples)["layer"].float().cpu()

    limits = thresholds(lambda: (unit_maps for _, unit_maps in maps()), quantile)
    kinds = sorted({category for category, _ in source.names})
    category_of_concept = torch.tensor([kinds.index(category) for category, _ in source.names])
    intersections = torch.zeros(len(limits), len(category_of_concept), dtype=torch.float64)
    marked_pixels = torch.zeros(len(limits), len(kinds), dtype=torch.float64)
    concept_pixels = torch.zeros(len(category_of_concept), dtype=torch.float64)
    for batch, activations in maps():
        for picture, unit_maps in zip(batch, activations, strict=True):
            concepts = torch.from_numpy(picture.concepts)
            size = picture.masks.shape[-2:]
            large = F.interpolate(unit_maps[None], size=size, mode="bilinear", align_corners=False)[0]
            marks = (large > limits[:, None, None]).flatten(1).double()
            shared = marks @ torch.from_numpy(picture.masks).flatten(1).double().T
            intersections[:, concepts] += shared
            concept_pixels[concepts] += torch.from_numpy(picture.masks.sum((1, 2))).double()
            is_annotated = torch.zeros_like(marked_pixels).index_add(1, category_of_concept[concepts], shared) > 0
            marked_pixels += marks.sum(1, keepdim=True) * is_annotated
    union = marked_pixels[:, category_of_concept] + concept_pixels - intersections
    ratio: _units.Floats = (intersections / (union + 1e-10)).numpy()
    return ratio


def thresholds(maps: Any, quantile: float) -> torch.Tensor:
    """Threshold above which the top share of each unit's activations is, (units,).

    Args:
        maps: called twice, gives batches of maps (n, units, h, w).
        quantile: the share.
    """
    ends = [(batch.amin((0, 2, 3)), batch.amax((0, 2, 3))) for batch in maps()]
    low = torch.stack([least for least, _ in ends]).amin(0)
    width = (torch.stack([most for _, most in ends]).amax(0) - low).clamp(min=1e-12) / BINS
    counts = torch.zeros(len(low), BINS, dtype=torch.float64)
    for batch in maps():
        bin_numbers = ((batch - low[:, None, None]) / width[:, None, None]).long().clamp(0, BINS - 1)
        rows = bin_numbers.transpose(0, 1).flatten(1)
        counts.scatter_add_(1, rows, torch.ones_like(rows, dtype=torch.float64))
    at_or_above = counts.flip(1).cumsum(1).flip(1)  # how many lie in a bin or above it
    bins_kept = (at_or_above > quantile * counts.sum(1, keepdim=True)).sum(1)
    return low + width * bins_kept
