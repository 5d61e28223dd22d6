"""DINO: the student's distribution over prototypes should be the teacher's of the other view.

    l = -mean over i of sum_p softmax((t_i - c) / T)_p log softmax(s_i / S)_p, mean of both directions

with the logits s of the student, t of the teacher, the centre c of the teacher's logits and both temperatures.

Source: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021, equation 1 and algorithm
1 (two global views, none that are local).
"""

import torch
import torch.nn.functional as F

Views = tuple[torch.Tensor, torch.Tensor]


def loss(student: Views, teacher: Views, centre: torch.Tensor, *, student_t: float, teacher_t: float) -> torch.Tensor:
    """Return the mean over the batch and both directions, in nats.

    Args:
        student: logits of both views, float (n, p) each.
        teacher: logits of both views, float (n, p) each; taken as constants.
        centre: float (p,), the running mean of the teacher's logits.
        student_t: temperature of the student, above 0.
        teacher_t: temperature of the teacher, above 0.

    Example:
        >>> flat = torch.zeros(2, 4)
        >>> round(loss((flat, flat), (flat, flat), torch.zeros(4), student_t=0.1, teacher_t=0.04).item(), 4)
        1.3863
    """
    asked = [F.softmax((view.detach() - centre) / teacher_t, dim=1) for view in teacher]
    given = [F.log_softmax(view / student_t, dim=1) for view in student]
    crossed = ((asked[0], given[1]), (asked[1], given[0]))
    return torch.stack([-(p * log).sum(1).mean() for p, log in crossed]).mean()
