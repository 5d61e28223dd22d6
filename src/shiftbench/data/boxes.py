"""Boxes of objects in an image: the format of a sample's field `boxes`, and how boxes follow moved pixels.

A box is a dict: `box` [x, y, w, h] in pixels, from the image's upper left corner, not rounded; `label`, an index into
the dataset's classes; optionally `area` of the object in pixels (default: w times h) and `crowd` (default: false), as
COCO has them.
"""

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import DataError, RangeError

Box = dict[str, Any]
Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
SLACK = 0.5
"""Pixels that a box may lie outside of its image: annotations are rounded."""


class Arrays(NamedTuple):
    """Boxes as arrays: xywh float64 (n, 4), labels int64 (n,), areas float64 (n,), crowd bool (n,)."""

    xywh: Floats
    labels: NDArray[np.int64]
    areas: Floats
    crowd: NDArray[np.bool_]


def arrays(boxes: list[Box]) -> Arrays:
    """Boxes as arrays, in their order."""
    xywh = np.array([box["box"] for box in boxes], dtype=np.float64).reshape(-1, 4)
    return Arrays(
        xywh,
        np.array([box["label"] for box in boxes], dtype=np.int64),
        np.array([box.get("area", box["box"][2] * box["box"][3]) for box in boxes], dtype=np.float64),
        np.array([box.get("crowd", False) for box in boxes], dtype=bool),
    )


def check(key: str, boxes: Any, shape: tuple[int, ...], classes: int) -> None:
    """Refuse boxes that are none, lie outside of the image, or have a class that the dataset does not have.

    Args:
        key: of the sample, which messages name.
        boxes: the field.
        shape: of the image, (h, w) or (h, w, 3).
        classes: number of the dataset's classes.

    Raises:
        DataError: another type or form.
        RangeError: a box outside of the image, of no size, or a label out of range.
    """
    if not isinstance(boxes, list):
        raise DataError(f"{key}: boxes are a list of dicts; got {type(boxes).__name__}")
    for number, box in enumerate(boxes):
        name = f"{key}: box {number}"
        if not _is_box(box):
            raise DataError(f"{name} is {box!r}; expected a dict with box [x, y, w, h] and label")
        x, y, w, h = box["box"]
        if not 0 <= box["label"] < classes:
            raise RangeError(f"{name} has the label {box['label']}; there are {classes} classes (0 to {classes - 1})")
        if w <= 0 or h <= 0:
            raise RangeError(f"{name} is {w:g} pixels wide and {h:g} high; it must have a size")
        height, width = shape[:2]
        if min(x, y) < -SLACK or x + w > width + SLACK or y + h > height + SLACK:
            raise RangeError(
                f"{name}, [{x:g}, {y:g}, {w:g}, {h:g}], lies outside of the image of {width} x {height} pixels"
            )


def _is_box(box: Any) -> bool:
    if not isinstance(box, dict) or not isinstance(box.get("label"), int):
        return False
    coordinates = box.get("box")
    if not isinstance(coordinates, list | tuple) or len(coordinates) != 4:
        return False
    return all(isinstance(v, int | float) and math.isfinite(v) for v in coordinates)


def move_boxes(boxes: list[Box], shape: tuple[int, ...], move: Callable[[Pixels], Pixels]) -> list[Box]:
    """Boxes after their pixels were moved: the tightest box around where the pixels of each went.

    Args:
        boxes: before.
        shape: of the image before, (h, w) or (h, w, 3).
        move: moves the pixels of a grey image; outside of it is black.

    Returns:
        Boxes in whole pixels inside of the image, in their order; one that has left the image is gone. An `area`
        shrinks or grows as its box does.
    """
    moved = []
    for box in boxes:
        new_box = _box_of_mask(move(_pixel_mask(box["box"], shape)))
        if new_box is None:
            continue
        _, _, w, h = box["box"]
        area = {"area": box["area"] * new_box[2] * new_box[3] / (w * h)} if "area" in box else {}
        moved.append({**box, "box": new_box, **area})
    return moved


def _pixel_mask(box: list[float], shape: tuple[int, ...]) -> Pixels:
    """A mask of the pixels whose middle is in a box; at least one pixel."""
    x, y, w, h = box
    left, top = max(0, math.ceil(x - 0.5)), max(0, math.ceil(y - 0.5))
    left, top = min(left, shape[1] - 1), min(top, shape[0] - 1)
    right, bottom = max(left + 1, math.ceil(x + w - 0.5)), max(top + 1, math.ceil(y + h - 0.5))
    mask = np.zeros(shape[:2], dtype=np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


def _box_of_mask(mask: Pixels) -> list[float] | None:
    """The box around the pixels of a mask that are at least half bright; None: there are none."""
    rows, columns = (np.flatnonzero((mask >= 128).any(axis=1)), np.flatnonzero((mask >= 128).any(axis=0)))
    if not len(rows):
        return None
    left, top = int(columns[0]), int(rows[0])
    return [float(left), float(top), float(columns[-1] + 1 - left), float(rows[-1] + 1 - top)]
