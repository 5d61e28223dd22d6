"""The penalty-reduced focal loss of centre heatmaps: near a centre, a high score costs less.

Source: Law and Deng 2018, "CornerNet", equation 1 (alpha 2, beta 4), as Zhou et al. 2019, "Objects as Points",
equation 1
use it: -(1 - p)^2 log p at centres, -(1 - y)^4 p^2 log(1 - p) elsewhere, added up and divided by the number of centres.
"""

import torch
import torch.nn.functional as F


def loss(logits: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
    """Return the loss of a batch; without a centre it is divided by 1.

    Args:
        logits: float (n, classes, h, w).
        heat: likewise, 0 to 1; exactly 1 at centres.

    Example:
        >>> round(loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]])).item(), 4)
        0.3466
    """
    share = torch.sigmoid(logits)
    centres = heat == 1
    right = -((1 - share) ** 2) * F.logsigmoid(logits)
    wrong = -((1 - heat) ** 4) * share**2 * F.logsigmoid(-logits)
    return torch.where(centres, right, wrong).sum() / centres.sum().clamp(min=1)
