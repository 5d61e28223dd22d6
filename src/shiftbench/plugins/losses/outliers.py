"""Losses of outlier exposure: what a classifier learns from samples that belong to no class.

Each maps tensors of a batch to a scalar, a mean over the batch unless it says otherwise.
"""

import torch

from shiftbench.plugins import declare


@declare.loss
def uniform(logits: torch.Tensor) -> torch.Tensor:
    """Cross-entropy to the uniform distribution: what outliers are taught by outlier exposure.

    Source: Hendrycks, Mazeika and Dietterich, "Deep Anomaly Detection with Outlier Exposure", ICLR 2019, section 3. The
    divergence KL(uniform || softmax) is this minus log C.

    Returns -mean over rows and classes of log softmax, in nats; log C at the least.

    Args:
        logits: float (n, classes).

    Example:
        >>> round(uniform(torch.zeros(1, 4)).item(), 4)
        1.3863
    """
    return (logits.logsumexp(1) - logits.mean(1)).mean()


@declare.loss
def energy_hinge(known: torch.Tensor, outliers: torch.Tensor, margin_in: float, margin_out: float) -> torch.Tensor:
    """Squared hinges on the energy: ID samples below one margin, outliers above another.

    Source: Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020, equations 7 to 9; the energy is
    E(x) = -logsumexp(f(x)), at temperature 1.

    Returns mean relu(E_known - margin_in)^2 + mean relu(margin_out - E_outliers)^2.

    Args:
        known: logits of ID samples, float (n, classes).
        outliers: logits of outliers, float (m, classes).
        margin_in: ID energies above cost.
        margin_out: outliers' energies below cost.

    Example:
        >>> round(energy_hinge(torch.zeros(1, 1), torch.zeros(1, 1), -2.0, 1.0).item(), 4)
        5.0
    """
    above = torch.relu(-known.logsumexp(1) - margin_in)
    below = torch.relu(margin_out + outliers.logsumexp(1))
    return above.square().mean() + below.square().mean()
