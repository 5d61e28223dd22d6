"""Published joints of a pose model as a model: `theirs: {use: pose_predictions, path: theirs}`, with trainer `given`.

The folder `path` has a file for each split that the model answers for, named by the keys of its samples: of
`coco/test/000000000007` it is `coco/test.keypoints.json`, results in COCO's layout, a list of `image_id`,
`category_id`, `keypoints` (x, y and confidence of each joint, flat, in pixels) and `score` of the person, as MMPose's
`CocoMetric` (`outfile_prefix`) writes them. An image without an entry has nobody. Joints are those of the checkpoint's
dataset, in its order.

An image's id is the end of its key: a number, with or without leading zeros, or the name of its file without ending. It
answers for these images alone and cannot be evaluated under a shift that is applied here (`REEVALUABLE`).

Source: none; the layout is that of COCO's results (https://cocodataset.org, "Results format").
"""

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _boxes, _given, _published
from shiftbench.plugins.models._published import identity

TASK = "keypoints"
REEVALUABLE = False
Person = tuple[list[float], float]


class Options(declare.Options):
    path: _published.Folder = ""


def pretrained(params: Mapping[str, Any], inputs: Mapping[Any, Any]) -> nets.State:
    """State of the folder in a checkpoint."""
    return _given.folder_state(_published.folder(params, "pose_predictions"))


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that looks up each image."""
    folder = _published.folder(params, "pose_predictions")
    _given.check_folder(weights, folder)

    @functools.lru_cache(maxsize=1)  # one split after the other: only one is held
    def split(place: str) -> dict[str, list[Person]]:
        return read(folder / f"{place}.keypoints.json", len(classes))

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        joints, scores = [], []
        for sample in samples:
            place, _, name = sample.key.rpartition("/")
            own = split(place).get(identity(name), [])
            flat = np.array([person for person, _ in own], dtype=np.float32)
            joints.append(flat.reshape(-1, len(classes), 3))
            scores.append(np.array([score for _, score in own], dtype=np.float32))
        return {"joints": _boxes.ragged(joints), "scores": _boxes.ragged(scores)}

    return predict


def read(file: Path, count: int) -> dict[str, list[Person]]:
    """The persons that are predicted in each image, by its id: joints, flat, and score.

    Args:
        file: of one split.
        count: of joints.

    Raises:
        ModelError: there is no file, it has another layout, or a person another number of joints; names the image.
    """
    if not file.is_file():
        raise ModelError(
            f"{file} is not there; published predictions answer for the samples that they were made for alone"
        )

    def person(one: Mapping[str, Any]) -> Person:
        flat = [float(value) for value in one["keypoints"]]
        if len(flat) != 3 * count:
            raise ModelError(
                f"{file}: image {identity(one['image_id'])} has a person of {len(flat)} numbers; expected "
                f"{3 * count}, x, y and confidence of {count} joints"
            )
        return flat, float(one["score"])

    return _published.by_image(file, "image_id, category_id, keypoints and score", person)
