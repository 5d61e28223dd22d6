"""Squared hinges on the energy: ID samples below one margin, outliers above another.

Source: Liu et al., "Energy-based Out-of-distribution Detection", NeurIPS 2020, equations 7 to 9; the energy is
E(x) = -logsumexp(f(x)), at temperature 1.
"""

import torch


def loss(known: torch.Tensor, outliers: torch.Tensor, margin_in: float, margin_out: float) -> torch.Tensor:
    """Return mean relu(E_known - margin_in)^2 + mean relu(margin_out - E_outliers)^2.

    Args:
        known: logits of ID samples, float (n, classes).
        outliers: logits of outliers, float (m, classes).
        margin_in: ID energies above cost.
        margin_out: outliers' energies below cost.

    Example:
        >>> round(loss(torch.zeros(1, 1), torch.zeros(1, 1), -2.0, 1.0).item(), 4)
        5.0
    """
    above = torch.relu(-known.logsumexp(1) - margin_in)
    below = torch.relu(margin_out + outliers.logsumexp(1))
    return above.square().mean() + below.square().mean()
