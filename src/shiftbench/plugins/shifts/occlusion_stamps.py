"""Occlusion by things: cut-out objects lie over the image and hide a share of it.

Source: the share that is hidden is the severity of Naseer et al. 2021, "Intriguing Properties of Vision
Transformers", https://arxiv.org/abs/2105.10497, section 3.1 (there random patches, see `occlusion`); that real
things are pasted as occluders follows Wang et al. 2020 (CompositionalNets, OccludedVehicles),
https://arxiv.org/abs/2006.15538, section 5. Levels are the share of the pixels that is hidden (alpha of 128 or
more). Differs: occluders lie anywhere, not over the object only.

The things come in a fixed order, at fixed places, each with a longer side of 30 to 60 percent of the image's
shorter one. A stronger severity keeps those that are there, the last one grows to its full size, then the
next appears: so the hidden share grows, and is met within what one pixel of the last one's side hides
(1 percent of the image at 64 px and above, 3 at 28). Which things: see `_cutouts`.

Takes one raw word per thing (which, size, down, right).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.rng import RandomStream
from shiftbench.plugins.shifts import _cutouts, _levels, _masks

TITLE = "Occlusion by stamps"
FIELD = "image"
LEVELS = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.4, 5: 0.5}
RANGE = _levels.RANGE
SOURCES = (_cutouts.SOURCE,)
HIDES = 128  # alpha from which a pixel counts as hidden
MOST = 200  # things; half an image takes about 10


class _Thing(NamedTuple):
    """A cut-out, its longest side in pixels, and twice the place of its middle."""

    cutout: _cutouts.Cutout
    side: int
    down: int
    right: int


def apply(
    value: NDArray[np.uint8], severity: float, rng: RandomStream, *, sources: Mapping[str, Path]
) -> NDArray[np.uint8]:
    """An image with things lying over it, uint8 (h, w) or (h, w, 3)."""
    (share,) = _levels.at(__name__, LEVELS, severity, zero=0.0)
    stock = _cutouts.cutouts(sources)
    shown = np.ascontiguousarray(value).copy()
    hidden = np.zeros(value.shape[:2], dtype=bool)
    target, count = round(share * hidden.size), 0
    for _ in range(MOST):
        if count >= target:
            break
        thing = _draw(stock, hidden.shape, rng)
        side = thing.side
        if _hidden(hidden, thing, side) > target:
            side = _fitting(hidden, thing, target)
        _lay(shown, hidden, thing, side)
        if side < thing.side:
            break
        count = int(np.count_nonzero(hidden))
    return shown


def _draw(stock: tuple[_cutouts.Cutout, ...], shape: tuple[int, ...], rng: RandomStream) -> _Thing:
    which, size, down, right = (int(word) for word in rng.words16(4))
    side = max(1, round(min(shape) * (0.3 + 0.3 * size / (1 << 16))))
    places = (down * shape[0] >> 15, right * shape[1] >> 15)
    return _Thing(stock[which * len(stock) >> 16], side, *places)


def _fitting(hidden: NDArray[np.bool_], thing: _Thing, target: int) -> int:
    """The side, 0 to the thing's, with which the pixels hidden come nearest to `target`."""
    low, high = 0, thing.side  # too little; too much
    while high - low > 1:
        middle = (low + high) // 2
        if _hidden(hidden, thing, middle) <= target:
            low = middle
        else:
            high = middle
    errors = {side: abs(_hidden(hidden, thing, side) - target) for side in (low, high)}
    return min((low, high), key=errors.__getitem__)


def _hidden(hidden: NDArray[np.bool_], thing: _Thing, side: int) -> int:
    """Number of pixels that the thing hides if its longer side has `side` pixels."""
    count = int(np.count_nonzero(hidden))
    if side == 0:
        return count
    alpha = thing.cutout.mask(side)
    place, part = _overlap(alpha.shape, thing, hidden.shape)
    return count + int(np.count_nonzero((alpha[part] >= HIDES) & ~hidden[place]))


def _lay(shown: NDArray[np.uint8], hidden: NDArray[np.bool_], thing: _Thing, side: int) -> None:
    """Lay a thing over the image, in place."""
    if side == 0:
        return
    alpha = thing.cutout.mask(side)
    place, part = _overlap(alpha.shape, thing, hidden.shape)
    hidden[place] |= alpha[part] >= HIDES
    under = shown[place]
    veil = (255 - _masks.like(alpha[part], under)).astype(np.uint16) * under
    layer = thing.cutout.layer(side, colour=shown.ndim == 3)[part]
    shown[place] = np.minimum(_masks.over255(veil) + layer, 255)


Slices = tuple[slice, slice]


def _overlap(size: tuple[int, ...], thing: _Thing, shape: tuple[int, ...]) -> tuple[Slices, Slices]:
    """Slices of the image that a thing of `size` covers, and the slices of the thing inside the image."""
    place, part = [], []
    for middle, own, whole in zip((thing.down, thing.right), size, shape, strict=True):
        start = (middle - own + 1) // 2
        first, last = max(start, 0), min(start + own, whole)
        place.append(slice(first, max(first, last)))
        part.append(slice(first - start, max(first, last) - start))
    return (place[0], place[1]), (part[0], part[1])
