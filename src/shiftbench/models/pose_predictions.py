"""Published joints of a pose model as a model: `theirs: {use: pose_predictions, path: theirs}`, with trainer `given`.

`path` is a folder; `{dataset}`, `{model}` and `{seed}` in it are those of the weights. It holds a file for each split
that the model answers for, named by the keys of its samples: of `coco/test/000000000007` it is
`coco/test.keypoints.json`, results in COCO's layout, a list of `image_id`, `category_id`, `keypoints` (x, y and
confidence of each joint, flat, in pixels) and `score` of the person, as MMPose's `CocoMetric` (`outfile_prefix`) writes
them. An image without an entry has nobody. Joints are those of the weights' dataset, in its order.

An image's id is the end of its key: a number, with or without leading zeros, or the name of its file without ending. It
answers for these images alone and cannot be evaluated under a shift that is applied here (`REEVALUABLE`).

Source: none; the layout is that of COCO's results (https://cocodataset.org, "Results format").
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.errors import ModelError, ParamsError
from shiftbench.inference import nets
from shiftbench.models import _boxes, _given
from shiftbench.models.box_predictions import identity
from shiftbench.refs import Ref
from shiftbench.sample import Sample

TASK = "keypoints"
REEVALUABLE = False
PARAMS: dict[str, object] = {"path": ""}
Person = tuple[list[float], float]


def pretrained(params: Mapping[str, Any], inputs: Mapping[Any, Any]) -> nets.State:
    """Return what stands for the folder in a weights file.

    Raises:
        ParamsError: no path is given.
        ModelError: the folder is not there.
    """
    return _given.folder_state(_folder(params))


def load(
    weights: Path,
    params: Mapping[str, Any],
    classes: Sequence[str],
    device: str,
    inputs: Mapping[Ref, Path],
) -> nets.Predictor:
    """Return a predictor that looks up each image.

    Raises:
        ModelError: the files are others, one is missing or of another layout.
    """
    folder = _folder(params)
    _given.check_folder(weights, folder)
    known: dict[str, dict[str, list[Person]]] = {}

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        joints, scores = [], []
        for sample in samples:
            place, _, name = sample.key.rpartition("/")
            if place not in known:
                known.clear()  # one split after the other: only one is held
                known[place] = read(folder / f"{place}.keypoints.json", len(classes))
            own = known[place].get(identity(name), [])
            flat = np.array([person for person, _ in own], dtype=np.float32)
            joints.append(flat.reshape(-1, len(classes), 3))
            scores.append(np.array([score for _, score in own], dtype=np.float32))
        return {"joints": _boxes.ragged(joints), "scores": _boxes.ragged(scores)}

    return predict


def _folder(params: Mapping[str, Any]) -> Path:
    if not params["path"]:
        raise ParamsError("pose_predictions: path is missing; give the folder of the predictions")
    return Path(params["path"]).expanduser()


def read(file: Path, count: int) -> dict[str, list[Person]]:
    """Return the persons that are predicted in each image, by its id: joints, flat, and score.

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
    found: dict[str, list[Person]] = {}
    try:
        for one in json.loads(file.read_text()):
            flat = [float(value) for value in one["keypoints"]]
            found.setdefault(identity(one["image_id"]), []).append((flat, float(one["score"])))
    except (KeyError, TypeError, ValueError) as error:
        raise ModelError(
            f"{file} is no list of image_id, category_id, keypoints and score, COCO's results ({error!r})"
        ) from error
    for image, own in found.items():
        for flat, _ in own:
            if len(flat) != 3 * count:
                raise ModelError(
                    f"{file}: image {image} has a person of {len(flat)} numbers; expected {3 * count}, x, y and "
                    f"confidence of {count} joints"
                )
    return found
