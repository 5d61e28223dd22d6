"""The distribution of sinusoids y = A sin(x + phase): how tasks are drawn, and points of them.

A task's identifier is (A, phase). Sines are single IEEE operations, so that points are the same on every CPU; they are
within 1e-13 of the sine.

Source: Finn, Abbeel and Levine 2017, arXiv:1703.03400, section 5.1; the ranges are those of both MAML and MPTS
(arXiv 2501.11039; thu-rllab/MPTS, sinusoid/main.py).
"""

import math

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream

Floats = NDArray[np.float64]
Points = NDArray[np.float32]

NAMES = ("amplitude", "phase")
"""Of the numbers of an identifier."""
BOUNDS = ((0.1, 5.0), (0.0, math.pi))
"""Of each number where tasks are drawn."""
INPUTS = (-5.0, 5.0)
_SERIES = tuple((-1) ** k / math.factorial(2 * k + 1) for k in range(10))


def sample(shape: tuple[int, ...], rng: RandomStream) -> Floats:
    """Identifiers of tasks, uniform within BOUNDS, float64 (*shape, 2)."""
    low, high = np.array(BOUNDS).T
    randoms = rng.uniform((*shape, len(BOUNDS))).astype(np.float64)
    return np.asarray(low + randoms * (high - low))


def make(identifiers: Floats, count: int, rng: RandomStream) -> Points:
    """`count` points of each task at uniform inputs, float32 (*shape, count, 2): input and target.

    Args:
        identifiers: float64 (*shape, 2).
        count: points of each task.
        rng: gives one 16-bit word for each point.
    """
    low, high = INPUTS
    randoms = rng.uniform((*identifiers.shape[:-1], count)).astype(np.float64)
    return at(identifiers, low + randoms * (high - low))


def grid(identifiers: Floats, count: int) -> Points:
    """`count` points of each task at equal distances over INPUTS, float32 (*shape, count, 2)."""
    inputs = np.linspace(*INPUTS, count)
    return at(identifiers, np.broadcast_to(inputs, (*identifiers.shape[:-1], count)))


def at(identifiers: Floats, inputs: NDArray[np.floating]) -> Points:
    """Points of tasks at inputs (*shape, count), which are rounded to float32 before."""
    rounded = inputs.astype(np.float32)
    amplitude, phase = identifiers[..., :1], identifiers[..., 1:]
    targets = amplitude * sine(rounded.astype(np.float64) + phase)
    return np.stack([rounded, targets.astype(np.float32)], axis=-1)


def sine(angle: Floats) -> Floats:
    """Sine of angles in radians: Taylor's series within a quarter turn."""
    turns = angle * (0.5 / math.pi)
    turns = turns - np.rint(turns)
    folded = np.where(np.abs(turns) > 0.25, np.copysign(0.5, turns) - turns, turns)
    radians = folded * (2 * math.pi)
    square, total = radians * radians, np.full_like(radians, _SERIES[-1])
    for factor in reversed(_SERIES[:-1]):
        total = total * square + factor
    return np.asarray(radians * total)
