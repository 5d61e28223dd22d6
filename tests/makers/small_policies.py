"""A policy of a few words, and jobs that train it: after `pick` comes `left` or `right`, perhaps with thinking."""

from pathlib import Path
from typing import Any

import torch

from shiftbench.base import refs, registry
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.models import decoder

WORDS = ["pick", "now", "left", "right", "hmm", "</think>"]
OPTIONS: dict[str, Any] = {
    **defaults(decoder),
    "vocabulary": WORDS,
    "closing": "</think>",
    "width": 16,
    "depth": 2,
    "heads": 2,
    "length": 16,
    "max_new_tokens": 6,
}


def net(seed: int = 0, **options: Any) -> decoder.Decoder:
    """Return a net whose weights are large enough for its words to differ in probability."""
    torch.manual_seed(seed)
    found = decoder.Decoder({**OPTIONS, **options}).eval()
    for parameter in found.parameters():
        parameter.data.mul_(4.0 if parameter.dim() > 1 else 1.0)
    return found


def prompts(count: int = 4) -> list[Sample]:
    """Return prompts of one and of two words."""
    meta = {"graders": ["phrases"], "phrases": ["left"], "completions": ["left", "right"]}
    return [
        Sample(f"toy/train/{at}", {"text": "pick now" if at % 2 else "pick", "meta": {**meta, "group": str(at % 2)}})
        for at in range(count)
    ]


def job(
    trainer: str,
    inputs: dict[Ref, Path] | None = None,
    seed: int = 0,
    samples: list[Sample] | None = None,
    **params: Any,
) -> TrainJob:
    """Return a job of `trainer` on prompts."""
    options = {**defaults(registry.find("trainers", trainer)), **params}
    adam = {"use": "adamw", "options": dict(defaults(registry.find("optimizers", "adamw")))}
    given = samples or prompts()
    return TrainJob(
        "toy", "decoder", trainer, seed, options, OPTIONS, (), inputs or {}, lambda _: given, adam
    )  # fmt: skip


def start(folder: Path, seed: int = 0) -> dict[Ref, Path]:
    """Write the weights that reinforcement begins with, and return them as a job's inputs."""
    state = dict(net(seed).state_dict())
    ref = refs.checkpoint("toy", "decoder", "sft", 0)
    return {ref: training_jobs.write(folder / "start.safetensors", state, ())}
