"""Tiny meta-trainings on pictures: Fashion-MNIST in small, drawn."""

import struct
import tempfile
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch

from shiftbench.base import refs, registry
from shiftbench.base.registry import defaults
from shiftbench.base.sample import Sample
from shiftbench.plugins.contracts import TrainJob
from shiftbench.systems.mpts.datasets import fashion_pairs
from shiftbench.systems.mpts.models import maml_convnet
from shiftbench.systems.mpts.trainers import _candidates

SHORT = {"distribution": "pictures", "iterations": 6, "every": 2, "validate": 3, "inner_lr": 0.4}


@cache
def originals() -> Path:
    """Return a folder with the four files, of 600 and 300 pictures: a class' bar over noise, classes in turn."""
    folder, draws = Path(tempfile.mkdtemp(prefix="shiftbench-pictures-")), np.random.default_rng(0)
    for name, count in (("train", 600), ("t10k", 300)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = draws.integers(0, 120, (count, 28, 28)).astype(np.uint8)
        for image, label in zip(images, labels, strict=True):
            image[4 + 2 * label : 6 + 2 * label, 3:20] = 250
        head = b"\0\0\x08\x03" + struct.pack(">3i", count, 28, 28)
        (folder / f"{name}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = b"\0\0\x08\x01" + struct.pack(">i", count)
        (folder / f"{name}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
    return folder


def tasks(count: int = 8, split: str = "test", **options: Any) -> list[Sample]:
    given = {**defaults(fashion_pairs), "count": count, "shots": 2, "query": 3, **options}
    return list(fashion_pairs.samples(split, {"fashion_mnist": originals()}, given))


def job(trainer: str, seed: int = 0, **options: Any) -> TrainJob:
    params = {**defaults(registry.find("trainers", trainer)), **SHORT, **options}
    source = {refs.sources("fashion_mnist"): originals() / "manifest.json"}
    return TrainJob(
        "fashion_pairs", "maml_convnet", trainer, seed, params, defaults(maml_convnet), (), source,
        lambda split: tasks(8, split),
    )  # fmt: skip


def net(seed: int = 0) -> maml_convnet.Net:
    torch.manual_seed(seed)
    return maml_convnet.Net(defaults(maml_convnet))


def candidates(seed: int = 0, **options: Any) -> _candidates.Undeveloped:
    return next(iter(_candidates.Pictures(job("maml_erm", seed, **options))))
