"""Clothes on photos: items of Fashion-MNIST, each with its mask, on pieces of photos of scikit-image.

The embedded stand-in for ImageNet with ImageNet-S masks. An item is what is brighter than 0.08 of white; it is upright
and near the middle. Behind it is a piece of one of eight photos: training items have the left halves of the photos,
test items the right halves, so that no pixel of a test background is seen in training. The textures of
`_scikit_photos.HELD_OUT` are in no sample: the edits of backgrounds bring them. `meta` has photo and region (left, top,
right, bottom).

Differs from photographs: edges are softened by resizing only, and pasting leaves seams, which makes objects and edits
easier to notice than in diffusion's images.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; van der Walt et al. 2014; the composites are ours.
"""

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import fashion_mnist
from shiftbench.plugins.shifts import _scikit_photos
from shiftbench.systems.imagenet_e.datasets import _composites

TASK = fashion_mnist.TASK
CLASSES = fashion_mnist.CLASSES
NATIVE = fashion_mnist.NATIVE
SOURCES = (*fashion_mnist.SOURCES, _scikit_photos.SOURCE)
LICENCE = "MIT (clothes); CC0 or public domain (photos; of moon and page nothing is stated)"
CITATION = (
    f"{fashion_mnist.CITATION}; van der Walt et al., scikit-image: image processing in Python, PeerJ 2:e453, "
    "2014, doi:10.7717/peerj.453"
)
REDISTRIBUTE = True
THRESHOLD = 20  # 0.08 of 255, rounded down
HALF = {"train": "left", "test": "right"}


class Options(declare.Options):
    train: int = Field(10000, ge=0, description="training items, the first ones of Fashion-MNIST")
    test: int = Field(2000, ge=0, description="test items, the first ones of Fashion-MNIST")
    side: int = Field(48, ge=8, description="side of the canvas, in pixels")
    share: float = Field(
        0.2, gt=0, le=1, description="share of the canvas that an item takes; less if it would not fit"
    )
    jitter: float = Field(0.03, ge=0, lt=0.5, description="largest distance from the middle, as a share of the side")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield `train` or `test`: `image` and `mask` uint8 (side, side), `label` 0 to 9, `meta` with photo and region.

    Raises:
        ParamsError: side, share or jitter is out of range.
    """
    side, share, jitter = params["side"], params["share"], params["jitter"]
    if side < 8 or not 0 < share <= 1 or not 0 <= jitter < 0.5:
        raise ParamsError(
            f"fashion_composites: side {side}, share {share} and jitter {jitter}; expected a side of at least 8, a "
            "share above 0 and at most 1, and a jitter of 0 to 0.5"
        )
    items = fashion_mnist.samples(split, sources, {})
    for item in islice(items, params[split]):
        key = f"fashion_composites/{item.key.partition('/')[2]}"
        try:
            yield _composite(key, item, split, sources, params)
        except DataError as error:
            yield error


def _composite(key: str, item: Sample, split: str, sources: dict[str, Path], params: dict[str, Any]) -> Sample:
    side, margin = params["side"], int(params["jitter"] * params["side"])
    rng = RandomStream(0, "composite", "fashion_composites", key)
    photos = _scikit_photos.TRAINING
    behind = _scikit_photos.crop((side, side), rng, sources, photos, HALF[split])
    down, right = rng.integers(-margin, margin + 1, 2).tolist()
    layer = _composites.cut(item.fields["image"], THRESHOLD, key)
    layer = _composites.fit(layer, params["share"], side, margin)
    image, mask = _composites.compose(behind.pixels, layer, down, right)
    meta = {"photo": behind.photo, "region": behind.region}
    return Sample(key, {"image": image, "mask": mask, "label": item.fields["label"], "meta": meta})
