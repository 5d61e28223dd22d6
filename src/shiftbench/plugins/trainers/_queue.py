"""The last points that a training made, first in, first out.

Source: He et al., "Momentum Contrast", CVPR 2020, section 3.2. It begins with random points of length 1.
"""

import torch
import torch.nn.functional as F
from torch import nn


class Queue(nn.Module):
    """Points float32 (size, width); the oldest are replaced.

    Args:
        size: how many are kept.
        width: of a point.
    """

    points: torch.Tensor

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.register_buffer("points", F.normalize(torch.randn(size, width), dim=1))
        self._next = 0

    @torch.no_grad()
    def add(self, points: torch.Tensor) -> None:
        """Put points (n, width) in the places of the oldest ones; of more than `size` the last are kept."""
        size = len(self.points)
        last = points.detach()[-size:]
        places = (self._next + torch.arange(len(last), device=last.device)) % size
        self.points[places] = last
        self._next = (self._next + len(last)) % size
