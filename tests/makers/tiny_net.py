"""A tiny net, images that it tells apart, and rows through which detectors see both again."""

import copy
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import torch
from torch import nn

from shiftbench.base.sample import Sample
from shiftbench.data import shards
from shiftbench.evaluation import nets
from shiftbench.plugins.detectors import gram, iodin, mds_ensemble, odin, rankfeat
from shiftbench.plugins.detectors._net import Net
from shiftbench.plugins.detectors._rows import Known, Rows
from shiftbench.plugins.models import _images
from shiftbench.plugins.tasks import LabelSpace, classification
from shiftbench.workflow.stages.score import score_cell

CLASSES = ("a", "b", "c", "d")
MEAN, STD = torch.tensor([0.4, 0.5, 0.6]), torch.tensor([0.2, 0.25, 0.3])
ALL = [odin, iodin, gram, rankfeat, mds_ensemble]
LAYERS = ["body.1", "body.4"]


class Tiny(nn.Module):
    """Colour images (n, 3, 12, 12) in 0..255, normalised within; two stages of 12 and 6 pixels, no dead units."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(3, 5, 3, padding=1), nn.Tanh(), nn.AvgPool2d(2),
            nn.Conv2d(5, 6, 3, padding=1), nn.Softplus(), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        )  # fmt: skip
        self.head = nn.Linear(6, 4)

    def normalised(self, x: torch.Tensor) -> torch.Tensor:
        return (x.float() / 255 - MEAN[:, None, None]) / STD[:, None, None]

    def features(self, x: torch.Tensor) -> torch.Tensor:
        found: torch.Tensor = self.body(self.normalised(x))
        return found


def net() -> Tiny:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        made = Tiny()
        for weights in made.parameters():
            weights.data *= 3
    return made.eval().requires_grad_(False)


NET = net()
SEEN = copy.deepcopy(NET).requires_grad_(True)  # the detectors', trainable as nets are
MODEL: Any = SimpleNamespace(
    __name__="shiftbench.plugins.models.tiny",
    prepare_batch=lambda samples, _: _images.colour_batch(samples, lambda image: image),
)


def pictures(n: int, seed: int) -> list[Sample]:
    """Images of four colours and noise, labelled as the net sees them."""
    random = np.random.default_rng(seed)
    images = random.integers(0, 200, (n, 1, 1, 3)) + random.integers(0, 56, (n, 12, 12, 3))
    logits = nets.both(NET, torch.from_numpy(images).permute(0, 3, 1, 2))[1]
    return [
        Sample(f"toy/test/{i:03d}", {"image": image.astype(np.uint8), "label": int(label)})
        for i, (image, label) in enumerate(zip(images, logits.argmax(1), strict=True))
    ]


def rows(folder: Path, samples: list[Sample], batch: int = 8, model: Any = MODEL, module: Any = SEEN) -> Rows:
    """Write shards of samples and return their rows with the net."""
    predictor = nets.TorchPredictor(module, model, {}, "cpu")
    if not (folder / "manifest.json").exists():
        folder.mkdir(parents=True)
        about = {"dataset": "toy", "split": "test", "task": "classification", "classes": CLASSES}
        shards.write(samples, folder, {"image": "png", "label": "cls"}, about, 10**7)
    space = LabelSpace(CLASSES, CLASSES)
    logits = predictor(samples)["logits"] if samples else np.zeros((0, 4), np.float32)
    table = classification.rows(samples, {"logits": logits}, space, "full")
    return Rows(table, again=Net(predictor, folder, batch, None), name="toy")


def scores(detector: ModuleType, some: Rows, known: Known, **options: Any) -> np.ndarray:
    found: np.ndarray = score_cell(detector, options, some, known)["score"].to_numpy()
    return found


def inputs(some: Rows) -> list[torch.Tensor]:
    """One float32 (1, 3, 12, 12) in 0..255 per sample."""
    return [x[None] for batch in some.net.batches() for x in batch]


def logits(x: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = NET.head(NET.features(x))
    return found.double()


def gradient(x: torch.Tensor, loss: Any) -> torch.Tensor:
    x = x.clone().requires_grad_()
    return torch.autograd.grad(loss(x), x)[0]


def sign(value: float) -> float:
    return 1.0 if value >= 0 else -1.0
