"""Frost: a piece of a frosted window is laid over the image, which is darkened.

Source: Hendrycks & Dietterich 2019 (ImageNet-C), https://arxiv.org/abs/1903.12261; levels are the shares of image and
of frost from `make_imagenet_c.py`, which crops 224 x 224 px at random out of one of five images (it ships six, but
its random index never takes the last; the second and third hold the same pixels). All of that is reproduced;
`texture: photo6` takes all six, as `imagecorruptions` does (which also enlarges them by a tenth). Differs: the piece
scales with the image (224 px of the image to the shorter side, less where the image is too small for the longer; with
`scale: none` a pixel to a pixel), by areas when it shrinks and linearly when it grows; grey images take the grey of
the piece; rounded, not truncated.

Published level 4 changes less than level 3: `profile: published` has these five only, `profile: continuous`
has ours from level 3 on, which grow.

`texture: procedural` needs no images: ice of our own, from random words only, whose mean and contrast
are those of the five. In Python, where the images are not on this machine, `photo` falls back to it with
a warning; a benchmark has them among its inputs, and never does.

Takes three 16-bit words (image, row, column); procedural: those of a plasma map of
64 points per side, then four per fern.
"""

import warnings
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.compiled import compiled
from shiftbench.base.errors import DataError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels
from shiftbench.plugins.shifts._noise_fields import crystals, enlarged, lattice, plasma

FIELD = "image"
LEVELS = {1: (1.0, 0.4), 2: (0.8, 0.6), 3: (0.7, 0.7), 4: (0.65, 0.7), 5: (0.6, 0.75)}
LEVELS_CONTINUOUS = {**LEVELS, 3: (0.72, 0.67), 4: (0.66, 0.72), 5: (0.6, 0.77)}
RANGE = _levels.RANGE
CONTINUOUS = {"profile": "continuous"}
SOURCES = ("frost_textures",)
PICTURES = ("frost1.png", "frost2.png", "frost3.png", "frost4.jpg", "frost5.jpg")
Texture = Annotated[
    Literal["photo", "photo6", "procedural"],
    Field(description="five photos of ImageNet-C, six photos, or computed ice that needs no files"),
]
TEXTURES = {"photo": PICTURES, "photo6": (*PICTURES, "frost6.jpg"), "procedural": ()}
PROFILES = {"published": (_levels.published, LEVELS), "continuous": (_levels.at, LEVELS_CONTINUOUS)}
HAZE_SIDE, HAZE_DECAY = 64, 1.9
ONE = 1 << 15  # shares are 32,768ths: 255 x 2 x 32,768 fits 32 bits


def needs(params: Mapping[str, object]) -> list[Ref]:
    """The original that the photographed textures are in."""
    return [] if params["texture"] == "procedural" else [refs.sources(SOURCES[0])]


def apply(  # noqa: PLR0913 - a shift's options
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    texture: Texture = "photo",
    profile: _levels.Profile = "published",
    scale: _levels.Scale = "image",
    sources: Mapping[str, Path] | None = None,
) -> NDArray[np.uint8]:
    """A frosted copy of an image, uint8 (h, w) or (h, w, 3)."""
    keep, add = shares(severity, profile)
    files = pictures(texture, sources)
    ice = piece(files, value.shape, rng, scale) if files else procedural(value.shape, rng)
    frosted = np.empty(value.shape, dtype=np.uint8)
    flat = np.ascontiguousarray(value).reshape(-1), np.ascontiguousarray(ice).reshape(-1)
    _add(*flat, keep, add, frosted.reshape(-1))
    return frosted


def shares(severity: float, profile: str) -> tuple[np.uint32, np.uint32]:
    """The shares of image and frost in 32,768ths."""
    if profile not in PROFILES:
        raise ParamsError(f"frost: profile is {profile!r}; allowed are {' and '.join(PROFILES)}")
    constants, levels = PROFILES[profile]
    keep, add = constants(__name__, levels, severity, zero=(1.0, 0.0))
    return np.uint32(round(keep * ONE)), np.uint32(round(add * ONE))


