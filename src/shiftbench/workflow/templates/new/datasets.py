"""NAME: generated grey images of discs, squares and triangles.

Source: none, drawn here. Each image has its own size, place, brightness and grain.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare

TASK = "classification"
CLASSES = ("disc", "square", "triangle")
NATIVE = ("all",)  # test is cut from it, then val from train, by the hash of each key
SOURCES: tuple[str, ...] = ()  # names of sources/*.yaml, whose folders `samples` gets
LICENCE = "CC0-1.0"
CITATION = "generated"
REDISTRIBUTE = True


class Options(declare.Options):
    count: int = Field(300, ge=1, description="number of images")
    size: int = Field(28, ge=8, description="side of an image, in pixels")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield `count` images: `image` uint8 (size, size), `label` 0 to 2."""
    for number in range(params["count"]):
        key, label = f"NAME/all/{number:06d}", number % len(CLASSES)
        image = _draw(label, params["size"], RandomStream(0, "draw", "NAME", key))
        yield Sample(key, {"image": image, "label": label})


def _draw(label: int, size: int, rng: RandomStream) -> NDArray[np.uint8]:
    x, y, radius, grey = rng.uniform(4)
    radius = size * (0.2 + 0.15 * radius)
    down, right = np.mgrid[:size, :size] + 0.5
    down, right = down - size * (0.4 + 0.2 * y), right - size * (0.4 + 0.2 * x)
    inside = (
        down**2 + right**2 < radius**2,
        np.maximum(abs(down), abs(right)) < radius,
        (abs(right) < (down + radius) / 2) & (down < radius),
    )[label]
    grain = rng.integers(0, 40, (size, size))
    return np.where(inside, 120 + int(90 * grey), 20).astype(np.uint8) + grain.astype(np.uint8)
