"""Three zones seen from above, and scenes that lie in one or between two of them; helper of `zone_scenes`.

A zone has a ground (a photo of scikit-image), its tint, clutter and light, shadows, contrast (its *look*); how large
objects are (`sizes`) and how often each class occurs (`classes`). Look and sizes shift covariates, classes the prior;
each is mixed by itself. What a scene draws does not depend on the zone: the same objects stand at the same places,
as far as they have room, so that test scenes of two zones are paired, and between two zones everything moves slowly.

Source: ours, after the analogue of RWDS (arXiv:2503.19202) whose domains are climate zones. Bytes are the same on
every CPU: integers, and single float operations on pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.data.boxes import Box
from shiftbench.data.resizing import resize
from shiftbench.plugins.datasets import _scenes
from shiftbench.plugins.shifts import _scikit_photos

Pixels = NDArray[np.uint8]
Floats = NDArray[np.float32]
SHADOW = 3
"""Offset of shadows, in pixels to the right and down."""
WHOLE = 1 << 16


@dataclass(frozen=True, slots=True)
class Zone:
    """Typical values of a zone.

    Attributes:
        photo: file name of the ground.
        tint: factors of red, green and blue of the ground.
        clutter: contrast of the ground around its mean.
        shadow: share of the light that a shadow takes.
        contrast: of the whole scene around grey 128.
        sizes: smallest and largest side of an object's image, in pixels.
        classes: how often each class occurs, in parts of their sum.
    """

    photo: str
    tint: tuple[float, float, float]
    clutter: float
    shadow: float
    contrast: float
    sizes: tuple[float, float]
    classes: tuple[float, ...]


ZONES = {
    "a": Zone("grass.png", (0.62, 0.67, 0.55), 0.7, 0.27, 0.96, (18, 28), (4, 3, 2, 1)),
    "b": Zone("gravel.png", (0.66, 0.64, 0.54), 0.6, 0.45, 0.96, (16, 25), (1, 4, 3, 2)),
    "c": Zone("brick.png", (0.61, 0.62, 0.57), 0.7, 0.33, 0.95, (15, 24), (2, 1, 3, 4)),
}


@dataclass(frozen=True, slots=True)
class Mix:
    """Place of a scene between two zones.

    Attributes:
        source, target: names of zones.
        look, sizes, classes: how far each has gone from the source to the target, 0 to 1.
    """

    source: str
    target: str
    look: float = 0.0
    sizes: float = 0.0
    classes: float = 0.0

    def check(self, dataset: str) -> None:
        """Refuse zones that do not exist, and shares outside 0 to 1.

        Raises:
            ParamsError: names the dataset and the option.
        """
        for option in ("source", "target"):
            name = getattr(self, option)
            if name not in ZONES:
                raise ParamsError(f"{dataset}: no zone is called {name!r} ({suggest(name, ZONES)})")
        for option in ("look", "sizes", "classes"):
            share = getattr(self, option)
            if not 0 <= share <= 1:
                raise ParamsError(f"{dataset}: {option} is {share:g}; expected a share, 0 to 1")

    def of(self, field: str, share: float) -> Floats:
        """A number, or numbers, of the mixed zone, float32."""
        source, target = (
            np.asarray(getattr(ZONES[name], field), dtype=np.float32) for name in (self.source, self.target)
        )
        return source + (target - source) * np.float32(share)


@dataclass(frozen=True, slots=True)
class Plot:
    """Layout of scenes.

    Attributes:
        side: of the square scene, in pixels.
        objects: fewest and most objects.
        overlap: IoU from which a place is not taken.
        half: `left` or `right`: the half of each photo that ground is taken from.
    """

    side: int
    objects: tuple[int, int]
    overlap: float
    half: str


def scene(
    name: str, mix: Mix, plot: Plot, pools: list[Pixels], sources: Mapping[str, Path]
) -> tuple[Pixels, list[Box]]:
    """A scene uint8 (side, side, 3) and its boxes.

    Args:
        name: of the scene; decides what it draws.
        mix: where it lies.
        plot: how it is laid out.
        pools: for each class, the images that are drawn from, uint8 (n, 28, 28).
        sources: folders of originals by name.

    Raises:
        DataError: the photos are not there.
    """
    rng = RandomStream(0, "scene", "zone_scenes", name)
    image = _ground(rng, mix, plot, sources)
    dark = float(mix.of("shadow", mix.look))
    look = _scenes.Look(side=plot.side, overlap=plot.overlap)
    boxes: list[Box] = []
    for number in range(int(rng.integers(plot.objects[0], plot.objects[1] + 1))):
        object_rng = RandomStream(0, "scene", "zone_scenes", f"{name}/{number}")
        layer, mask, label = _object(object_rng, mix, pools)
        left, top, wide, tall = _scenes.tight(mask)
        crop = slice(top, top + tall), slice(left, left + wide)
        corner = _scenes.place(object_rng, (tall, wide), [box["box"] for box in boxes], look)
        if corner is None:
            continue
        _scenes.paste(image, layer[crop], mask[crop], corner, SHADOW, dark)
        place = [float(value) for value in (*corner, wide, tall)]
        area = float(np.count_nonzero(mask))
        boxes.append({"box": place, "label": label, "area": area})
    contrast = np.float32(mix.of("contrast", mix.look))
    image = np.float32(128) + (image - np.float32(128)) * contrast
    return np.rint(np.clip(image, 0, 255)).astype(np.uint8), boxes


def _ground(rng: RandomStream, mix: Mix, plot: Plot, sources: Mapping[str, Path]) -> Floats:
    """The ground, float32 (side, side, 3): a piece of a half of the photo, mirrored or not, tinted."""
    size_draw, down_draw, right_draw, mirror_draw = (int(word) for word in rng.words16(4))
    pieces = []
    for name in (mix.source, mix.target):
        photo = _scikit_photos.opened(sources, ZONES[name].photo, colour=False)
        half = photo.width // 2
        side = min(half, photo.height) * (3 * WHOLE + size_draw) >> 18  # 3/4 to 1 of the half
        left = right_draw * (half - side + 1) // WHOLE + (half if plot.half == "right" else 0)
        top = down_draw * (photo.height - side + 1) // WHOLE
        piece = resize(photo.crop((left, top, left + side, top + side)), plot.side, plot.side)
        pieces.append(np.array(piece)[:, :: -1 if mirror_draw < WHOLE // 2 else 1].astype(np.float32))
    grey = pieces[0] + (pieces[1] - pieces[0]) * np.float32(mix.look)
    middle = np.float32(128)
    spread = middle + (grey - middle) * np.float32(mix.of("clutter", mix.look))
    tinted: Floats = np.clip(spread, 0, 255)[..., None] * mix.of("tint", mix.look)
    return tinted


def _object(rng: RandomStream, mix: Mix, pools: list[Pixels]) -> tuple[Floats, Pixels, int]:
    """An object at its size: its layer, its mask, its class."""
    kind, which_draw, size, turn, *colours = (int(word) for word in rng.words16(7))
    shares = np.cumsum(mix.of("classes", mix.classes).astype(np.float64))
    label = int(np.searchsorted(shares, kind / WHOLE * shares[-1], side="right"))
    low, high = (float(value) for value in mix.of("sizes", mix.sizes))
    side = int(low + (high + 1 - low) * (size / WHOLE))
    pool = pools[label]
    colour = np.float32(0.5) + np.array(colours, dtype=np.float32) / np.float32(2 * WHOLE)
    angle = 360 * (turn / WHOLE) - 180
    return *_scenes.layer_of(pool[which_draw * len(pool) // WHOLE], side, colour, angle), label
