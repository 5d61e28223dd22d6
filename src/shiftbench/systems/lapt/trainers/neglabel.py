"""NegLabel: negative labels are mined from WordNet, and prompts are written by hand; nothing is learned.

    T = directions of `The nice <w>.` for ID names and nouns, `This is a <w> photo.` for adjectives
    logits = scale * u T'

The model's own text tower embeds the words, with the same two prompts in mining and in scoring; with
`adjectives: nice` it is where LAPT's `init: hand` begins. The labels of `images` come first, whatever their q, so that
LAPT can learn on them. Then come the first `trained` labels by the rule for so many, then the rest of the rule for all
of the model's `negatives`. The log has `negative/<word>` with its q for each, in this order.

Source: Jiang et al., "Negative Label Guided OOD Detection with Pretrained Vision-Language Models", ICLR 2024
(arXiv:2403.20078); constants and both prompts from the released code of LAPT (YBZh/OpenOOD-VLM at 804f331,
`scripts/ood/neglabel/official.sh` and `get_text_features_neg` of `clip_fixed_ood_prompt`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch
from pydantic import Field

from shiftbench.base import refs
from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.refs import Ref
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.lapt.models import prompted
from shiftbench.systems.lapt.trainers import _begin, _negatives

TASKS = ("classification",)
ADJECTIVES = ("photo", "nice")
READS_SOURCES = True  # the text tower's
CONTEXT = "The nice"


class Options(declare.Options):
    learnt_from: str = Field("fashion_mnist", description="data set that the model of images and texts was trained on")
    start_model: str = Field("dual_encoder", description="architecture of this model")
    start: str = Field("contrastive", description="trainer of this model")
    same_seed: bool = Field(False, description="whether this model has the training seed; else seed 0")
    images: _begin.Images = ""
    trained: _begin.Trained = 1000
    candidates: int = Field(0, ge=0, description="words of WordNet that are looked at, at most; 0: all")
    scale: _begin.Scale = 0.0
    names: _begin.Names = "classes"
    adjectives: Literal["photo", "nice"] = Field(
        "photo", description="prompt of adjectives: their own (`This is a <w> photo.`), or that of nouns"
    )


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The dual encoder's checkpoint, shards whose classes are the names, and WordNet."""
    known = refs.shards(params["dataset"], "train")
    return [
        _begin.checkpoint(params),
        known,
        *_begin.shards_of_images(params, "train"),
        refs.sources(_negatives.SOURCE),
    ]


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The dual encoder's state dict with a head of ID names and the negative labels in addition.

    Raises:
        ParamsError: fewer negative labels than there are images of, or than are to be trained on; `adjectives` is
            neither `photo` nor `nice`.
    """
    if job.params["adjectives"] not in ADJECTIVES:
        raise ParamsError(
            f"neglabel: adjectives is {job.params['adjectives']!r}; {suggest(job.params['adjectives'], ADJECTIVES)}"
        )
    start = _begin.begin(job)
    labels = mine(job, start)
    for rank, (word, q) in enumerate(labels):
        job.log(rank, f"negative/{word}", q)
    words = [word for word, _ in labels]
    context = start.tower.context_of(CONTEXT)
    with torch.no_grad():
        known, others = (start.tower.encode_words(some, context) for some in (start.names, words))
    if job.params["adjectives"] == "photo":
        own = _negatives.adjectives(_folder(job))
        rows = [row for row, word in enumerate(words) if word in own]
        if rows:
            prompts = [_negatives.prompt(words[row], adjective=True) for row in rows]
            others[rows] = start.tower.texts(prompts)
    return start.state(known, others, words=prompted.written(words))


def mine(job: TrainJob, start: _begin.Begin) -> list[tuple[str, float]]:
    """The negative labels with their q, those that are trained on first."""
    count, trained = job.model_params["negatives"], job.params["trained"]
    first = len(start.forced)
    if not first <= trained <= count:
        raise ParamsError(
            f"neglabel: there are images of {first} negative labels, {trained} are to be trained on and the model has "
            f"{count}; expected these numbers in ascending order"
        )
    folder = _folder(job)
    names = {*start.names, *start.forced}
    nouns, adjectives = _negatives.candidates(folder, names, most=job.params["candidates"])
    known = start.tower.texts([_negatives.NOUN.format(name) for name in start.names])
    own = _negatives.adjectives(folder)

    def q(words: list[str]) -> Any:
        vectors = start.tower.texts([_negatives.prompt(word, adjective=word in own) for word in words])
        return _negatives.distances((vectors @ known.T).cpu().numpy())

    forced = list(zip(start.forced, map(float, q(start.forced)), strict=True)) if first else []
    candidates = (nouns, q(nouns)), (adjectives, q(adjectives))
    some, every = (_negatives.chosen(size - first, *candidates) for size in (trained, count))
    return [*forced, *some, *(one for one in every if one not in some)]


def _folder(job: TrainJob) -> Path:
    return job.inputs[refs.sources(_negatives.SOURCE)].parent
