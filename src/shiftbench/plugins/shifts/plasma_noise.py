"""Plasma noise: the image is mixed with coloured swirls (sines of sines).

Source: Mintun, Kirillov & Xie 2021 (ImageNet-C-bar), https://arxiv.org/abs/2102.11273; levels are the
swirls' share of 255 grey levels, from `imagenet_c_bar.csv` and `corrupt.py` of
https://github.com/facebookresearch/augmentation-corruption. Each point is moved four to six times by sines of its
own place, finer each time; the colours are sines of where it ends, from -1 to 1: what is negative darkens.
Differs: a grey image gets the first of the three colours; sines from a polynomial (0.1 grey levels from exact
ones at most); rounded, not truncated.

Takes four 16-bit words: time, rounds, sharpness, size.
"""

import math

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled
from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _levels, _sines

FIELD = "image"
LEVELS = {1: 0.475, 2: 0.7, 3: 0.85, 4: 0.925, 5: 1.0}
RANGE = _levels.RANGE
FULL = 64  # grey levels


def apply(value: NDArray[np.uint8], severity: float, rng: RandomStream) -> NDArray[np.uint8]:
    """An image mixed with swirls, uint8 (h, w) or (h, w, 3)."""
    (amount,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    height, width = value.shape[:2]
    pixel, rounds, colours = swirl(rng.words16(4).tolist(), min(height, width))
    strength = np.array([1 - amount * FULL / 255, amount * FULL], dtype=np.float32)
    phases = np.empty((3, height, width), dtype=np.float32)
    _move(_sines.SINE, pixel, rounds, colours, phases)
    clean = np.ascontiguousarray(value).reshape(height, width, -1)
    mixed = np.empty_like(clean)
    _mix(clean, _sines.SINE, phases, strength, mixed)
    return mixed.reshape(value.shape)


def swirl(drawn: list[int], side: int) -> tuple[np.float32, NDArray[np.float32], NDArray[np.float32]]:
    """The parameters of the swirls; lengths and angles in turns.

    Returns:
        what one pixel is; float32 (rounds, 4) of each round: frequency, phases of both directions, reach;
        float32 (2,) of the colours: phase, and shift of the second colour.
    """
    time, rounds, sharpness, size = ((word + 0.5) / (1 << 16) for word in drawn)
    around = 2 * math.pi
    seconds = time * 6 * math.pi
    pixel = 1 / ((0.075 + 0.125 * size) * side * around)
    table, frequency, slowness, bluntness = [], 1.0, 1.0, 1.0
    for _ in range(4 + int(rounds * 3)):
        phase = seconds / slowness / around
        table.append((frequency, (phase + 0.25) % 1, phase % 1, 1 / (bluntness * around)))
        frequency, slowness = frequency * 1.93, slowness * 1.15
        bluntness *= 2.25 - (0.5 + 0.5 * sharpness)
    phase = (drawn[0] * 3 * _sines.TURN + 3 * _sines.TURN // 2) >> 16
    colours = (time * 3 % 1, _sines.sine(phase) / around)
    return np.float32(pixel), np.array(table, dtype=np.float32), np.array(colours, dtype=np.float32)


@compiled
def _move(
    sine: tuple[np.float32, ...],
    pixel: np.float32,
    rounds: NDArray[np.float32],
    colours: NDArray[np.float32],
    phases: NDArray[np.float32],
) -> None:
    """Fill the phases of the three colours (3, h, w)."""
    half, part = np.float32(0.5), np.float32(0.3)
    first, second, third, fourth, fifth = sine

    def sin(turns: np.float32) -> np.float32:
        t = np.float32(turns - np.floor(turns + half))
        s = np.float32(t * t)
        return np.float32(t * (first + s * (second + s * (third + s * (fourth + s * fifth)))))

    for row in range(phases.shape[1]):
        x, both, y = phases[0, row], phases[1, row], phases[2, row]
        for column in range(len(x)):
            x[column] = np.float32(column) * pixel
            y[column] = np.float32(row) * pixel
        for frequency, turned, straight, reach in rounds:
            for column in range(len(x)):
                right = sin(y[column] * frequency + turned) * reach
                down = sin(x[column] * frequency + straight) * reach
                x[column] += right - down * part
                y[column] += down + right * part
        for column in range(len(x)):
            both[column] = (x[column] + y[column] + colours[1]) * half
            x[column] -= colours[0]
            y[column] += colours[0]


@compiled
def _mix(
    clean: NDArray[np.uint8],
    sine: tuple[np.float32, ...],
    phases: NDArray[np.float32],
    strength: NDArray[np.float32],
    out: NDArray[np.uint8],
) -> None:
    """Fill `out` (h, w, c)."""
    half, darkest, brightest = np.float32(0.5), np.float32(0), np.float32(255)
    first, second, third, fourth, fifth = sine
    kept, amount = strength
    for row in range(clean.shape[0]):
        for channel in range(clean.shape[2]):
            for column in range(clean.shape[1]):
                phase = phases[channel, row, column]
                t = phase - np.floor(phase + half)
                s = t * t
                noise = t * (first + s * (second + s * (third + s * (fourth + s * fifth))))
                grey = np.float32(clean[row, column, channel]) * kept + noise * amount
                grey = min(max(grey, darkest), brightest) + half
                out[row, column, channel] = np.int32(grey)
