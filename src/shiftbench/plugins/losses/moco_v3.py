"""MoCo v3: a query of one view should find the key of the other view of its image among the keys of its batch.

    l_i = -2 t log exp(q_i k_i / t) / sum_j exp(q_i k_j / t),  q and k of length 1, t the temperature

Source: Chen, Xie and He, "An Empirical Study of Training Self-Supervised Vision Transformers", ICCV 2021, algorithm 1
(the factor 2 t is its). One direction; both are added.
"""

import torch
import torch.nn.functional as F


def loss(queries: torch.Tensor, keys: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the mean over the batch; 2 t log n where nothing is told apart.

    Args:
        queries: float (n, d), predicted from one view; only directions count.
        keys: float (n, d), what the target makes of the other view; taken as a constant.
        temperature: above 0.

    Example:
        >>> rows = torch.ones(2, 3)
        >>> round(loss(rows, rows, 0.5).item(), 4)
        0.6931
    """
    cosines = F.normalize(queries, dim=1) @ F.normalize(keys.detach(), dim=1).T / temperature
    own = torch.arange(len(queries), device=queries.device)
    return 2 * temperature * F.cross_entropy(cosines, own)
