"""Tiny training jobs: four classes of bright quadrants, told apart after a few steps."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from shiftbench.base import registry
from shiftbench.base.refs import Ref
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.evaluation import nets
from shiftbench.plugins.contracts import TrainJob

CLASSES = ("a", "b", "c", "d")
WORDS = ("good fine", "bad poor", "dull slow", "loud long")


def pictures(count: int, *, size: int = 28, colour: bool = False, seed: int = 0) -> list[Sample]:
    """Return samples whose bright quadrant is the class."""
    random = np.random.default_rng(seed)
    samples = []
    for number in range(count):
        label = number % 4
        image = random.integers(0, 80, (size, size, 3) if colour else (size, size), dtype=np.uint8)
        top, left = (label // 2) * size // 2, (label % 2) * size // 2
        image[top : top + size // 2, left : left + size // 2] += 120
        samples.append(Sample(f"tiny/train/{seed}_{number:03d}", {"image": image, "label": label}))
    return samples


def texts(count: int) -> list[Sample]:
    """Return samples whose words are the class."""
    labels = [number % 4 for number in range(count)]
    return [Sample(f"tiny/{n}", {"text": f"the {WORDS[y]} thing", "label": y}) for n, y in enumerate(labels)]


def job(
    model: str,
    trainer: str,
    *,
    inputs: dict[Ref, Path] | None = None,
    model_params: dict[str, Any] | None = None,
    train: list[Sample] | None = None,
    **params: Any,
) -> TrainJob:
    """Return a job on tiny data, with the plugins' defaults under the given options."""
    own = defaults(registry.find("models", model)) | (model_params or {})
    options = defaults(registry.find("trainers", trainer)) | params
    splits = {"train": train or pictures(64), "val": pictures(16, seed=1)}
    if trainer in ("tfidf_logreg", "tfidf_logreg_part"):
        splits = {"train": texts(32), "val": texts(8)}
    seed, optimizer = options.pop("seed", 0), {}
    if "optimizer" in options:
        found = registry.find("optimizers", options["optimizer"])
        optimizer = {"use": options["optimizer"], "options": dict(defaults(found))}
    return TrainJob(
        "tiny", model, trainer, seed, options, own, CLASSES, inputs or {}, splits.__getitem__, optimizer
    )  # fmt: skip


def write(path: Path, state: nets.State, classes: tuple[str, ...] = CLASSES) -> Path:
    """Write weights as the train stage does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(nets.state_bytes(state, {"classes": json.dumps(classes)}))
    return path
