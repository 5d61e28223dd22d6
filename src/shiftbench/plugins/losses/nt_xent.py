"""NT-Xent: each view should find the other view of its image among all views of the batch.

    l_ij = -log exp(s_ij / t) / sum_{k != i} exp(s_ik / t),  s the cosine, t the temperature

Source: Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR), equation 1:
the mean over both orders of all pairs.
"""

import torch
import torch.nn.functional as F


def loss(one: torch.Tensor, other: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the mean over all 2n views, in nats; log(2n - 1) where nothing is told apart.

    Args:
        one: float (n, d), a view of each image; only directions count.
        other: float (n, d), another view of the same images.
        temperature: above 0.

    Example:
        >>> rows = torch.ones(2, 3)
        >>> round(loss(rows, rows, 0.5).item(), 4)
        1.0986
    """
    views = F.normalize(torch.cat([one, other]), dim=1)
    cosines = views @ views.T / temperature
    cosines = cosines.masked_fill(torch.eye(len(views), dtype=torch.bool, device=views.device), -torch.inf)
    twins = torch.arange(len(views), device=views.device).roll(len(one))
    return F.cross_entropy(cosines, twins)
