"""Mixed features: an image with a text of its own label, and an ID image with one of a negative label.

    cross-modal         z1 = unit(lam z + (1 - lam) e),      label y
    cross-distribution  z2 = unit(lam z_i + (1 - lam) z_j),  label (1 - r)(lam y_i + (1 - lam) y_j) + r o

r = min(beta lam, 1), and o is even over the negative labels.

Source: Zhang et al., LAPT, ECCV 2024 (arXiv:2407.08966), section 3.3; the released code (YBZh/OpenOOD-VLM,
`oodmixup_trainer`, `wccm` and `cross_dis`), in which o is one further column, of a label space that its loss does not
have.
"""

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream

TEMPLATES = (
    "a bad photo of the {}.",
    "a {} in a video game.",
    "a origami {}.",
    "a photo of the small {}.",
    "art of the {}.",
    "a photo of the large {}.",
    "itap of a {}.",
)


def unit_mix(z: torch.Tensor, other: torch.Tensor, lam: float) -> torch.Tensor:
    """The mix unit(lam z + (1 - lam) other), (n, d)."""
    return F.normalize(lam * z + (1 - lam) * other, dim=1)


def partners(is_known: NDArray[np.bool_], rng: RandomStream) -> NDArray[np.int64]:
    """A partner of each sample, int64 (n,): of an ID sample one of a negative label, and the reverse.

    Each is drawn from all on the other side, with replacement. Where one side is empty, samples are their own partners.

    Args:
        is_known: which samples have an ID name, (n,).
        rng: takes n 32-bit words.
    """
    sides = np.flatnonzero(~is_known), np.flatnonzero(is_known)
    if not all(len(side) for side in sides):
        return np.arange(len(is_known))
    indices = np.zeros(len(is_known), np.int64)
    for others, own in (sides, sides[::-1]):
        indices[own] = others[rng.integers(0, len(others), len(own))]
    return indices


def soft_labels(
    labels: torch.Tensor, others: torch.Tensor, lam: float, beta: float, known: int, count: int
) -> torch.Tensor:
    """The labels of mixed samples, float32 (n, count); each row sums to 1.

    Args:
        labels: int64 (n,).
        others: of the partners.
        lam: share of the first.
        beta: 0: all on both labels.
        known: C; labels from there on are negative.
        count: C + N.
    """
    one, other = (F.one_hot(own, count).float() for own in (labels, others))
    away = min(beta * lam, 1.0)
    even = torch.cat([torch.zeros(known), torch.full((count - known,), 1 / (count - known))])
    return (1 - away) * (lam * one + (1 - lam) * other) + away * even.to(labels.device)
