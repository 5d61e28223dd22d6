"""MixOE: fine-tuning on ID images that are mixed with auxiliary outliers, towards equally mixed targets.

    m = lam x + (1 - lam) o  (mixup), or x with a box of o pasted in (CutMix; lam = share of x's pixels that are left)
    t = lam onehot(y) + (1 - lam) / C
    L = CE(f(x), y) + weight x mean over the batch of -sum_c t_c log softmax_c(f(m))

Source: Zhang et al., "Mixture Outlier Exposure: Towards Out-of-Distribution Detection in Fine-grained Environments",
WACV 2023, section 3. One lam ~ Beta(a, b) per batch; the outlier's patch goes into the ID image; ID and mixed images
pass the network one after the other, as in the authors' code. `preset` gives what other options leave open:

| preset | mix | a, b | weight |
| --- | --- | --- | --- |
| `paper` | mixup | 1, 1 (CutMix: 2, 2), those of Stanford Cars | 5 |
| `openood` | cutmix | 0.1, 1: boxes as large as the image, mostly; the leaderboard's MixOE is this | 1 |

A box whose centre is near the border is cut off, so that `openood`'s lam, drawn with mean 0.09, is 0.5 in the mean.
Differs: outliers are drawn with replacement (`_outliers`), and the weights after the last epoch are kept, not those of
the epoch with the best validation accuracy (cosine schedules end near it). `lam` of each step is in the log.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy.typing as npt
import torch
from pydantic import Field
from torch import nn

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy, soft_cross_entropy
from shiftbench.plugins.trainers import _exposure, _loop, _mixing, _outliers, erm, finetune

MIXES = ("mixup", "cutmix")
PRESETS = ("paper", "openood")
TASKS = ("classification",)
needs = _exposure.needs


class Options(_exposure.Options):
    preset: Literal["paper", "openood"] = Field(
        "paper", description="source of what the options below leave open: the paper, or OpenOOD's code"
    )
    mix: Literal["mixup", "cutmix"] | None = Field(None, description="how images are mixed; null: as in the preset")
    a: float | None = Field(None, gt=0, description="first parameter of the Beta distribution; null: as in the preset")
    b: float | None = Field(None, gt=0, description="second parameter of the Beta distribution; null: as in the preset")
    weight: float | None = Field(None, ge=0, description="weight of the loss on mixed images; null: as in the preset")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How images are mixed: `mixup` or `cutmix`, Beta's parameters, and the weight of the loss on mixed images."""

    mix: str
    a: float
    b: float
    weight: float


def recipe(params: Mapping[str, Any]) -> Recipe:
    """The preset with the options that are given laid over it.

    Raises:
        ParamsError: no such preset or mix.
    """
    for name, allowed in (("preset", PRESETS), ("mix", (*MIXES, None))):
        if params[name] not in allowed:
            raise ParamsError(
                f"mixoe: {name} = {params[name]!r}; {suggest(str(params[name]), [x for x in allowed if x])}"
            )
    paper = params["preset"] == "paper"
    mix = params["mix"] or ("mixup" if paper else "cutmix")
    a, b = ((1.0, 1.0) if mix == "mixup" else (2.0, 2.0)) if paper else (0.1, 1.0)
    preset = {"a": a, "b": b, "weight": 5.0 if paper else 1.0}
    overrides = {name: params[name] for name in preset if params[name] is not None}
    return Recipe(mix, **{**preset, **overrides})


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict after the last epoch."""
    outliers, chosen, shares = _outliers.load(job), recipe(job.params), []
    shift, flip = job.params["shift"], job.params["flip"]

    def loss(network: nn.Module, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        seen = _loop.tensor(erm.move(batch, rng, shift, flip=flip), network)
        drawn = erm.move(outliers.draw(rng, len(batch)), rng, shift, flip=flip)
        mixed, share = mix(seen, _loop.tensor(drawn, network), rng, chosen)
        shares.append(share)
        job.log(len(shares), "lam", share)
        return objective(network(seen), network(mixed), labels, share, chosen.weight)

    mode = finetune.mode(job.params["statistics"])
    return dict(_loop.fit(job, finetune.begin(job), loss, mode).state_dict())


def mix(images: torch.Tensor, outliers: torch.Tensor, rng: RandomStream, chosen: Recipe) -> tuple[torch.Tensor, float]:
    """The mixed images, and the share of the ID images in them.

    Args:
        images: (n, channels, height, width).
        outliers: likewise.
        rng: of this step.
        chosen: how.
    """
    share = _mixing.beta(rng, chosen.a, chosen.b)
    if chosen.mix == "mixup":
        return _mixing.mixup(images, outliers, share), share
    height, width = images.shape[-2:]
    return _mixing.cutmix(images, outliers, _mixing.box(rng, height, width, share))


def objective(
    known: torch.Tensor, mixed: torch.Tensor, labels: torch.Tensor, share: float, weight: float
) -> torch.Tensor:
    """Cross-entropy of ID images plus `weight` x soft cross-entropy of mixed ones.

    Args:
        known: logits of the ID images, (n, classes).
        mixed: logits of the mixed images, likewise.
        labels: of the ID images, int64 (n,).
        share: of the ID images in the mixed ones.
        weight: of the second term.
    """
    targets = _mixing.with_uniform(labels, known.shape[1], share)
    return cross_entropy(known, labels) + weight * soft_cross_entropy(mixed, targets)
