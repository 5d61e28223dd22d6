"""Training of several modalities: cross-entropy, agreement to disagree (A2D) and outliers of nearby classes (NP-Mix).

    L = L_cls + a2d x L_a2d + odis x L_odis + oent x L_oent

L_cls is the cross-entropy of the joint head, with `unimodal: true` its mean with those of the modalities' own heads.
The others are `losses/disagreement.py`: of the samples of the batch without their true class, and of one outlier for
each class (`Bank`), seen by the heads of the modalities, its disagreement and its entropy. Outliers are made once
every class has `bank` features and `begin` epochs are over. A term of weight 0 is not computed.

| arm | options |
| --- | --- |
| baseline | `unimodal: false, a2d: 0, odis: 0, oent: 0` |
| A2D | `odis: 0, oent: 0` |
| A2D + NP-Mix | the defaults, HMDB51 25/26 and UCF101 50/51 |

Source: Dong et al. 2024, arXiv:2405.17419, section 4; donghao51/MultiOOD, `train_video_flow.py`: Adam at 1e-4, weight
decay 1e-4, batches of 16, 50 epochs, of which the last of the best on val is kept. LogitNorm (Wei et al. 2022,
arXiv:2205.09310; temperature 0.04) is a row of its tables. `models/_released.py` reads `path`. Differs: the last batch
of an epoch is not dropped, epochs are cut into equal batches.

NP-Mix (section 4.3) keeps the last features of each class and mixes outliers from them and from features of classes
nearby. As in `train_video_flow.py`, a class that is full keeps its first features until all classes are full; from the
next batch on the newest take the place of the oldest. Each step makes one outlier for each class, `share` of a feature
of it and the rest of one of its neighbour: the nearest prototypes (means) are asked for, the class itself among them,
and one of the others is drawn. The class itself is left out by its number here, there as the first of those found,
which differs where two prototypes are equal. All outliers are one gather, no loop over classes.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from pydantic import Field
from scipy.special import betaincinv
from torch import nn

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.contracts import TrainJob
from shiftbench.plugins.losses.classification import cross_entropy
from shiftbench.plugins.trainers import _loop
from shiftbench.systems.multiood.losses import disagreement
from shiftbench.systems.multiood.models import _released

TASKS = ("modalities",)
TERMS = ("a2d", "odis", "oent")


class Options(declare.Options):
    epochs: fields.Epochs = 50
    batch_size: fields.BatchSize = 16
    optimizer: fields.Optimizer = "adam"
    lr: fields.LearningRate = 1e-4
    weight_decay: fields.WeightDecay = 1e-4
    schedule: fields.Schedule = "constant"
    unimodal: bool = Field(True, description="whether the heads of the modalities are trained on the classes, too")
    a2d: float = Field(0.5, ge=0, description="weight of the disagreement of samples")
    odis: float = Field(0.5, ge=0, description="weight of the disagreement of outliers")
    oent: float = Field(0.5, ge=0, description="weight of the entropy of outliers")
    distance: Literal["hellinger", "l1", "l2", "wasserstein"] = Field(
        "hellinger", description="distance of the modalities' predictions"
    )
    begin: int = Field(10, ge=0, description="epochs without outliers, at the beginning")
    bank: int = Field(65, ge=1, description="features of each class that outliers are mixed from")
    neighbours: int = Field(3, ge=2, description="nearest prototypes that are asked for, with that of the class itself")
    alpha: float = Field(10.0, gt=0, description="shares of mixed features are drawn from Beta(alpha, alpha)")
    logit_norm: float = Field(0.0, ge=0, description="temperature of LogitNorm; 0: none")
    path: str = Field("", description="pretrained weights of `action_net`, slowfast.pth::slowonly.pth; empty: none")


def train(job: TrainJob) -> dict[str, torch.Tensor]:
    """The state dict of the epoch of the highest accuracy on val, the last of equals.

    Raises:
        ParamsError: a weight below 0, fewer than three classes, or a single modality and a term that needs two.
    """
    model: Any = _loop.fresh_net(job)
    check(job.params, len(job.classes), len(getattr(model, "names", ())))
    if job.params["path"]:
        _released.start(model, _released.read(job.params["path"]), job.params["path"])
    best = Best(job)
    _loop.fit(job, model, Loss(job, sum(model.widths)), validate=best)
    return best.state


class Loss:
    """The loss of one batch, which keeps the bank and counts the steps.

    Args:
        job: options and classes.
        width: of all modalities' features together.
    """

    def __init__(self, job: TrainJob, width: int) -> None:
        self.params, self.classes, self.width = job.params, len(job.classes), width
        self.warm = job.params["begin"] * -(-_loop.count(job, "train") // job.params["batch_size"])
        self.step = 0
        self.bank: Bank | None = None

    def __call__(self, model: Any, batch: npt.NDArray[Any], labels: torch.Tensor, rng: RandomStream) -> torch.Tensor:
        """The loss; see `_loop.Loss`."""
        params = self.params
        features = model.features(_loop.tensor(batch, model))
        joint, alone = model.head(features), model.alone(features)
        total = classification_loss(joint, alone if params["unimodal"] else [], labels, params["logit_norm"])
        if params["a2d"]:
            total = total + params["a2d"] * disagreement.loss(alone, labels, params["distance"])
        if params["odis"] or params["oent"]:
            total = self._outliers(model, features, labels, rng, total)
        self.step += 1
        return total

    def _outliers(
        self, model: Any, features: torch.Tensor, labels: torch.Tensor, rng: RandomStream, total: torch.Tensor
    ) -> torch.Tensor:
        params = self.params
        if self.bank is None:
            self.bank = Bank(self.classes, params["bank"], self.width, features.device)
        ready = self.bank.full and self.step >= self.warm
        self.bank.add(features, labels)
        if not ready:
            return total
        alone = model.alone(self.bank.mix(rng, params["neighbours"], params["alpha"]))
        if params["odis"]:
            total = total + params["odis"] * disagreement.loss(alone, None, params["distance"])
        if params["oent"]:
            total = total + params["oent"] * disagreement.undecided(alone)
        return total


class Best:
    """Validation after each epoch: returns the accuracy on val, keeps the state of the best, the last of equals."""

    def __init__(self, job: TrainJob) -> None:
        self.inputs, self.labels = _loop.inputs(job, "val")
        self.accuracy, self.state = -1.0, dict[str, torch.Tensor]()

    def __call__(self, model: nn.Module) -> float:
        """The accuracy, a share; NaN when there is no row, and then the last state is kept."""
        accuracy = _loop.accuracy(model, self.inputs, self.labels)
        if not accuracy < self.accuracy:
            self.accuracy = accuracy
            self.state = {name: value.clone() for name, value in model.state_dict().items()}
        return accuracy


def classification_loss(
    joint: torch.Tensor, alone: list[torch.Tensor], labels: torch.Tensor, logit_norm: float = 0.0
) -> torch.Tensor:
    """The mean cross-entropy of the joint logits and of those of the modalities, each (n, classes)."""
    each = [cross_entropy(_scale(logits, logit_norm), labels) for logits in (joint, *alone)]
    return torch.stack(each).sum() / len(each) if alone else each[0]


def _scale(logits: torch.Tensor, tau: float) -> torch.Tensor:
    return logits if not tau else F.normalize(logits, dim=-1, eps=1e-7) / tau


def check(params: Mapping[str, Any], classes: int, modalities: int) -> None:
    """Refuse what cannot be trained.

    Raises:
        ParamsError: no network of modalities, a weight below 0, or a term that needs more classes or modalities.
    """
    if not modalities:
        raise ParamsError("a2d: the model has no modalities; expected modal_cnn or action_net")
    low = next((name for name in (*TERMS, "logit_norm") if not params[name] >= 0), None)
    if low:
        raise ParamsError(f"a2d: {low} is {params[low]}; expected 0 or more")
    disagreement.named(params["distance"])
    if (params["a2d"] or params["odis"]) and modalities == 1:
        raise ParamsError("a2d: one modality cannot disagree; set a2d and odis to 0")
    if params["a2d"] and classes < disagreement.CLASSES:
        raise ParamsError(
            f"a2d: {classes} classes; without the true one a single class is left; expected "
            f"{disagreement.CLASSES} or more, or a2d: 0"
        )


class Bank:
    """`each` features of every class.

    Attributes:
        features: float32 (classes, each, d), as places are written, a ring of each class.
        seen: how many features of each class were stored, int64 (classes,); at most `each` until all are full.
    """

    def __init__(self, classes: int, each: int, width: int, device: torch.device | str = "cpu") -> None:
        if each < 1:
            raise ParamsError(f"NP-Mix: bank is {each}; expected 1 or more features of each class")
        self.each = each
        self.features = torch.zeros(classes, each, width, device=device)
        self.seen = torch.zeros(classes, dtype=torch.int64, device=device)

    @property
    def full(self) -> bool:
        """Whether every class has all its features."""
        return bool((self.seen >= self.each).all())

    def add(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        """Store a batch in its order, without gradient.

        Args:
            features: (n, d).
            labels: int64 (n,).
        """
        own = torch.nn.functional.one_hot(labels, len(self.seen))
        rank = (own.cumsum(0) - 1)[torch.arange(len(labels)), labels]
        totals = own.sum(0)
        full = self.full
        room, last = self.seen[labels] + rank < self.each, totals[labels] - rank <= self.each
        keep = last if full else room
        places = (self.seen[labels] + rank) % self.each
        self.features[labels[keep], places[keep]] = features.detach()[keep]
        self.seen += totals
        if not full:
            self.seen.clamp_(max=self.each)

    def oldest_first(self, label: int) -> torch.Tensor:
        """The features of a full class in the order in which they came, (each, d)."""
        return self.features[label].roll(-int(self.seen[label]) % self.each, 0)

    def neighbours(self, count: int) -> torch.Tensor:
        """The classes of the `count` - 1 nearest other prototypes of each class, int64 (classes, count - 1)."""
        means = self.features.mean(1)
        apart = torch.cdist(means, means).fill_diagonal_(torch.inf)
        return apart.topk(min(count, len(means)) - 1, largest=False).indices

    def mix(self, rng: RandomStream, count: int, alpha: float) -> torch.Tensor:
        """One outlier for each class, (classes, d).

        Args:
            rng: random words of this step.
            count: prototypes that are asked for, the own one among them.
            alpha: both parameters of the Beta distribution of the share.

        Raises:
            ParamsError: `count` leaves no other class, or alpha is not above 0.
        """
        classes = len(self.seen)
        if min(count, classes) < 2 or not alpha > 0:
            raise ParamsError(
                f"NP-Mix: neighbours is {count} of {classes} classes and alpha {alpha}; expected 2 or more and above 0"
            )
        nearest = self.neighbours(count)
        own = torch.arange(classes, device=nearest.device)
        chosen = torch.from_numpy(rng.integers(0, nearest.shape[1], classes)).to(nearest.device)
        first, second = (torch.from_numpy(rng.integers(0, self.each, classes)).to(nearest.device) for _ in range(2))
        pair = self.features[
            torch.stack([own, nearest[own, chosen]]), torch.stack([first, second])
        ]  # one gather, (2, classes, d)
        share = torch.from_numpy(shares(rng, classes, alpha)).to(pair)[:, None]
        return share * pair[0] + (1 - share) * pair[1]


def shares(rng: RandomStream, count: int, alpha: float) -> NDArray[np.float64]:
    """Draws from Beta(alpha, alpha), float64 (count,), by the inverse of its distribution function."""
    values: NDArray[np.float64] = betaincinv(alpha, alpha, rng.uniform(count).astype(np.float64))
    return values
