"""Dispersion of class prototypes on the sphere: each is to be far from the others.

    loss = mean_i log( mean over j != i of exp(<m_i, m_j> / temperature) )

Source: CIDER, Ming et al. 2023, "How to Exploit Hyperspherical Embeddings for Out-of-Distribution Detection?", ICLR,
arXiv:2203.04450, dispersion loss.
"""

import math

import torch


def loss(prototypes: torch.Tensor, temperature: float = 0.1) -> torch.Tensor:
    """Return the loss, a scalar.

    Args:
        prototypes: of length 1, (classes, d), two at least.
        temperature: above 0.
    """
    alike = prototypes @ prototypes.T / temperature
    self_ = torch.eye(len(prototypes), dtype=torch.bool, device=prototypes.device)
    apart = alike.masked_fill(self_, -torch.inf).logsumexp(1)
    return apart.mean() - math.log(len(prototypes) - 1)
