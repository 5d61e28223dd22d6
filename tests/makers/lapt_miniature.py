"""LAPT in small: a sentence encoder of two layers, images of two negative labels, and jobs that mine and learn."""

from pathlib import Path
from typing import Any

import numpy as np
import torch

from shiftbench.base import refs
from shiftbench.base.sample import Sample
from shiftbench.contracts import training_jobs
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.tasks import classification
from shiftbench.systems.lapt.models import _towers
from shiftbench.workflow.stages.train import train_weights

MODEL = {"negatives": 7, "context": 2}
PIECES = "[CLS] [SEP] . the nice a bad photo of b c d zebra town hall green this is light [UNK]".split()
VOCABULARY = {piece: number for number, piece in enumerate(PIECES)}


def unit(x: np.ndarray) -> np.ndarray:
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def small_encoder() -> nets.State:
    """Random weights of MiniLM's names for tokens 0 to 19, two of its layers."""
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape: int) -> torch.Tensor:
        return 0.1 * torch.randn(shape, generator=generator)

    state = {
        "embeddings.word_embeddings.weight": 5 * drawn(20, 384),
        "embeddings.position_embeddings.weight": drawn(64, 384),
        "embeddings.token_type_embeddings.weight": drawn(2, 384),
    }
    square = [f"attention.{part}" for part in ("self.query", "self.key", "self.value", "output.dense")]
    sizes = {**dict.fromkeys(square, (384, 384)), "intermediate.dense": (96, 384), "output.dense": (384, 96)}
    for number in range(2):
        for name, shape in sizes.items():
            state[f"encoder.layer.{number}.{name}.weight"] = 0.5 * drawn(*shape)
            state[f"encoder.layer.{number}.{name}.bias"] = drawn(shape[0])
        for name in ("attention.output", "output"):
            state[f"encoder.layer.{number}.{name}.LayerNorm.weight"] = torch.ones(384)
            state[f"encoder.layer.{number}.{name}.LayerNorm.bias"] = torch.zeros(384)
    return state | {"embeddings.LayerNorm.weight": torch.ones(384), "embeddings.LayerNorm.bias": torch.zeros(384)}


def sentence_tower(folder: Path) -> _towers.SentenceTower:
    torch.manual_seed(1)
    net = torch.nn.Module()
    net.text = torch.nn.Linear(384, 384, bias=False)
    return _towers.SentenceTower(net.requires_grad_(requires_grad=False), folder)


def drawn(random: np.random.Generator, label: int) -> np.ndarray:
    return random.integers(200 * label, 56 + 200 * label, (28, 28), np.uint8)


def images_of_negatives(folder: Path) -> dict[refs.Ref, Path]:
    """Shards of images of two negative labels: dark ones, bright ones."""
    images = {}
    for split, seed in (("train", 0), ("val", 1)):
        random = np.random.default_rng(seed)
        some = [Sample(f"far/{split}/{n:02d}", {"image": drawn(random, n % 2), "label": n % 2}) for n in range(12)]
        place = folder / "far" / split
        place.mkdir(parents=True)
        shards.write(some, place, classification.FIELDS, {"classes": ["town_hall", "light"]}, 10**9)
        images[refs.shards("far", split)] = place / "manifest.json"
    return images


def mined(inputs: dict[refs.Ref, Path], **params: Any) -> tuple[nets.State, list[Any]]:
    job = training_jobs.job(
        "prompted", "neglabel", inputs=inputs, model_params=MODEL, images="far", trained=4, learnt_from="elsewhere",
        **params,
    )  # fmt: skip
    return train_weights(job)


def begun(inputs: dict[refs.Ref, Path], state: nets.State, folder: Path, **params: Any) -> Any:
    """Return a job of LAPT from weights that mined."""
    file = training_jobs.write(folder / "mined.safetensors", state)
    others = {ref: path for ref, path in inputs.items() if ref.kind != "checkpoints"}
    start = {refs.checkpoint("tiny", "prompted", "neglabel"): file}
    options_given = {"images": "far", "trained": 4, "batch_size": 40, "epochs": 4, "lr": 0.05, **params}
    return training_jobs.job("prompted", "lapt", inputs={**others, **start}, model_params=MODEL, **options_given)
