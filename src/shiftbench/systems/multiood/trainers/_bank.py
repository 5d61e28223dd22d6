"""The last features of each class, and outliers that are mixed of them with those of classes nearby (NP-Mix).

Source: Dong et al. 2024, arXiv:2405.17419, section 4.3; donghao51/MultiOOD, `train_video_flow.py`. As there, a class
that is full keeps its first features until all classes are full; from the next batch on the newest take the place of
the oldest. Each step makes one outlier for each class, `share` of a feature of it and the rest of one of its
neighbour: the nearest prototypes (means) are asked for, the class itself among them, and one of the others is drawn.
The class itself is left out by its number here, there as the first of those found, which differs where two prototypes
are equal. All outliers are one gather, no loop over classes.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.special import betaincinv

from shiftbench.base.errors import ParamsError
from shiftbench.base.rng import RandomStream


class Bank:
    """`each` features of every class.

    Attributes:
        features: float32 (classes, each, d), as places are written, a ring of each class.
        seen: how many features of each class were stored, int64 (classes,); at most `each` until all are full.
    """

    def __init__(self, classes: int, each: int, width: int, device: torch.device | str = "cpu") -> None:
        if each < 1:
            raise ParamsError(f"NP-Mix: bank is {each}; expected 1 or more features of each class")
        self.each = each
        self.features = torch.zeros(classes, each, width, device=device)
        self.seen = torch.zeros(classes, dtype=torch.int64, device=device)

    @property
    def full(self) -> bool:
        """Whether every class has all its features."""
        return bool((self.seen >= self.each).all())

    def add(self, features: torch.Tensor, labels: torch.Tensor) -> None:
        """Store a batch in its order, without gradient.

        Args:
            features: (n, d).
            labels: int64 (n,).
        """
        own = torch.nn.functional.one_hot(labels, len(self.seen))
        rank = (own.cumsum(0) - 1)[torch.arange(len(labels)), labels]
        totals = own.sum(0)
        full = self.full
        room, last = self.seen[labels] + rank < self.each, totals[labels] - rank <= self.each
        kept = last if full else room
        places = (self.seen[labels] + rank) % self.each
        self.features[labels[kept], places[kept]] = features.detach()[kept]
        self.seen += totals
        if not full:
            self.seen.clamp_(max=self.each)

    def oldest_first(self, label: int) -> torch.Tensor:
        """Return the features of a full class in the order in which they came, (each, d)."""
        return self.features[label].roll(-int(self.seen[label]) % self.each, 0)

    def neighbours(self, count: int) -> torch.Tensor:
        """Return the classes of the `count` - 1 nearest other prototypes of each class, int64 (classes, count - 1)."""
        means = self.features.mean(1)
        apart = torch.cdist(means, means).fill_diagonal_(torch.inf)
        return apart.topk(min(count, len(means)) - 1, largest=False).indices

    def mixed(self, rng: RandomStream, count: int, alpha: float) -> torch.Tensor:
        """Return one outlier for each class, (classes, d).

        Args:
            rng: random words of this step.
            count: prototypes that are asked for, the own one among them.
            alpha: both parameters of the Beta distribution of the share.

        Raises:
            ParamsError: `count` leaves no other class, or alpha is not above 0.
        """
        classes = len(self.seen)
        if min(count, classes) < 2 or not alpha > 0:
            raise ParamsError(
                f"NP-Mix: neighbours is {count} of {classes} classes and alpha {alpha}; expected 2 or more and above 0"
            )
        near = self.neighbours(count)
        own = torch.arange(classes, device=near.device)
        chosen = torch.from_numpy(rng.integers(0, near.shape[1], classes)).to(near.device)
        first, second = (torch.from_numpy(rng.integers(0, self.each, classes)).to(near.device) for _ in range(2))
        pair = self.features[
            torch.stack([own, near[own, chosen]]), torch.stack([first, second])
        ]  # one gather, (2, classes, d)
        share = torch.from_numpy(shares(rng, classes, alpha)).to(pair)[:, None]
        return share * pair[0] + (1 - share) * pair[1]


def shares(rng: RandomStream, count: int, alpha: float) -> NDArray[np.float64]:
    """Return draws from Beta(alpha, alpha), float64 (count,), by the inverse of its distribution function."""
    drawn: NDArray[np.float64] = betaincinv(alpha, alpha, rng.uniform(count).astype(np.float64))
    return drawn
