"""Poses of persons in an image: the format of a sample's field `poses`, and how joints follow moved pixels.

A pose is a dict: `joints`, for each joint of the dataset [x, y, v] in pixels, from the image's upper left corner, the
middle of the first pixel at 0.5, and v the visibility as COCO has it (0: not labelled, with x = y = 0; 1: labelled,
hidden; 2: visible); `box` [x, y, w, h]; optionally `area` of the person in pixels (default: 0.53 of the box), `crowd`
(default: false), and `joints3d`, [x, y, z] of each joint in metres, x to the right, y down, z away.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError, RangeError
from shiftbench.data import boxes, skeletons

Pose = dict[str, Any]
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
SLACK = boxes.SLACK
VISIBILITIES = (0, 1, 2)
_SIDE = 2
"""A joint is followed as a bright square of 2 x 2 pixels at most around it, cut off at the image's edge."""


class Arrays(NamedTuple):
    """Poses as arrays.

    Attributes:
        joints: x, y, v, float64 (n, K, 3).
        xywh: boxes, float64 (n, 4).
        areas: float64 (n,).
        crowd: bool (n,).
        joints3d: float64 (n, K, 3), NaN where there are none.
    """

    joints: Floats
    xywh: Floats
    areas: Floats
    crowd: NDArray[np.bool_]
    joints3d: Floats


def area(pose: Pose) -> float:
    """Pixels that a person covers: as stated, else 0.53 of the box."""
    return float(pose.get("area", skeletons.AREA * pose["box"][2] * pose["box"][3]))


def arrays(poses: Sequence[Pose], count: int) -> Arrays:
    """Poses of `count` joints as arrays, in their order."""
    nowhere = [[math.nan] * 3] * count
    places = [pose.get("joints3d", nowhere) for pose in poses]
    return Arrays(
        np.array([pose["joints"] for pose in poses], dtype=np.float64).reshape(-1, count, 3),
        np.array([pose["box"] for pose in poses], dtype=np.float64).reshape(-1, 4),
        np.array([area(pose) for pose in poses], dtype=np.float64),
        np.array([pose.get("crowd", False) for pose in poses], dtype=bool),
        np.array(places, dtype=np.float64).reshape(-1, count, 3),
    )


def check(key: str, poses: Any, shape: tuple[int, ...], names: Sequence[str]) -> None:
    """Refuse poses that are none, or lie outside of the image.

    Args:
        key: of the sample, which messages name.
        poses: the field.
        shape: of the image, (h, w) or (h, w, 3).
        names: the dataset's joints.

    Raises:
        DataError: another type or form, another number of joints, a joint without visibility.
        RangeError: a labelled joint or a box outside of the image, a visibility that COCO does not know.
    """
    if not isinstance(poses, list):
        raise DataError(f"{key}: poses are a list of dicts; got {type(poses).__name__}")
    for number, pose in enumerate(poses):
        subject = f"{key}: person {number}"
        if not isinstance(pose, dict) or not {"joints", "box"} <= set(pose):
            raise DataError(f"{subject} is {pose!r}; expected a dict with joints and box")
        boxes.check(subject, [{"box": pose["box"], "label": 0}], shape, 1)
        _check_count(subject, pose["joints"], names, "joints")
        for name, joint in zip(names, pose["joints"], strict=True):
            _check_joint(f"{subject}, {name},", joint, shape)
        if "joints3d" in pose:
            _check_count(subject, pose["joints3d"], names, "joints3d")
            if not all(_numbers(joint, 3) for joint in pose["joints3d"]):
                raise DataError(f"{subject}: joints3d are three numbers each, in metres")


def _check_count(what: str, joints: Any, names: Sequence[str], field: str) -> None:
    if not isinstance(joints, list | tuple) or len(joints) != len(names):
        count = len(joints) if isinstance(joints, list | tuple) else type(joints).__name__
        raise DataError(
            f"{what} has {count} {field}; the dataset has {len(names)} joints, one [x, y, visibility] for each, "
            "visibility 0 for one that is not labelled"
        )


def _check_joint(what: str, joint: Any, shape: tuple[int, ...]) -> None:
    if _numbers(joint, 2):
        raise DataError(f"{what} is {list(joint)!r}: its visibility is missing; expected [x, y, visibility]")
    if not _numbers(joint, 3):
        raise DataError(f"{what} is {joint!r}; expected three finite numbers, x, y and visibility")
    x, y, visibility = joint
    if visibility not in VISIBILITIES:
        raise RangeError(
            f"{what} has the visibility {visibility:g}; COCO has 0 (not labelled), 1 (hidden) and 2 (visible)"
        )
    height, width = shape[:2]
    is_inside = -SLACK <= x <= width + SLACK and -SLACK <= y <= height + SLACK
    if visibility and not is_inside:
        raise RangeError(
            f"{what} at ({x:g}, {y:g}) lies outside of the picture of {width} x {height} pixels; a joint that is not "
            "in the picture has visibility 0"
        )


def _numbers(value: Any, count: int) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == count
        and all(isinstance(v, int | float) and math.isfinite(v) for v in value)
    )


def move_poses(poses: Sequence[Pose], shape: tuple[int, ...], move: Callable[[Pixels], Pixels]) -> list[Pose]:
    """Poses after their pixels were moved.

    A labelled joint goes to the middle of where a small bright square around it went. A joint with less than a tenth of
    its light left has left the image and is no longer labelled. The box is the tightest around where its pixels went
    (`boxes.move_boxes`), and a person whose box has left the image is gone. `joints3d` stay: they belong to the body,
    not to the picture.

    Args:
        poses: before.
        shape: of the image before, (h, w) or (h, w, 3).
        move: moves the pixels of a grey image; outside of it is black.
    """
    moved = []
    for pose in poses:
        box = {"box": pose["box"], "label": 0, "area": area(pose)}
        new_boxes = boxes.move_boxes([box], shape, move)
        if not new_boxes:
            continue
        joints = [_move_joint(joint, shape, move) for joint in pose["joints"]]
        moved.append({**pose, "joints": joints, "box": new_boxes[0]["box"], "area": new_boxes[0]["area"]})
    return moved


def _move_joint(joint: Sequence[float], shape: tuple[int, ...], move: Callable[[Pixels], Pixels]) -> list[float]:
    x, y, visibility = joint
    unlabelled = [0.0, 0.0, 0]
    if not visibility:
        return unlabelled
    before = _square(x, y, shape)
    after = move(before).astype(np.int64)
    light, total = int(after.sum()), int(before.sum(dtype=np.int64))
    if 10 * light < total:  # zooming out leaves a quarter of the light at half the size
        return unlabelled
    rows, columns = np.indices(after.shape)
    middle = (float((after * columns).sum()) / light, float((after * rows).sum()) / light)
    return [round(middle[0] + 0.5, 3), round(middle[1] + 0.5, 3), visibility]


def _square(x: float, y: float, shape: tuple[int, ...]) -> Pixels:
    """A black image with a square of light around (x, y), each pixel as bright as the share of it that is covered."""
    light = []
    for centre, length in ((y, shape[0]), (x, shape[1])):
        reach = max(0.5, min(_SIDE / 2, centre, length - centre))  # symmetric, so that its middle stays
        edges = np.arange(length + 1, dtype=np.float64)
        clipped = np.clip(edges, centre - reach, centre + reach)
        light.append(np.diff(clipped))
    image: Pixels = np.rint(255 * np.outer(*light)).astype(np.uint8)
    return image
