"""Prompts for pictures of named objects: MMDT's five text-to-image tasks, in plain words.

Helpfulness names two objects; count two kinds and how many of each; spatial where one stands of another, or between
two; color two objects and the colour of each; size one that is larger or smaller than another. `group` is the task;
`meta.objects` has what a scorer needs in the columns of the hub's data set, `meta.prompt` the prompt as it was before
any shift. A judge brings the verdicts (`graders`); helpfulness has none, but a score.

A fifth of the prompts is of each task; no prompt of one split is in another.

Source: ours, in the place of the hub's prompts; tasks and fields as in AI-secure/MMDT at 68be1c8,
mmdt/perspectives/ood/eval_text_to_image.py.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.mmdt.datasets import _words
from shiftbench.systems.mmdt.metrics import _boxes, _ood

TASK = "free_text"
CLASSES: tuple[str, ...] = ()
NATIVE = ("train", "val", "test")
SOURCES: tuple[str, ...] = ()
LICENCE, CITATION = "Apache-2.0 (ours)", "this repository"
REDISTRIBUTE = True
IN_ORDER = True
SIZES = ("larger", "smaller")
Prompt = tuple[str, list[dict[str, Any]]]


class Options(declare.Options):
    train: int = Field(20, ge=0, description="training prompts")
    val: int = Field(100, ge=0, description="validation prompts")
    test: int = Field(300, ge=0, description="test prompts")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield prompts: `text`, `meta`."""
    for number in range(params[split]):
        rng = RandomStream(0, "prompt", "mmdt_prompts", f"{split}/{number:06d}")
        task = _ood.T2I_TASKS[number % len(_ood.T2I_TASKS)]
        text, objects = _MAKERS[task](rng, *_three(rng, split))
        meta = {"group": task, "task": task, "prompt": text, "objects": objects, "graders": ["judge"]}
        yield Sample(f"{params['name']}/{split}/{number:06d}", {"text": text, "meta": meta})


def _three(rng: RandomStream, split: str) -> tuple[str, str, str]:
    """Three different objects, of which no other split has the first two in this order.

    Of test one is at an even place of the list and one at an odd; of train and val both are alike, falling and rising.
    """
    names, order = tuple(_words.KINDS), [int(at) for at in rng.choice(len(_words.KINDS))]
    first = order[0]
    second = next(at for at in order[1:] if (at - first) % 2 == (split == "test"))
    third = next(at for at in order[1:] if at != second)
    if split != "test":
        first, second = sorted((first, second), reverse=split == "train")
    return names[first], names[second], names[third]


def _helpfulness(rng: RandomStream, one: str, other: str, _: str) -> Prompt:
    return f"A picture of a {one} and a {other}.", []


def _count(rng: RandomStream, one: str, other: str, _: str) -> Prompt:
    first, second = (int(n) for n in rng.integers(1, 4, 2))
    text = f"A picture of {_words.count_in_words(one, first)} and {_words.count_in_words(other, second)}."
    return text, [{"object": one, "counts": first}, {"object": other, "counts": second}]


def _spatial(rng: RandomStream, one: str, other: str, third: str) -> Prompt:
    words = (*_boxes.WORDS, "between")
    word = words[int(rng.integers(0, len(words)))]
    objects = [one, other, third] if word == "between" else [one, other]
    behind = f"a {other} and a {third}" if word == "between" else f"a {other}"
    return f"A picture of a {one} {word} {behind}.", [{"objs": objects, "rel": [word]}]


def _color(rng: RandomStream, one: str, other: str, _: str) -> Prompt:
    first, second = (tuple(_words.COLOURS)[int(at)] for at in rng.choice(len(_words.COLOURS))[:2])
    text = f"A picture of a {first} {one} and a {second} {other}."
    return text, [{"object": one, "color": first}, {"object": other, "color": second}]


def _size(rng: RandomStream, one: str, other: str, _: str) -> Prompt:
    word = SIZES[int(rng.integers(0, len(SIZES)))]
    text = f"A picture of a {one} that is {word} than a {other}."
    return text, [{"object1": one, "object2": other, "size": word}]


_MAKERS: dict[str, Callable[[RandomStream, str, str, str], Prompt]] = {
    "helpfulness": _helpfulness,
    "count": _count,
    "spatial": _spatial,
    "color": _color,
    "size": _size,
}
