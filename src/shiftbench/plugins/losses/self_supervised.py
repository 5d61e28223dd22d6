"""Losses of self-supervised learning: two views of an image against each other, or against a teacher.

Each maps tensors of a batch to a scalar, a mean over the batch unless it says otherwise.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F

from shiftbench.plugins import declare


@declare.loss
def nt_xent(one: torch.Tensor, other: torch.Tensor, temperature: float) -> torch.Tensor:
    """NT-Xent: each view should find the other view of its image among all views of the batch.

        l_ij = -log exp(s_ij / t) / sum_{k != i} exp(s_ik / t),  s the cosine, t the temperature

    Source: Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR), equation
    1: the mean over both orders of all pairs.

    Returns the mean over all 2n views, in nats; log(2n - 1) if all pairs are equally similar.

    Args:
        one: float (n, d), a view of each image; only directions count.
        other: float (n, d), another view of the same images.
        temperature: above 0.

    Example:
        >>> rows = torch.ones(2, 3)
        >>> round(nt_xent(rows, rows, 0.5).item(), 4)
        1.0986
    """
    views = F.normalize(torch.cat([one, other]), dim=1)
    cosines = views @ views.T / temperature
    cosines = cosines.masked_fill(torch.eye(len(views), dtype=torch.bool, device=views.device), -torch.inf)
    twins = torch.arange(len(views), device=views.device).roll(len(one))
    return F.cross_entropy(cosines, twins)


@declare.loss
def info_nce(one: torch.Tensor, other: torch.Tensor, scale: torch.Tensor) -> torch.Tensor:
    """InfoNCE over pairs: each row of one side should find its own row of the other among all in the batch.

    Source: van den Oord et al. 2018, arXiv:1807.03748, equation 4; both directions, as in Radford et al., "Learning
    Transferable Visual Models From Natural Language Supervision" (CLIP), ICML 2021, figure 3. Rows that are equal by
    chance (two images of one name) count as each other's negatives, as there.

    Returns the mean of both directions over the batch, in nats; log n if all pairs are equally similar.

    Args:
        one: float (n, d); only directions count.
        other: float (n, d), row i belongs to row i of `one`.
        scale: factor of the cosines, one over the temperature.

    Example:
        >>> rows = torch.eye(2)
        >>> round(info_nce(rows, rows, torch.tensor(1.0)).item(), 4)
        0.3133
    """
    cosines = scale * F.normalize(one, dim=1) @ F.normalize(other, dim=1).T
    own = torch.arange(len(one), device=one.device)
    return (F.cross_entropy(cosines, own) + F.cross_entropy(cosines.T, own)) / 2


@declare.loss
def moco_v3(queries: torch.Tensor, keys: torch.Tensor, temperature: float) -> torch.Tensor:
    """MoCo v3: a query of one view should find the key of the other view of its image among the keys of its batch.

        l_i = -2 t log exp(q_i k_i / t) / sum_j exp(q_i k_j / t),  q and k of length 1, t the temperature

    Source: Chen, Xie and He, "An Empirical Study of Training Self-Supervised Vision Transformers", ICCV 2021, algorithm
    1 (the factor 2 t is its). One direction; both are added.

    Returns the mean over the batch; 2 t log n if all pairs are equally similar.

    Args:
        queries: float (n, d), predicted from one view; only directions count.
        keys: float (n, d), what the target makes of the other view; taken as a constant.
        temperature: above 0.

    Example:
        >>> rows = torch.ones(2, 3)
        >>> round(moco_v3(rows, rows, 0.5).item(), 4)
        0.6931
    """
    cosines = F.normalize(queries, dim=1) @ F.normalize(keys.detach(), dim=1).T / temperature
    own = torch.arange(len(queries), device=queries.device)
    return 2 * temperature * F.cross_entropy(cosines, own)


@declare.loss
def nnclr(neighbours: torch.Tensor, predictions: torch.Tensor, temperature: float) -> torch.Tensor:
    """NNCLR: the nearest neighbour of one view, among earlier images, should find the prediction of the other view.

        l_i = -log exp(m_i p_i / t) / sum_j exp(m_i p_j / t),  m_i the neighbour of view i in the queue, of length 1 as
        p

    Source: Dwibedi et al., "With a Little Help from My Friends: Nearest-Neighbor Contrastive Learning of Visual
    Representations", ICCV 2021, equations 2 and 4. One direction; the mean of both is taken.

    Returns the mean over the batch, in nats; log n if all pairs are equally similar.

    Args:
        neighbours: float (n, d), of one view (`nearest_neighbours`); only directions count.
        predictions: float (n, d), from the other view; only directions count.
        temperature: above 0.

    Example:
        >>> rows = torch.ones(2, 3)
        >>> round(nnclr(rows, rows, 0.5).item(), 4)
        0.6931
    """
    cosines = F.normalize(neighbours, dim=1) @ F.normalize(predictions, dim=1).T / temperature
    return F.cross_entropy(cosines, torch.arange(len(cosines), device=cosines.device))


def nearest_neighbours(points: torch.Tensor, queue: torch.Tensor) -> torch.Tensor:
    """For each point (n, d), the point of the queue (m, d) whose product with it is the largest, (n, d).

    Example:
        >>> nearest_neighbours(torch.tensor([[1.0, 0.2]]), torch.eye(2))
        tensor([[1., 0.]])
    """
    with torch.no_grad():
        return queue[(points @ queue.T).argmax(1)]


@declare.loss
def byol(predictions: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """BYOL: what is predicted from one view should point where the target puts the other view.

        l_i = 2 - 2 cos(q_i, k_i)

    Source: Grill et al., "Bootstrap Your Own Latent", NeurIPS 2020, equation 2. One direction; both are added.

    Returns the mean over the batch, from 0 to 4.

    Args:
        predictions: float (n, d), from one view; only directions count.
        targets: float (n, d), what the target makes of the other view; taken as a constant.

    Example:
        >>> round(byol(torch.eye(2), torch.eye(2).flip(0)).item(), 4)
        2.0
    """
    return 2 - 2 * F.cosine_similarity(predictions, targets.detach(), dim=1).mean()


_BARLOW_EPS = 1e-5


@declare.loss
def barlow_twins(one: torch.Tensor, other: torch.Tensor, *, redundancy: float, scale: float) -> torch.Tensor:
    """Barlow Twins: coordinates of two views should correlate with themselves, and with no other coordinate.

        l = s (sum_i (1 - C_ii)^2 + r sum_{i != j} C_ij^2)

    with the correlation C_ij of coordinate i of one view with coordinate j of the other.

    Source: Zbontar et al., "Barlow Twins: Self-Supervised Learning via Redundancy Reduction", ICML 2021, equations 1
    and 2; coordinates are standardised as batch normalisation does (variance over n, plus 1e-5), and s is the scale of
    its code.

    Returns the loss, at least 0.

    Args:
        one: float (n, d), a view of each image, not normalised.
        other: float (n, d), another view of the same images.
        redundancy: weight r of the correlations of different coordinates.
        scale: factor s of the whole.

    Example:
        >>> rows = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
        >>> round(barlow_twins(rows, -rows, redundancy=0.005, scale=0.1).item(), 2)
        0.8
    """
    cross = _standardised(one).T @ _standardised(other) / len(one)
    own = cross.diagonal()
    rest = cross.square().sum() - own.square().sum()
    return scale * ((1 - own).square().sum() + redundancy * rest)


def _standardised(view: torch.Tensor) -> torch.Tensor:
    return (view - view.mean(0)) / (view.var(0, correction=0) + _BARLOW_EPS).sqrt()


_VICREG_EPS = 1e-4


@declare.loss
def vicreg(one: torch.Tensor, other: torch.Tensor, weights: Sequence[float]) -> torch.Tensor:
    """VICReg: views alike, each coordinate of a spread of 1 at least, no two coordinates correlated.

        l = i s(z, y) + v (h(z) + h(y)) + c (k(z) + k(y))
        s   mean squared difference of the coordinates
        h   mean over coordinates of max(0, 1 - sqrt(var + 1e-4))
        k   sum of the squared covariances of different coordinates, by the number of coordinates

    Source: Bardes, Ponce and LeCun, "VICReg: Variance-Invariance-Covariance Regularization for Self-Supervised
    Learning", ICLR 2022, equations 1 to 6 (variances and covariances over n - 1). The authors' code halves the second
    term; the paper's equation, and solo-learn's code, do not.

    Returns the sum of the three terms, at least 0.

    Args:
        one: float (n, d), a view of each image, not normalised; n at least 2.
        other: float (n, d), another view of the same images.
        weights: of invariance, variance and covariance.

    Example:
        >>> same = torch.zeros(3, 2)
        >>> round(vicreg(same, same, (25.0, 25.0, 1.0)).item(), 4)
        49.5
    """
    invariance, variance, covariance = weights
    total = invariance * F.mse_loss(one, other)
    for view in (one, other):
        total = total + variance * _flatness(view) + covariance * _redundancy(view)
    return total


def _flatness(view: torch.Tensor) -> torch.Tensor:
    return F.relu(1 - (view.var(0) + _VICREG_EPS).sqrt()).mean()


def _redundancy(view: torch.Tensor) -> torch.Tensor:
    centred = view - view.mean(0)
    covariance = centred.T @ centred / (len(view) - 1)
    return (covariance.square().sum() - covariance.diagonal().square().sum()) / view.shape[1]


Views = tuple[torch.Tensor, torch.Tensor]


@declare.loss
def dino(student: Views, teacher: Views, centre: torch.Tensor, *, student_t: float, teacher_t: float) -> torch.Tensor:
    """DINO: the student's distribution over prototypes should be the teacher's of the other view.

        l = -mean over i of sum_p softmax((t_i - c) / T)_p log softmax(s_i / S)_p, mean of both directions

    with the logits s of the student, t of the teacher, the centre c of the teacher's logits and both temperatures.

    Source: Caron et al., "Emerging Properties in Self-Supervised Vision Transformers", ICCV 2021, equation 1 and
    algorithm 1 (two global views, none that are local).

    Returns the mean over the batch and both directions, in nats.

    Args:
        student: logits of both views, float (n, p) each.
        teacher: logits of both views, float (n, p) each; taken as constants.
        centre: float (p,), the running mean of the teacher's logits.
        student_t: temperature of the student, above 0.
        teacher_t: temperature of the teacher, above 0.

    Example:
        >>> flat = torch.zeros(2, 4)
        >>> round(dino((flat, flat), (flat, flat), torch.zeros(4), student_t=0.1, teacher_t=0.04).item(), 4)
        1.3863
    """
    asked = [F.softmax((view.detach() - centre) / teacher_t, dim=1) for view in teacher]
    given = [F.log_softmax(view / student_t, dim=1) for view in student]
    crossed = ((asked[0], given[1]), (asked[1], given[0]))
    return torch.stack([-(p * log).sum(1).mean() for p, log in crossed]).mean()


@declare.loss
def ressl(
    views: torch.Tensor, targets: torch.Tensor, queue: torch.Tensor, *, student_t: float, teacher_t: float
) -> torch.Tensor:
    """ReSSL: a view should be as similar to earlier images as the target says that a weaker view of it is.

        l_i = -sum_m softmax(k_i m / T)_m log softmax(q_i m / S)_m,  over the points m of the queue

    Source: Zheng et al., "ReSSL: Relational Self-Supervised Learning with Weak Augmentation", NeurIPS 2021, equations 4
    to 6.

    Returns the mean over the batch, in nats.

    Args:
        views: float (n, d), of length 1.
        targets: float (n, d), of length 1, of the weaker views; taken as constants.
        queue: float (m, d), earlier targets.
        student_t: temperature of the views, above 0.
        teacher_t: temperature of the targets, above 0 and below the other, so that they are sharper.

    Example:
        >>> rows = torch.eye(2)
        >>> round(ressl(rows, rows, torch.ones(3, 2), student_t=0.1, teacher_t=0.04).item(), 4)
        1.0986
    """
    asked = F.softmax(targets.detach() @ queue.T / teacher_t, dim=1)
    return F.cross_entropy(views @ queue.T / student_t, asked)
