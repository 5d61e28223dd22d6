"""Occlusion maps against where occluders lie: intersection over union, and that of a random mask of equal area.

For each image, of the positions of the feature map: the true mask has those of whose pixels at least half differ
between the clean and the shifted image, the method's mask those that outliers explain better (`compnet`), and the
random mask as many, drawn. Rows are `occlusion_iou` with the detectors `occlusion_map`, `random_mask` and `all_hidden`
(each position, which no area limits), under each severity of `shift`. Images whose method's mask is empty count with 0.
No label is read.

Source: Kaushik, Kortylewski and Yuille 2024, arXiv:2403.07277, section 3 (the position-wise maximum); the released
`eval_occlusion_localization.py` gives ROC curves over thresholds, where this takes the threshold 0 alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from pydantic import Field

from shiftbench.base import refs, registry
from shiftbench.base.errors import DataError
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import Measurement, Observation

Masks = npt.NDArray[np.bool_]


class Options(declare.Options):
    shift: str = Field("occlusion_texture", description="shift that occludes")
    severities: list[float] = Field([2.0, 4.0], description="its severities that are measured")
    images: int = Field(400, ge=1, description="first images that are measured")
    options: dict[str, Any] = Field({}, description="options of the method `compnet`, as it was evaluated")
    seed: fields.Seed = 0


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The checkpoints, clean and shifted shards, and the inputs of the method."""
    name_and_split = params["dataset"], params["split"]
    inputs = [refs.shards(*name_and_split), *(_shifted(params, severity) for severity in params["severities"])]
    for checkpoint in params["checkpoints"]:
        inputs += [Ref("checkpoints", checkpoint), *_method_needs(params, checkpoint)]
    return list(dict.fromkeys(inputs))


def _shifted(params: Mapping[str, Any], severity: float) -> Ref:
    return refs.shards(params["dataset"], params["split"], params["shift"], severity)


def _options(params: Mapping[str, Any]) -> dict[str, Any]:
    return {**registry.defaults(registry.read("methods", "compnet")), **params["options"]}


def _method_needs(params: Mapping[str, Any], checkpoint: str) -> list[Ref]:
    source_dataset = CheckpointName.of(Ref("checkpoints", checkpoint)).dataset
    context = {**_options(params), "dataset": source_dataset, "stream": "", "step": ""}
    inputs: list[Ref] = registry.read("methods", "compnet").needs(context)
    return inputs


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the overlap of each image's masks with its true one.

    Raises:
        DataError: a shift has other images than the clean shards.
    """
    method = registry.find("methods", "compnet")
    for weights in job.params["checkpoints"]:
        ref = Ref("checkpoints", weights)
        predictor = method.wrap(job.predictor(ref), _options(job.params), job.inputs)
        used = {ref, *_method_needs(job.params, weights)}
        predictor.at({input_ref: path for input_ref, path in job.inputs.items() if input_ref in used})
        for severity in job.params["severities"]:
            yield from _overlaps_at(job, predictor, weights, severity)


def _overlaps_at(job: Measurement, predictor: Any, weights: str, severity: float) -> Iterator[Observation]:
    params, most = job.params, job.params["images"]
    clean = job.samples(refs.shards(params["dataset"], params["split"]))[:most]
    shifted = job.samples(_shifted(params, severity))[:most]
    if [one.key for one in clean] != [one.key for one in shifted]:
        raise DataError(f"occlusion_overlap: {params['shift']} has other images than the clean shards")
    maps = (predictor.occlusion(predictor.prepare(shifted)) > 0).numpy()
    true = hidden(clean, shifted, maps.shape[1:])
    words = RandomStream(params["seed"], "occlusion_overlap", params["dataset"], weights)
    masks = {"occlusion_map": maps, "random_mask": shuffled(maps, words), "all_hidden": np.ones_like(maps)}
    for name, predicted in masks.items():
        for sample, value in zip(clean, overlap(predicted, true), strict=True):
            yield Observation(
                "occlusion_iou", sample.key, float(value), weights, params["dataset"], params["split"],
                "compnet", name, params["shift"], float(severity),
            )  # fmt: skip


def hidden(clean: Sequence[Sample], shifted: Sequence[Sample], shape: tuple[int, ...]) -> Masks:
    """Whether at least half of the pixels of each position differ, (n, H, W)."""
    masks = []
    for one, other in zip(clean, shifted, strict=True):
        differs = one.fields["image"] != other.fields["image"]
        flat = differs.any(2) if differs.ndim == 3 else differs
        shares = [
            [block.mean() for block in np.array_split(row, shape[1], 1)] for row in np.array_split(flat, shape[0], 0)
        ]
        masks.append(np.array(shares) >= 0.5)
    return np.stack(masks)


def shuffled(masks: Masks, words: RandomStream) -> Masks:
    """Masks with as many positions each, drawn."""
    flat = masks.reshape(len(masks), -1)
    return np.stack([row[words.choice(len(row))] for row in flat]).reshape(masks.shape)


def overlap(predicted: Masks, true: Masks) -> npt.NDArray[np.float64]:
    """The intersection over union of each mask, (n,); 1 where both are empty."""
    intersections = (predicted & true).sum((1, 2))
    unions = (predicted | true).sum((1, 2))
    return np.where(unions > 0, intersections / np.maximum(unions, 1), 1.0)
