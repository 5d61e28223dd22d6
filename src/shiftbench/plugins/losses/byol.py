"""BYOL: what is predicted from one view should point where the target puts the other view.

    l_i = 2 - 2 cos(q_i, k_i)

Source: Grill et al., "Bootstrap Your Own Latent", NeurIPS 2020, equation 2. One direction; both are added.
"""

import torch
import torch.nn.functional as F


def loss(predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return the mean over the batch, from 0 to 4.

    Args:
        predictions: float (n, d), from one view; only directions count.
        targets: float (n, d), what the target makes of the other view; taken as a constant.

    Example:
        >>> round(loss(torch.eye(2), torch.eye(2).flip(0)).item(), 4)
        2.0
    """
    return 2 - 2 * F.cosine_similarity(predictions, targets.detach(), dim=1).mean()
