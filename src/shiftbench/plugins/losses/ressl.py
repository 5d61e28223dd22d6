"""ReSSL: a view should be as similar to earlier images as the target says that a weaker view of it is.

    l_i = -sum_m softmax(k_i m / T)_m log softmax(q_i m / S)_m,  over the points m of the queue

Source: Zheng et al., "ReSSL: Relational Self-Supervised Learning with Weak Augmentation", NeurIPS 2021, equations 4
to 6.
"""

import torch
import torch.nn.functional as F


def loss(
    views: torch.Tensor, targets: torch.Tensor, queue: torch.Tensor, *, student_t: float, teacher_t: float
) -> torch.Tensor:
    """Return the mean over the batch, in nats.

    Args:
        views: float (n, d), of length 1.
        targets: float (n, d), of length 1, of the weaker views; taken as constants.
        queue: float (m, d), earlier targets.
        student_t: temperature of the views, above 0.
        teacher_t: temperature of the targets, above 0 and below the other, so that they are sharper.

    Example:
        >>> rows = torch.eye(2)
        >>> round(loss(rows, rows, torch.ones(3, 2), student_t=0.1, teacher_t=0.04).item(), 4)
        1.0986
    """
    asked = F.softmax(targets.detach() @ queue.T / teacher_t, dim=1)
    return F.cross_entropy(views @ queue.T / student_t, asked)
