"""Two small tasks of one net, and candidates that were tuned to one each: what is merged."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.evaluation.nets import State
from shiftbench.plugins.contracts import TrainJob
from shiftbench.workflow.stages.train import train_weights

VIT = {"patch": 7, "width": 8, "depth": 2, "heads": 2, "mlp": 5}


CANDIDATES = {"left": "on_left", "right": "on_right"}


MERGERS = ("simple_average", "task_arithmetic", "ties", "fisher_merging", "regmean", "regmean_plus_plus")
CLASSES = tuple(f"{task} {label}" for task in CANDIDATES for label in training_jobs.CLASSES)


def two_tasks(count: int, split: str = "train") -> list[Sample]:
    """Return images of the quadrants, and the same turned, which are the second task."""
    samples = []
    for first, (task, turn) in ((0, ("left", 0)), (4, ("right", 2))):
        for sample in training_jobs.pictures(count, seed=len(split)):
            fields = sample.fields
            image = np.ascontiguousarray(np.rot90(fields["image"], turn))
            meta = {"group": task, "head": f"{first}:{first + 4}"}
            own = {"image": image, "label": fields["label"] + first, "meta": meta}
            samples.append(Sample(f"tiny/{split}/{task}/{sample.key.rpartition('/')[2]}", own))
    return samples


def job(trainer: str, inputs: dict[Ref, Path] | None = None, depth: int = 2, **params: Any) -> TrainJob:
    module = registry.find("trainers", trainer)
    options = {**defaults(module), **params}
    if "candidates" in options:
        options |= {"start": "start", "candidates": params.get("candidates", CANDIDATES)}
    made = training_jobs.job("vit", "erm", model_params={**VIT, "depth": depth})
    splits = {split: two_tasks(16, split) for split in ("train", "val")}
    return replace(
        made, trainer=trainer, params=options, inputs=inputs or {}, classes=CLASSES, samples=splits.__getitem__
    )


def tuned(depth: int = 2) -> tuple[State, dict[str, State]]:
    """Return a start and candidates a little away from it, without training."""
    start = {name: t.detach() for name, t in small_vit(depth).state_dict().items()}
    random = torch.Generator().manual_seed(1)
    states = {}
    for task in CANDIDATES:
        moved = {n: t + 0.05 * torch.randn(t.shape, generator=random) for n, t in start.items()}
        states[task] = {**moved, **{n: start[n] for n in start if n.startswith("head.")}}
    return start, states


def small_vit(depth: int) -> nn.Module:
    torch.manual_seed(0)
    net: nn.Module = registry.find("models", "vit").build(
        {**defaults(registry.find("models", "vit")), **VIT, "depth": depth}, 8
    )
    return net


def written(folder: Path, start: State, states: dict[str, State]) -> dict[Ref, Path]:
    named = {"start": start, **{CANDIDATES[task]: state for task, state in states.items()}}
    files = {
        refs.checkpoint("tiny", "vit", name): training_jobs.write(folder / f"{name}.safetensors", state, CLASSES)
        for name, state in named.items()
    }
    place = folder / "shards"
    place.mkdir(parents=True)
    fields = registry.find("tasks", "classification").FIELDS
    shards.write(sorted(two_tasks(16), key=lambda s: s.key), place, fields, {"classes": CLASSES}, 10**8)
    return files | {refs.shards("tiny", "train"): place / "manifest.json"}


def merged(trainer: str, inputs: dict[Ref, Path], depth: int = 2, **params: Any) -> State:
    return train_weights(job(trainer, inputs, depth, **params))[0]
