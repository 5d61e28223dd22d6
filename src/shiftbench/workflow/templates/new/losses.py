"""Losses of your own; each decorated function is a loss."""

import torch

from shiftbench.plugins import declare


@declare.loss
def NAME(logits: torch.Tensor, labels: torch.Tensor, q: float = 0.7) -> torch.Tensor:
    """NAME: generalised cross-entropy, the mean of (1 - p^q) / q over the batch, p the probability of the label.

    It lies between cross-entropy (q near 0) and the mean probability of the other classes (q = 1).
    Source: Zhang and Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
    NeurIPS 2018, equation 6.

    Args:
        logits: float (n, classes).
        labels: int64 (n,), each 0 to classes - 1.
        q: above 0, at most 1.

    Example:
        >>> round(NAME(torch.zeros(1, 4), torch.tensor([2]), 1.0).item(), 4)
        0.75
    """
    probability = logits.softmax(1).gather(1, labels[:, None])
    return ((1 - probability**q) / q).mean()
