"""Images of pure noise: far-OOD data that no model should take for anything.

    datasets:
      rademacher: {use: noise_images, kind: rademacher, count: 2000}

| kind | each grey level |
| --- | --- |
| uniform | uniform in 0 to 255 |
| gaussian | normal, mean 127.5 and standard deviation 63.75, clipped |
| rademacher | 0 or 255, a coin each |
| blobs | on (probability 0.7) or off, blurred by a Gaussian of 1.5 pixels; what is below 0.75 becomes 0 |

Source: Hendrycks, Mazeika and Dietterich 2019, "Deep Anomaly Detection with Outlier Exposure", arXiv:1812.04606,
section 4.1 and appendix A (`gaussian`, `rademacher`, `blobs`, with the constants of the authors' code, there in
-1 to 1); `uniform` is of Liang, Li and Srikant 2018, "ODIN", arXiv:1706.02690, section 4.1, whose Gaussian noise is
twice as wide. We differ: the authors' code blurs blobs across the colour channels, too.

An image depends on kind, size, channels, seed and its key.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare, fields

TASK = "classification"
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE = "CC0-1.0"
CITATION = (
    "Hendrycks, Mazeika and Dietterich, Deep Anomaly Detection with Outlier Exposure, ICLR 2019, arXiv:1812.04606"
)
REDISTRIBUTE = True

TAPS = np.array([4, 31, 147, 448, 872, 1089, 872, 448, 147, 31, 4], np.int64)
"""A Gaussian of 1.5 pixels in integers, so that no float decides an image."""

Pixels = NDArray[np.uint8]
Shape = tuple[int, int, int]


class Options(declare.Options):
    kind: Literal["uniform", "gaussian", "rademacher", "blobs"] = Field("uniform", description="kind of noise")
    count: int = Field(1000, ge=1, description="number of images of each split")
    size: int = Field(28, ge=1, description="side of an image, in pixels")
    channels: Literal[1, 3] = Field(1, description="grey or colour images")
    seed: fields.Seed = 0


def uniform(rng: RandomStream, shape: Shape) -> Pixels:
    """The upper bytes of 16-bit words."""
    return _raw(rng, shape, 8)


def gaussian(rng: RandomStream, shape: Shape) -> Pixels:
    """Clipped normal values."""
    levels: NDArray[np.float32] = rng.normal(shape) * np.float32(63.75) + np.float32(127.5)
    return np.clip(np.rint(levels), 0, 255).astype(np.uint8)


def rademacher(rng: RandomStream, shape: Shape) -> Pixels:
    """Black or white."""
    return np.where(_raw(rng, shape, 15) > 0, 255, 0).astype(np.uint8)


def blobs(rng: RandomStream, shape: Shape) -> Pixels:
    """Blurred coins, edges repeated, cut at 0.75."""
    field = (rng.uniform(shape) < 0.7).astype(np.int64)
    for axis in (0, 1):
        pad = [(len(TAPS) // 2,) * 2 if at == axis else (0, 0) for at in range(3)]
        near_by = np.lib.stride_tricks.sliding_window_view(np.pad(field, pad, mode="edge"), len(TAPS), axis)
        field = near_by @ TAPS
    whole = int(TAPS.sum()) ** 2
    return np.where(4 * field < 3 * whole, 0, field * 255 // whole).astype(np.uint8)


def _raw(rng: RandomStream, shape: Shape, dropped: int) -> Pixels:
    """16-bit words without their last `dropped` bits."""
    drawn: Pixels = (rng.words16(math.prod(shape)) >> dropped).astype(np.uint8)
    return drawn.reshape(shape)


KINDS: dict[str, Callable[[RandomStream, Shape], Pixels]] = {
    made.__name__: made for made in (uniform, gaussian, rademacher, blobs)
}


def classes(params: dict[str, Any], sources: dict[str, Path]) -> tuple[str, ...]:
    """The one class, named after the kind."""
    return (f"{_kind(params)}_noise",)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `count` images: `image` uint8 (size, size), or (size, size, 3) for 3 channels; `label` 0."""
    make, shape = KINDS[_kind(params)], (params["size"], params["size"], params["channels"])
    if shape[2] not in (1, 3) or min(params["count"], shape[0]) < 1:
        raise ParamsError(
            f"noise_images: channels, size and count are {shape[2]}, {shape[0]} and {params['count']}; expected 1 or "
            "3 channels, and at least 1 pixel and image"
        )
    for number in range(params["count"]):
        key = f"noise_images/{split}/{params['kind']}/{number:06d}"
        image = make(RandomStream(params["seed"], "noise_images", params["kind"], key), shape)
        yield Sample(key, {"image": image[..., 0] if shape[2] == 1 else image, "label": 0})


def _kind(params: dict[str, Any]) -> str:
    kind: str = params["kind"]
    if kind not in KINDS:
        raise ParamsError(f"noise_images: kind is {kind!r}; {suggest(kind, KINDS)}")
    return kind
