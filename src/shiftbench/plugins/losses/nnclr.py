"""NNCLR: the nearest neighbour of one view, among earlier images, should find the prediction of the other view.

    l_i = -log exp(m_i p_i / t) / sum_j exp(m_i p_j / t),  m_i the neighbour of view i in the queue, of length 1 as p

Source: Dwibedi et al., "With a Little Help from My Friends: Nearest-Neighbor Contrastive Learning of Visual
Representations", ICCV 2021, equations 2 and 4. One direction; the mean of both is taken.
"""

import torch
import torch.nn.functional as F


def loss(neighbours: torch.Tensor, predictions: torch.Tensor, temperature: float) -> torch.Tensor:
    """Return the mean over the batch, in nats; log n where nothing is told apart.

    Args:
        neighbours: float (n, d), of one view (`nearest`); only directions count.
        predictions: float (n, d), from the other view; only directions count.
        temperature: above 0.

    Example:
        >>> rows = torch.ones(2, 3)
        >>> round(loss(rows, rows, 0.5).item(), 4)
        0.6931
    """
    cosines = F.normalize(neighbours, dim=1) @ F.normalize(predictions, dim=1).T / temperature
    return F.cross_entropy(cosines, torch.arange(len(cosines), device=cosines.device))


def nearest(points: torch.Tensor, queue: torch.Tensor) -> torch.Tensor:
    """Return of each point (n, d) the point of the queue (m, d) whose product with it is the largest, (n, d).

    Example:
        >>> nearest(torch.tensor([[1.0, 0.2]]), torch.eye(2))
        tensor([[1., 0.]])
    """
    with torch.no_grad():
        return queue[(points @ queue.T).argmax(1)]
