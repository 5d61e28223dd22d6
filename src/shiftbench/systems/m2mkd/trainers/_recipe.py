"""Mixing of images and labels before a loss, and bounds of gradients: DeiT's recipe, as in m2mKD.

In each batch one lambda from Beta(a, a): CutMix with probability `switch`, else mixup; each image is mixed with the one
at the mirrored place of the batch, targets with its smoothed label. `mixup: 0, cutmix: 0` leaves images unmixed.

Source: `Mixup` and `RandomErasing` of timm 0.4, as vendored in kamanphoebe/m2mKD (`deep_incubation/timm/data`).
Differs: an erased rectangle has noise of uniform grey levels, there of normalised values; RandAugment and repeated
augmentation are left out.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field
from torch import nn

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.trainers import _loop, _mixing


class Options(declare.Options):
    batch_size: fields.BatchSize = 128
    optimizer: fields.Optimizer = "adamw"
    lr: fields.LearningRate = 0.004
    weight_decay: fields.WeightDecay = 0.05
    schedule: fields.Schedule = "warmup_cosine"
    warmup: float = Field(0.1, ge=0, lt=1, description="share of the steps in which the learning rate rises")
    smoothing: fields.Smoothing = 0.1
    mixup: float = Field(0.8, ge=0, description="a of Beta(a, a) for mixup; 0: no mixup")
    cutmix: float = Field(1.0, ge=0, description="a of Beta(a, a) for CutMix; 0: no CutMix")
    switch: float = Field(0.5, ge=0, le=1, description="probability that a batch is cut instead of mixed")
    erasing: float = Field(0.0, ge=0, le=1, description="probability that a rectangle of an image becomes noise")
    flip: fields.Flip = False
    crops: fields.Crops = None
    clip: float = Field(0.0, ge=0, description="largest norm of all gradients together; 0: no bound")


def augment(
    params: Mapping[str, Any],
    model: nn.Module,
    batch: npt.NDArray[Any],
    labels: torch.Tensor,
    classes: int,
    rng: RandomStream,
) -> tuple[torch.Tensor, torch.Tensor]:
    """The images that a step sees, and their targets float (n, classes), rows that sum to 1.

    Args:
        params: the options above.
        model: tells the device.
        batch: (n, channels, h, w) uint8, as the model prepares it.
        labels: int64 (n,).
        classes: how many there are.
        rng: random words of this step.
    """
    images = _loop.tensor(_flip(batch, rng, flip=params["flip"]), model)
    images = erase(images, params["erasing"], rng) if params["erasing"] else images
    targets = smooth(labels, classes, params["smoothing"])
    cut = params["cutmix"] > 0 and (params["mixup"] <= 0 or float(rng.uniform()) < params["switch"])
    strength = params["cutmix"] if cut else params["mixup"]
    if strength <= 0:
        return images, targets
    share = _mixing.beta(rng, strength, strength)
    if cut:
        box = _mixing.box(rng, *images.shape[-2:], share)  # type: ignore[call-arg]
        images, share = _mixing.cutmix(images, images.flip(0), box)
    else:
        images = _mixing.mixup(images, images.flip(0), share)
    return images, share * targets + (1 - share) * targets.flip(0)


def is_identity(params: Mapping[str, Any]) -> bool:
    """Whether training leaves images as they are."""
    return not any(params[name] for name in ("mixup", "cutmix", "erasing", "flip", "crops"))


def smooth(labels: torch.Tensor, classes: int, smoothing: float) -> torch.Tensor:
    """One-hot labels that keep 1 - smoothing, the rest spread over all classes; float (n, classes)."""
    return (1 - smoothing) * F.one_hot(labels, classes).float() + smoothing / classes


def erase(images: torch.Tensor, share: float, rng: RandomStream) -> torch.Tensor:
    """Images in `share` of which a rectangle is noise: area 2 to 33 % of it, aspect 0.3 to 3.3, log-uniform."""
    n, channels, height, width = images.shape
    chance, area, aspect, top, left = (rng.uniform(n) for _ in range(5))
    ratio = np.exp(np.log(0.3) + aspect * (np.log(1 / 0.3) - np.log(0.3)))
    size = (0.02 + area * (1 / 3 - 0.02)) * height * width
    high = np.clip(np.rint(np.sqrt(size * ratio)), 1, height - 1).astype(int)
    wide = np.clip(np.rint(np.sqrt(size / ratio)), 1, width - 1).astype(int)
    images = images.clone()
    for at in np.flatnonzero(chance < share).tolist():
        y, x = int(top[at] * (height - high[at] + 1)), int(left[at] * (width - wide[at] + 1))
        noise = rng.integers(0, 256, (channels, int(high[at]), int(wide[at])))
        patch = torch.from_numpy(noise.astype(np.uint8))
        images[at, :, y : y + high[at], x : x + wide[at]] = patch.to(images)
    return images


def _flip(batch: npt.NDArray[Any], rng: RandomStream, *, flip: bool) -> npt.NDArray[Any]:
    if not flip:
        return batch
    mirror = rng.uniform(len(batch)) < 0.5
    return np.where(mirror[:, None, None, None], batch[..., ::-1], batch)


def clipper(params: Mapping[str, Any]) -> Any:
    """A function that cuts gradients to the norm `clip` before each step; None without a bound."""
    if not params["clip"]:
        return None

    def cut(model: nn.Module, rng: RandomStream) -> None:
        learning = [p for p in model.parameters() if p.grad is not None]
        nn.utils.clip_grad_norm_(learning, params["clip"])

    return cut
