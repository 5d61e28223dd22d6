"""How far the modalities' predictions are from each other, which training makes larger, and how undecided they are.

A2D ("agree to disagree"), of samples of known classes: each modality's logit of the true class is left out, and

    L = - mean over pairs of modalities of dist(softmax over the others, softmax over the others)

Of synthesised outliers, which have no class, nothing is left out. The entropy term is minus the mean over modalities of
H(softmax) / log C.

Source: Dong et al. 2024, arXiv:2405.17419, sections 4.2 and 4.3, equations of A2D and of NP-Mix; donghao51/MultiOOD,
`train_video_flow.py`, whose distances these are: `hellinger` (default), `l1` and `l2` (means over samples and classes
of absolute and of squared differences) and `wasserstein` (of each sample the Euclidean distance to the nearest of the
batch, the mean of both directions). That code clamps probabilities at 1e-6 and has an infinite gradient where two
predictions are equal; here `EPSILON` stands under the root.
"""

import itertools
import math
from collections.abc import Callable, Sequence

import torch
import torch.nn.functional as F

from shiftbench.base.errors import ParamsError, suggest

EPSILON = 1e-12
"""Under Hellinger's root: equal distributions are 7e-7 apart, and the gradient there is 0."""
LEAST = 1e-6
CLASSES = 3
"""Without the true class fewer leave one, and its probability is 1 whatever the logits."""


def loss(logits: Sequence[torch.Tensor], labels: torch.Tensor | None, distance: str = "hellinger") -> torch.Tensor:
    """Minus the mean distance over all pairs of modalities.

    Args:
        logits: (n, C) of each modality, two or more.
        labels: int64 (n,), whose logits are left out; None: nothing is.
        distance: a name of `DISTANCES`.

    Raises:
        ParamsError: another distance, one modality, or with labels fewer than three classes.
    """
    measure = named(distance)
    if len(logits) < 2:
        raise ParamsError("disagreement: one modality; expected two or more, or weights of 0")
    kept = logits if labels is None else [without(each, labels) for each in logits]
    shares = [F.softmax(each, dim=1) for each in kept]
    distances = [measure(p, q) for p, q in itertools.combinations(shares, 2)]
    return -torch.stack(distances).mean()


def undecided(logits: Sequence[torch.Tensor]) -> torch.Tensor:
    """Minus the mean over modalities and samples of the entropy over its largest value, log C; -1 to 0."""
    return -torch.stack([_entropy(each).mean() for each in logits]).mean()


def without(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Logits (n, C - 1) without those of the labels, the others in their order.

    Raises:
        ParamsError: there are fewer than three classes.
    """
    count, classes = logits.shape
    if classes < CLASSES:
        raise ParamsError(
            f"A2D: {classes} classes; without the true one a single class is left, and nothing to disagree on; "
            f"expected {CLASSES} or more"
        )
    others = torch.arange(classes, device=logits.device) != labels[:, None]
    return logits[others].reshape(count, classes - 1)


def hellinger(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    """The Hellinger distance of each row of two distributions (n, C), (n,), 0 to 1."""
    roots = p.clamp(min=LEAST).sqrt() - q.clamp(min=LEAST).sqrt()
    return (roots.square().sum(-1) + EPSILON).sqrt() / math.sqrt(2)


def named(distance: str) -> Callable[[torch.Tensor, torch.Tensor], torch.Tensor]:
    """A distance of two batches of distributions, (n, C) each -> a scalar.

    Raises:
        ParamsError: there is none of that name.
    """
    if distance not in DISTANCES:
        raise ParamsError(f"disagreement: distance is {distance!r}; {suggest(distance, DISTANCES)}")
    return DISTANCES[distance]


def _entropy(logits: torch.Tensor) -> torch.Tensor:
    p = F.softmax(logits, dim=-1)
    return -(p * (p + 1e-9).log()).sum(-1) / math.log(logits.shape[-1])


def _wasserstein(p: torch.Tensor, q: torch.Tensor) -> torch.Tensor:
    apart = torch.cdist(p, q)
    return (apart.amin(1).mean() + apart.amin(0).mean()) / 2


DISTANCES: dict[str, Callable[[torch.Tensor, torch.Tensor], torch.Tensor]] = {
    "hellinger": lambda p, q: hellinger(p, q).mean(),
    "l1": F.l1_loss,
    "l2": F.mse_loss,
    "wasserstein": _wasserstein,
}
