"""Network dissection: which concept a unit detects, if any, with drawn concepts or with Broden's.

A unit's map, brought to the size of the annotation, marks what lies above the value that the top `quantile` of all its
activations have; of each concept the intersection over union with the marks over all pictures is taken, and the unit is
a detector of the best one from `iou` on. In a picture marks count against the concepts of a category only if one of
them touches it, as in the released code, since categories are annotated in different pictures.

    concept_unit   1 where the unit detects a concept of the group, else 0; groups are the layer and a category, or
                   `low` for those that are low-level, as conv1_low
    concept_iou    the best intersection over union; its group is the layer

Concepts are drawn from the tested split (an analogue of Broden for pictures on black, `_concepts.py`), or, with `path`,
those of Broden in this folder, whose pictures are shown to the nets as any other.

Source: Bau et al. 2017, "Network Dissection", arXiv:1704.05796, with the constants of settings.py and the sums of
feature_operation.py in https://github.com/anguyen8/shape-bias (0.005, 0.04); Chen, Agarwal and Nguyen 2020,
arXiv:2006.09373. Differs: a quantile is the edge of one of 16,384 bins. The released code normalises pictures before it
gives them to AlexNet-R and ResNet-50-R, which normalise once more; here each net normalises once.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F

from shiftbench.base.refs import Ref
from shiftbench.evaluation.nets import TorchPredictor
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.shape_bias_robust_cnns.analyses import _concepts, _units

PARAMS: dict[str, object] = {
    "layers": {"conv1": "body.2"},
    "path": "",
    "quantile": 0.005,
    "iou": 0.04,
    "classes": 10,
    "samples": 1000,
    "only": [],
}
CLEAN, BINS = "identity/0", 1 << 14
Maps = Iterator[tuple[list[_concepts.Annotated], torch.Tensor]]


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the weights, and without a path the tested shards."""
    weights = [Ref("checkpoints", name) for name in _units.measured(params)]
    return weights if params["path"] else [*weights, _units.place(CLEAN, params)]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield what each unit of each net detects."""
    params = job.params
    source = _source(job)
    for weights in _units.measured(params):
        predictor = job.predictor(Ref("checkpoints", weights))
        place = {"model": weights, "dataset": params["dataset"], "split": params["split"]}
        for layer, path in params["layers"].items():
            found = overlaps(predictor, path, source, params["quantile"])
            for unit, row in enumerate(found):
                best = int(row.argmax())
                known = source.names[best][0] if row[best] >= params["iou"] else "none"
                key = f"{layer}_{unit:04d}"
                yield Observation("concept_iou", key, float(row[best]), group=layer, **place)
                for group, of in groups(source.names).items():
                    own = f"{layer}_{group}"
                    yield Observation("concept_unit", key, float(known in of), group=own, **place)


def _source(job: Measurement) -> _concepts.Source:
    params = job.params
    if params["path"]:
        return _concepts.Broden(Path(params["path"]).expanduser(), params["samples"])
    return _concepts.Drawn(list(_units.batches(job, _units.place(CLEAN, params))), params["classes"])


def groups(names: Sequence[_concepts.Concept]) -> dict[str, tuple[str, ...]]:
    """Return group -> categories: each alone, and those that are low-level."""
    single = {category: (category,) for category, _ in names}
    return {**single, "low": _concepts.LOW}


def overlaps(predictor: TorchPredictor, path: str, source: _concepts.Source, quantile: float) -> _units.Floats:
    """Return the intersection over union of each unit's marks and each concept, float64 (units, concepts).

    Args:
        predictor: whose net is looked at.
        path: of one layer.
        source: pictures and where concepts are.
        quantile: share of a unit's activations, over all pictures and places, that are marks.
    """

    def maps() -> Maps:
        for batch in source.batches():
            samples = [one.sample for one in batch]
            yield batch, _units.seen(predictor, {"layer": path}, samples)["layer"].float().cpu()

    limits = thresholds(lambda: (own for _, own in maps()), quantile)
    kinds = sorted({category for category, _ in source.names})
    of = torch.tensor([kinds.index(category) for category, _ in source.names])
    both = torch.zeros(len(limits), len(of), dtype=torch.float64)
    marked = torch.zeros(len(limits), len(kinds), dtype=torch.float64)
    wanted = torch.zeros(len(of), dtype=torch.float64)
    for batch, found in maps():
        for one, own in zip(batch, found, strict=True):
            at = torch.from_numpy(one.concepts)
            size = one.masks.shape[-2:]
            large = F.interpolate(own[None], size=size, mode="bilinear", align_corners=False)[0]
            on = (large > limits[:, None, None]).flatten(1).double()
            shared = on @ torch.from_numpy(one.masks).flatten(1).double().T
            both[:, at] += shared
            wanted[at] += torch.from_numpy(one.masks.sum((1, 2))).double()
            touched = torch.zeros_like(marked).index_add(1, of[at], shared) > 0
            marked += on.sum(1, keepdim=True) * touched
    union = marked[:, of] + wanted - both
    ratio: _units.Floats = (both / (union + 1e-10)).numpy()
    return ratio


def thresholds(maps: Any, quantile: float) -> torch.Tensor:
    """Return what the top share of each unit's activations lies above, (units,).

    Args:
        maps: called twice, gives batches of maps (n, units, h, w).
        quantile: the share.
    """
    ends = [(own.amin((0, 2, 3)), own.amax((0, 2, 3))) for own in maps()]
    low = torch.stack([least for least, _ in ends]).amin(0)
    width = (torch.stack([most for _, most in ends]).amax(0) - low).clamp(min=1e-12) / BINS
    counts = torch.zeros(len(low), BINS, dtype=torch.float64)
    for own in maps():
        at = ((own - low[:, None, None]) / width[:, None, None]).long().clamp(0, BINS - 1)
        rows = at.transpose(0, 1).flatten(1)
        counts.scatter_add_(1, rows, torch.ones_like(rows, dtype=torch.float64))
    above = counts.flip(1).cumsum(1).flip(1)  # how many lie in a bin or above it
    kept = (above > quantile * counts.sum(1, keepdim=True)).sum(1)
    return low + width * kept
