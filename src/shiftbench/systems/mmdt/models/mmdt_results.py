"""A model's stored results in the folders that MMDT's scripts write, as a model: nothing is generated again.

Which file an answer is in follows from the sample:

    image-to-text/ood/SCENARIO/TASK/MODEL/generation.csv (img_id, response) and evaluation.csv (generation: the judge)
    image_to_text/adv/MODEL/TASK/output_responses/ID.txt (of attribute: output_responses_origin and _target)
    text-to-image/ood/STYLE/TASK/MODEL/results_dict_{0,1,2}.json (objects with `answer`, clip_score, error)

Its trainer is `given`. The released scripts write six scenarios and two styles; `original` of images needs a command of
its own (README).

Source: AI-secure/MMDT at 68be1c8, mmdt/perspectives/ood and adv. Rows are looked up by the place of the question
among those of its task, as there, and the image's id must be the same, which is not looked at there.
"""

import csv
import json
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import Field

from shiftbench.base.errors import ModelError
from shiftbench.base.refs import Ref
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare
from shiftbench.plugins.models import _given, _published
from shiftbench.systems.mmdt.datasets.mmdt_i2t_adv import SECOND
from shiftbench.systems.mmdt.metrics import _adversarial, _answers, _ood
from shiftbench.systems.mmdt.models.scene_renderer import verdict

TASK = "free_text"
REEVALUABLE = False
Answers = tuple[tuple[str, ...], tuple[str, ...]]


class Options(declare.Options):
    path: str = Field("", description="the folder `results` of MMDT's scripts")
    model: str = Field("", description="name of the model's folder there")
    rules: Literal["ours", "official"] = Field(
        "ours", description="rules for a judge's yes and for words; official: those of the paper"
    )


def pretrained(params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> nets.State:
    """Identity of the folder: the sha256 over its files."""
    return _given.folder_state(_published.folder(params, "mmdt_results"))


def load(
    weights: Path, params: Mapping[str, Any], classes: Sequence[str], device: str, inputs: Mapping[Ref, Path]
) -> nets.Predictor:
    """A predictor that gives `completions` and `judge`.

    Raises:
        ModelError: the folder is another one, or an answer is not there; names the file.
    """
    folder = _published.folder(params, "mmdt_results")
    _given.check_folder(weights, folder)
    model, rules = str(params["model"]), str(params["rules"])

    def predict(samples: Sequence[Sample]) -> nets.Outputs:
        outputs = {name: np.empty(len(samples), object) for name in ("completions", "judge")}
        for at, sample in enumerate(samples):
            outputs["completions"][at], outputs["judge"][at] = read_answers(sample, folder, model, rules)
        return outputs

    return predict


def read_answers(sample: Sample, folder: Path, model: str, rules: str) -> Answers:
    """A sample's stored answers, and the judge's answer to each."""
    meta = sample.fields["meta"]
    kind = next((name for name in _READERS if name in meta), "id")
    return _READERS.get(kind, _adversarial_answer)(meta, folder, model, rules)


def _ood_answer(meta: Mapping[str, Any], folder: Path, model: str, rules: str) -> Answers:
    place = folder / "image-to-text/ood" / meta["scenario"] / meta["task"] / model
    answer = _row(place / "generation.csv", meta)["response"]
    judgement = _row(place / "evaluation.csv", meta)["generation"]
    right = _answers.right(meta["task"], meta["answer"], judgement, rules)
    return (answer,), (_yes(right=right),)


def _adversarial_answer(meta: Mapping[str, Any], folder: Path, model: str, rules: str) -> Answers:
    place, task = folder / "image_to_text/adv" / model / meta["task"], meta["task"]
    if task != "attribute":
        answer = _text(place / "output_responses" / f"{meta['id']}.txt")
        return (answer,), (_yes(right=_adversarial.robust(task, answer, meta["answer"], rules)),)
    origin, target = (_text(place / f"output_responses_{one}" / f"{meta['id']}.txt") for one in ("origin", "target"))
    yes = _yes(right=_adversarial.attacked(task, target, meta["target"], rules))
    robust = _adversarial.robust(task, origin, meta["answer"], rules)
    return (f"{origin}\n{SECOND} {yes}, {target}",), (_yes(right=robust),)


def _pictures(meta: Mapping[str, Any], folder: Path, model: str, rules: str) -> Answers:
    place = folder / "text-to-image/ood" / meta["style"] / meta["task"] / model
    judgements = [
        _judgement(place / f"results_dict_{trial}.json", meta["id"], meta["task"]) for trial in range(_ood.TRIALS)
    ]
    return tuple(json.dumps(one, sort_keys=True) for one in judgements), tuple(map(verdict, judgements))


_READERS: dict[str, Callable[[Mapping[str, Any], Path, str, str], Answers]] = {
    "scenario": _ood_answer,
    "style": _pictures,
}
"""Readers of a sample's answer, by a field of its `meta` that no other kind has."""


def _judgement(file: Path, number: str, task: str) -> dict[str, Any]:
    """Judgement of a picture: its CLIPScore, which parts are right, or that it was refused."""
    item = _dictionary(file).get(number)
    if item is None:
        raise ModelError(f"{file} has no item {number!r}")
    if "error" in item:
        return {"refused": True, "parts": []}
    if task == "helpfulness":
        return {"clip_score": float(item["clip_score"])}
    return {"parts": [one.get("answer") == "Correct" for one in item["objects"]]}


def _row(file: Path, meta: Mapping[str, Any]) -> dict[str, str]:
    rows = _table(file)
    if meta["row"] >= len(rows) or rows[meta["row"]]["img_id"] != meta["img_id"]:
        raise ModelError(
            f"{file}: row {meta['row']} is not of the image {meta['img_id']!r}; expected a row for each question "
            "of the task, in the data set's order"
        )
    row: dict[str, str] = rows[meta["row"]]
    return row


@lru_cache(maxsize=64)
def _table(file: Path) -> list[dict[str, str]]:
    with _open(file) as stream:
        return list(csv.DictReader(stream))


@lru_cache(maxsize=64)
def _dictionary(file: Path) -> dict[str, Any]:
    with _open(file) as stream:
        content: dict[str, Any] = json.load(stream)
    return content


def _text(file: Path) -> str:
    with _open(file) as stream:
        return str(stream.read())


def _open(file: Path) -> Any:
    if not file.is_file():
        own = (
            "; its script leaves the scenario original out: run mmdt/main.py with --scenario original"
            if _ood.ORIGINAL in file.parts
            else ""
        )
        raise ModelError(f"{file} does not exist; expected what MMDT's scripts store of this model{own}")
    return file.open(encoding="utf-8", newline="")


def _yes(*, right: bool) -> str:
    return "yes" if right else "no"