def pictures(texture: str, sources: Mapping[str, Path] | None) -> tuple[Path, ...]:
    """The files of the photographed textures, none where the ice is procedural.

    Raises:
        ParamsError: another texture.

    Warns:
        UserWarning: the photographed ones are wanted, and are not there.
    """
    if texture not in TEXTURES:
        raise ParamsError(f"frost: texture is {texture!r}; allowed are {', '.join(TEXTURES)}")
    folder, names = (sources or {}).get(SOURCES[0]), TEXTURES[texture]
    if names and folder is None:
        warnings.warn(
            "frost: the photographed textures are not on this machine, so procedural ice is used; "
            f"bring them with `shiftbench fetch {SOURCES[0]}`, or choose texture='procedural'",
            UserWarning,
            stacklevel=3,
        )
    return tuple(folder / name for name in names) if folder else ()


def piece(
    files: tuple[Path, ...], shape: tuple[int, ...], rng: RandomStream, scale: str = "image"
) -> NDArray[np.uint8]:
    """A random piece of a random image, of an image's shape."""
    which, down, right = (int(word) for word in rng.words16(3))
    picture = read(files[which * len(files) >> 16], len(shape))
    height, width = window(picture.shape, shape, scale)
    top = down * max(len(picture) - height, 1) >> 16
    left = right * max(picture.shape[1] - width, 1) >> 16
    cut = picture[top : top + height, left : left + width]
    if cut.shape == shape:
        return cut
    how = cv2.INTER_AREA if height > shape[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(cut, shape[1::-1], interpolation=how), dtype=np.uint8)


def window(picture: tuple[int, ...], image: tuple[int, ...], scale: str = "image") -> tuple[int, int]:
    """Height and width, in the image's pixels, of the piece that covers an image."""
    zoom = min(1 / _levels.scale(image, scale), picture[0] / image[0], picture[1] / image[1])
    return max(1, round(image[0] * zoom)), max(1, round(image[1] * zoom))


@lru_cache(maxsize=2 * len(TEXTURES["photo6"]))
def read(path: Path, axes: int) -> NDArray[np.uint8]:
    """An image, uint8 (h, w) for 2 axes or (h, w, 3) for 3; kept in memory.

    Raises:
        DataError: it cannot be read.
    """
    try:
        with Image.open(path) as file:
            pixels = np.asarray(file.convert("RGB"))
    except (OSError, SyntaxError) as error:  # what Pillow raises for damaged files
        raise DataError(
            f"frost: {path.name} cannot be read ({error}); bring it with `shiftbench fetch {SOURCES[0]}`"
        ) from error
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)) if axes == 2 else pixels


def procedural(shape: tuple[int, ...], rng: RandomStream) -> NDArray[np.uint8]:
    """Ice of our own, of an image's shape: bluish haze with ferns of ice on it."""
    fine, height, width = lattice(shape)
    field = plasma(HAZE_SIDE, HAZE_DECAY, rng)
    lowest, highest = field.min(), field.max()
    haze = ((field - lowest) * (np.float32(255) / (highest - lowest))).astype(np.uint8)
    haze = cv2.resize(haze, (width, height), interpolation=cv2.INTER_LINEAR)
    light = haze.astype(np.uint16) * 60 + crystals(height, width, rng).astype(np.uint16) * 95
    ice = np.minimum((light >> 8) + 108, 255).astype(np.uint8)
    ice = enlarged(ice, fine, shape)
    return ice if len(shape) == 2 else np.asarray(cv2.LUT(cv2.merge([ice] * 3), tint()))


@lru_cache(maxsize=1)
def tint() -> NDArray[np.uint8]:
    """Red, green and blue of each grey level of ice, uint8 (256, 1, 3)."""
    levels = np.arange(256)[:, None, None] * np.array([90, 103, 110]) // 100
    return np.asarray(np.minimum(levels, 255), dtype=np.uint8)


@compiled
def _add(
    image: NDArray[np.uint8], ice: NDArray[np.uint8], keep: np.uint32, add: np.uint32, frosted: NDArray[np.uint8]
) -> None:
    """Fill `frosted` (n,): shares, in 32,768ths, of image and ice, rounded, at most white."""
    for i in range(len(image)):
        both = np.uint32(image[i]) * keep + np.uint32(ice[i]) * add + np.uint32(1 << 14)
        frosted[i] = np.uint8(min(np.uint32(both) >> np.uint32(15), np.uint32(255)))
