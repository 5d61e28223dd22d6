"""Scenes: items cut out of black ground, coloured, turned, and pasted on pieces of photos; with exact boxes.

What COCO-O, RWDS and m-hood are rehearsed on. An item is a grey image of 28 x 28. At its size on the scene the mask
is what is brighter than 20, its opacity is its grey over 60 (1 at most), and its colour 60 + 0.76 c grey with a
factor c of 0.5 to 1 for each channel. A box is tight around the mask; an item that overlaps one before it by an IoU
of `overlap` or more is placed again, up to ten times, then left out. Behind are pieces of photos, 1/4 to 1 of the short
side, mirrored or not, darkened.

Bytes are the same on every CPU: integers, and single float operations on pixels.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.data.boxes import Box
from shiftbench.data.resizing import resize, resize_array
from shiftbench.plugins.shifts import _geometry, _scikit_photos

Pixels = NDArray[np.uint8]
THRESHOLD, OPAQUE, TRIES = 20, 60, 10


@dataclass(frozen=True, slots=True)
class Look:
    """How scenes look.

    Attributes:
        side: of the square scene, in pixels.
        objects: fewest and most items; both 0: photos alone.
        sizes: smallest and largest side of an item's image, in pixels.
        rotation: largest angle of an item, in degrees; drawn from minus to plus that.
        overlap: IoU from which a place is not taken.
        photos: file names of scikit-image's photos.
        brightness: smallest and largest factor of the photo.
        crop: smallest and largest side of the piece, as a share of the photo's short side.
        shadow: how far to the right and down an item throws a dark copy of itself, in pixels; 0: none.
        tint: factors of red, green and blue of the photo.
    """

    side: int = 128
    objects: tuple[int, int] = (1, 4)
    sizes: tuple[int, int] = (28, 56)
    rotation: float = 0.0
    overlap: float = 0.15
    photos: tuple[str, ...] = _scikit_photos.TRAINING
    brightness: tuple[float, float] = (0.3, 0.8)
    crop: tuple[float, float] = (0.25, 1.0)
    shadow: int = 0
    tint: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def check(self, dataset: str) -> None:
        """Refuse a look that no scene can have.

        Raises:
            ParamsError: names the dataset and the option.
        """
        wrong = {
            "side": self.side < 16,
            "objects": not 0 <= self.objects[0] <= self.objects[1],
            "sizes": not 8 <= self.sizes[0] <= self.sizes[1] <= self.side,
            "rotation": not 0 <= self.rotation <= 180,
            "overlap": not 0 <= self.overlap <= 1,
            "photos": not self.photos,
            "brightness": not 0 <= self.brightness[0] <= self.brightness[1] <= 1,
            "crop": not 0 < self.crop[0] <= self.crop[1] <= 1,
            "shadow": self.shadow < 0,
            "tint": not all(0 <= factor <= 2 for factor in self.tint),
        }
        for name, is_wrong in wrong.items():
            if is_wrong:
                raise ParamsError(
                    f"{dataset}: {name} is {getattr(self, name)}; no scene of {self.side} pixels can look like that"
                )


@dataclass(frozen=True, slots=True)
class Items:
    """What is pasted: images uint8 (n, 28, 28), and the label of each one's box, int (n,); -1: it gets no box."""

    pixels: Pixels
    labels: NDArray[np.int64]


def scene(
    rng: RandomStream, items: Items, look: Look, sources: Mapping[str, Path], guests: Items | None = None
) -> tuple[Pixels, list[Box]]:
    """A scene uint8 (side, side, 3) and the boxes of its items, in the order in which they were pasted.

    Args:
        rng: random words of the scene.
        items: n images, of which some are drawn.
        look: how it looks.
        sources: folders of originals by name.
        guests: images of which one is pasted last; the rest of the scene is as it is without.

    Raises:
        DataError: the photos are not there.
    """
    image = background(rng, look, sources).astype(np.float32)
    boxes: list[Box] = []
    taken: list[Box] = []
    number = int(rng.integers(look.objects[0], look.objects[1] + 1))
    for drawn in [items] * number + ([guests] if guests else []):
        layer, mask, label = _item(rng, drawn, look)
        left, top, wide, tall = tight(mask)
        cut = slice(top, top + tall), slice(left, left + wide)
        corner = place(rng, (tall, wide), [box["box"] for box in taken], look)
        if corner is None:
            continue
        x, y = corner
        paste(image, layer[cut], mask[cut], (x, y), look.shadow)
        area = float(np.count_nonzero(mask))
        taken.append({"box": [float(x), float(y), float(wide), float(tall)], "label": label, "area": area})
        boxes += taken[-1:] if label >= 0 else []
    return np.rint(image).astype(np.uint8), boxes


