"""Continuous nuisances in the manner of CNS-Bench: one frozen nuisance per image, its size proportional to a scale.

Source: CNS-Bench, ICCV 2025, https://arxiv.org/abs/2507.17651: scales 0, 0.5, ..., 2.5, of which 0 is the image
itself. There a diffusion model makes the images; these shifts are deterministic analogues, and their constants are
ours. Integers throughout.
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.plugins.shifts import _levels

LARGEST = 2.5
RANGE = (0.0, LARGEST)
ONE = 256
"""A whole share."""


def part(name: str, scale: float, most: float = 1.0) -> int:
    """A share that grows from 0 to `most` at the largest scale, in 256ths.

    Raises:
        RangeError: the scale lies outside 0 to 2.5.
    """
    _levels.check(name, scale, RANGE)
    return round(ONE * most * scale / LARGEST)


def blend(image: NDArray[np.uint8], other: NDArray[np.uint8], share: int | NDArray[np.int32]) -> NDArray[np.uint8]:
    """The image, uint8 (h, w) or (h, w, 3), mixed with another of its shape.

    Args:
        image: stays in full where the share is 0.
        other: what is mixed in.
        share: of the other, in 256ths; one, or one for each value.
    """
    total = image.astype(np.int32) * (ONE - share) + other.astype(np.int32) * share
    return ((total + ONE // 2) >> 8).astype(np.uint8)


def layer(grey: NDArray[np.uint8], shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """A grey image (h, w) in the shape of an image: as it is, or three times."""
    return grey if len(shape) == 2 else np.repeat(grey[..., None], shape[2], axis=2)
