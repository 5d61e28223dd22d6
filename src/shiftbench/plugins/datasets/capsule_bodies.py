"""Bodies of capsules on pieces of photos, one in a picture, with COCO's joints exact in the picture and in space.

The embedded stand-in for COCO's persons (`_bodies.py` draws them). A picture is the crop of a person as a top-down
model sees it. No photo is behind both training and test bodies.

Source: ours, after the renderings of PoseExaminer (Liu et al. 2023, arXiv:2303.07337); photos by van der Walt et al.
2014, scikit-image.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data.skeletons import COCO_17
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import _bodies
from shiftbench.plugins.shifts import _scikit_photos

TITLE = "Capsule bodies on photos"
TASK = "keypoints"
CLASSES = COCO_17
NATIVE = ("train", "test")
SOURCES = (_scikit_photos.SOURCE,)
LICENCE = "MIT (bodies); CC0 or public domain (photos; of moon and page nothing is stated)"
CITATION = (
    "Liu, Kortylewski and Yuille, PoseExaminer, CVPR 2023, arXiv:2303.07337; van der Walt et al., scikit-image: image "
    "processing in Python, PeerJ 2:e453, 2014, doi:10.7717/peerj.453"
)
REDISTRIBUTE = True
IN_ORDER = True


class Options(declare.Options):
    train: int = Field(2000, ge=0, description="number of training pictures")
    test: int = Field(200, ge=0, description="number of test pictures")
    height: int = Field(128, ge=32, le=4096, description="height of a picture, in pixels")
    width: int = Field(96, ge=32, le=4096, description="width of a picture, in pixels")
    share: float = Field(
        0.85, ge=0.1, le=0.95, description="size of the body, as a share of the picture's side that it fills more"
    )
    spread: float = Field(0.5, ge=0, le=1, description="largest angles of the joints; 0: at rest, 1: their limits")
    yaw: float = Field(60.0, ge=0, le=180, description="largest turn of the body about the vertical, in degrees")
    roll: float = Field(15.0, ge=0, le=180, description="largest tilt of the body in the picture, in degrees")
    contrast: float = Field(1.0, ge=0, le=1, description="contrast of the photo behind; 1: as it is, 0: plain grey")
    train_photos: list[str] = Field(
        list(_scikit_photos.TRAINING), min_length=1, description="photos behind training bodies"
    )
    test_photos: list[str] = Field(list(_scikit_photos.HELD_OUT), min_length=1, description="photos behind test bodies")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `train` or `test`: `image` uint8 (height, width, 3) and `poses`, of one person."""
    check(params)
    name = params.get("name", "capsule_bodies")
    for number in range(params[split]):
        key = f"{name}/{split}/{number:06d}"
        rng = RandomStream(0, "body", "capsule_bodies", key)
        body = _bodies.drawn(rng, params["spread"], params["yaw"], params["roll"])
        yield sample(key, body, rng, sources, params[f"{split}_photos"], params)


def sample(
    key: str, body: _bodies.Body, rng: RandomStream, sources: dict[str, Path], photos: list[str], params: dict[str, Any]
) -> Sample:
    """The picture of a body on a piece of one of some photos."""
    size = params["height"], params["width"]
    right, down = (2 * float(word) - 1 for word in rng.uniform(2))
    view = _bodies.fitted(body, *size, params["share"], (right, down))
    piece = _scikit_photos.crop((*size, 3), rng, sources, photos).pixels
    part = round(256 * params["contrast"])
    ground = (piece.astype(np.int64) * part + 128 * (256 - part) + 128) >> 8
    made = _bodies.render(body, view, ground.astype(np.uint8))
    return Sample(key, {"image": made.image, "poses": [made.pose]})


def check(params: dict[str, Any]) -> None:
    """Refuse options that no picture can have.

    Raises:
        ParamsError: names the option.
    """
    both = set(params["train_photos"]) & set(params["test_photos"])
    if both:
        raise ParamsError(f"capsule_bodies: {min(both)} is in train_photos and in test_photos; give each photo to one")
    for name, low, high in (
        *(("height", 32, 4096), ("width", 32, 4096), ("share", 0.1, 0.95), ("spread", 0, 1)),
        *(("yaw", 0, 180), ("roll", 0, 180), ("contrast", 0, 1)),
    ):
        if not low <= params[name] <= high:
            raise ParamsError(f"capsule_bodies: {name} is {params[name]:g}; expected {low:g} to {high:g}")
