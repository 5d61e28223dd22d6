"""Canny's edges as scikit-image finds them (0.26, `feature.canny`), in operations that are the same on every CPU.

Source: Canny, "A Computational Approach to Edge Detection", PAMI 1986; van der Walt et al. 2014, whose steps these are:
a Gaussian whose window is cut at the border and made whole again, Sobel's gradients, thinning by interpolation along
the gradient, two thresholds joined by neighbours (8 of them). Pixels at the border are no edges. Products and sums are
written out, one IEEE operation each, since matrix products and exponentials differ between CPUs; the window is rounded.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Floats = NDArray[np.float64]


def canny(grey: Floats, sigma: float, low: float, high: float) -> NDArray[np.bool_]:
    """Return where edges are, bool (h, w).

    Args:
        grey: (h, w), 0 to 1.
        sigma: of the Gaussian, in pixels.
        low: threshold of Sobel's gradient, whose largest value is 4 times a step's height.
        high: threshold that a chain of edges passes somewhere.
    """
    if min(grey.shape) < 3:
        return np.zeros(grey.shape, dtype=bool)
    smooth = _blurred(grey, sigma)
    down, across = _sobel(smooth), _sobel(smooth.T).T
    strength = np.sqrt(down * down + across * across)
    thin = _thinned(down, across, strength)
    weak = np.zeros(grey.shape, dtype=bool)
    weak[1:-1, 1:-1] = thin & (strength[1:-1, 1:-1] >= low)
    strong = weak & (strength >= high)
    joined, count = ndimage.label(weak, np.ones((3, 3), int))
    kept = np.zeros(count + 1, dtype=bool)
    kept[joined[strong]] = True
    edges: NDArray[np.bool_] = kept[joined] & weak
    return edges


def _blurred(grey: Floats, sigma: float) -> Floats:
    """Return a Gaussian mean over what lies within the picture."""
    radius = int(4 * sigma + 0.5)
    half = [math.exp(-0.5 * (x / sigma) ** 2) for x in range(radius + 1)]
    window = [round(x / (half[0] + 2 * sum(half[1:])), 12) for x in half]
    ones = np.ones_like(grey)
    for _ in range(2):
        grey, ones = _along(grey, window).T, _along(ones, window).T
    return np.ascontiguousarray(grey / (ones + np.finfo(float).eps))


def _along(values: Floats, window: list[float]) -> Floats:
    """Return sums down the columns, weighted by a symmetric window; outside is 0."""
    reach, height = len(window) - 1, values.shape[0]
    padded = np.pad(values, ((reach, reach), (0, 0)))
    total = window[0] * values
    for away in range(1, reach + 1):
        above, below = padded[reach - away :][:height], padded[reach + away :][:height]
        total = total + window[away] * (above + below)
    return total


def _sobel(values: Floats) -> Floats:
    """Return the gradient down the rows, smoothed across by 1, 2, 1; the border is mirrored."""
    padded = np.pad(values, 1, mode="symmetric")
    step = padded[2:] - padded[:-2]
    smoothed: Floats = (step[:, :-2] + step[:, 2:]) + 2 * step[:, 1:-1]
    return smoothed


def _thinned(down: Floats, across: Floats, strength: Floats) -> NDArray[np.bool_]:
    """Return where no strength before or behind, along the gradient, is larger; inner pixels, bool (h - 2, w - 2)."""
    v, h, here = down[1:-1, 1:-1], across[1:-1, 1:-1], strength[1:-1, 1:-1]
    tall, wide = np.abs(v), np.abs(h)
    same = ((v >= 0) & (h >= 0)) | ((v <= 0) & (h <= 0))  # both components have one sign
    steep = np.where(same, tall > wide, tall >= wide)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(steep, wide / tall, tall / wide)
    part = np.nan_to_num(part)
    rows, columns = strength.shape[0] - 2, strength.shape[1] - 2

    def at(dy: int, dx: int) -> Floats:
        found: Floats = strength[1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + columns]
        return found

    ahead = np.where(steep, np.where(same, at(1, 0), at(-1, 0)), at(0, 1))
    behind = np.where(steep, np.where(same, at(-1, 0), at(1, 0)), at(0, -1))
    beyond, before = np.where(same, at(1, 1), at(-1, 1)), np.where(same, at(-1, -1), at(1, -1))
    highest: NDArray[np.bool_] = (beyond * part + ahead * (1 - part) <= here) & (
        before * part + behind * (1 - part) <= here
    )
    return highest
