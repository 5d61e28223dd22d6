"""A renderer of prompts in place of a text-to-image model, with its detector and judge: rules and templates.

A prompt is read by rules (`parse`) and drawn three times, with seeds 42, 43 and 44: nine cells of 32 pixels
on a piece of a photo, an object each. The detector (_detector.py) then looks for what the sample asks for, and MMDT's
rules judge it. A completion is what was seen in one picture, as JSON: `boxes` by object, `colours`, `parts` (which
parts of the item are right) and, of helpfulness, `clip_score`. Its `judge` says yes where all parts are right.

CLIP is not among what packages bring. In its place stands the cosine of two bags of the sixteen objects: those that
the detector sees in the picture, and those that the original prompt names; MMDT's formula is over that.

Its weights are the seeds; needs the emoji and the photos. Source: ours, after the specification of MMDT at small
scale; rules of AI-secure/MMDT at 68be1c8, mmdt/perspectives/ood/eval_text_to_image.py.

The rules read plain words. A noun of the sixteen is an object; a number word before it makes several, a colour before
it paints it. Between the first two objects stand words of a side, `between` or a size. All else is passed over, so that
an object, number, colour or place in words that the rules do not have is lost.
"""

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.systems.mmdt.datasets import _pictures, _words
from shiftbench.systems.mmdt.datasets._pictures import Item
from shiftbench.systems.mmdt.metrics import _boxes, _ood
from shiftbench.systems.mmdt.models import _detector

TASK = "free_text"
PRETRAINED_ON = "nothing"
SEEDS = (42, 43, 44)
CELL, ACROSS = 32, 3
PLAIN, LARGE, SMALL = 20, 28, 16
KINDS = tuple(_words.KINDS)
Pixels = NDArray[np.uint8]
_FIRST = {"left": 3, "right": 5, "above": 1, "below": 7}
"""The cell of an object that stands somewhere of another, which has the middle."""
_NOUN = "|".join(sorted({_words.many(name, n) for name in _words.KINDS for n in (1, 2)}, key=len, reverse=True))
_OBJECT = re.compile(rf"(?:\b({'|'.join(_words.NUMBERS)}) )?(?:\b({'|'.join(_words.COLOURS)}) )?\b({_NOUN})\b")
_RELATION = re.compile(
    rf"\b(?:{'|'.join(sorted((*_boxes.WORDS, *_boxes.LARGER, *_boxes.SMALLER, 'between'), key=len, reverse=True))})\b"
)


class Options(declare.Options):
    threshold: float = Field(0.96, ge=0, le=1, description="score of the detector from which on it sees an object")
    rules: Literal["ours", "official"] = Field(
        "ours", description="rules for places of objects; official: those of the paper"
    )


class Objects(NamedTuple):
    """Objects of a kind: name, how many, colour."""

    name: str
    number: int
    colour: str | None


class Request(NamedTuple):
    """Request of a prompt: objects, the word between the first two of a side or size, or `between`; "" : none."""

    objects: list[Objects]
    relation: str


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Sources of the pictures that are drawn."""
    return [refs.sources(name) for name in _pictures.SOURCES]


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> dict[str, torch.Tensor]:
    """The seeds of the three pictures, int64 (3,)."""
    return {"seeds": torch.tensor(SEEDS)}


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that gives `completions` and `judge`, three for each prompt."""
    sources = {ref.parts[0]: path.parent for ref, path in inputs.items() if ref.kind == "sources"}
    seeds = nets.read_state(weights)["seeds"].tolist()

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        outputs = {name: np.empty(len(samples), object) for name in ("completions", "judge")}
        for at, sample in enumerate(samples):
            views = [look(render(sample, seed, sources), sample.fields["meta"], sources, params) for seed in seeds]
            outputs["completions"][at] = tuple(json.dumps(one, sort_keys=True) for one in views)
            outputs["judge"][at] = tuple(verdict(one) for one in views)
        return outputs

    return predict


def verdict(view: Mapping[str, Any]) -> str:
    """Yes or no; neither for items that have a score instead of parts."""
    if "parts" not in view:
        return "a score alone"
    return "yes" if _ood.item_right(view["parts"]) else "no"


# ------------------------------------------------------------------ drawing


def render(sample: Sample, seed: int, sources: Mapping[str, Path]) -> Pixels:
    """The picture of a prompt, uint8 (96, 96, 3)."""
    rng = RandomStream(seed, "renderer", "mmdt_prompts", sample.key)
    under = _pictures.ground(rng, sources, "whole", CELL * ACROSS)
    items = lay_out(parse(sample.fields["text"]), rng)
    return _pictures.draw(under, items, sources[_pictures.EMOJI])


