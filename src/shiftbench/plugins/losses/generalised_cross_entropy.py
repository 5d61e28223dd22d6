"""Generalised cross-entropy of a net's own predictions: (1 - p^q) / q with p the largest probability.

Source: Zhang and Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
NeurIPS 2018, equation 6, with the predicted class for the label, as in Rusak et al., "If your data distribution
shifts, use self-learning", TMLR 2022, section 3 (robust pseudo-labelling, q = 0.8).
"""

import torch


def loss(logits: torch.Tensor, q: float = 0.8) -> torch.Tensor:
    """Return the mean over a batch.

    Args:
        logits: (n, classes).
        q: above 0, where it is cross-entropy, to 1, where it is the mean absolute error.

    Example:
        >>> round(loss(torch.zeros(1, 2), q=1.0).item(), 4)
        0.5
    """
    largest = logits.log_softmax(1).amax(1)
    return ((1 - (q * largest).exp()) / q).mean()
