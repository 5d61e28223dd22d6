"""Scores of classes from maps of parts, with positions that something in front explains better.

    F[a] = log((1 - w) sum_k A[k, a] L[k, a] + 1e-10)        the class's mixture
    G[a] = log(w sum_k beta_j[k] L[k, a] + 1e-10)            one of J clutter models
    score(y) = max over m, j of the mean over a of max(F[a], G[a])

A and beta are normalised over k. Where G is larger than F the position is an outlier: the occlusion map. All is
computed from exp(kappa (cos - 1)), at most 1, with kappa added to the logarithm: equal to the formulas, in float32.

Source: Kaushik, Kortylewski and Yuille 2024, arXiv:2403.07277, section 3; `model.py` of its repository, with w 0.6 and
a softmax of twice the score. Differs: of clutter from scenes the code takes means of L, cuts them at 1 and normalises
these, which makes them nearly even over k; here all clutter is a mean of v, as it is there of white and noise.
"""

from typing import NamedTuple

import torch

TINY = 1e-10


class Head(NamedTuple):
    """Parameters that score a feature map.

    Attributes:
        mu: directions of parts (K, D), of length 1.
        coefficients: A (C, M, K, H, W), not negative.
        clutter: beta (J, K), not negative.
        kappa: the concentration.
        share: w from 0 to 1.
        outliers: whether positions may be explained by clutter.
    """

    mu: torch.Tensor
    coefficients: torch.Tensor
    clutter: torch.Tensor
    kappa: float
    share: float
    outliers: bool


def cosines(features: torch.Tensor, mu: torch.Tensor) -> torch.Tensor:
    """Cosines mu_k . f, (n, K, H, W), of features (n, D, H, W) of length 1."""
    return torch.einsum("ndhw,kd->nkhw", features, mu)


def explained(cosine_maps: torch.Tensor, head: Head) -> tuple[torch.Tensor, torch.Tensor]:
    """F (n, C, M, P) and G (n, J, P) of cosines (n, K, H, W), P = H W."""
    parts = (head.kappa * (cosine_maps.flatten(2) - 1)).exp().permute(2, 0, 1)
    classes, mixtures, count = head.coefficients.shape[:3]
    weights = normalised(head.coefficients, 2).reshape(classes * mixtures, count, -1)
    share = head.share if head.outliers else 0.0
    floor = TINY * torch.exp(torch.tensor(-head.kappa)).item()
    sums = (parts @ weights.permute(2, 1, 0)).permute(1, 2, 0)
    front = ((1 - share) * sums + floor).log().unflatten(1, (classes, mixtures)) + head.kappa
    clutter = (parts @ normalised(head.clutter, 1).T).permute(1, 2, 0)
    return front, (share * clutter + floor).log() + head.kappa


def scores(cosine_maps: torch.Tensor, head: Head) -> torch.Tensor:
    """The scores (n, C)."""
    front, clutter = explained(cosine_maps, head)
    if not head.outliers:
        return front.mean(3).amax(2)
    best = [torch.maximum(front, clutter[:, one, None, None]).mean(3).amax(2) for one in range(clutter.shape[1])]
    return torch.stack(best).amax(0)


def occlusion(cosine_maps: torch.Tensor, head: Head) -> torch.Tensor:
    """G - F (n, H, W) of the best class, mixture and clutter: above 0 the position is an outlier."""
    front, clutter = explained(cosine_maps, head)
    joint = torch.maximum(front[:, :, :, None], clutter[:, None, None]).mean(4).flatten(1)
    best = joint.argmax(1)
    mixture, model = best // clutter.shape[1], best % clutter.shape[1]
    rows = torch.arange(len(cosine_maps))
    difference = clutter[rows, model] - front.flatten(1, 2)[rows, mixture]
    return difference.reshape(len(cosine_maps), *cosine_maps.shape[2:])


def normalised(values: torch.Tensor, dim: int) -> torch.Tensor:
    """Values cut to 0 to 1, whose sum along `dim` is 1; 0 where all are."""
    values = values.clamp(0, 1)
    return values / values.sum(dim, keepdim=True).clamp(min=1e-12)
