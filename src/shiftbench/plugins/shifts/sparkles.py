"""Sparkles: five white stars shine over the image.

Source: Mintun, Kirillov & Xie 2021 (ImageNet-C-bar), https://arxiv.org/abs/2102.11273; levels are
(mean length of a ray relative to the image, shortest ray in pixels of a 224 px image), from `imagenet_c_bar.csv` and
`corrupt.py` of https://github.com/facebookresearch/augmentation-corruption (the shortest is 1 there at any level).
A star has 50 to 199 rays, whose light falls with the square of the distance. Differs: the light of the five
is multiplied before the image is mixed with white, which is the same but for roundings; below level 1
the shortest ray shrinks to 0 as well; rounded, not truncated.

Takes ten 16-bit words (row and column of each star), five (numbers of rays), 5 x 200 (lengths; a star of fewer
rays leaves the rest).
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _star

FIELD = "image"
LEVELS = {1: (0.01, 1.0), 2: (0.02, 1.0), 3: (0.03, 1.0), 4: (0.05, 1.0), 5: (0.06, 1.0)}
RANGE = _levels.RANGE
STARS = 5


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image with stars, uint8 (h, w) or (h, w, 3)."""
    radius, shortest = _levels.at(__name__, LEVELS, severity, zero=(0.0, 0.0))
    height, width = value.shape[:2]
    pixel = _levels.scale(value.shape)
    places = rng.uniform((STARS, 2)) * np.array([height, width], dtype=np.float32)
    counts = rng.words16(STARS)
    spread = rng.normal((STARS, _star.MOST))
    kept = np.ones((height, width), dtype=np.float32)
    for place, count, lot in zip(places.tolist(), counts.tolist(), spread, strict=True):
        reach = _star.lengths(lot[: _star.rays(count)], radius * min(height, width))
        reach = np.maximum(reach, np.float32(shortest * pixel))
        near, off = _star.star((height, width), (place[0], place[1]), reach, pixel)
        kept *= 1 - np.minimum((1 - off) * near, 1)
    return _star.whitened(value, kept)
