"""Canny edges: the picture fades into white contours on black, without texture and shading.

Levels are the share of the contours in the mixture, ours. At level 5 the contours are those of the source, to the
pixel. The edges are those of scikit-image 0.26 (`feature.canny`): a Gaussian whose window is cut at the border and
normalised again, Sobel's gradients, thinning by interpolation along the gradient, and two thresholds joined by the 8
neighbours. Pixels at the border are no edges. Takes no random words.

Products and sums are single IEEE operations, because matrix products and exponentials differ between CPUs. The window
is rounded.

Source: Chen, Agarwal and Nguyen 2020, arXiv:2006.09373, whose `generate_edge_maps.py` calls scikit-image's Canny with
sigma 0.4 and thresholds 0.35 and 0.9 on the grey picture (Rec. 709) from 0 to 1, https://github.com/anguyen8/shape-bias;
Canny, "A Computational Approach to Edge Detection", PAMI 1986; van der Walt et al. 2014.
"""

import math
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field
from scipy import ndimage

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels
from shiftbench.systems.shape_bias_robust_cnns.shifts._blend import blend

FIELD = "image"
LEVELS = {1: 0.2, 2: 0.4, 3: 0.6, 4: 0.8, 5: 1.0}
RANGE = _levels.RANGE
Floats = NDArray[np.float64]


def apply(
    value: NDArray[np.uint8],
    severity: float,
    rng: RandomStream,
    *,
    sigma: Annotated[float, Field(gt=0, description="width of the Gaussian, in pixels")] = 0.4,
    low: Annotated[float, Field(ge=0, description="gradient from which a neighbour of an edge is an edge")] = 0.35,
    high: Annotated[float, Field(ge=0, description="gradient from which a pixel is an edge")] = 0.9,
) -> NDArray[np.uint8]:
    """An image mixed with its contours, uint8 (h, w) or (h, w, 3).

    Raises:
        RangeError: severity outside 0 to 5.
    """
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    edges = canny(grey(value), sigma, low, high)
    return blend(value, np.where(edges, 255, 0).astype(np.uint8), share)


def grey(value: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Luminance of an image, 0 to 1, float64 (h, w), with scikit-image's weights of red, green and blue."""
    if value.ndim == 2:
        return value / 255
    red, green, blue = (value[..., channel].astype(np.int64) for channel in range(3))
    return (2125 * red + 7154 * green + 721 * blue) / (10000 * 255)


def canny(grey: Floats, sigma: float, low: float, high: float) -> NDArray[np.bool_]:
    """Edge pixels, bool (h, w).

    Args:
        grey: (h, w), 0 to 1.
        sigma: of the Gaussian, in pixels.
        low: threshold of Sobel's gradient, whose largest value is 4 times a step's height.
        high: threshold that a chain of edges passes somewhere.
    """
    if min(grey.shape) < 3:
        return np.zeros(grey.shape, dtype=bool)
    smooth = _blurred(grey, sigma)
    vertical, horizontal = _sobel(smooth), _sobel(smooth.T).T
    strength = np.sqrt(vertical * vertical + horizontal * horizontal)
    thin = _thinned(vertical, horizontal, strength)
    weak = np.zeros(grey.shape, dtype=bool)
    weak[1:-1, 1:-1] = thin & (strength[1:-1, 1:-1] >= low)
    strong = weak & (strength >= high)
    components, count = ndimage.label(weak, np.ones((3, 3), int))
    is_edge_component = np.zeros(count + 1, dtype=bool)
    is_edge_component[components[strong]] = True
    edges: NDArray[np.bool_] = is_edge_component[components] & weak
    return edges


def _blurred(grey: Floats, sigma: float) -> Floats:
    """Gaussian mean over the pixels inside the picture."""
    radius = int(4 * sigma + 0.5)
    half = [math.exp(-0.5 * (x / sigma) ** 2) for x in range(radius + 1)]
    window = [round(x / (half[0] + 2 * sum(half[1:])), 12) for x in half]
    ones = np.ones_like(grey)
    for _ in range(2):
        grey, ones = _along(grey, window).T, _along(ones, window).T
    return np.ascontiguousarray(grey / (ones + np.finfo(float).eps))


def _along(values: Floats, window: list[float]) -> Floats:
    """Sums down the columns, weighted by a symmetric window; pixels outside are 0."""
    reach, height = len(window) - 1, values.shape[0]
    padded = np.pad(values, ((reach, reach), (0, 0)))
    total = window[0] * values
    for offset in range(1, reach + 1):
        upper, lower = padded[reach - offset :][:height], padded[reach + offset :][:height]
        total = total + window[offset] * (upper + lower)
    return total


def _sobel(values: Floats) -> Floats:
    """Gradient down the rows, smoothed across by 1, 2, 1; the border is mirrored."""
    padded = np.pad(values, 1, mode="symmetric")
    step = padded[2:] - padded[:-2]
    smoothed: Floats = (step[:, :-2] + step[:, 2:]) + 2 * step[:, 1:-1]
    return smoothed


def _thinned(vertical: Floats, horizontal: Floats, strength: Floats) -> NDArray[np.bool_]:
    """Inner pixels whose strength is the largest along the gradient, bool (h - 2, w - 2)."""
    v, h, centre = vertical[1:-1, 1:-1], horizontal[1:-1, 1:-1], strength[1:-1, 1:-1]
    tall, wide = np.abs(v), np.abs(h)
    same_sign = ((v >= 0) & (h >= 0)) | ((v <= 0) & (h <= 0))  # both components have one sign
    steep = np.where(same_sign, tall > wide, tall >= wide)
    with np.errstate(divide="ignore", invalid="ignore"):
        part = np.where(steep, wide / tall, tall / wide)
    part = np.nan_to_num(part)
    rows, columns = strength.shape[0] - 2, strength.shape[1] - 2

    def shifted(dy: int, dx: int) -> Floats:
        view: Floats = strength[1 + dy : 1 + dy + rows, 1 + dx : 1 + dx + columns]
        return view

    straight_ahead = np.where(steep, np.where(same_sign, shifted(1, 0), shifted(-1, 0)), shifted(0, 1))
    straight_behind = np.where(steep, np.where(same_sign, shifted(-1, 0), shifted(1, 0)), shifted(0, -1))
    diagonal_ahead, diagonal_behind = (
        np.where(same_sign, shifted(1, 1), shifted(-1, 1)),
        np.where(same_sign, shifted(-1, -1), shifted(1, -1)),
    )
    highest: NDArray[np.bool_] = (diagonal_ahead * part + straight_ahead * (1 - part) <= centre) & (
        diagonal_behind * part + straight_behind * (1 - part) <= centre
    )
    return highest
