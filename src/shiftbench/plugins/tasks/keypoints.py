"""Joints of persons are found in an image.

A sample holds `poses` (see `data/poses.py`); the dataset's classes are the names of its joints. A model, whose classes
are the names of its own, gives for each image `joints` float32 (p, K, 3) as x, y and confidence in pixels of the
image, and `scores` float32 (p,) of the persons; it may give `joints3d` float32 (p, K, 3) in metres. Joints are mapped
by name (`data/skeletons.py`); those that the model lacks do not count.

Matches of predictions with persons are COCO's and are made once, here, under the names of detection's (`persons` are
the one class), so that `ap` and `ar` are that task's metrics. Distances are to the prediction that fits a person best
(largest OKS), whatever the others are; a person for whom nothing was predicted is missed, and each of its joints errs
by `MISSED` torsos, as does one that errs by more.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from shiftbench.base.errors import ModelError
from shiftbench.base.sample import Sample
from shiftbench.data import poses as kept
from shiftbench.data import skeletons
from shiftbench.data.formats import E9, Column, Format
from shiftbench.plugins.tasks import _classified, _per_image, _shown
from shiftbench.plugins.tasks._classes import LabelSpace
from shiftbench.statistics import box_matching, pose_errors

Floats = NDArray[np.float64]
FIELDS = {"image": "png", "poses": "poses.json", "meta": "json"}
REQUIRED = ("image", "poses")
METRICS = (
    *("ap", "ap50", "ap75", "ap_medium", "ap_large", "ar"),
    *("pck", "joint_error", "missed_persons", "mpjpe", "pa_mpjpe"),
    *("accuracy_drop", "accuracy_drop_relative", "effective_robustness", "severity_rank"),
)
MAX_DETS = 20
MISSED = 1.0
RECORDS = Format(
    "records/keypoints/full",
    "One row per image: predicted joints, true ones, which predictions found a person. Lists are flat; joints "
    "are those of the dataset, in its order. Bit 10 a + t of `matched` and `ignored` is of area range a (all, small, "
    "medium, large) and of OKS 0.5 + 0.05 t.",
    ("key",),
    (
        Column("key", pa.string(), "", "the sample's key"),
        Column("width", pa.int32(), "pixel", "of the image", 1),
        Column("height", pa.int32(), "pixel", "of the image", 1),
        Column("joints", pa.list_(pa.float32()), "pixel", "x, y, confidence; 0 of what the model lacks"),
        Column("scores", pa.list_(pa.float32()), "", "of the predicted persons"),
        Column("classes", pa.list_(pa.int32()), "class", "of the predicted persons: 0, a person"),
        Column("matched", pa.list_(pa.int64()), "bits", "whether they are matched with a true person"),
        Column("ignored", pa.list_(pa.int64()), "bits", "whether they do not count"),
        Column("true_joints", pa.list_(pa.float64()), "pixel", "true joints, flat: x, y, visibility"),
        Column("true_boxes", pa.list_(pa.float64()), "pixel", "boxes of the persons, flat: x, y, w, h"),
        Column("true_classes", pa.list_(pa.int32()), "class", "of the persons: 0"),
        Column("true_areas", pa.list_(pa.float64()), "pixel", "their areas"),
        Column("true_crowd", pa.list_(pa.bool_()), "", "whether they do not count: crowds, no labelled joint"),
        Column("oks_e9", pa.list_(pa.int64()), "1e-9", "OKS of each person with the prediction that fits best"),
        Column("errors_e9", pa.list_(pa.int64()), "1e-9 torso", "of each joint; -1: not labelled, or no torso"),
        Column("limb_errors_e9", pa.list_(pa.int64()), "1e-9 torso", "of each person, mean over arms and legs"),
        Column("missed", pa.list_(pa.bool_()), "", "of each person: nothing was predicted"),
        Column("mpjpe_e9", pa.list_(pa.int64()), "1e-9 metre", "of each person; -1: no joints in space", nullable=True),
        Column("pa_mpjpe_e9", pa.list_(pa.int64()), "1e-9 metre", "likewise, after alignment", nullable=True),
        Column("group", pa.string(), "", "subgroup that metrics are also given for", nullable=True),
        Column("cluster", pa.string(), "", "what is resampled together; null: the image itself", nullable=True),
    ),
)
FORMATS = (RECORDS,)


def schema(classes: int, outputs: str) -> pa.Schema:
    """The record schema, the same for any number of joints and either mode of outputs."""
    _classified.form(outputs)
    return RECORDS.arrow


def check(sample: Sample, classes: list[str]) -> None:
    """Refuse poses that are none, of another number of joints, or outside of the image (DataError, RangeError)."""
    kept.check(sample.key, sample.fields["poses"], sample.fields["image"].shape, classes)


def shown(sample: Sample) -> dict[str, Any]:
    """Preview of a sample: the image, and `poses`, of each person x, y, v of its joints."""
    poses = [[list(joint) for joint in pose["joints"]] for pose in sample.fields["poses"]]
    return {**_shown.shown(sample), "poses": poses}


def rows(samples: list[Sample], outputs: dict[str, np.ndarray], space: LabelSpace, outputs_mode: str) -> pa.Table:
    """One record per image, in the order of the samples.

    `samples`: n samples with `image` and `poses`; `meta` may hold `group` and `cluster`.
    `outputs`: `joints` and `scores`, object arrays (n,), maybe `joints3d`; see above.
    """
    _classified.form(outputs_mode)
    _per_image.check(outputs, ("joints", "scores"), samples, "a model of keypoints")
    records = [_row(sample, _predicted(sample.key, at, outputs, space), space) for at, sample in enumerate(samples)]
    return _per_image.table(RECORDS, samples, records)


class Predicted(NamedTuple):
    """The persons predicted in an image.

    Attributes:
        joints: of the dataset, x, y, confidence, float64 (p, K, 3); 0 where the model lacks one.
        scores: float64 (p,).
        known: which joints the model has, bool (K,).
        joints3d: float64 (p, K, 3); None: the model gives none.
    """

    joints: Floats
    scores: Floats
    known: NDArray[np.bool_]
    joints3d: Floats | None


def _predicted(key: str, at: int, outputs: dict[str, np.ndarray], space: LabelSpace) -> Predicted:
    """Prediction for one image, in the data set's joints, checked."""
    count = len(space.model_classes)
    scores = np.asarray(outputs["scores"][at], dtype=np.float32).reshape(-1)
    known = space.to_model >= 0
    joints = {}
    for name in ("joints", "joints3d"):
        if name not in outputs:
            continue
        values = np.asarray(outputs[name][at], dtype=np.float32)
        if values.size != len(scores) * count * 3:
            raise ModelError(
                f"sample {key!r}: {name} of shape {values.shape} for {len(scores)} scores; expected "
                f"({len(scores)}, {count}, 3), a row for each joint of the model"
            )
        if not np.isfinite(values).all():
            raise ModelError(f"sample {key!r}: {name} are not all finite; a model must give finite ones")
        whole = values.reshape(len(scores), count, 3)
        joints[name] = np.where(known[:, None], whole[:, space.to_model], np.float32(0))
    if not np.isfinite(scores).all():
        raise ModelError(f"sample {key!r}: a score is not finite; a model must give finite ones")
    space3d = joints.get("joints3d")
    return Predicted(
        joints["joints"].astype(np.float64),
        scores.astype(np.float64),
        known,
        None if space3d is None else space3d.astype(np.float64),
    )


