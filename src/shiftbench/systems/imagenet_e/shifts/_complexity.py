"""Complexity C(x) = mean |FFT2(x)| over channels and frequencies (x in 0 to 1), and a way along its gradient.

Source: Li et al. 2023 (ImageNet-E), https://arxiv.org/abs/2303.17096, section 3; the release has
`abs(fftn(x, dim=(2, 3))).mean()`. The gradient is the inverse transform of F / |F|, the transform without its sizes:
dC/dx = Re(sum over k of F_k / |F_k| exp(+i phase)) / (number of values). |F| is sqrt(re^2 + im^2 + 1e-8), smooth at 0.
All coefficients of F / |F| have size 1, so that the gradient has the same size at every image (Parseval).

The transform is our own, so that its bytes are the same on every CPU: stages of the prime factors of the side
(Stockham's order, Cooley and Tukey 1965), single float32 operations in a fixed order, rounded twiddle factors.
"""

import math
from collections.abc import Callable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled

Field = NDArray[np.float32]
STEPS = 25
WHITE = np.float32(255)


def complexity(image: NDArray[np.uint8], *, mean: bool = True) -> float:
    """C of an image uint8 (h, w) or (h, w, 3); for reports, not for bytes.

    Args:
        image: grey or colour.
        mean: whether frequency 0, the image's mean, counts. It is the largest; without it images of other brightness
            can be compared.
    """
    sizes = np.abs(np.fft.fft2(image / 255.0, axes=(0, 1)))
    if not mean:
        sizes[0, 0] = 0.0
    return float(sizes.mean())


def gradient(layer: Field, kink: float = 0.0) -> Field:
    """C's gradient at one channel, float32 (h, w) in 0 to 1, times its number of values.

    Channels do not meet in C, so that the gradient of each is its own.

    Args:
        layer: the channel.
        kink: the size up to which a coefficient's gradient is smaller than 1 (in proportion), so that a step down of
            this size ends at 0 and not beyond.
    """
    both = np.stack([layer, np.zeros_like(layer)])  # real and imaginary parts
    both = _columns(_columns(both))
    _normalise(both, np.float32(kink))
    real: Field = _columns(_columns(both))[0]
    return real


def guide(
    image: NDArray[np.uint8], way: float, steps: int = STEPS, also: Callable[[list[Field]], list[Field]] | None = None
) -> NDArray[np.uint8]:
    """An image that went up (way > 0) or down C's gradient.

    Each of the steps goes |way| / steps grey levels, root mean square, along the gradient of the image as it then is,
    and is held within black and white; on the way down a coefficient ends at 0.

    Args:
        image: uint8 (h, w) or (h, w, 3).
        way: in grey levels.
        steps: at least 1.
        also: gives a second gradient, of something that is to grow, at the channels as they then are (0 to 255); both
            count alike.
    """
    layers = np.ascontiguousarray(image).reshape(*image.shape[:2], -1)
    now = [np.ascontiguousarray(layers[..., c]).astype(np.float32) for c in range(layers.shape[2])]
    length, root = abs(way) / steps, math.sqrt(layers[..., 0].size)
    kink, unit = (0.0, 1 / root) if way > 0 else (length * root / 255, -1 / root)
    for _ in range(steps):
        ways = [gradient(layer / WHITE, kink) * np.float32(unit) for layer in now]
        if also:
            more = _unit(also(now))
            ways = _unit([a + b for a, b in zip(ways, more, strict=True)])
        for layer, one in zip(now, ways, strict=True):
            _step(layer, one, np.float32(length))
    return np.stack([_round(layer) for layer in now], axis=-1).reshape(image.shape)


def _unit(gradients: list[Field]) -> list[Field]:
    """Gradients brought to a root mean square of 1; 0 stays 0."""
    total = sum((_square(one) for one in gradients), 0.0)
    count = sum(one.size for one in gradients)
    size = np.float32(np.sqrt(total / count)) if total else np.float32(1)
    return [one / size for one in gradients]


def _round(layer: Field) -> NDArray[np.uint8]:
    levels: NDArray[np.uint8] = np.floor(layer + np.float32(0.5)).astype(np.uint8)
    return levels


def _columns(both: Field) -> Field:
    """The Fourier transform of each column, turned: what was a row is a column."""
    side, stride = both.shape[1], 1
    for prime in primes(side):
        out = np.empty_like(both)
        _stage(both, out, circle(side), prime, stride)
        both, stride = out, stride * prime
    return np.ascontiguousarray(both.transpose(0, 2, 1))


@lru_cache(maxsize=64)
def primes(side: int) -> tuple[int, ...]:
    """The prime factors, ascending."""
    factors, rest, factor = [], side, 2
    while rest > 1:
        while rest % factor == 0:
            factors.append(factor)
            rest //= factor
        factor += 1
    return tuple(factors)


@lru_cache(maxsize=64)
def circle(side: int) -> Field:
    """Cosines and sines of -k / side turns, k below side, rounded to 23 bits: float32 (2, side)."""
    angles = [-2 * math.pi * k / side for k in range(side)]
    whole = [[round(f(angle) * (1 << 23)) for angle in angles] for f in (math.cos, math.sin)]
    return np.array(whole, dtype=np.float32) / np.float32(1 << 23)


@compiled
def _stage(both: Field, out: Field, circle: Field, prime: int, stride: int) -> None:
    """One stage: transforms of `prime` rows that lie apart, times twiddle factors; arrays are (2, side, width)."""
    side, width = both.shape[1], both.shape[2]
    parts = side // (stride * prime)
    for part in range(parts):
        for place in range(stride):
            for k in range(prime):
                to = place + stride * (prime * part + k)
                re, im = out[0, to], out[1, to]
                for column in range(width):
                    re[column] = np.float32(0)
                    im[column] = np.float32(0)
                for j in range(prime):
                    at = place + stride * (part + parts * j)
                    turn = (j * k * parts * stride + part * k * stride) % side
                    c, s = circle[0, turn], circle[1, turn]
                    a, b = both[0, at], both[1, at]
                    for column in range(width):
                        re[column] += a[column] * c - b[column] * s
                        im[column] += a[column] * s + b[column] * c


@compiled
def _normalise(both: Field, kink: np.float32) -> None:
    """Divide each coefficient by its size and conjugate it, so that the next transform is the inverse one."""
    smooth = np.float32(1e-8)
    for row in range(both.shape[1]):
        for column in range(both.shape[2]):
            a, b = both[0, row, column], both[1, row, column]
            size = max(np.float32(np.sqrt(a * a + b * b + smooth)), kink)
            both[0, row, column] = a / size
            both[1, row, column] = -b / size


@compiled
def _square(gradient: Field) -> float:
    """The sum of squares, added row by row."""
    total = 0.0
    for row in range(gradient.shape[0]):
        for column in range(gradient.shape[1]):
            value = np.float64(gradient[row, column])
            total += value * value
    return total


@compiled
def _step(layer: Field, gradient: Field, length: np.float32) -> None:
    """Add a multiple of the gradient, within 0 to 255."""
    low, high = np.float32(0), np.float32(255)
    for row in range(layer.shape[0]):
        for column in range(layer.shape[1]):
            value = layer[row, column] + gradient[row, column] * length
            layer[row, column] = min(max(value, low), high)
