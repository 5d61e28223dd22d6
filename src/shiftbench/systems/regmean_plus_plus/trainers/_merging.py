"""Merging: models tuned from one start on different tasks become one. State-dict algebra, and what mergers share.

A merger is a trainer whose `candidates` say which trainer made the model of each task of a `united` dataset. Where a
model was itself merged for several tasks, these are joined by `+`, and its calibration set is spread over them, which
makes merging sequential: `candidates: {a+b: first_merge, c: tuned_on_c}`. Heads (`head.*`) are those of the start:
they are not merged. Tensors are combined in the order of their sorted names, sums in float64.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from shiftbench.base import refs
from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import CheckpointName, Ref
from shiftbench.base.sample import Sample
from shiftbench.data import shards, splits
from shiftbench.evaluation import nets
from shiftbench.evaluation.nets import State
from shiftbench.plugins import declare
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.regmean_plus_plus.trainers import _tasks

CalibrateOn = Annotated[str, Field(description="data set of the calibration samples; empty: the one of the models")]
Samples = Annotated[int, Field(ge=1, description="calibration samples of each model")]
OneClass = Annotated[bool, Field(description="take the samples of each task from one class only")]
Combine = Callable[[State, list[State]], State]
"""(start, candidates), heads taken off -> merged."""


class Options(declare.Options):
    start: str = Field("multitask", description="trainer of the checkpoint from which the candidates were tuned")
    candidates: dict[str, str] = Field(
        {}, description="task -> trainer of its model; several tasks of one model: `a+b`"
    )


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """The start, the candidates, val shards to log accuracy on, and the calibration samples if asked for."""
    dataset, model, seed = params["dataset"], params["model"], params["seed"]
    trainers = dict.fromkeys([params["start"], *params["candidates"].values()])
    inputs = [refs.checkpoint(dataset, model, trainer, seed) for trainer in trainers]
    if "calibrate_on" in params:
        inputs.append(refs.shards(params["calibrate_on"] or dataset, "train"))
    return [*inputs, refs.shards(dataset, "val")]


# ------------------------------------------------------------------ around a merger


def merge(job: TrainJob, combine: Combine) -> State:
    """The start with the trunk that `combine` makes of the candidates; logs accuracy on val.

    Raises:
        ParamsError: no candidates are named.
        ModelError: a model has batch normalisation, whose statistics would have to be estimated again.
    """
    start, candidates = weights(job)
    trunks = [trunk(state) for state in candidates.values()]
    return finish(job, {**start, **combine(trunk(start), trunks)})


def finish(job: TrainJob, state: State) -> State:
    """Log a merged model's accuracy on the val split of each task, and return its state."""
    accuracies = _tasks.accuracies(job, job.samples("val"))(model_of(job, state))
    for task, value in accuracies.items():
        job.log(0, f"val_accuracy_{task}", value)
    job.log(0, "val_accuracy", _tasks.mean(accuracies))
    return state


def weights(job: TrainJob) -> tuple[State, dict[str, State]]:
    """The state of the start, and those of the candidates by task."""
    candidates: Mapping[str, str] = job.params["candidates"]
    if not candidates:
        raise ParamsError(f"{job.trainer}: candidates is empty; give task: trainer, one per task")
    files = {_trainer(ref): path for ref, path in job.inputs.items() if ref.kind == "checkpoints"}
    states = {name: nets.read_state(path) for name, path in files.items()}
    for name, state in states.items():
        if any(key.endswith("running_mean") for key in state):
            raise ModelError(
                f"{files[name]} has batch normalisation, whose statistics a merged net would lack; "
                "use a net without (vit with `patch: 7`)"
            )
    return states[job.params["start"]], {task: states[name] for task, name in candidates.items()}


def _trainer(ref: Ref) -> str:
    return CheckpointName.of(ref).trainer


def model_of(job: TrainJob, state: State) -> nn.Module:
    """The job's model with a state, in evaluation mode."""
    model: nn.Module = job.plugin.build(job.model_params, len(job.classes))
    nets.load_into(model, state, "a merged state")
    return model.eval()


def calibration(job: TrainJob) -> dict[str, list[Sample]]:
    """The calibration samples of each candidate, `samples` of them or as many as there are.

    They are the samples of smallest hash of the train split of the candidate's task, so that fewer are contained
    in more. Samples that are of no task (of another dataset, `calibrate_on`) serve all candidates alike. With
    `one_class` they are of the task's first class alone.
    """
    samples = list(shards.read(_train_folder(job)))
    by_task = _tasks.by_task(samples) if samples[0].fields.get("meta") else {}
    calibration_samples = {}
    for tasks in job.params["candidates"]:
        names = tasks.split("+")
        per_task = -(-job.params["samples"] // len(names))
        chosen = [s for name in names for s in _few(by_task.get(name, samples), per_task, job.params)]
        calibration_samples[tasks] = chosen[: job.params["samples"]]
    return calibration_samples


def _few(samples: list[Sample], amount: int, params: Mapping[str, Any]) -> list[Sample]:
    if params["one_class"]:
        first = min(sample.fields["label"] for sample in samples)
        samples = [sample for sample in samples if sample.fields["label"] == first]
    return [s for s in splits.subset(samples, amount) if isinstance(s, Sample)]


def _train_folder(job: TrainJob) -> Path:
    name = refs.shards(job.params["calibrate_on"] or job.dataset, "train").name
    return next(path.parent for ref, path in job.inputs.items() if ref.name == name)


# ------------------------------------------------------------------ algebra


def trunk(state: State) -> State:
    """A state dict without the head, names sorted."""
    return {name: state[name] for name in sorted(state) if not name.startswith("head.")}


def combined(states: Sequence[State], combine: Callable[[torch.Tensor], torch.Tensor]) -> State:
    """Apply `combine` to each tensor, stacked in float64: (models, ...) -> (...); integers are the first model's."""
    first = states[0]
    return {
        name: combine(torch.stack([s[name] for s in states]).double()).to(tensor.dtype)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in sorted(first.items())
    }


def mean(states: Sequence[State]) -> State:
    """The arithmetic mean of nets."""
    return combined(states, lambda stacked: stacked.mean(0))


def flatten(state: State) -> torch.Tensor:
    """All floating-point tensors as one float64 vector, in the order of their sorted names."""
    return torch.cat([tensor.flatten().double() for tensor in floats(state).values()])


def floats(state: State) -> State:
    """The floating-point tensors, names sorted."""
    return {name: state[name] for name in sorted(state) if state[name].is_floating_point()}
