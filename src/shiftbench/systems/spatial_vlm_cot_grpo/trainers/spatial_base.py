"""The base that is fine-tuned later: taught all questions in all phrasings, until it answers most of them.

It stands for a pretrained vision-language model that knows both polarities imperfectly. Of each scene of the train
split `questions` of each family are asked, in one of `phrasings` each; batches of one kind, as `shares` has it:

    direct    the question                          -> the answer
    graph     the question, graph:                  -> the graph of what is asked about
    think     the question, think:                  -> the graph, then the answer
    given     the question, given the graph         -> the answer

The loss is the cross-entropy of what is said, and `readout` times the squared error of the place and depth of each
thing that a prompt names. Training ends after `steps`, or as soon as the share of right direct answers on val, looked
at every `every` steps, reaches `until`; a base below `least` then is refused: it stayed at chance, and nothing that is
fine-tuned from it would tell anything. With `start` (`trainers/_steps.py`) training goes on from a base that answers,
to teach it graphs: from nothing, all kinds together stay at chance for longer.

The log has `train_loss`, `readout_loss` and `val_accuracy`.

Source: ours, after the specification of the paper's scaled-down analogue; the long plateau at chance is why the places
are read out.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base.errors import ModelError, ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.trainers import _loop, _steps
from shiftbench.systems.spatial_vlm_cot_grpo.datasets import _questions, _scenes
from shiftbench.systems.spatial_vlm_cot_grpo.datasets._questions import Question
from shiftbench.systems.spatial_vlm_cot_grpo.trainers import _asked

TASKS = ("free_text",)
needs = _steps.needs
KINDS = ("direct", "graph", "think", "given")


class Options(declare.Options):
    start: _steps.Start = ""
    steps: _steps.Steps = 1000
    batch_size: fields.BatchSize = 64
    optimizer: fields.Optimizer = "muon"
    lr: fields.LearningRate = 0.004
    weight_decay: fields.WeightDecay = 0.1
    schedule: fields.Schedule = "constant"
    families: list[Literal["count", "relation", "depth", "distance"]] = Field(
        ["count", "relation", "depth", "distance"], min_length=1, description="kinds of questions that are taught"
    )
    questions: int = Field(1, ge=1, description="questions of each kind about each scene")
    phrasings: list[Literal[0, 1, 2, 3, 4]] = Field(
        [0, 1, 2, 3], min_length=1, description="severities of the phrasing that are taught"
    )
    shares: dict[str, float] = Field(
        {"direct": 1.0}, description="kind of batch (direct, graph, think, given) -> its share"
    )
    readout: float = Field(4.0, ge=0, description="weight of the places and depths of the named things in the loss")
    until: float = Field(0.66, ge=0, description="accuracy on val at which training ends; above 1: after the last step")
    least: float = Field(0.55, ge=0, le=1, description="accuracy on val below which the model is refused")
    every: int = Field(40, ge=1, description="steps between two measurements on val")


class Lesson(NamedTuple):
    """Prompts of one length of one kind.

    Attributes:
        scenes: which picture, int64 (n,).
        prompts: tokens int64 (n, p).
        labels: what is said, int64 (n, t), `_asked.IGNORED` behind it.
        places: float32 (n, p, 3), of the thing that a word names, NaN elsewhere.
    """

    scenes: torch.Tensor
    prompts: torch.Tensor
    labels: torch.Tensor
    places: torch.Tensor


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict at the step where it is good enough.

    Raises:
        ParamsError: a share of no kind.
        ModelError: the model reads no pictures with words, or stays at chance.
    """
    params = job.params
    _check(job)
    device = nets.pick_device(job.device)
    model: Any = _steps.begun(job).to(device).train()
    samples = job.samples("train")
    without_text = [one.with_field("text", "") for one in samples]
    pictures = torch.from_numpy(job.plugin.prepare_batch(without_text, job.model_params))
    lessons, val_sets, losses = _lessons(job, samples), _val_questions(job), []
    update = _loop.optimiser(job, model)
    rate = _loop.schedule(update, params["schedule"], params["steps"])
    for step in range(1, params["steps"] + 1):
        response_loss, readout_loss = _losses(model, pictures, *_random_batch(job, lessons, step), device)
        update.zero_grad()
        (response_loss + params["readout"] * readout_loss).backward()
        update.step()
        rate.step()
        losses.append((response_loss.item(), readout_loss.item()))
        if step % params["every"] == 0 or step == params["steps"]:
            accuracy = _log_means(job, step, losses, _asked.accuracy(model, val_sets))
            losses = []
            if accuracy >= params["until"]:
                break
    if accuracy < params["least"]:
        raise ModelError(
            f"spatial_base: after {params['steps']} steps the base of seed {job.seed} has {accuracy:.3f} of the val "
            f"questions right, below `least`, {params['least']}: it stayed at chance. Train longer, lower `lr`, or "
            "take another seed; nothing that is fine-tuned from it would mean anything"
        )
    return dict(model.state_dict())


def _check(job: TrainJob) -> None:
    unknown = [kind for kind in job.params["shares"] if kind not in KINDS]
    if unknown:
        raise ParamsError(f"spatial_base: shares names {unknown[0]!r}; {suggest(unknown[0], KINDS)}")
    if job.params["steps"] < 1:
        raise ParamsError(f"spatial_base: steps is {job.params['steps']}; expected 1 at least")
    if not hasattr(job.plugin, "PATCHES"):
        raise ModelError(f"spatial_base trains patch_decoder; {job.model!r} reads no pictures with words")


