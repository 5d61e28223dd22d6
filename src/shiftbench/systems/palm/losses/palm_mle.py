"""PALM's likelihood: a sample lies near the prototypes of its class, of the prototypes of all classes.

With logits l_ir = <z_i, p_r> / temperature and assignments w_ir to the prototypes of the own class, which sum to 1:

    code:   -mean_i [ sum_r w_ir l_ir - log sum_r exp(l_ir) ]
    paper:  -mean_i log( sum_r w_ir exp(l_ir) / sum_r v_ir exp(l_ir) )

where v holds the assignments of sample i within each class: they sum to 1 over each class, as the weights of a mixture
do. Where each class has one prototype, both are equal. A sample with one assignment of all the mass has the same term
above the fraction bar in both; below it, the code counts all prototypes alike.

Source: PALM, "Learning with Mixture of Prototypes for Out-of-Distribution Detection", ICLR 2024, arXiv 2402.02653, its
maximum-likelihood loss; the code's form is `mle_loss` of jeff024/PALM.
"""

import torch

TINY = 1e-12


def loss(logits: torch.Tensor, own: torch.Tensor, every: torch.Tensor | None = None) -> torch.Tensor:
    """Return the mean negative log-likelihood, a scalar, in nats.

    Args:
        logits: (n, r), similarities to the prototypes over the temperature.
        own: assignments to the prototypes of the own class, (n, r), at least 0; elsewhere 0.
        every: assignments within each class, (n, r): the paper's form. None: the code's.
    """
    if every is None:
        return (logits.logsumexp(1) - (own * logits).sum(1)).mean()
    above, below = ((logits + w.clamp(min=TINY).log()).logsumexp(1) for w in (own, every))
    return (below - above).mean()
