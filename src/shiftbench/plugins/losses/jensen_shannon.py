"""Jensen-Shannon consistency between the predictions for several views of one image.

Source: Hendrycks et al., "AugMix", ICLR 2020, equations 1 and 2: JS(p1; ...; pk) is the mean of
KL(pi || M) with M the mean of the pi. As in the authors' code, M is bounded below at 1e-7.
"""

from collections.abc import Sequence

import torch


def loss(views: Sequence[torch.Tensor]) -> torch.Tensor:
    """Return the mean over the batch, in nats, 0 (all views agree) to log(number of views).

    Args:
        views: logits of each view, float (n, classes).

    Example:
        >>> loss([torch.ones(2, 3), torch.zeros(2, 3)]).item()
        0.0
    """
    logs = torch.stack([torch.log_softmax(view, 1) for view in views])
    probabilities = logs.exp()
    mixture = probabilities.mean(0).clamp(1e-7, 1.0).log()
    divergence: torch.Tensor = (probabilities * (logs - mixture)).sum(-1).mean()
    return divergence
