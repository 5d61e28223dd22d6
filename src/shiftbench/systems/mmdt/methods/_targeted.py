"""A targeted attack on the answering model: each image moves, within eps, towards the answer that the attack wants.

Each step goes down the sign of the gradient of the target's cross-entropy, within eps of the image and of black and
white; at the end pixels are whole grey levels. The target is `meta.target`, a wrong answer drawn with the sample. The
network that is asked is the network that is attacked.

Source: Madry et al. 2018, arXiv:1706.06083, section 2.1; one step without a random start is FGSM (Goodfellow et al.
2015, arXiv:1412.6572), towards a target as Kurakin et al. 2017, arXiv:1607.02533. The official adversarial images are
pre-made for surrogates, and their algorithm is a column.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import Field

from shiftbench.base.errors import ModelError, ParamsError
from shiftbench.base.refs import Ref
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins import declare
from shiftbench.systems.mmdt.models import scene_cnn
from shiftbench.systems.mmdt.trainers.scene_answers import slot_loss

SEES = "sample"
TASKS = ("free_text",)


class Options(declare.Options):
    eps: float = Field(4.0, ge=1, description="largest change of a pixel, in grey levels")
    steps: int = Field(10, ge=1, description="steps of the attack")
    start: bool = Field(True, description="whether it starts at a random place within eps")


def wrap(predictor: Any, params: Mapping[str, Any], inputs: Mapping[Ref, Path]) -> Any:
    """The predictor on attacked images.

    Raises:
        ModelError: the model is none whose slots can be attacked.
        ParamsError: eps (in grey levels) or steps below 1.
    """
    if not isinstance(predictor, scene_cnn.Answerer):
        raise ModelError("targeted attacks stand around scene_cnn alone, whose gradient they follow")
    if params["eps"] < 1 or params["steps"] < 1:
        raise ParamsError(f"eps = {params['eps']:g} grey levels, steps = {params['steps']}: expected 1 or more")

    def predict(samples: Sequence[Sample]) -> Any:
        return predictor.answers(samples, attack(predictor, samples, params))

    return predict


def attack(
    answerer: scene_cnn.Answerer, samples: Sequence[Sample], params: Mapping[str, Any]
) -> dict[str, torch.Tensor]:
    """The network's input with attacked images, whole numbers in 0..255, float32 (n, 3, size, size)."""
    inputs = answerer.inputs(samples)
    clean = inputs["image"].float()
    eps, step = params["eps"], params["eps"] / params["steps"]
    if params["start"]:
        step = 2.5 * step
    low, high = (clean - eps).clamp(min=0), (clean + eps).clamp(max=255)
    targets = torch.tensor([scene_cnn.labels(sample, "target") for sample in samples])
    targets = targets.to(answerer.device)
    x = clean + eps * _start(samples, clean) if params["start"] else clean.clone()
    x = x.clamp(low, high)
    for _ in range(params["steps"]):
        with torch.enable_grad():
            x.requires_grad_()
            loss = slot_loss(answerer.network({**inputs, "image": x}), targets, scene_cnn.NONE)
            (gradient,) = torch.autograd.grad(loss, x)
        x = (x.detach() - step * gradient.sign()).clamp(low, high)
    return {**inputs, "image": x.round()}


def _start(samples: Sequence[Sample], clean: torch.Tensor) -> torch.Tensor:
    """Start of each image's attack, uniform in [-1, 1), by its key."""
    words = [RandomStream(0, "targeted", "start", one.key).uniform(clean[0].shape) for one in samples]
    return torch.from_numpy(2 * np.stack(words).astype(np.float32) - 1).to(clean.device)
