"""Attribution of the class to inputs, and views that are damaged there: outliers made from the training images.

Source: "Going Beyond Conventional OOD Detection", 2024, arXiv:2411.10794 (ASCOOD), section 3: the gradient of the true
class's logit with respect to the input says where the class is. Three kinds of damage:

    gradient   x' = x + alpha g m, m the share of the inputs with the largest |g|   (a plus: the true logit rises)
    shuffle    the share of the pixels with the largest sum over channels of exp(g) change places, all channels alike
    gaussian   x' = alpha N(0, 1), no attribution

x and g are those of normalised pixels, (x / white - mean) / std, so that alpha means the same whatever a network is
given. `gradient` goes by size, `shuffle` by the signed value, as written there. Of equal attributions the first are
taken.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.trainers import _attack

if TYPE_CHECKING:
    from shiftbench.evaluation.nets import TorchPredictor

TYPES = ("gradient", "shuffle", "gaussian")
SIGNS = {"+": 1.0, "-": -1.0}


@dataclass(frozen=True)
class Views:
    """Damaged inputs float32 (n, channels, h, w), and where they may differ from the clean ones, bool of that shape."""

    images: Tensor
    mask: Tensor


@dataclass(frozen=True)
class Scale:
    """Normalised pixels as inputs: `centre` + `spread` times the pixel, float32 (1 or channels, 1, 1) each."""

    centre: Tensor
    spread: Tensor

    @classmethod
    def of(cls, ends: tuple[Tensor, Tensor], mean: Any, std: Any) -> Scale:
        """The scale of pixels that are normalised by mean and std of [0, 1].

        Args:
            ends: what black and white are in the network's input.
            mean: of one channel or of each.
            std: likewise, above 0.

        Raises:
            ParamsError: a std is not above 0.
        """
        black, white = ends
        middle, step = (torch.as_tensor(v, dtype=torch.float32).reshape(-1, 1, 1) for v in (mean, std))
        if not (step > 0).all():
            raise ParamsError(f"std = {std}: expected numbers above 0")
        return cls(black + middle * (white - black), step * (white - black))


def of_labels(model: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
    """The gradient of the sum over the batch of the true classes' logits, float32 of x's shape."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        total = model(x).gather(1, labels[:, None]).sum()
        (gradient,) = torch.autograd.grad(total, x)
    return gradient


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a network in evaluation mode, and then each part back in its own."""
    modes = [(part, part.training) for part in model.modules()]
    model.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training


def count(share: float, total: int) -> int:
    """The count floor(share * total).

    Raises:
        ParamsError: the share lies outside [0, 1].
    """
    if not 0 <= share <= 1:
        raise ParamsError(f"p_inv = {share}: expected a share from 0 to 1")
    return int(share * total + 1e-9)  # 0.29 * 100 is 28.999999999999996


def largest(values: Tensor, number: int) -> Tensor:
    """Indices of the `number` largest values of each row, int64 (n, number), largest first."""
    return values.argsort(dim=1, descending=True, stable=True)[:, :number]


def damage(
    model: nn.Module, x: Tensor, labels: Tensor, rng: RandomStream, scale: Scale, params: Mapping[str, Any]
) -> Views:
    """A damaged view of each input.

    Args:
        model: the one in training; it is asked in evaluation mode, unless `attribution` is `train`.
        x: inputs, float32 (n, channels, h, w).
        labels: int64 (n,).
        rng: random words of this step.
        scale: of normalised pixels.
        params: `type`, `p_inv`, `alpha`, `sign`, `attribution`.

    Raises:
        ParamsError: an option has no such value.
    """
    check(params)
    if params["type"] == "gaussian":
        noise = torch.from_numpy(rng.normal(tuple(x.shape))).to(x.device)
        images = scale.centre + scale.spread * params["alpha"] * noise
        return Views(images, torch.ones_like(x, dtype=torch.bool))
    if params["attribution"] == "train":
        g = of_labels(model, x, labels) * scale.spread
    else:
        with evaluating(model):
            g = of_labels(model, x, labels) * scale.spread
    if params["type"] == "shuffle":
        return shuffle(x, g, params["p_inv"], rng)
    step = SIGNS[params["sign"]] * params["alpha"] * scale.spread
    mask = strongest(g, params["p_inv"])
    return Views(x + step * g * mask, mask)


def check(params: Mapping[str, Any]) -> None:
    """Refuse what is no kind of damage.

    Raises:
        ParamsError: says which option and what is allowed.
    """
    choices = {"type": TYPES, "sign": tuple(SIGNS), "attribution": ("eval", "train")}
    for name, values in choices.items():
        if params[name] not in values:
            raise ParamsError(f"{name} = {params[name]!r} is unknown; {suggest(params[name], values)}")


def strongest(gradient: Tensor, share: float) -> Tensor:
    """Mark the floor(share * channels * h * w) inputs of each sample with the largest |gradient|: bool of its shape."""
    flat = gradient.abs().flatten(1)
    mask = torch.zeros_like(flat, dtype=torch.bool)
    mask.scatter_(1, largest(flat, count(share, flat.shape[1])), value=True)
    return mask.reshape(gradient.shape)


def shuffle(x: Tensor, gradient: Tensor, share: float, rng: RandomStream) -> Views:
    """Permute the floor(share * h * w) pixels of each sample with the largest sum over channels of exp(gradient)."""
    pixels = x.flatten(2)
    at = largest(gradient.double().exp().sum(1).flatten(1), count(share, pixels.shape[2]))
    number = at.shape[1]
    words = rng.raw(len(x) * number).reshape(len(x), number)
    order = torch.from_numpy(np.argsort(words, axis=1, kind="stable")).to(x.device)
    of_all = (len(x), x.shape[1], number)
    to, source = at[:, None].expand(of_all), at.gather(1, order)[:, None].expand(of_all)
    images = pixels.scatter(2, to, pixels.gather(2, source)).reshape(x.shape)
    mask = torch.zeros_like(pixels, dtype=torch.bool).scatter(2, to, value=True)
    return Views(images, mask.reshape(x.shape))


def alpha_at(epoch: int, epochs: int, largest_: float, smallest: float) -> float:
    """Alpha at an epoch, counted from 1: just below the largest in the first, the smallest in the last.

    Example:
        >>> alpha_at(1, 30, 300.0, 30.0), alpha_at(30, 30, 300.0, 30.0)
        (291.0, 30.0)
    """
    return (largest_ - smallest) * (1 - epoch / epochs) + smallest


def picture(x: Tensor, views: Views, ends: tuple[float, float] = (0.0, 255.0)) -> NDArray[np.uint8]:
    """Clean inputs, damaged ones and masks below each other, a sample per column: uint8 (3 (h + 2), n (w + 2)).

    Args:
        x: clean inputs (n, channels, h, w); the mean over channels is shown.
        views: of them.
        ends: what black and white are; what lies outside is shown as these.
    """
    black, white = ends
    rows = [x, views.images, black + (white - black) * views.mask]
    grey = [255 * (row.float().mean(1) - black) / (white - black) for row in rows]
    frames = nn.functional.pad(torch.stack(grey), (1, 1, 1, 1)).clamp(0, 255).round()
    sheet: NDArray[np.uint8] = (
        torch.cat([torch.cat(list(row), dim=1) for row in frames], dim=0).cpu().numpy().astype(np.uint8)
    )
    return sheet


def damage_picture(
    predictor: TorchPredictor, samples: Sequence[Sample], options: Mapping[str, Any], rng: RandomStream
) -> NDArray[np.uint8]:
    """The image of samples as a network would damage them in training.

    Args:
        predictor: the network with its preparation.
        samples: with labels; a column each.
        options: of the trainer `ascood`; `alpha_max` is taken.
        rng: random words.
    """
    inputs = predictor.prepare(samples)
    black, white = _attack.limits(predictor.model, inputs)
    scale = Scale.of((black, white), options["mean"], options["std"])
    x = torch.from_numpy(np.ascontiguousarray(inputs)).float()
    labels = torch.tensor([int(sample.fields["label"]) for sample in samples])
    at = {**options, "alpha": options["alpha_max"]}
    views = damage(predictor.net.cpu(), x, labels, rng, scale, at)
    return picture(x, views, (float(black.min()), float(white.max())))
