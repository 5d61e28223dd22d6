"""Cross-entropy with optional label smoothing.

Source: Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7 (smoothing).
"""

import torch
import torch.nn.functional as F


def loss(logits: torch.Tensor, labels: torch.Tensor, smoothing: float = 0.0) -> torch.Tensor:
    """Return the mean over the batch, in nats.

    Args:
        logits: float (n, classes).
        labels: int64 (n,), each 0 to classes - 1.
        smoothing: weight of the uniform distribution in the target, 0 to 1.

    Example:
        >>> round(loss(torch.zeros(1, 4), torch.tensor([2])).item(), 4)
        1.3863
    """
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)