def _row(sample: Sample, predicted: Predicted, space: LabelSpace) -> dict[str, Any]:
    names = space.dataset_classes
    true = kept.arrays(sample.fields["poses"], len(names))
    counted = true.joints.copy()
    counted[:, ~predicted.known, 2] = 0
    similarity = _oks(predicted, true._replace(joints=counted), names)
    uncounted = true.crowd | ~(counted[..., 2] > 0).any(axis=1)
    people, persons = np.zeros(len(predicted.scores), np.int64), np.zeros(len(true.xywh), np.int64)
    truth = box_matching.Truth(true.xywh, persons, true.areas, true.crowd)
    seen = predicted.joints[:, predicted.known, :2]
    sizes = np.ptp(seen, axis=1).prod(axis=1) if predicted.known.any() else np.zeros(len(seen))
    similar = box_matching.Similar(similarity, sizes, predicted.scores, people)
    matched, ignored = box_matching.match_by(similar, truth, uncounted, MAX_DETS)
    height, width = sample.fields["image"].shape[:2]
    return {
        "width": width,
        "height": height,
        "joints": predicted.joints.ravel(),
        "scores": predicted.scores,
        "classes": people,
        "matched": matched,
        "ignored": ignored,
        "true_joints": true.joints.ravel(),
        "true_boxes": true.xywh.ravel(),
        "true_classes": persons,
        "true_areas": true.areas,
        "true_crowd": uncounted,
        "missed": [not len(predicted.scores)] * len(persons),
        **_errors(predicted, true, counted, similarity, names),
    }