def _log_means(job: TrainJob, step: int, losses: Sequence[tuple[float, float]], accuracy: float) -> float:
    """Log the means of losses since the last look, and the accuracy, which is returned."""
    response_loss, readout_loss = np.mean(losses, axis=0)
    for name, value in (("train_loss", response_loss), ("readout_loss", readout_loss), ("val_accuracy", accuracy)):
        job.log(step, name, float(value))
    return accuracy


def _val_questions(job: TrainJob) -> list[_asked.Asked]:
    samples = job.samples("val")
    if not samples:
        return []
    return _asked.prepared(job, samples, [one.fields["meta"]["answer"] for one in samples])


# ------------------------------------------------------------------ what is taught


def _lessons(job: TrainJob, samples: Sequence[Sample]) -> dict[str, list[Lesson]]:
    """The lessons of each kind, by the length of their prompts."""
    questions = [
        (scene, question) for scene, sample in enumerate(samples) for question in _questions_about(job, sample)
    ]
    graphs = [sample.fields["meta"]["graph"] for sample in samples]
    return {kind: _by_length(job, kind, questions, graphs) for kind in KINDS if job.params["shares"].get(kind, 0) > 0}


def _questions_about(job: TrainJob, sample: Sample) -> Iterator[Question]:
    graph, phrasings = sample.fields["meta"]["graph"], job.params["phrasings"]
    rng = RandomStream(job.seed, "spatial_base", job.dataset, sample.key)
    for family in job.params["families"]:
        for word in rng.raw(job.params["questions"]):
            question = _questions.ask(rng, graph, family, phrasings[int(word % np.uint64(len(phrasings)))])
            if question is not None:
                yield question


def _prompt_and_response(kind: str, question: Question, model: Any) -> tuple[str, str]:
    """Prompt and response of a kind."""
    if kind == "direct":
        return question.text, question.answer
    if kind == "graph":
        return f"{question.text}\n{model.GRAPH}:", question.graph
    if kind == "think":
        return f"{question.text}\n{model.THINK}:", f"{question.graph} {model.SO} {question.answer}"
    return f"{question.text}\n{model.GIVEN} {question.graph}", question.answer


def _by_length(
    job: TrainJob, kind: str, questions: Sequence[tuple[int, Question]], graphs: Sequence[_scenes.Graph]
) -> list[Lesson]:
    model, options = job.plugin, job.model_params
    names = {model.encoded(name, options)[0]: name for name in _scenes.COLOURS}
    rows_of_length: dict[int, list[tuple[int, list[int], list[int], list[list[float]]]]] = {}
    for scene, question in questions:
        text, response = _prompt_and_response(kind, question, model)
        prompt, response_tokens = model.encoded(text, options), model.encoded(response, options)
        response_tokens = response_tokens if len(response_tokens) == 1 else [*response_tokens, model.end(options)]
        things = {thing["name"]: thing for thing in graphs[scene]["objects"]}
        places = [_place(things.get(names.get(token, ""))) for token in prompt]
        rows_of_length.setdefault(len(prompt), []).append((scene, prompt, response_tokens, places))
    return [_lesson(rows_of_length[length]) for length in sorted(rows_of_length)]


def _place(thing: _scenes.Thing | None) -> list[float]:
    """x, y and depth of a thing from -1 to 1; NaN without a thing."""
    if thing is None:
        return [float("nan")] * 3
    return [thing["x"] / _scenes.SIDE - 1, thing["y"] / _scenes.SIDE - 1, 2 * thing["depth"] / (_scenes.DEPTHS - 1) - 1]


def _lesson(rows: Sequence[tuple[int, list[int], list[int], list[list[float]]]]) -> Lesson:
    most = max(len(response) for _, _, response, _ in rows)
    labels = [response + [_asked.IGNORED] * (most - len(response)) for _, _, response, _ in rows]
    return Lesson(
        torch.tensor([scene for scene, _, _, _ in rows]),
        torch.tensor([prompt for _, prompt, _, _ in rows]),
        torch.tensor(labels),
        torch.tensor([places for _, _, _, places in rows]),
    )


def _random_batch(job: TrainJob, lessons: dict[str, list[Lesson]], step: int) -> tuple[Lesson, torch.Tensor]:
    """A lesson of a step, and rows of it with repetition."""
    words = RandomStream(job.seed, job.trainer, job.dataset, f"{step}").raw(job.params["batch_size"] + 2)
    kinds = list(lessons)
    shares = np.cumsum([job.params["shares"][kind] for kind in kinds])
    part = float(words[0] >> np.uint64(11)) / 2**53 * shares[-1]
    sets = lessons[kinds[int(np.searchsorted(shares, part, side="right"))]]
    ends = np.cumsum([len(one.scenes) for one in sets])
    lesson = sets[int(np.searchsorted(ends, int(words[1] % np.uint64(ends[-1])), side="right"))]
    return lesson, torch.from_numpy((words[2:] % np.uint64(len(lesson.scenes))).astype(np.int64))


def _losses(
    model: Any, pictures: torch.Tensor, lesson: Lesson, rows: torch.Tensor, device: torch.device
) -> tuple[torch.Tensor, torch.Tensor]:
    """The cross-entropy of the responses, and the squared error of the readout."""
    prompts = torch.cat([pictures[lesson.scenes[rows]], lesson.prompts[rows].short()], 1)
    labels, places = lesson.labels[rows].to(device), lesson.places[rows].to(device)
    logits, readouts = model.states(prompts.to(device), labels.clamp(min=0))
    has_place = ~places.isnan()
    read_loss = (readouts[has_place] - places[has_place]).square().mean() if has_place.any() else readouts.sum() * 0
    response_loss = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=_asked.IGNORED)
    return response_loss, read_loss
