"""How far a net's distribution over classes is from its teacher's, both softened by a temperature.

    tau^2 KL(softmax(t / tau) || softmax(s / tau))

Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531, section 2;
tau^2 keeps the gradient's size. DeiT's code (facebookresearch/deit, `losses.py`), and what builds on it, divides the
sum by rows times classes (`numel`), which makes it as many times smaller as there are classes.
"""

import torch
import torch.nn.functional as F

from shiftbench.base.errors import ParamsError, suggest

REDUCTIONS = ("batchmean", "numel")


def loss(logits: torch.Tensor, taught: torch.Tensor, tau: float = 1.0, reduction: str = "batchmean") -> torch.Tensor:
    """Return the divergence, in nats.

    Args:
        logits: the student's, float (n, classes).
        taught: the teacher's, likewise; takes no gradient.
        tau: temperature, above 0.
        reduction: `batchmean`, the mean over rows, or `numel`, over rows and classes.

    Raises:
        ParamsError: another reduction.

    Example:
        >>> round(loss(torch.zeros(1, 2), torch.tensor([[100.0, 0.0]])).item(), 4)
        0.6931
    """
    if reduction not in REDUCTIONS:
        raise ParamsError(f"reduction = {reduction!r}; {suggest(reduction, REDUCTIONS)}")
    wanted = (taught.detach() / tau).softmax(1)
    surprise = torch.special.xlogy(wanted, wanted) - wanted * F.log_softmax(logits / tau, 1)
    parts = len(logits) if reduction == "batchmean" else logits.numel()
    return surprise.sum() * tau**2 / parts  # type: ignore[no-any-return]
