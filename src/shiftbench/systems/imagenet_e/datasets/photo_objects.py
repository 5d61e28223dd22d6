"""Four colour photos with a clear object, and its mask: to try what edits objects with a network that knows ImageNet.

Photos of scikit-image (an astronaut, a cat, a cup, a rocket); the middle square, at `side` pixels (bilinear). Masks are
polygons drawn by hand, `photo_objects.csv` has their corners (x y, in pixels of the photo). A label is no truth: it is
what EfficientNet-Lite0 says of the unedited image at 224 px, so that an edit can only cost. Far too few for numbers.

Source: van der Walt et al. 2014; outlines ours; labels by the weights of `sources/efficientnet_lite0.yaml`.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.sample import Sample
from shiftbench.data.resizing import resize_array
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import imagenet
from shiftbench.plugins.shifts import _scikit_photos

TASK = "classification"
NATIVE = ("test",)
ASSETS = ("photo_objects.csv",)
SOURCES = (_scikit_photos.SOURCE,)
LICENCE = "CC0 or public domain"
CITATION = "van der Walt et al., scikit-image: image processing in Python, PeerJ 2:e453, 2014, doi:10.7717/peerj.453"
REDISTRIBUTE = True


class Options(declare.Options):
    side: int = Field(224, ge=1, description="side of the image, in pixels")


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """ImageNet's thousand class names."""
    return imagenet.classes(params, sources)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `test`: `image` uint8 (side, side, 3), `mask` uint8 (side, side), `label` 0 to 999, `meta` with the photo.

    Raises:
        DataError: the source is not there, or not whole.
    """
    names, side = classes(params, sources), params["side"]
    with Path(__file__).with_name(ASSETS[0]).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for row in rows:
        photo = np.array(_scikit_photos.opened(sources, row["photo"], colour=True))
        mask = fill_polygon(np.array(row["outline"].split(), dtype=np.int64), *photo.shape[:2])
        image, mask = (resize_array(square(pixels), side, side) for pixels in (photo, mask))
        key = f"photo_objects/test/{row['photo'].partition('.')[0]}"
        fields = {"image": image, "mask": mask, "label": names.index(row["label"])}
        yield Sample(key, {**fields, "meta": {"photo": row["photo"]}})


def square(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The middle square."""
    height, width = pixels.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    return pixels[top : top + side, left : left + side]


def fill_polygon(corners: NDArray[np.int64], height: int, width: int) -> NDArray[np.uint8]:
    """A mask uint8 (height, width) of a polygon: 255 where a pixel's middle is inside (even-odd, in integers).

    Args:
        corners: x0 y0 x1 y1 ..., corners of pixels.
        height: of the mask.
        width: of the mask.
    """
    points = 2 * corners.reshape(-1, 2)
    y, x = (2 * np.arange(side, dtype=np.int64) + 1 for side in (height, width))
    inside = np.zeros((height, width), dtype=bool)
    for (x0, y0), (x1, y1) in zip(points, np.roll(points, -1, axis=0), strict=True):
        if y0 == y1:
            continue
        crosses = (y > min(y0, y1)) & (y < max(y0, y1))
        right = (x[None] - x0) * abs(y1 - y0) < ((y - y0) * (x1 - x0) * np.sign(y1 - y0))[:, None]
        inside ^= crosses[:, None] & right
    return np.where(inside, 255, 0).astype(np.uint8)
