"""A broad random mixture of shifts, for a batch at once: what a generalist learns from.

Each image is turned, moved, blurred, changed in contrast and given noise, each by a strength of its own, uniform from
0 to `most`. At strength 1 a turn is 30 degrees, a move a quarter of the side, a blurred image all blur (two passes of
3 x 3 pixels), contrast is a tenth, and noise has a deviation of 0.4 of white.

Source: none; ours. Shifts of the same kinds are among the tested ones, with other constants, draws and code, as a
zero-shot model has seen pictures of all kinds.
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

from shiftbench.base.rng import RandomStream

DEGREES, SIDE, CONTRAST, NOISE = 30.0, 0.25, 0.1, 0.4
WHITE = 255.0


def apply(batch: npt.NDArray[np.uint8], words: RandomStream, most: float, share: float = 1.0) -> torch.Tensor:
    """Return shifted images, float32 (n, c, h, w) in 0 to 255.

    Args:
        batch: uint8 (n, c, h, w).
        words: random words of this step.
        most: largest strength, 0 to 1; at 0 the images are given back.
        share: probability of each shift.
    """
    images = torch.from_numpy(np.ascontiguousarray(batch)).float()
    if not most:
        return images
    count = len(images)
    taken = words.uniform((5, count)) < share
    strength = torch.from_numpy(most * words.uniform((5, count)) * taken)
    sign = torch.from_numpy(np.where(words.uniform((3, count)) < 0.5, -1.0, 1.0)).float()
    images = moved(images, DEGREES * strength[0] * sign[0], SIDE * strength[1] * sign[1:])
    each = [one.reshape(-1, 1, 1, 1) for one in strength]
    images = (1 - each[2]) * images + each[2] * blurred(images)
    factor = 1 - (1 - CONTRAST) * each[3]
    images = images.mean((1, 2, 3), keepdim=True) * (1 - factor) + images * factor
    drawn = torch.from_numpy(words.normal(tuple(images.shape)))
    noisy: torch.Tensor = (images + WHITE * NOISE * each[4] * drawn).clamp(0, WHITE)
    return noisy


def moved(images: torch.Tensor, degrees: torch.Tensor, shares: torch.Tensor) -> torch.Tensor:
    """Return images turned by degrees (n,) and moved by shares of the side (2, n), the border repeated."""
    angle = torch.deg2rad(degrees)
    cos, sin = angle.cos(), angle.sin()
    rows = [torch.stack([cos, -sin, 2 * shares[0]], 1), torch.stack([sin, cos, 2 * shares[1]], 1)]
    grid = F.affine_grid(torch.stack(rows, 1), list(images.shape), align_corners=False)
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def blurred(images: torch.Tensor) -> torch.Tensor:
    """Return images after two means over 3 x 3 pixels, the border repeated."""
    for _ in range(2):
        images = F.avg_pool2d(F.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return images
