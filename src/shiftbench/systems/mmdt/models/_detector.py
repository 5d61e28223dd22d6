"""A detector of named objects by templates: how far each place is from an object's picture, at several sizes.

A template is an object's picture, in its own colours or painted in one of the six; what it does not cover does not
count. The score of a place is 1 less the squared difference by the norms of both (OpenCV `TM_SQDIFF_NORMED` with a
mask), which for equal norms is 2 cross-correlations less 1. Correlation about the mean, which is blind to brightness,
does not tell flat objects such as the star from the ground. Of boxes that overlap by an IoU of more than `OVERLAP`,
the best stays.

Source: ours, in the place of GroundingDINO; Lewis 1995, "Fast normalized cross-correlation".
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.systems.mmdt.datasets import _pictures, _words
from shiftbench.systems.mmdt.metrics._boxes import Box

SIDES = (16, 20, 24, 28)
OVERLAP = 0.2
OWN = (None,)
LOOKS = (None, *_words.COLOURS)
"""An object in its own colours, and painted."""
Pixels = NDArray[np.uint8]


class Place(NamedTuple):
    """A box, its score, and the colour of the template that fits best."""

    box: Box
    score: float
    colour: str | None


def find(image: Pixels, name: str, folder: str, threshold: float, looks: Sequence[str | None] = OWN) -> list[Place]:
    """The places of an object, the best first.

    Args:
        image: uint8 (h, w, 3).
        name: of a kind.
        folder: of the emoji.
        threshold: score from which a place is a box.
        looks: colours of the templates; None: its own.
    """
    places = []
    for look in looks:
        for side in SIDES:
            template, cover = _template(folder, name, side, look)
            scores = 1 - cv2.matchTemplate(image, template, cv2.TM_SQDIFF_NORMED, mask=cover)
            scores = np.where(np.isfinite(scores), scores, -1)
            for top, left in np.argwhere(scores >= threshold):
                box = (float(left), float(top), float(left + side), float(top + side))
                places.append(Place(box, float(scores[top, left]), look))
    return _apart(sorted(places, key=lambda place: (-place.score, place.box)))


@lru_cache(maxsize=1024)
def _template(folder: str, name: str, side: int, look: str | None) -> tuple[Pixels, Pixels]:
    """A template uint8 (side, side, 3), and where it counts, uint8 of the same shape, 0 or 1."""
    rgba = _pictures.sprite(folder, name, side)
    colours = _pictures.paint(rgba[..., :3].astype(np.int64), look).astype(np.uint8)
    cover = np.repeat((rgba[..., 3:] > 200).astype(np.uint8), 3, axis=2)
    return np.ascontiguousarray(colours), np.ascontiguousarray(cover)


def _apart(places: Sequence[Place]) -> list[Place]:
    """The places that overlap no better one."""
    best: list[Place] = []
    for place in places:
        if all(_overlap(place.box, other.box) <= OVERLAP for other in best):
            best.append(place)
    return best


def _overlap(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    tall = min(one[3], other[3]) - max(one[1], other[1])
    if wide <= 0 or tall <= 0:
        return 0.0
    areas = ((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return wide * tall / (sum(areas) - wide * tall)
