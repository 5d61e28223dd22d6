"""Scenes seen from above in three zones, cut into tiles: clothes of Fashion-MNIST at any angle on grass, gravel, brick.

The embedded stand-in for RWDS. `zone` is where scenes lie: `a` (grass, green, cluttered, soft light, large objects),
`b` (gravel, sandy, hard shadows), `c` (brick, grey, regular, low contrast, small objects); each zone has frequencies of
classes of its own. Look, sizes and classes of a scene move towards another zone each by itself: look and sizes are
covariates, classes the prior. A scene is cut into tiles (`_tiles.py`); a tile's source image is its `cluster`, which is
resampled as one, and its group, which is in one split. Test scenes of one number are the same in all zones but for what
the zone changes, training scenes differ. Items and halves of photos are apart in test and training; validation has
scenes of its own with those of training.

Source: Xiao, Rasul and Vollgraf 2017, arXiv:1708.07747; van der Walt et al. 2014; the zones are ours, after RWDS
(arXiv:2503.19202).
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import fashion_mnist
from shiftbench.plugins.datasets._arrays import read_idx
from shiftbench.plugins.shifts import _scikit_photos
from shiftbench.systems.rwds.datasets import _tiles, _zones

TASK = "detection"
CLASSES = ("t_shirt", "trouser", "bag", "sneaker")
NATIVE = ("train", "val", "test")
SOURCES = (*fashion_mnist.SOURCES, _scikit_photos.SOURCE)
LICENCE = "MIT (clothes); CC0 (photos)"
CITATION = (
    f"{fashion_mnist.CITATION}; van der Walt et al., scikit-image: image processing in Python, PeerJ 2:e453, "
    "2014, doi:10.7717/peerj.453"
)
REDISTRIBUTE = True
IN_ORDER = True
FILES = {"train": "train", "val": "train", "test": "t10k"}
HALVES = {"train": "left", "val": "left", "test": "right"}


class Options(declare.Options):
    train: int = Field(40, ge=0, description="number of training scenes")
    val: int = Field(3, ge=0, description="number of validation scenes")
    test: int = Field(20, ge=0, description="number of test scenes")
    zone: Literal["a", "b", "c"] = Field("a", description="zone of the scenes")
    target: Literal["", "a", "b", "c"] = Field("", description="zone that scenes are moved towards; empty: none")
    look: float = Field(0.0, ge=0, le=1, description="share of the target's ground and light")
    sizes: float = Field(0.0, ge=0, le=1, description="share of the target's sizes of objects")
    classes: float = Field(0.0, ge=0, le=1, description="share of the target's frequencies of classes")
    side: int = Field(320, ge=32, description="side of a scene, in pixels")
    objects: list[int] = Field(
        [40, 60], min_length=2, max_length=2, description="smallest and largest number of objects of a scene"
    )
    overlap: float = Field(
        0.15, ge=0, le=1, description="largest overlap of two objects, as a share of the smaller one"
    )
    tile: int = Field(128, ge=32, description="side of a tile, in pixels")
    tile_overlap: float = Field(0.2, ge=0, lt=1, description="overlap of neighbouring tiles, as a share of their side")
    visible: float = Field(0.4, ge=0, le=1, description="share of an object that a tile must show to have its box")


def group(sample: Sample) -> str:
    """The scene that a tile was cut from."""
    cluster: str = sample.fields["meta"]["cluster"]
    return cluster


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield the tiles of a split: `image` uint8 (tile, tile, 3), `boxes`, and `meta` with the scene.

    Raises:
        ParamsError: an option that is out of range.
        DataError: an original is not there.
    """
    mix, plot = _mix(params), _plot(split, params)
    pools = _pools(str(sources[fashion_mnist.SOURCES[0]]), FILES[split])
    zone_prefix = "" if split == "test" else f"{params['zone']}/"
    for number in range(params[split]):
        scene = f"{split}/{zone_prefix}{number:05d}"
        image, boxes = _zones.scene(scene, mix, plot, list(pools), sources)
        tiles = _tiles.tiles(image, boxes, params["tile"], params["tile_overlap"], params["visible"])
        for index, tile in enumerate(tiles):
            meta = {"cluster": f"zone_scenes/{scene}", "left": tile.left, "top": tile.top}
            fields = {"image": tile.pixels, "boxes": tile.boxes, "meta": meta}
            yield Sample(f"{params['name']}/{split}/{number:05d}/{index:02d}", fields)


def _mix(params: dict[str, Any]) -> _zones.Mix:
    shares = (float(params[name]) for name in ("look", "sizes", "classes"))
    mix = _zones.Mix(params["zone"], params["target"] or params["zone"], *shares)
    mix.check("zone_scenes")
    return mix


def _plot(split: str, params: dict[str, Any]) -> _zones.Plot:
    fewest, most = params["objects"]
    if not 0 <= fewest <= most:
        raise ParamsError(f"zone_scenes: objects is {params['objects']}; expected [fewest, most]")
    if not 32 <= params["tile"] <= params["side"]:
        raise ParamsError(
            f"zone_scenes: tile is {params['tile']} and side {params['side']}; expected 32 pixels or more, and no "
            "tile larger than the scene"
        )
    return _zones.Plot(params["side"], (fewest, most), params["overlap"], HALVES[split])


@lru_cache(maxsize=2)
def _pools(folder: str, name: str) -> tuple[NDArray[np.uint8], ...]:
    """The items of each class."""
    pixels = read_idx(Path(folder) / f"{name}-images-idx3-ubyte")
    labels = read_idx(Path(folder) / f"{name}-labels-idx1-ubyte")
    return tuple(pixels[labels == fashion_mnist.CLASSES.index(one)] for one in CLASSES)
