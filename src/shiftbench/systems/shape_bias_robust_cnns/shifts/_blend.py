"""A picture that fades into another one."""

import numpy as np
from numpy.typing import NDArray


def blend(image: NDArray[np.uint8], other: NDArray[np.uint8], share: float) -> NDArray[np.uint8]:
    """`image` with a share of `other`, uint8 of the image's shape; exact at 0 and 1.

    Args:
        image: uint8 (h, w) or (h, w, 3).
        other: the same, or (h, w) for all channels.
        share: 0 to 1, in steps of 1/256.
    """
    part = round(256 * share)
    broadcast = other[..., None] if image.ndim > other.ndim else other
    mixed = image * np.uint32(256 - part) + broadcast * np.uint32(part) + np.uint32(128)
    return np.ascontiguousarray((mixed >> np.uint32(8)).astype(np.uint8))
