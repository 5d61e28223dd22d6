"""Scenes with a question each, answered in text: MMDT's four OOD tasks on pictures that are made here.

A scene of 64 x 64 pixels has one to four of sixteen objects (_words.py) on a piece of a photo, each in a quarter of its
own, 16 to 26 pixels large. Sample by sample it is asked which object is there, what colour it has, how many there are
of two kinds, or where one stands of another; `group` is the task. The judge decides (`graders`), and `phrases` tells
whether an answer is the one that a targeted attack wants: `meta.target`, a wrong answer drawn for each sample.

A fourth of the scenes is of each task.

Source: ours, in the place of the hub's images; tasks, question ends and judging as in arXiv 2503.14827 and AI-
secure/MMDT at 68be1c8, mmdt/perspectives/ood. `position` along the farther axis as in
mmdt/perspectives/hallucination/utils.py.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.mmdt.datasets import _pictures, _words
from shiftbench.systems.mmdt.datasets._pictures import Item
from shiftbench.systems.mmdt.metrics import _boxes, _ood

TASK = "free_text"
CLASSES: tuple[str, ...] = ()
NATIVE = ("train", "val", "test")
SOURCES = _pictures.SOURCES
LICENCE, CITATION = _pictures.LICENCE, _pictures.CITATION
REDISTRIBUTE = True
IN_ORDER = True
SMALLEST, LARGEST, CELL = 16, 26, _pictures.SIDE // 2
NEIGHBOURS = ((0, 1), (1, 0), (2, 3), (3, 2), (0, 2), (2, 0), (1, 3), (3, 1))
"""Quarters that share a side."""


class Options(declare.Options):
    train: int = Field(4000, ge=0, description="training scenes")
    val: int = Field(400, ge=0, description="validation scenes")
    test: int = Field(800, ge=0, description="test scenes")


class Scene(NamedTuple):
    """Objects of a scene, the names in its question, the answer and a wrong one."""

    items: list[Item]
    names: tuple[str, ...]
    answer: str
    target: str
    phrase: str


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield questions: `image` uint8 (64, 64, 3), `text`, `meta`."""
    half = "right" if split == "test" else "left"
    for number in range(params[split]):
        key = f"{params['name']}/{split}/{number:06d}"
        rng = RandomStream(0, "scene", "mmdt_scenes", f"{split}/{number:06d}")
        task = _ood.I2T_TASKS[number % len(_ood.I2T_TASKS)]
        under = _pictures.ground(rng, sources, half)
        scene = _MAKERS[task](rng)
        meta = {
            "group": task,
            "task": task,
            "answer": scene.answer,
            "target": scene.target,
            "graders": ["judge", "phrases"],
            "phrases": [scene.phrase],
        }
        image = _pictures.draw(under, scene.items, sources[_pictures.EMOJI])
        question = _words.Question(task, scene.names)
        yield Sample(key, {"image": image, "text": _words.question(question), "meta": meta})


def _identification(rng: RandomStream) -> Scene:
    name, wrong = _two(rng, tuple(_words.KINDS))
    return Scene([_place(rng, name, None, _random_below(rng, 4))], (), name, wrong, wrong)


def _attribute(rng: RandomStream) -> Scene:
    (name,), (colour, wrong) = (_several(rng, tuple(_words.KINDS), 1), _two(rng, tuple(_words.COLOURS)))
    return Scene([_place(rng, name, colour, _random_below(rng, 4))], (name,), colour, wrong, wrong)


def _count(rng: RandomStream) -> Scene:
    """Two to four objects of two kinds; the wrong answer has another number of the first."""
    names, number = _two(rng, tuple(_words.KINDS)), 2 + _random_below(rng, _words.MOST - 1)
    first = 1 + _random_below(rng, number - 1)
    kinds = [names[0]] * first + [names[1]] * (number - first)
    items = [_place(rng, name, None, int(at)) for name, at in zip(kinds, rng.choice(4)[:number], strict=True)]
    (wrong,) = _several(rng, tuple(n for n in range(1, _words.MOST) if n != first), 1)
    answers = ({names[0]: n, names[1]: number - first} for n in (first, wrong))
    answer, target = (str(one) for one in answers)
    return Scene(items, names, answer, target, _words.count_in_words(names[0], wrong))


def _spatial(rng: RandomStream) -> Scene:
    names, quarters = _two(rng, tuple(_words.KINDS)), NEIGHBOURS[_random_below(rng, len(NEIGHBOURS))]
    items = [_place(rng, name, None, at) for name, at in zip(names, quarters, strict=True)]
    side = _boxes.position(items[0].box, items[1].box)
    (wrong,) = _several(rng, tuple(one for one in _words.SIDES if one != side), 1)
    return Scene(items, names, side, wrong, wrong)


_MAKERS: dict[str, Callable[[RandomStream], Scene]] = {
    "identification": _identification,
    "attribute": _attribute,
    "count": _count,
    "spatial": _spatial,
}


def _place(rng: RandomStream, name: str, colour: str | None, quarter: int) -> Item:
    """An object somewhere in a quarter of the scene."""
    side = int(rng.integers(SMALLEST, LARGEST + 1))
    left, top = (int(one) for one in rng.integers(0, CELL - side + 1, 2))
    return Item(name, colour, side, quarter % 2 * CELL + left, quarter // 2 * CELL + top)


def _random_below(rng: RandomStream, limit: int) -> int:
    return int(rng.integers(0, limit))


def _several(rng: RandomStream, options: tuple[Any, ...], number: int) -> tuple[Any, ...]:
    return tuple(options[int(at)] for at in rng.choice(len(options))[:number])


def _two(rng: RandomStream, options: tuple[str, ...]) -> tuple[str, str]:
    one, other = _several(rng, options, 2)
    return one, other
