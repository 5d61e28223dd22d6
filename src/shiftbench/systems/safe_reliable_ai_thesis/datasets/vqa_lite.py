"""VQA-lite: questions with twelve answers about scenes of one to four coloured clothes.

A scene of 64 x 64 pixels holds trousers, shirts, bags and boots of Fashion-MNIST, one in a quarter of the square at
most, at 20 to 28 pixels, in one of five colours, on a dark ground. Two questions of different kinds are asked about
each (_questions.py), which share the scene as their `cluster` and their group; `meta.family` is the kind of question.
Train and val draw items of Fashion-MNIST's training
images, test of its test images.

Bytes are the same on every CPU: integers, and Pillow's resizing.

Source: ours, as the specification of Ao's thesis (arXiv:2308.03176) has it at small scale; images of Xiao, Rasul and
Vollgraf 2017, arXiv:1708.07747.
"""

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.data.resizing import resize_array
from shiftbench.plugins import declare
from shiftbench.plugins.datasets import fashion_mnist
from shiftbench.plugins.datasets._arrays import read_idx
from shiftbench.systems.safe_reliable_ai_thesis.datasets import _questions

TASK = "visual_question"
CLASSES = _questions.ANSWERS
NATIVE = ("train", "val", "test")
SOURCES = fashion_mnist.SOURCES
LICENCE = fashion_mnist.LICENCE
CITATION = fashion_mnist.CITATION
REDISTRIBUTE = True
FILES = {"train": "train", "val": "train", "test": "t10k"}
GARMENTS = {"trouser": "trouser", "shirt": "t_shirt", "bag": "bag", "boot": "ankle_boot"}
"""Names of the kinds in Fashion-MNIST."""
SIDE, SMALLEST, LARGEST, THRESHOLD = 64, 20, 28, 20
PAINT = {
    "red": (230, 50, 50),
    "green": (50, 200, 70),
    "blue": (70, 90, 250),
    "yellow": (240, 220, 50),
    "white": (240, 240, 240),
}
Pixels = NDArray[np.uint8]


class Options(declare.Options):
    train: int = Field(2000, ge=0, description="number of training scenes")
    val: int = Field(200, ge=0, description="number of validation scenes")
    test: int = Field(500, ge=0, description="number of test scenes")
    questions: int = Field(2, ge=1, le=4, description="questions about each scene")
    templates: Literal["seen", "unseen"] = Field(
        "seen", description="wordings of questions that training has, or never has"
    )


def group(sample: Sample) -> str:
    """The scene that a question is about."""
    scene: str = sample.fields["meta"]["cluster"]
    return scene


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield questions: `image` uint8 (64, 64, 3), `text`, `label` among the answers, `meta`.

    Raises:
        ParamsError: an option that is out of range.
    """
    _check(params)
    pools = _pools(str(sources[SOURCES[0]]), FILES[split])
    for number in range(params[split]):
        scene = f"vqa_lite/{split}/{number:06d}"
        rng = RandomStream(0, "scene", "vqa_lite", scene)
        image, items = _scene(rng, pools)
        questions = _questions.ask(rng, items, params["templates"], params["questions"])
        for position, question in enumerate(questions):
            fields = {
                "image": image,
                "text": question.text,
                "label": CLASSES.index(question.answer),
                "meta": {"family": question.family, "cluster": scene},
            }
            yield Sample(f"{params['name']}/{split}/{number:06d}/{position}", fields)


def _check(params: dict[str, Any]) -> None:
    if params["templates"] not in _questions.TEMPLATES:
        raise ParamsError(
            f"vqa_lite: templates is {params['templates']!r}; {suggest(params['templates'], _questions.TEMPLATES)}"
        )
    if not 1 <= params["questions"] <= len(_questions.FAMILIES):
        raise ParamsError(
            f"vqa_lite: questions is {params['questions']}; expected 1 to {len(_questions.FAMILIES)} about a scene"
        )


@lru_cache(maxsize=2)
def _pools(folder: str, name: str) -> dict[str, Pixels]:
    """The images of each kind of item."""
    pixels = read_idx(Path(folder) / f"{name}-images-idx3-ubyte")
    labels = read_idx(Path(folder) / f"{name}-labels-idx1-ubyte")
    numbers = {kind: fashion_mnist.CLASSES.index(garment) for kind, garment in GARMENTS.items()}
    return {kind: pixels[labels == number] for kind, number in numbers.items()}


def _scene(rng: RandomStream, pools: dict[str, Pixels]) -> tuple[Pixels, list[_questions.Item]]:
    """A scene uint8 (64, 64, 3) and what is in it."""
    image = np.full((SIDE, SIDE, 3), int(rng.integers(0, 60)), np.uint8)
    count = int(rng.integers(1, 5))
    items = []
    for quarter in rng.choice(4)[:count]:
        kind = tuple(pools)[int(rng.integers(0, len(pools)))]
        colour = _questions.COLOURS[int(rng.integers(0, len(PAINT)))]
        number, side = (int(rng.integers(0, len(pools[kind]))), int(rng.integers(SMALLEST, LARGEST + 1)))
        row_offset, column_offset = (int(v) for v in rng.integers(0, SIDE // 2 - side + 1, 2))
        top, left = int(quarter) // 2 * SIDE // 2 + row_offset, int(quarter) % 2 * SIDE // 2 + column_offset
        grey = resize_array(pools[kind][number], side, side)
        _paint(image[top : top + side, left : left + side], grey, PAINT[colour])
        items.append(_questions.Item(kind, colour, left + side / 2))
    return image, items


def _paint(canvas: Pixels, grey: Pixels, colour: tuple[int, int, int]) -> None:
    """Paint an item over a piece of the scene, in place: its grey lights its colour, from a third up."""
    light = 85 + grey.astype(np.int64) * 170 // 255
    painted = light[..., None] * np.array(colour) // 255
    mask = grey > THRESHOLD
    canvas[mask] = painted[mask].astype(np.uint8)
