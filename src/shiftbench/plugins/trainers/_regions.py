"""Regions of poses: boxes with sides along the axes, grown while even the easiest pose beside them is a failure.

`grow` is the second phase of PoseExaminer. Every `redraw` iterations `faces` of the 2 d faces are drawn without
replacement from probabilities that begin uniform. Beside each, `poses` points are drawn, uniform in the box but for
the coordinate of the face, which is uniform in a shell of width g outside of it. If the *smallest* error of all of
them lies above the threshold, each of the faces that the prior accepts moves outward by g, else none moves. g follows
from the smallest error of the last iteration (`Width`). A face is not accepted where more than `rejected` of its
points are implausible. Faces at a limit have their probability halved, in each iteration.

The release writes the step as a gradient: log(1 / volume) times the reward max(0, (E - T) mean(h + l) 20), brought to
0.7 to 1.3 g. That has nothing to do with the points that were drawn, and is kept here as what it comes to: a move by
g. It also draws the other chosen coordinates from the half of the box on their own side, moves no face of a
coordinate that is beyond a limit on either side, draws points beyond limits and draws the centre anew in each
iteration; here the box is whole, and points and faces end at the limits.

Source: Liu, Kortylewski and Yuille 2023, PoseExaminer, arXiv:2303.07337, and its code (qihao067/PoseExaminer,
`train_advTesting.py`, `render_pose.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.errors import RangeError
from shiftbench.base.rng import RandomStream

Floats = NDArray[np.float64]
Errors = Callable[[Floats], Floats]
"""Errors (n,) of the model at points (n, d)."""


class Limits(NamedTuple):
    """The smallest and largest value of each coordinate, float64 (d,)."""

    low: Floats
    high: Floats


class Prior(NamedTuple):
    """What poses may be.

    Attributes:
        limits: of the coordinates.
        plausible: which of points (n, d) are accepted, bool (n,).
    """

    limits: Limits
    plausible: Callable[[Floats], NDArray[np.bool_]]


@dataclass(frozen=True, eq=False)
class Region:
    """A box around a centre.

    Attributes:
        centre: float64 (d,).
        low: its lower ends, float64 (d,); the release keeps centre - low as "bottom".
        high: its upper ends, float64 (d,); the release keeps high - centre as "top".
    """

    centre: Floats
    low: Floats
    high: Floats

    @classmethod
    def around(cls, centre: Floats, half: float, limits: Limits) -> Region:
        """The box of `half` to both sides of a centre, cut off at the limits.

        Raises:
            RangeError: the centre lies outside of the limits.
        """
        if (centre < limits.low).any() or (centre > limits.high).any():
            raise RangeError("the centre of a region lies outside of the limits; clip it first")
        return cls(centre, centre, centre).widened(half, limits)

    @property
    def size(self) -> float:
        """The length of its diagonal, ||h + l||."""
        return float(np.linalg.norm(self.high - self.low))

    def widened(self, by: float | Floats, limits: Limits) -> Region:
        """The box, wider on each side, cut off at the limits.

        Args:
            by: on all sides, or float64 (2, d), on the upper ones and on the lower ones.
            limits: of the coordinates.
        """
        up, down = np.broadcast_to(by, (2, len(self.centre)))
        high = np.minimum(self.high + up, limits.high)
        return Region(self.centre, np.maximum(self.low - down, limits.low), high)

    def drawn(self, words: RandomStream, count: int) -> Floats:
        """Points, uniform in the box, float64 (count, d)."""
        shares = words.uniform((count, len(self.centre))).astype(np.float64)
        return np.minimum(self.low + shares * (self.high - self.low), self.high)


class Width(NamedTuple):
    """How wide a shell is, by the smallest error: from `narrow` at `slow` linearly to `wide` at `fast`."""

    slow: float
    fast: float
    narrow: float = 0.005
    wide: float = 0.05

    def at(self, error: float) -> float:
        """The width of the shell."""
        share = min(1.0, max(0.0, (error - self.slow) / (self.fast - self.slow)))
        return self.narrow + share * (self.wide - self.narrow)


class Growth(NamedTuple):
    """How a region grows; see above.

    Attributes:
        threshold: T.
        width: of a shell.
        iterations: how many.
        redraw: iterations with the same faces.
        faces: chosen at a time.
        poses: drawn beside each.
        rejected: points beside a face that may be implausible.
    """

    threshold: float
    width: Width
    iterations: int
    redraw: int = 3
    faces: int = 5
    poses: int = 10
    rejected: int = 1


class Step(NamedTuple):
    """One iteration: the smallest error, the width of the shell, how many faces moved, the size after it."""

    easiest: float
    width: float
    moved: int
    size: float


def grow(
    region: Region, errors: Errors, prior: Prior, how: Growth, first: float, words: RandomStream
) -> tuple[Region, list[Step]]:
    """The grown region, and what each iteration did.

    Args:
        region: where it begins, within the limits.
        errors: of the model.
        prior: limits, and which faces are accepted.
        how: constants.
        first: the error that the width of the first shell follows from, that of the last point of the search.
        words: random words.
    """
    dims, limits = len(region.centre), prior.limits
    odds, chosen = np.full(2 * dims, 1 / (2 * dims)), np.zeros(0, np.int64)
    steps, width = list[Step](), how.width.at(first)
    for iteration in range(how.iterations):
        if iteration % how.redraw == 0:
            chosen = _choice(odds, min(how.faces, 2 * dims), words)
        shells = [_shell(region, face, width, how.poses, limits, words) for face in chosen]  # type: ignore[arg-type] # int64s
        easiest = float(errors(np.concatenate(shells)).min())
        moved = 0
        if easiest > how.threshold:
            kept = [np.count_nonzero(~prior.plausible(shell)) <= how.rejected for shell in shells]
            moved = sum(kept)  # type: ignore[arg-type] # bools
            outward = np.zeros(2 * dims)
            outward[chosen[kept]] = width
            region = region.widened(outward.reshape(2, dims), limits)
        odds = np.where(_ended(region, limits), odds / 2, odds)
        odds /= odds.sum()
        steps.append(Step(easiest, width, moved, region.size))
        width = how.width.at(easiest)
    return region, steps


def _choice(odds: Floats, count: int, words: RandomStream) -> NDArray[np.int64]:
    """Faces, drawn one after the other without replacement in proportion to the odds, int64 (count,)."""
    left, faces = odds.copy(), []
    for word in words.uniform(count):
        sums = left.cumsum()
        faces.append(min(int(np.searchsorted(sums, word * sums[-1], side="right")), len(odds) - 1))
        left[faces[-1]] = 0
    return np.array(faces, dtype=np.int64)


def _shell(region: Region, face: int, width: float, count: int, limits: Limits, words: RandomStream) -> Floats:
    """Points beside a face, float64 (count, d): face f < d is the upper one of coordinate f, d + f the lower."""
    dims = len(region.centre)
    points, axis = region.drawn(words, count), face % dims
    apart = width * words.uniform(count).astype(np.float64)
    if face < dims:
        points[:, axis] = np.minimum(region.high[axis] + apart, limits.high[axis])
    else:
        points[:, axis] = np.maximum(region.low[axis] - apart, limits.low[axis])
    return points


def _ended(region: Region, limits: Limits) -> NDArray[np.bool_]:
    """Whether each face is at a limit, bool (2 d,)."""
    return np.concatenate([region.high >= limits.high, region.low <= limits.low])
