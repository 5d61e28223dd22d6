"""Scenes of three to five cut-outs on 32 x 32 pixels, and their graph: what is where, how far away, in which colour.

A cut-out is a piece of clothing of Fashion-MNIST or a silhouette of Animal-Shape, painted in one of six colours, which
are its name, as CV-Bench marks by coloured boxes what it asks about. Depth has eight steps, no two things of a scene
are at the same: a thing is 14 - depth pixels large, its light falls by 24/256 a step, and nearer ones are painted over
farther ones. Middles lie in different cells of a 3 x 3 grid, up to a pixel off.

A *graph* is a JSON object, `objects`, a list of

    name, kind (`animal`, `garment`), x and y of the middle in half pixels, depth, side

from which all answers follow (`_questions.py`). Bytes are the same on every CPU: integers, and Pillow's resizing.

Source: ours, after CV-Bench (Tong et al. 2024, arXiv:2406.16860); silhouettes and clothes are in `animal_shape` and
`fashion_mnist`.
"""

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.data.resizing import resize_array
from shiftbench.plugins.datasets import _idx, animal_shape, fashion_mnist
from shiftbench.plugins.datasets._arrays import read_idx

Pixels = NDArray[np.uint8]
Thing = dict[str, Any]
Graph = dict[str, list[Thing]]
SIDE, CELL, DEPTHS, LARGEST = 32, 11, 8, 14
COLOURS = {
    "red": (255, 60, 60),
    "green": (60, 255, 60),
    "blue": (70, 70, 255),
    "yellow": (255, 255, 50),
    "cyan": (50, 255, 255),
    "pink": (255, 60, 255),
}
KINDS = ("animal", "garment")
FEWEST, MOST = 3, 5
SOURCES = (*animal_shape.SOURCES, *fashion_mnist.SOURCES)
LICENCE = "MIT"
CITATION = f"{fashion_mnist.CITATION}; {animal_shape.CITATION}"
_THRESHOLD = 40
"""The grey level from which a pixel belongs to a cut-out."""


def random_scene(rng: RandomStream, pools: Mapping[str, Pixels]) -> tuple[Pixels, Graph]:
    """A scene uint8 (32, 32, 3) and its graph, in the order in which things are named.

    Args:
        rng: random words of the scene; as many are taken whatever it holds.
        pools: of each kind the cut-outs, uint8 (n, 28, 28).
    """
    count = int(rng.integers(FEWEST, MOST + 1))
    places, names, depths = (rng.choice(n)[:count] for n in (9, len(COLOURS), DEPTHS))
    offsets = rng.integers(-1, 2, (MOST, 2))
    kinds, image_draws = rng.integers(0, len(KINDS), MOST), rng.raw(MOST)
    things: list[Thing] = []
    cut_outs: list[Pixels] = []
    for index in range(count):
        side = LARGEST - int(depths[index])
        corner = [
            _inside(CELL // 2 + int(coordinate) * CELL + int(offset) - side // 2, side)
            for coordinate, offset in zip((places[index] % 3, places[index] // 3), offsets[index], strict=True)
        ]
        kind = KINDS[int(kinds[index])]
        things.append(
            {
                "name": tuple(COLOURS)[int(names[index])],
                "kind": kind,
                "x": 2 * corner[0] + side,
                "y": 2 * corner[1] + side,
                "depth": int(depths[index]),
                "side": side,
            }
        )
        cut_outs.append(pools[kind][int(image_draws[index] % np.uint64(len(pools[kind])))])
    image = np.zeros((SIDE, SIDE, 3), np.uint8)
    for index in sorted(range(count), key=lambda index: -things[index]["depth"]):
        _paint(image, things[index], cut_outs[index])
    return image, {"objects": things}


def _inside(start: int, side: int) -> int:
    return min(max(start, 0), SIDE - side)


def _paint(image: Pixels, thing: Thing, grey: Pixels) -> None:
    """Paint a cut-out over a scene, in place: its grey lights its colour, from three eighths up."""
    side = thing["side"]
    left, top = ((thing[axis] - side) // 2 for axis in ("x", "y"))
    small = resize_array(grey, side, side).astype(np.int64)
    light = (96 + small * 160 // 256) * (256 - 24 * thing["depth"]) // 256
    colours = light[..., None] * np.array(COLOURS[thing["name"]]) // 255
    canvas, mask = image[top : top + side, left : left + side], small > _THRESHOLD
    canvas[mask] = colours[mask].astype(np.uint8)


@lru_cache(maxsize=2)
def pools(animals: str, clothes: str, part: str) -> dict[str, Pixels]:
    """The cut-outs of each kind that scenes of a split are made of.

    Args:
        animals: folder of Animal-Shape.
        clothes: folder of Fashion-MNIST.
        part: `train` has four fifths of the silhouettes and Fashion-MNIST's training images, `test` the others.
    """
    sources = {"animal_shape": Path(animals)}
    silhouettes = [one.fields["image"] for one in animal_shape.samples("all", sources, {})]
    animals_of_part = [image for number, image in enumerate(silhouettes) if (number % 5 == 0) == (part == "test")]
    garments = read_idx(Path(clothes) / f"{_idx.FILES[part]}-images-idx3-ubyte")
    return {"animal": np.stack(animals_of_part), "garment": garments}
