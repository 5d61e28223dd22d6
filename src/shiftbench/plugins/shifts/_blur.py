"""Blurs in whole numbers: Gaussian weights that are 256ths, and images reduced before a wide blur.

OpenCV's float filters add in an order that depends on the CPU. Here every weight is a whole number of
256ths and every pixel a whole number of grey levels, so that each partial sum has 24 bits at most, which
float32 holds exactly: any order of sums, fused or not, gives the same.
"""

import math
from decimal import Decimal
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled

ONE = 256  # the sum of weights
FINE = 128  # parts of a grey level between the steps of a wide blur
WIDEST = 6.0  # pixels: a wider Gaussian is made on a reduced image


def gaussian(
    value: NDArray[np.uint8], sigma: float, pixel: float, truncate: float = 4.0, rounding: float = 0.5
) -> NDArray[np.uint8]:
    """A Gaussian blur of `value`, uint8 (h, w) or (h, w, c), edges repeated.

    Args:
        value: the image.
        sigma: standard deviation in reference pixels; 0 returns a copy.
        pixel: size of a reference pixel in this image's.
        truncate: weights end at this many sigmas.
        rounding: added before the fraction is cut off: 1/2 rounds, 0 cuts off.
    """
    wide, factor = sigma * pixel, reduction(sigma * pixel, WIDEST)
    if factor > 1:  # reducing and enlarging are a blur too, of variance factor**2 / 4
        small = reduced(value, factor)
        inner = math.sqrt((wide / factor) ** 2 - 0.25)
        fine = _filtered(small, gaussian_weights(inner, 1, truncate), 0.5 / FINE)
        return enlarged((fine * FINE).astype(np.uint16), factor, value.shape, rounding)
    weights = gaussian_weights(wide, parts(pixel), truncate)
    return _filtered(value, weights, rounding).astype(np.uint8)


def _filtered(value: NDArray[np.uint8], weights: tuple[int, ...], add: float) -> NDArray[np.floating]:
    """The separable filter plus `add`, exact in float32."""
    kernel = np.array(weights, dtype=np.float32) / np.float32(ONE)
    source, border = np.ascontiguousarray(value), cv2.BORDER_REPLICATE
    filtered = cv2.sepFilter2D(source, cv2.CV_32F, kernel, kernel, delta=add, borderType=border)
    return np.asarray(filtered, dtype=np.float32).reshape(value.shape)


def parts(pixel: float) -> int:
    """Samples of a kernel per pixel: at least one per reference pixel."""
    return max(1, math.ceil(1 / pixel))


def reduction(size: float, widest: float) -> int:
    """By how much to reduce an image so that `size` is at most `widest`: 1, 2, 4, 8, ..."""
    factor = 1
    while size > widest * factor:
        factor *= 2
    return factor


@lru_cache(maxsize=64)
def gaussian_weights(sigma: float, samples: int = 1, truncate: float = 4.0) -> tuple[int, ...]:
    """Symmetric weights that sum to 256, at most `truncate` sigmas from the middle.

    The Gaussian is sampled `samples` times per pixel; a sample between two pixels is shared by both.
    Rounding errors are handed on from tap to tap, so that a wide Gaussian keeps its width. Decimal
    exponentials, since those of the C library may differ between CPUs.
    """
    reach = int(truncate * sigma * samples + 0.5)
    exact = [Decimal(0)] * (reach // samples + 2)
    exact[0] = Decimal(samples)
    for sample in range(1, reach + 1):
        pixel, part = divmod(sample, samples)
        height = (-((Decimal(sample) / samples / Decimal(sigma)) ** 2) / 2).exp()
        exact[pixel] += height * (samples - part) * (1 if pixel else 2)
        exact[pixel + 1] += height * part
    share, error = ONE / (2 * sum(exact) - exact[0]), Decimal(0)
    half = [0] * len(exact)
    for i in range(len(exact) - 1, 0, -1):
        half[i] = round(exact[i] * share + error)
        error += exact[i] * share - half[i]
    half[0] = ONE - 2 * sum(half)
    while len(half) > 1 and half[-1] == 0:
        half.pop()
    return (*half[:0:-1], *half)


def reduced(value: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Means of `factor` x `factor` pixels; one cell of repeated edge, or more, on each side."""
    height, width = value.shape[:2]
    down, right = factor + -height % factor, factor + -width % factor
    source, border = np.ascontiguousarray(value), cv2.BORDER_REPLICATE
    padded = cv2.copyMakeBorder(source, factor, down, factor, right, border)
    rows = np.asarray(padded, dtype=np.uint8).reshape(len(padded), -1)
    cells = (len(rows) // factor, (width + factor + right) // factor, *value.shape[2:])
    small = np.empty(cells, dtype=np.uint8)
    _reduce(rows, factor, math.prod(value.shape[2:]), small.reshape(len(small), -1))
    return small


def enlarged(fine: NDArray[np.uint16], factor: int, shape: tuple[int, ...], rounding: float = 0.5) -> NDArray[np.uint8]:
    """Full-size image from the result of `reduced`: linear between the cells' middles.

    Args:
        fine: uint16 cells in 128ths of a grey level.
        factor: the factor of the reduction, a power of two.
        shape: of the image that was reduced.
        rounding: added before the fraction is cut off.
    """
    large = np.empty(shape, dtype=np.uint8)
    rows, bits = fine.reshape(len(fine), -1), 7 + 2 * factor.bit_length()  # FINE's and the weights'
    add = int(rounding * (1 << bits))
    _enlarge(rows, bits, add, math.prod(shape[2:]), large.reshape(len(large), -1))
    return large


@compiled
def _reduce(rows: NDArray[np.uint8], factor: int, channels: int, out: NDArray[np.uint8]) -> None:
    """Fill `out` (cells, cells * channels) with rounded means."""
    total = np.empty(rows.shape[1], dtype=np.uint32)
    area = factor * factor
    for row in range(out.shape[0]):
        total[:] = 0
        for line in range(factor):
            seen = rows[row * factor + line]
            for i in range(len(total)):
                total[i] += np.uint32(seen[i])
        for cell in range(out.shape[1] // channels):
            for channel in range(channels):
                both = area // 2
                for i in range(factor):
                    both += total[(cell * factor + i) * channels + channel]
                out[row, cell * channels + channel] = both // area


@compiled
def _enlarge(rows: NDArray[np.uint16], bits: int, add: int, channels: int, out: NDArray[np.uint8]) -> None:
    """Fill `out` (h, w * channels), whose first pixel is the first of the second cell."""
    double = 1 << (bits - 7) // 2  # pixels of two cells
    factor, half = double // 2, np.uint32(add)
    line = np.empty(rows.shape[1], dtype=np.uint32)
    for row in range(out.shape[0]):
        cell, part = divmod(2 * row + factor + 1, double)
        above, below = rows[cell], rows[cell + 1]
        near, far = np.uint32(double - part), np.uint32(part)
        for i in range(len(line)):
            line[i] = above[i] * near + below[i] * far
        for column in range(out.shape[1] // channels):
            cell, part = divmod(2 * column + factor + 1, double)
            near, far = np.uint32(double - part), np.uint32(part)
            for channel in range(channels):
                at = np.uint64(cell * channels + channel)
                total = line[at] * near + line[np.uint64(at + np.uint64(channels))] * far
                out[row, column * channels + channel] = np.uint32(total + half) >> np.uint32(bits)
