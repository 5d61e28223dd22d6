"""Object size: the object is made smaller where it stands, and the hole around it filled.

Source: Li et al. 2023 (ImageNet-E), https://arxiv.org/abs/2303.17096, section 3: the object is scaled about
itself until it takes the share p of the image, |share - p| <= 0.015; an object that is smaller stays as
it is. Levels are p: 0.1, 0.08 and 0.05 are the paper's. Differs: from severity 0 to 1 p falls from the object's
own share; the share counts all parts of an object (the release: the largest), half transparent pixels half;
the hole is filled smoothly, which shows where the background has texture (there by diffusion); the paper's
"Full" (larger) is not among the levels.

The object is made smaller with Pillow's triangle filter, times its alpha. Takes no random words.
"""

import math

from shiftbench.base.rng import RandomStream
from shiftbench.base.sample import Sample
from shiftbench.plugins.shifts import _levels, _masks, _objects

FIELD = None
LEVELS = {1: 0.2, 2: 0.15, 3: 0.1, 4: 0.08, 5: 0.05}
RANGE = _levels.RANGE


def apply(value: Sample, severity: float, rng: RandomStream) -> Sample:
    """A sample whose object is smaller, image and mask.

    `value`: with `image`, uint8 (h, w) or (h, w, 3), and `mask`, uint8 (h, w).
    """
    _levels.check(__name__, severity)
    image, mask = _masks.fields(__name__, value)
    own = _masks.rate(mask)
    (share,) = _levels.at(__name__, LEVELS, severity, zero=max(own, LEVELS[1]))
    parts = _objects.find(__name__, image, mask)
    if share >= own:
        return _objects.unchanged(value)
    smaller = _objects.resized(parts, math.sqrt(share / own))
    top = parts.box.top + (parts.box.height - smaller.shape[0]) // 2
    left = parts.box.left + (parts.box.width - smaller.shape[1]) // 2
    return _objects.placed(value, parts.background, smaller, top, left)
