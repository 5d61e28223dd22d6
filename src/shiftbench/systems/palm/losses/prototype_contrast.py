"""Contrast of prototypes: those of one class come near each other, those of other classes go away.

    S = P P' / temperature
    loss = -mean_r [ mean of S_rs over the other prototypes s of the class of r - log sum_{s != r} exp(S_rs) ]

Where a class has one prototype, the mean is 0 and the loss only spreads the classes.

Source: PALM, ICLR 2024, arXiv 2402.02653, its prototype contrastive loss; temperature 0.5 as in `proto_contra` of
jeff024/PALM. There, the largest S of a row is subtracted: ours is larger by a constant where a class has one prototype,
with the same gradient.
"""

import torch


def loss(prototypes: torch.Tensor, owners: torch.Tensor, temperature: float = 0.5) -> torch.Tensor:
    """Return the loss, a scalar.

    Args:
        prototypes: of length 1, (r, d), r at least 2.
        owners: the class of each, int64 (r,).
        temperature: above 0.
    """
    alike = prototypes @ prototypes.T / temperature
    self_ = torch.eye(len(owners), dtype=torch.bool, device=owners.device)
    same = ((owners[:, None] == owners) & ~self_).to(alike.dtype)
    near = (same * alike).sum(1) / same.sum(1).clamp(min=1)
    return (alike.masked_fill(self_, -torch.inf).logsumexp(1) - near).mean()
