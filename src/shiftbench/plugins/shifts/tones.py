"""Tones: each grey level of a channel is replaced by another, whatever its place.

Images are uint8 (h, w) or (h, w, 3).
"""

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare
from shiftbench.plugins.shifts import _levels


@declare.image_shift(_levels.Linear((0.2, 0.4, 0.6, 0.8, 1.0), zero=0.0))
def inversion(image: NDArray[np.uint8], share: float, rng: RandomStream) -> NDArray[np.uint8]:
    """Inversion: bright values become their negative first, dark ones later, at level 5 all.

    Source: Hosseini et al. 2017, "On the limitation of convolutional neural networks in recognizing negative
    images", https://arxiv.org/abs/1703.06857, section 3 (255 - x, here level 5); on the way there it is the `solarize`
    of AutoAugment (Cubuk et al. 2019, https://arxiv.org/abs/1805.09501, table 6), which inverts the values above
    a threshold. Levels are the share of the grey scale that is inverted, from white down. Blending with
    the negative instead would pass through an image that is grey all over. Takes no random words.
    """
    grey = np.arange(256)
    return _replaced(image, np.where(grey >= 256 * (1 - share), 255 - grey, grey))


@declare.image_shift(_levels.Linear((16.0, 32.0, 48.0, 64.0, 128.0), zero=1.0))
def posterise(image: NDArray[np.uint8], step: float, rng: RandomStream) -> NDArray[np.uint8]:
    """Posterise: every channel keeps a few evenly spaced grey levels.

    Source: the `posterize` of AutoAugment (Cubuk et al. 2019, https://arxiv.org/abs/1805.09501) and AugMix
    (Hendrycks et al. 2020, https://arxiv.org/abs/1912.02781), which keep 4 bits and fewer. Levels are the step
    between two grey levels: 16, 32, 64 and 128 are 4, 3, 2 and 1 bits, 48 between them is ours. Differs: the
    nearest multiple of the step (there the next below, which darkens by half a step on average), so that
    black and white stay and there is one grey level more; any step, by severity. Takes no random words.
    """
    nearest = np.rint(np.rint(np.arange(256) / step) * step)
    return _replaced(image, np.minimum(nearest, 255))


def _replaced(image: NDArray[np.uint8], levels: NDArray[np.int64 | np.float64]) -> NDArray[np.uint8]:
    """An image with each of the 256 grey levels replaced by the one at its place in `levels`."""
    return np.asarray(cv2.LUT(image, levels.astype(np.uint8)), dtype=np.uint8).reshape(image.shape)
