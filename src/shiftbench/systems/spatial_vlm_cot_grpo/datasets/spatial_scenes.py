"""Spatial questions about small scenes of real cut-outs: count, left or right, depth, distance.

A scene (_scenes.py) has one question (_questions.py), of `families` in turn; `group` is its family. `phrasings` are
severities of the phrasing (_questions.py), in turn over `depth` and `distance`: a mixture, [0, 1, 2, 3], is what a base
learns, and [0], "closer to" alone, what fine-tuning sees. Half of the answers to questions about two things are the
first. `meta` holds `family`, `choices`, `answer`, the whole scene (`graph`) and what matters to the question in words
(`relevant`). Test scenes have other cut-outs than training scenes.

Source: ours, instead of SAT and CV-Bench; see _scenes.py and _questions.py.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.spatial_vlm_cot_grpo.datasets import _questions, _scenes
from shiftbench.systems.spatial_vlm_cot_grpo.datasets._questions import PHRASES

TASK = "free_text"
CLASSES: tuple[str, ...] = ()
NATIVE = ("train", "val", "test")
SOURCES = _scenes.SOURCES
LICENCE, CITATION = _scenes.LICENCE, _scenes.CITATION
REDISTRIBUTE = True
IN_ORDER = True


class Options(declare.Options):
    families: list[Literal["count", "relation", "depth", "distance"]] = Field(
        ["count", "relation", "depth", "distance"], min_length=1, description="kinds of questions, in turn"
    )
    phrasings: list[Literal[0, 1, 2, 3, 4]] = Field(
        [0], min_length=1, description="severities of the phrasing, in turn"
    )
    train: int = Field(8000, ge=0, description="number of training scenes")
    val: int = Field(800, ge=0, description="number of validation scenes")
    test: int = Field(800, ge=0, description="number of test scenes")


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample]:
    """Yield questions: `image` uint8 (32, 32, 3), `text`, `meta`.

    Raises:
        ParamsError: no such family or phrasing.
    """
    families, phrasings = params["families"], params["phrasings"]
    for name, values, allowed in (
        ("families", families, _questions.FAMILIES),
        ("phrasings", phrasings, tuple(PHRASES)),
    ):
        wrong = [one for one in values if one not in allowed]
        if wrong or not values:
            hint = suggest(str(wrong[0]), [str(one) for one in allowed]) if wrong else "none is given"
            raise ParamsError(f"{params['name']}: {name} is {values}; {hint}")
    places = (str(sources[name]) for name in ("animal_shape", "fashion_mnist"))
    pools = _scenes.pools(*places, "test" if split == "test" else "train")
    for number in range(params[split]):
        key = f"{params['name']}/{split}/{number:06d}"
        family = families[number % len(families)]
        phrasing = phrasings[number // len(families) % len(phrasings)]
        rng = RandomStream(0, "scene", params["name"], f"{split}/{number:06d}")
        image, graph, question = _scene_with_question(rng, pools, family, phrasing)
        meta = {
            "group": family,
            "family": family,
            "graders": ["exact"],
            "answer": question.answer,
            "choices": list(question.choices),
            "completions": [question.answer],
            "graph": graph,
            "relevant": question.graph,
        }
        if family == "count":  # whether an answer is off by one, which `close_call_rate` counts
            meta |= {"graders": ["exact", "phrases"], "phrases": _off_by_one(question.answer)}
        yield Sample(key, {"image": image, "text": question.text, "meta": meta})


def _off_by_one(number: str) -> list[str]:
    """The numbers that are off by one."""
    return [other for other in _questions.NUMBERS if abs(int(other) - int(number)) == 1]


def _scene_with_question(
    rng: RandomStream, pools: dict[str, _scenes.Pixels], family: str, phrasing: int
) -> tuple[_scenes.Pixels, _scenes.Graph, _questions.Question]:
    """Draw scenes until one has a clear question of the family."""
    while True:
        image, graph = _scenes.random_scene(rng, pools)
        question = _questions.ask(rng, graph, family, phrasing)
        if question is not None:
            return image, graph, question
