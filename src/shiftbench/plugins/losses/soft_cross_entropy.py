"""Cross-entropy to a distribution over classes: mixed labels, teachers.

Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531, section 2.
"""

import torch


def loss(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Return -mean over rows of sum_c t_c log softmax_c, in nats.

    Args:
        logits: float (n, classes).
        targets: float (n, classes), rows that sum to 1.

    Example:
        >>> round(loss(torch.zeros(1, 4), torch.tensor([[0.5, 0.5, 0.0, 0.0]])).item(), 4)
        1.3863
    """
    return -(targets * logits.log_softmax(1)).sum(1).mean()
