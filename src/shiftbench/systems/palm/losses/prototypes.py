"""Losses of class prototypes on the sphere: samples near the prototypes of their class, and prototypes apart.

Prototypes have length 1; each function returns a scalar.
"""

import math
from typing import Annotated

import torch
from pydantic import Field

from shiftbench.plugins import declare

Temperature = Annotated[float, Field(gt=0, description="temperature of the similarities")]
TINY = 1e-12


@declare.loss
def dispersion(prototypes: torch.Tensor, temperature: Temperature = 0.1) -> torch.Tensor:
    """Dispersion of class prototypes on the sphere: each is to be far from the others.

        loss = mean_i log( mean over j != i of exp(<m_i, m_j> / temperature) )

    Source: CIDER, Ming et al. 2023, "How to Exploit Hyperspherical Embeddings for Out-of-Distribution Detection?",
    ICLR, arXiv:2203.04450, dispersion loss.

    Args:
        prototypes: of length 1, (classes, d), two at least.
        temperature: above 0.
    """
    similarities = prototypes @ prototypes.T / temperature
    itself = torch.eye(len(prototypes), dtype=torch.bool, device=prototypes.device)
    others = similarities.masked_fill(itself, -torch.inf).logsumexp(1)
    return others.mean() - math.log(len(prototypes) - 1)


@declare.loss
def palm_mle(logits: torch.Tensor, own: torch.Tensor, every: torch.Tensor | None = None) -> torch.Tensor:
    """PALM's likelihood: a sample is near the prototypes of its class, of the prototypes of all classes.

    With logits l_ir = <z_i, p_r> / temperature and assignments w_ir to the prototypes of the own class, which sum to 1:

        code:   -mean_i [ sum_r w_ir l_ir - log sum_r exp(l_ir) ]
        paper:  -mean_i log( sum_r w_ir exp(l_ir) / sum_r v_ir exp(l_ir) )

    v has the assignments of sample i within each class: they sum to 1 over each class, as the weights of a mixture do.
    If each class has one prototype, both forms are equal. A sample with all its mass in one assignment has the same
    numerator in both; in the denominator, the code counts all prototypes alike.

    Source: PALM, "Learning with Mixture of Prototypes for Out-of-Distribution Detection", ICLR 2024, arXiv 2402.02653,
    its maximum-likelihood loss; the code's form is `mle_loss` of jeff024/PALM.

    Returns the mean negative log-likelihood, in nats.

    Args:
        logits: (n, r), similarities to the prototypes over the temperature.
        own: assignments to the prototypes of the own class, (n, r), at least 0; elsewhere 0.
        every: assignments within each class, (n, r): the paper's form. None: the code's.
    """
    if every is None:
        return (logits.logsumexp(1) - (own * logits).sum(1)).mean()
    numerator, denominator = ((logits + w.clamp(min=TINY).log()).logsumexp(1) for w in (own, every))
    return (denominator - numerator).mean()


@declare.loss
def prototype_contrast(prototypes: torch.Tensor, owners: torch.Tensor, temperature: Temperature = 0.5) -> torch.Tensor:
    """Contrast of prototypes: those of one class come near each other, those of other classes move away.

        S = P P' / temperature
        loss = -mean_r [ mean of S_rs over the other prototypes s of the class of r - log sum_{s != r} exp(S_rs) ]

    If a class has one prototype, the mean is 0 and the loss only spreads the classes.

    Source: PALM, ICLR 2024, arXiv 2402.02653, its prototype contrastive loss; temperature 0.5 as in `proto_contra` of
    jeff024/PALM. There, the largest S of a row is subtracted: ours is larger by a constant if a class has one
    prototype, with the same gradient.

    Args:
        prototypes: of length 1, (r, d), r at least 2.
        owners: the class of each, int64 (r,).
        temperature: above 0.
    """
    similarities = prototypes @ prototypes.T / temperature
    itself = torch.eye(len(owners), dtype=torch.bool, device=owners.device)
    same = ((owners[:, None] == owners) & ~itself).to(similarities.dtype)
    near = (same * similarities).sum(1) / same.sum(1).clamp(min=1)
    return (similarities.masked_fill(itself, -torch.inf).logsumexp(1) - near).mean()