def background(rng: RandomStream, look: Look, sources: Mapping[str, Path]) -> Pixels:
    """A piece of a photo, uint8 (side, side, 3): mirrored with probability 1/2, darkened and tinted."""
    which, size, down, right, mirrored, dark = (int(word) for word in rng.words16(6))
    photo = _scikit_photos.opened(sources, look.photos[which * len(look.photos) >> 16], colour=True)
    low, high = (round(share * 65536) for share in look.crop)
    side = max(8, min(photo.size) * (low + ((high - low) * size >> 16)) >> 16)
    left, top = right * (photo.width - side + 1) >> 16, down * (photo.height - side + 1) >> 16
    piece = resize(photo.crop((left, top, left + side, top + side)), look.side, look.side)
    pixels = np.array(piece)[:, :: -1 if mirrored < 32768 else 1]
    factor = look.brightness[0] + (look.brightness[1] - look.brightness[0]) * (dark / 65536)
    tinted = pixels.astype(np.float32) * np.float32(factor) * np.array(look.tint, np.float32)
    darkened: Pixels = np.rint(np.minimum(tinted, 255)).astype(np.uint8)
    return darkened


def _item(rng: RandomStream, items: Items, look: Look) -> tuple[NDArray[np.float32], Pixels, int]:
    """An item at its size: colour float32 (h, w, 3), opacity times 255 where it is, and its label."""
    which = int(rng.integers(0, len(items.pixels)))
    side = int(rng.integers(look.sizes[0], look.sizes[1] + 1))
    colour = np.float32(0.5) + rng.uniform(3) / np.float32(2)
    angle = (2 * float(rng.uniform()) - 1) * look.rotation
    return *layer_of(items.pixels[which], side, colour, angle), int(items.labels[which])


def layer_of(item: Pixels, side: int, colour: NDArray[np.float32], angle: float) -> tuple[NDArray[np.float32], Pixels]:
    """An item's image as it is pasted: colour float32 (h, w, 3), opacity times 255 where it is.

    Args:
        item: uint8 (28, 28).
        side: of its image on the scene, in pixels.
        colour: factor of each channel, float32 (3,), 0 to 1.
        angle: by which it is turned, in degrees.
    """
    grey = resize_array(item, side, side)
    if angle:
        grey = _turned(grey, angle)
    alpha = np.where(grey > THRESHOLD, np.minimum(grey.astype(np.int64) * 255 // OPAQUE, 255), 0)
    pixels = np.float32(60) + np.float32(0.76) * colour * grey[..., None].astype(np.float32)
    return np.minimum(pixels, 255), alpha.astype(np.uint8)


def _turned(grey: Pixels, degrees: float) -> Pixels:
    """An image turned about its middle, on a black canvas that holds all of it."""
    side = len(grey)
    margin = math.ceil(side * (math.sqrt(2) - 1) / 2)
    canvas = np.pad(grey, margin)
    return _geometry.affine(canvas, _geometry.rotation(degrees, 1), "constant", 0)


def tight(mask: Pixels) -> tuple[int, int, int, int]:
    """Left, top, width and height of what is there; of nothing, one pixel."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return 0, 0, 1, 1
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) + 1 - left, int(rows[-1]) + 1 - top


def place(rng: RandomStream, size: tuple[int, int], boxes: Sequence[list[float]], look: Look) -> tuple[int, int] | None:
    """The left upper corner of a free place; None: there is none."""
    tall, wide = size
    if tall > look.side or wide > look.side:
        return None
    for _ in range(TRIES):
        down, right = (int(word) for word in rng.words16(2))
        x, y = right * (look.side - wide + 1) >> 16, down * (look.side - tall + 1) >> 16
        if all(_iou((x, y, wide, tall), other) < look.overlap for other in boxes):
            return x, y
    return None


def _iou(one: Sequence[float], two: Sequence[float]) -> float:
    w = min(one[0] + one[2], two[0] + two[2]) - max(one[0], two[0])
    h = min(one[1] + one[3], two[1] + two[3]) - max(one[1], two[1])
    common = max(w, 0.0) * max(h, 0.0)
    return common / (one[2] * one[3] + two[2] * two[3] - common)


def paste(
    image: NDArray[np.float32],
    layer: NDArray[np.float32],
    mask: Pixels,
    corner: tuple[int, int],
    shadow: int,
    dark: float = 0.6,
) -> None:
    """Paste a layer into a scene, float32 (h, w, 3), in place, over its shadow, which takes `dark` of the light."""
    x, y = corner
    tall, wide = mask.shape
    if shadow:
        under = image[y + shadow : y + shadow + tall, x + shadow : x + shadow + wide]
        under *= 1 - np.float32(dark / 255) * mask[: under.shape[0], : under.shape[1], None]
    alpha = mask[..., None].astype(np.float32) / np.float32(255)
    under = image[y : y + tall, x : x + wide]
    under[:] = under * (1 - alpha) + layer * alpha
