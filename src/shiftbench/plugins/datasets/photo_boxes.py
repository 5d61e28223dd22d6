"""Real photos with boxes of COCO's categories: what scikit-image ships, annotated by hand, to try COCO detectors on.

Four photos (an astronaut, a man with a camera, a cat, a cup with a spoon) as they are; `photo_boxes.csv` has the
boxes, x y w h in pixels of the photo. Far too few for numbers: they show that a detector's classes, boxes and
resizing are right.

Source: van der Walt et al. 2014, scikit-image; boxes ours.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base.sample import Sample
from shiftbench.data.boxes import Box
from shiftbench.plugins.models._coco import CLASSES as COCO
from shiftbench.plugins.shifts import _scikit_photos

TITLE = "scikit-image photos with boxes"
TASK = "detection"
CLASSES = COCO
NATIVE = ("test",)
ASSETS = ("photo_boxes.csv",)
SOURCES = (_scikit_photos.SOURCE,)
LICENCE = "CC0 or public domain"
CITATION = "van der Walt et al., scikit-image: image processing in Python, PeerJ 2:e453, 2014, doi:10.7717/peerj.453"
REDISTRIBUTE = True


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `test`: `image` uint8 (h, w, 3) and `boxes`."""
    by_photo: dict[str, list[Box]] = {}
    with Path(__file__).with_name(ASSETS[0]).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            place = [float(part) for part in row["box"].split()]
            box = {"box": place, "label": CLASSES.index(row["label"])}
            by_photo.setdefault(row["photo"], []).append(box)
    for photo, boxes in by_photo.items():
        image = np.array(_scikit_photos.opened(sources, photo, colour=True))
        key = f"{params.get('name', 'photo_boxes')}/test/{photo.partition('.')[0]}"
        yield Sample(key, {"image": image, "boxes": boxes})
