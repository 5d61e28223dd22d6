"""Refinement on pseudo-labels: directions of parts and coefficients learn on target images, the model stays.

    loss = GCE(softmax(factor score), q) + a mean_a (1 - max_k cos(f_a, mu_k)) - b mean score(pseudo-label)

Source: Kaushik, Kortylewski and Yuille 2024, arXiv:2403.07277, section 3; `Code/train.py` of its repository: Adagrad
0.01, x 0.98 each epoch, 60 epochs, batches of 64, a = b = 3, q 0.8. Differs: the score of the pseudo-label is the mean
over the batch, where the code takes the first sample's; the GCE is of the softmax, where the code takes one of the
softmax again and divides by the batch once more; the last epoch is taken, where the code takes the best on labelled
test images.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.losses.classification import generalised_cross_entropy
from shiftbench.systems.ugt_compnets.methods import _scoring
from shiftbench.systems.ugt_compnets.methods._scoring import Head


def loss(features: torch.Tensor, labels: torch.Tensor, head: Head, params: Mapping[str, Any]) -> torch.Tensor:
    """The loss of a batch.

    Args:
        features: (n, D, H, W), of length 1.
        labels: pseudo-labels int64 (n,).
        head: whose directions and coefficients may want gradients.
        params: `factor`, `q`, `part_weight` and `score_weight`.
    """
    cosines = _scoring.cosines(features, F.normalize(head.mu, dim=1))
    scores = _scoring.scores(cosines, head)
    robust = generalised_cross_entropy(params["factor"] * scores, params["q"])
    parts = (1 - cosines.amax(1)).mean()
    label_scores = scores.gather(1, labels[:, None]).mean()
    total: torch.Tensor = robust + params["part_weight"] * parts - params["score_weight"] * label_scores
    return total


def refine(
    features: torch.Tensor,
    labels: torch.Tensor,
    head: Head,
    clutter: Callable[[torch.Tensor], torch.Tensor],
    params: Mapping[str, Any],
    words: RandomStream,
) -> Head:
    """The head after the last epoch.

    Args:
        features: of the images with a pseudo-label, (n, D, H, W), of length 1.
        labels: pseudo-labels int64 (n,).
        head: to begin with.
        clutter: directions -> clutter models, made again after each epoch.
        params: the options of the method.
        words: orders of the epochs.
    """
    mu, coefficients = head.mu.clone().requires_grad_(), head.coefficients.clone().requires_grad_()
    optimizer = torch.optim.Adagrad([mu, coefficients], params["lr"])
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, params["decay"])
    for _ in range(params["epochs"]):
        order = torch.from_numpy(words.choice(len(features)))
        for rows in order.split(params["batch_size"]):
            optimizer.zero_grad()
            current = head._replace(mu=mu, coefficients=coefficients)
            loss(features[rows], labels[rows], current, params).backward()
            optimizer.step()
        schedule.step()
        head = head._replace(clutter=clutter(F.normalize(mu.detach(), dim=1)))
    return head._replace(mu=F.normalize(mu.detach(), dim=1), coefficients=coefficients.detach())
