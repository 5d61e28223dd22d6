"""Cross-entropy to the uniform distribution: what outliers are taught by outlier exposure.

Source: Hendrycks, Mazeika and Dietterich, "Deep Anomaly Detection with Outlier Exposure", ICLR 2019, section 3. The
divergence KL(uniform || softmax) is this minus log C.
"""

import torch


def loss(logits: torch.Tensor) -> torch.Tensor:
    """Return -mean over rows and classes of log softmax, in nats; log C at the least.

    Args:
        logits: float (n, classes).

    Example:
        >>> round(loss(torch.zeros(1, 4)).item(), 4)
        1.3863
    """
    return (logits.logsumexp(1) - logits.mean(1)).mean()
