"""Noise fields with a given spectrum: random phases, then an inverse Fourier transform that is the same on every CPU.

The transform is a radix-2 one (Cooley & Tukey 1965) of single float32 operations in a fixed order, with rounded
twiddle factors. Two real fields are made by one complex transform.
"""

import math
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.plugins.shifts import _sines

Field = NDArray[np.float32]


def fields(amplitudes: Field, drawn: NDArray[np.uint16]) -> Field:
    """Real fields float32 (count, n, n) whose Fourier coefficients have these amplitudes.

    A coefficient is the mean of its own and of the conjugate of its mirror image's random phase, times the amplitude:
    the real part of the inverse transform of `amplitudes` with `drawn` phases, not divided by n * n.

    Args:
        amplitudes: float32 (n, n), frequency 0 in the middle (n / 2, n / 2); n is a power of two.
        drawn: phases in 65,536ths of a turn, uint16 (count, n, n), laid out likewise.
    """
    count, side = drawn.shape[:2]
    pairs = -(-count // 2)
    real = np.empty((pairs, side, side), dtype=np.float32)
    imaginary = np.empty_like(real)
    _coefficients(amplitudes, drawn, _sines.table(), order(side), real, imaginary)
    made = np.empty((2 * pairs, side, side), dtype=np.float32)
    for pair in range(pairs):
        turned = made[2 * pair : 2 * pair + 2]
        _inverse(real[pair], imaginary[pair], *twiddles(side))
        cv2.transpose(real[pair], dst=turned[0])
        cv2.transpose(imaginary[pair], dst=turned[1])
        _inverse(turned[0], turned[1], *twiddles(side))
    return made[:count]


@lru_cache(maxsize=8)
def order(side: int) -> NDArray[np.int64]:
    """Frequency (middle at side / 2) of each row of the transform's input: bits reversed."""
    bits = side.bit_length() - 1
    reversed_bits = [int(f"{i:0{bits}b}"[::-1], 2) if bits else 0 for i in range(side)]
    return (np.array(reversed_bits, dtype=np.int64) + side // 2) % side


@lru_cache(maxsize=8)
def twiddles(side: int) -> tuple[Field, Field]:
    """Cosines and sines of k / side turns, k below side / 2, rounded to 24 bits."""
    angles = [2 * math.pi * k / side for k in range(max(side // 2, 1))]
    cosines, sines = ([round(f(angle) * (1 << 23)) for angle in angles] for f in (math.cos, math.sin))
    one = np.float32(1 << 23)
    return np.array(cosines, dtype=np.float32) / one, np.array(sines, dtype=np.float32) / one


@compiled
def _coefficients(
    amplitudes: Field,
    drawn: NDArray[np.uint16],
    sines: NDArray[np.int16],
    order: NDArray[np.int64],
    real: NDArray[np.float32],
    imaginary: NDArray[np.float32],
) -> None:
    """Fill the transform's input: a field's coefficients plus i times those of the next field."""
    count, side = drawn.shape[0], drawn.shape[1]
    half = np.float32(0.5 / 16384)
    for number in range(count):
        pair, second = number >> 1, number & 1
        for row in range(side):
            here = order[row]
            opposite = (side - here) & (side - 1)
            for column in range(side):
                there = order[column]
                mirrored = (side - there) & (side - 1)
                phase = drawn[number, there, here] >> 3  # the first transform is along the rows
                other = drawn[number, mirrored, opposite] >> 3
                scale = amplitudes[there, here] * half
                a = scale * np.float32(np.int32(sines[(phase + 2048) & 8191]) + np.int32(sines[(other + 2048) & 8191]))
                b = scale * np.float32(np.int32(sines[phase]) - np.int32(sines[other]))
                if second:
                    real[pair, row, column] -= b
                    imaginary[pair, row, column] += a
                else:
                    real[pair, row, column] = a
                    imaginary[pair, row, column] = b


@compiled
def _inverse(
    real: NDArray[np.float32], imaginary: NDArray[np.float32], cosines: NDArray[np.float32], sines: NDArray[np.float32]
) -> None:
    """Transform the columns of (n, n) in place; the input's rows are in bit-reversed order."""
    side, width = real.shape
    half = 1
    while half < side:
        for start in range(0, side, 2 * half):
            for k in range(half):
                c, s = cosines[k * (side // (2 * half))], sines[k * (side // (2 * half))]
                a, b = real[start + k], imaginary[start + k]
                d, e = real[start + half + k], imaginary[start + half + k]
                for column in range(width):
                    x = d[column] * c - e[column] * s
                    y = d[column] * s + e[column] * c
                    d[column], e[column] = a[column] - x, b[column] - y
                    a[column], b[column] = a[column] + x, b[column] + y
        half *= 2
