"""InfoNCE over pairs: each row of one side should find its own row of the other among all in the batch.

Source: van den Oord et al. 2018, arXiv:1807.03748, equation 4; both directions, as in Radford et al., "Learning
Transferable Visual Models From Natural Language Supervision" (CLIP), ICML 2021, figure 3. Rows that are equal by chance
(two images of one name) count as each other's negatives, as there.
"""

import torch
import torch.nn.functional as F


def loss(one: torch.Tensor, other: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """Return the mean of both directions over the batch, in nats; log n where nothing is told apart.

    Args:
        one: float (n, d); only directions count.
        other: float (n, d), row i belongs to row i of `one`.
        scale: factor of the cosines, one over the temperature.

    Example:
        >>> rows = torch.eye(2)
        >>> round(loss(rows, rows, torch.tensor(1.0)).item(), 4)
        0.3133
    """
    cosines = scale * F.normalize(one, dim=1) @ F.normalize(other, dim=1).T
    own = torch.arange(len(one), device=one.device)
    return (F.cross_entropy(cosines, own) + F.cross_entropy(cosines.T, own)) / 2
