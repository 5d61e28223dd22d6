"""Sinkhorn's balancing of a batch over prototypes: each sample has one unit of mass, each prototype an equal share.

Source: Cuturi 2013, "Sinkhorn Distances: Lightspeed Computation of Optimal Transport"; online assignments as in Caron
et al. 2020, "SwAV", and PALM (ICLR 2024, arXiv 2402.02653). In logarithms, where exp(1 / 0.05) cannot overflow; PALM's
released code takes exponentials and looks for infinities, and is the same otherwise.
"""

import torch


def balanced(similarity: torch.Tensor, eps: float, rounds: int) -> torch.Tensor:
    """Return assignments float32 (n, r) whose rows sum to 1, without gradient.

    Args:
        similarity: of n samples and r prototypes, (n, r).
        eps: the smaller, the harder the assignments.
        rounds: of normalising columns, then rows. The sums of the columns tend to n / r.
    """
    mass = similarity.detach().float() / eps
    for _ in range(rounds):
        mass = mass - mass.logsumexp(dim=0, keepdim=True)
        mass = mass - mass.logsumexp(dim=1, keepdim=True)
    if not rounds:
        mass = mass - mass.logsumexp(dim=(0, 1), keepdim=True)
    return mass.exp()
