"""Losses of classifiers and detectors: cross-entropy, its variants, distillation and focal losses.

Each maps tensors of a batch to a scalar, a mean over the batch unless it says otherwise.
"""

from collections.abc import Sequence
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base.errors import ParamsError, suggest
from shiftbench.plugins import declare, fields


@declare.loss
def cross_entropy(logits: torch.Tensor, labels: torch.Tensor, smoothing: fields.Smoothing = 0.0) -> torch.Tensor:
    """Cross-entropy with optional label smoothing.

    Source: Szegedy et al., "Rethinking the Inception Architecture", CVPR 2016, section 7 (smoothing).

    Returns the mean over the batch, in nats.

    Args:
        logits: float (n, classes).
        labels: int64 (n,), each 0 to classes - 1.
        smoothing: share of the target that all classes get.

    Example:
        >>> round(cross_entropy(torch.zeros(1, 4), torch.tensor([2])).item(), 4)
        1.3863
    """
    return F.cross_entropy(logits, labels, label_smoothing=smoothing)


@declare.loss
def soft_cross_entropy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Cross-entropy to a distribution over classes: mixed labels, teachers.

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531, section 2.

    Returns -mean over rows of sum_c t_c log softmax_c, in nats.

    Args:
        logits: float (n, classes).
        targets: float (n, classes), rows that sum to 1.

    Example:
        >>> round(soft_cross_entropy(torch.zeros(1, 4), torch.tensor([[0.5, 0.5, 0.0, 0.0]])).item(), 4)
        1.3863
    """
    return -(targets * logits.log_softmax(1)).sum(1).mean()


@declare.loss
def generalised_cross_entropy(
    logits: torch.Tensor,
    q: Annotated[float, Field(gt=0, le=1, description="near 0: cross-entropy; 1: mean absolute error")] = 0.8,
) -> torch.Tensor:
    """Generalised cross-entropy of a net's own predictions: (1 - p^q) / q with p the largest probability.

    Source: Zhang and Sabuncu, "Generalized Cross Entropy Loss for Training Deep Neural Networks with Noisy Labels",
    NeurIPS 2018, equation 6, with the predicted class for the label, as in Rusak et al., "If your data distribution
    shifts, use self-learning", TMLR 2022, section 3 (robust pseudo-labelling, q = 0.8).

    Returns the mean over a batch.

    Args:
        logits: (n, classes).
        q: above 0, where it is cross-entropy, to 1, where it is the mean absolute error.

    Example:
        >>> round(generalised_cross_entropy(torch.zeros(1, 2), q=1.0).item(), 4)
        0.5
    """
    largest = logits.log_softmax(1).amax(1)
    return ((1 - (q * largest).exp()) / q).mean()


@declare.loss
def jensen_shannon(views: Sequence[torch.Tensor]) -> torch.Tensor:
    """Jensen-Shannon consistency between the predictions for several views of one image.

    Source: Hendrycks et al., "AugMix", ICLR 2020, equations 1 and 2: JS(p1; ...; pk) is the mean of
    KL(pi || M) with M the mean of the pi. As in the authors' code, M is bounded below at 1e-7.

    Returns the mean over the batch, in nats, 0 (all views agree) to log(number of views).

    Args:
        views: logits of each view, float (n, classes).

    Example:
        >>> jensen_shannon([torch.ones(2, 3), torch.zeros(2, 3)]).item()
        0.0
    """
    logs = torch.stack([torch.log_softmax(view, 1) for view in views])
    probabilities = logs.exp()
    mixture = probabilities.mean(0).clamp(1e-7, 1.0).log()
    divergence: torch.Tensor = (probabilities * (logs - mixture)).sum(-1).mean()
    return divergence


REDUCTIONS = ("batchmean", "numel")


@declare.loss
def logit_distillation(
    logits: torch.Tensor,
    taught: torch.Tensor,
    tau: Annotated[float, Field(gt=0, description="temperature")] = 1.0,
    reduction: Annotated[
        Literal["batchmean", "numel"], Field(description="mean over rows, or over rows and classes")
    ] = "batchmean",
) -> torch.Tensor:
    """How far a net's distribution over classes is from its teacher's, both softened by a temperature.

        tau^2 KL(softmax(t / tau) || softmax(s / tau))

    Source: Hinton, Vinyals and Dean, "Distilling the Knowledge in a Neural Network", 2015, arXiv:1503.02531, section 2;
    tau^2 keeps the gradient's size. DeiT's code (facebookresearch/deit, `losses.py`), and what builds on it, divides
    the sum by rows times classes (`numel`), which makes it as many times smaller as there are classes.

    Returns the divergence, in nats.

    Args:
        logits: the student's, float (n, classes).
        taught: the teacher's, of the same shape; takes no gradient.
        tau: temperature, above 0.
        reduction: `batchmean`, the mean over rows, or `numel`, over rows and classes.

    Raises:
        ParamsError: another reduction.

    Example:
        >>> round(logit_distillation(torch.zeros(1, 2), torch.tensor([[100.0, 0.0]])).item(), 4)
        0.6931
    """
    if reduction not in REDUCTIONS:
        raise ParamsError(f"reduction = {reduction!r}; {suggest(reduction, REDUCTIONS)}")
    soft_targets = (taught.detach() / tau).softmax(1)
    surprise = torch.special.xlogy(soft_targets, soft_targets) - soft_targets * F.log_softmax(logits / tau, 1)
    parts = len(logits) if reduction == "batchmean" else logits.numel()
    return surprise.sum() * tau**2 / parts  # type: ignore[no-any-return]


ALPHA = 0.25


@declare.loss
def sigmoid_focal(logits: torch.Tensor, positive: torch.Tensor) -> torch.Tensor:
    """The focal loss of dense detectors: easy artifacts count little.

    Source: Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5 (alpha 0.25, gamma 2), added up over
    artifacts and classes and divided by the number of positive ones, as FCOS (Tian et al. 2019) does.

    Returns the loss of a batch; without a positive artifact it is divided by 1.

    Args:
        logits: float (n, classes, h, w).
        positive: bool, likewise.

    Example:
        >>> round(sigmoid_focal(torch.zeros(1, 1, 1, 2), torch.tensor([[[[True, False]]]])).item(), 4)
        0.1733
    """
    share = torch.sigmoid(logits)
    right = -ALPHA * (1 - share) ** 2 * F.logsigmoid(logits)
    wrong = -(1 - ALPHA) * share**2 * F.logsigmoid(-logits)
    return torch.where(positive, right, wrong).sum() / positive.sum().clamp(min=1)


@declare.loss
def penalty_focal(logits: torch.Tensor, heat: torch.Tensor) -> torch.Tensor:
    """The penalty-reduced focal loss of centre heatmaps: near a centre, a high score costs less.

    Source: Law and Deng 2018, "CornerNet", equation 1 (alpha 2, beta 4), as Zhou et al. 2019, "Objects as Points",
    equation 1
    use it: -(1 - p)^2 log p at centres, -(1 - y)^4 p^2 log(1 - p) elsewhere, added up and divided by the number of
    centres.

    Returns the loss of a batch; without a centre it is divided by 1.

    Args:
        logits: float (n, classes, h, w).
        heat: likewise, 0 to 1; exactly 1 at centres.

    Example:
        >>> round(penalty_focal(torch.zeros(1, 1, 1, 2), torch.tensor([[[[1.0, 0.0]]]])).item(), 4)
        0.3466
    """
    share = torch.sigmoid(logits)
    centres = heat == 1
    right = -((1 - share) ** 2) * F.logsigmoid(logits)
    wrong = -((1 - heat) ** 4) * share**2 * F.logsigmoid(-logits)
    return torch.where(centres, right, wrong).sum() / centres.sum().clamp(min=1)
