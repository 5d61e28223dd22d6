"""Two images in one: mixup and CutMix, with the share of the first that is really there.

Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018, equation 1; Yun et al., "CutMix", ICCV
2019, equations 1 to 3. As in CutMix's code a side of the box is an integer that is halved with rounding down, its
centre is uniform over pixels, what sticks out is cut off, and the share follows from the pixels that are left.
"""

import math
from dataclasses import dataclass

import torch
from scipy.special import betaincinv

from shiftbench.base.rng import RandomStream


@dataclass(frozen=True, slots=True)
class Box:
    """The pixels `[top, bottom) x [left, right)` of an image."""

    top: int
    bottom: int
    left: int
    right: int

    @property
    def area(self) -> int:
        """How many pixels it has."""
        return (self.bottom - self.top) * (self.right - self.left)


def beta(rng: RandomStream, a: float, b: float) -> float:
    """One draw from Beta(a, b), in [0, 1]: the inverse distribution function of the next word (16 bits).

    Example:
        >>> beta(RandomStream(0, "shift", "dataset", "key"), 1.0, 1.0) == float(
        ...     RandomStream(0, "shift", "dataset", "key").uniform()
        ... )
        True
    """
    return float(betaincinv(a, b, float(rng.uniform())))


def mixup(images: torch.Tensor, others: torch.Tensor, share: float | torch.Tensor) -> torch.Tensor:
    """`share` x images + (1 - share) x others, float32; a share per image is (n, 1, 1, 1)."""
    return share * images.float() + (1.0 - share) * others.float()


def box(rng: RandomStream, height: int, width: int, share: float) -> Box:
    """The box that leaves about `share` of an image: its sides are sqrt(1 - share) of the image's."""
    ratio = math.sqrt(1.0 - share)
    half = int(height * ratio) // 2, int(width * ratio) // 2
    centre = int(rng.integers(0, height, 1)[0]), int(rng.integers(0, width, 1)[0])
    top, left = (max(0, at - by) for at, by in zip(centre, half, strict=True))
    bottom, right = (min(most, at + by) for most, at, by in zip((height, width), centre, half, strict=True))
    return Box(top, bottom, left, right)


def cutmix(images: torch.Tensor, others: torch.Tensor, where: Box) -> tuple[torch.Tensor, float]:
    """The images with the box of the others pasted in, and the share of their pixels that is left.

    Args:
        images: (n, channels, height, width).
        others: likewise.
        where: one box for all.
    """
    mixed = images.clone()
    rows, columns = slice(where.top, where.bottom), slice(where.left, where.right)
    mixed[..., rows, columns] = others[..., rows, columns]
    return mixed, 1.0 - where.area / (images.shape[-2] * images.shape[-1])


def with_uniform(labels: torch.Tensor, classes: int, share: float) -> torch.Tensor:
    """The targets of images that are mixed with outliers: share x onehot(label) + (1 - share) / classes."""
    hot = torch.nn.functional.one_hot(labels, classes).float()
    return share * hot + (1.0 - share) / classes