def lay_out(request: Request, rng: RandomStream) -> list[Item]:
    """Objects of a picture, each in a cell of its own; objects without a cell are left out."""
    free = [int(cell) for cell in rng.choice(ACROSS**2)]
    each = [(group.name, group.colour) for group in request.objects for _ in range(group.number)]
    cells, sides = _cells(request.relation, free), _sides(request.relation)
    items = []
    for number, ((name, colour), cell) in enumerate(zip(each, cells, strict=False)):
        side = sides[number] if number < len(sides) else PLAIN
        left, top = (int(one) for one in rng.integers(0, CELL - side + 1, 2))
        items.append(Item(name, colour, side, cell % ACROSS * CELL + left, cell // ACROSS * CELL + top))
    return items


def _cells(relation: str, free: list[int]) -> list[int]:
    """The cells of objects in their order: those of a relation, then the others at random."""
    side = _boxes.WORDS.get(relation)
    places = [_FIRST[side], 4] if side else [4, 3, 5] if relation == "between" else []
    return places + [cell for cell in free if cell not in places]


def _sides(relation: str) -> tuple[int, ...]:
    if relation in _boxes.LARGER:
        return LARGE, SMALL
    return (SMALL, LARGE) if relation in _boxes.SMALLER else ()


# ------------------------------------------------------------------ looking


def look(
    image: Pixels, meta: Mapping[str, Any], sources: Mapping[str, Path], params: Mapping[str, Any]
) -> dict[str, Any]:
    """Parts of a sample's request that a picture shows, as JSON values."""
    folder, threshold = str(sources[_pictures.EMOJI]), params["threshold"]
    helpful, coloured = (meta["task"] == task for task in ("helpfulness", "color"))
    looks = _detector.LOOKS if coloured else _detector.OWN
    places = {
        name: _detector.find(image, name, folder, threshold, looks)
        for name in (KINDS if helpful else _names(meta["objects"]))
    }
    boxes = {name: [place.box for place in own] for name, own in places.items() if own}
    if helpful:
        return {"clip_score": _score(boxes, meta["prompt"]), "boxes": boxes}
    view: dict[str, Any] = {"boxes": boxes}
    if coloured:
        view["colours"] = {name: own[0].colour for name, own in places.items() if own}
    view["parts"] = judge(meta["task"], meta["objects"], view, params["rules"])
    return view


def _names(objects: Sequence[Mapping[str, Any]]) -> list[str]:
    """The objects that an item names, each once."""
    names = [
        name
        for one in objects
        for name in (*(one[key] for key in ("object", "object1", "object2") if key in one), *one.get("objs", ()))
    ]
    return list(dict.fromkeys(names))


def judge(task: str, objects: Sequence[Mapping[str, Any]], view: Mapping[str, Any], rules: str) -> list[bool]:
    """For each part of an item, whether it is right."""
    boxes = view["boxes"]
    if task == "count":
        return _boxes.counted(boxes, {one["object"]: int(one["counts"]) for one in objects})
    if task == "color":
        return [view["colours"].get(one["object"]) == one["color"] for one in objects]
    if task == "size":
        return [_boxes.sized(boxes, one["object1"], one["object2"], one["size"]) for one in objects]
    target, *others = objects[0]["objs"]
    return [_boxes.related(boxes, target, others, objects[0]["rel"], rules)]


def _score(boxes: Mapping[str, Sequence[_boxes.Box]], prompt: str) -> float:
    """The stand-in's CLIPScore, rounded to billionths."""
    counts = {one.name: one.number for one in parse(prompt).objects}
    picture = np.array([[len(boxes.get(name, ())) for name in KINDS]], np.float64)
    text = np.array([[counts.get(name, 0) for name in KINDS]], np.float64)
    return round(float(_ood.clip_score(picture, text)[0]), 9)


# ------------------------------------------------------------------ prompts


def parse(prompt: str) -> Request:
    """The parts of a prompt that the rules detect."""
    text = prompt.lower()
    objects = [
        Objects(_words.one(noun), _words.NUMBERS.index(number) if number else 1, colour or None)
        for number, colour, noun in _OBJECT.findall(text)
    ]
    relation = _RELATION.search(text)
    return Request(objects, relation[0] if relation and len(objects) > 1 else "")