def _oks(predicted: Predicted, true: kept.Arrays, names: Sequence[str]) -> Floats:
    """The similarity (p, g) over the joints that have a sigma and that the model has."""
    has = np.array([name in skeletons.SIGMAS for name in names]) & predicted.known
    sigmas = np.array([skeletons.SIGMAS.get(name, 0.0) for name in names])[has]
    return pose_errors.oks(predicted.joints[:, has, :2], true.joints[:, has], true.areas, true.xywh, sigmas)


def _errors(
    predicted: Predicted, true: kept.Arrays, counted: Floats, similarity: Floats, names: Sequence[str]
) -> dict[str, Any]:
    """The columns of errors of each true person, against the prediction that fits it best."""
    limbs = np.array([name in skeletons.LIMB_JOINTS for name in names])
    columns: dict[str, list[int]] = {
        name: [] for name in ("oks_e9", "errors_e9", "limb_errors_e9", "mpjpe_e9", "pa_mpjpe_e9")
    }
    for j, joints in enumerate(counted):
        best = int(similarity[:, j].argmax()) if len(similarity) else -1
        errors = _by_torso(predicted.joints[best] if best >= 0 else None, joints, names)
        own = errors[limbs & (errors >= 0)]
        columns["oks_e9"].append(_e9(similarity[best, j]) if best >= 0 else 0)
        columns["errors_e9"] += [_e9(error) for error in errors]
        columns["limb_errors_e9"].append(_e9(own.mean()) if len(own) else -1)
        for name, value in _in_space(predicted, best, true.joints3d[j], names).items():
            columns[name].append(value)
    return columns


def _by_torso(predicted: Floats | None, true: Floats, names: Sequence[str]) -> Floats:
    """The distance of each joint in torsos, `MISSED` at most, float64 (K,); -1 where there is none."""
    length = pose_errors.torso(true, names)
    if predicted is None:
        apart = np.full(len(true), MISSED)
    else:
        apart = np.minimum(np.hypot(*(predicted[:, :2] - true[:, :2]).T) / length, MISSED)
    return np.where((true[:, 2] > 0) & np.isfinite(length), apart, -1)


def _in_space(predicted: Predicted, best: int, true: Floats, names: Sequence[str]) -> dict[str, int]:
    """Both errors in space, over the joints that the model has; -1 where a side has no joints in space."""
    if predicted.joints3d is None or best < 0 or not np.isfinite(true).all() or not predicted.known.any():
        return {"mpjpe_e9": -1, "pa_mpjpe_e9": -1}
    own = [name for name, known in zip(names, predicted.known, strict=True) if known]
    pair = predicted.joints3d[best][predicted.known], true[predicted.known]
    return {"mpjpe_e9": _e9(pose_errors.mpjpe(*pair, own)), "pa_mpjpe_e9": _e9(pose_errors.pa_mpjpe(*pair))}


def _e9(value: float) -> int:
    return -1 if value < 0 else round(min(float(value), 1000.0) * E9)
