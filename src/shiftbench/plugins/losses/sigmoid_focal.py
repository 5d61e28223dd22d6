"""The focal loss of dense detectors: easy artifacts count little.

Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5 (alpha 0.25, gamma 2), added up over
artifacts and classes and divided by the number of positive ones, as FCOS (Tian et al. 2019) does.
"""

import torch
import torch.nn.functional as F

ALPHA = 0.25


def loss(logits: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """Return the loss of a batch; without a positive artifact it is divided by 1.

    Args:
        logits: float (n, classes, h, w).
        positive: bool, likewise.

    Example:
        >>> round(loss(torch.zeros(1, 1, 1, 2), torch.tensor([[[[True, False]]]])).item(), 4)
        0.1733
    """
    share = torch.sigmoid(logits)
    right = -ALPHA * (1 - share) ** 2 * F.logsigmoid(logits)
    wrong = -(1 - ALPHA) * share**2 * F.logsigmoid(-logits)
    return torch.where(positive, right, wrong).sum() / positive.sum().clamp(min=1)
