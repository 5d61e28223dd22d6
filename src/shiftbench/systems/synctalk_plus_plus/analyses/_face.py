"""A face for the mouth's two numbers: the photo of an astronaut, its mouth warped, and 20 landmarks that are exact.

The crop is the square of 60 pixels around the mouth, at 96 x 96. The mouth of the photo, a smile, is opened or closed
column by column: the upper lip stays, the lower lip and chin go down by a parabola that is 0 in the corners, what
lies between is dark. Corners go apart or together by width. Landmarks are in the order of dlib's points 48 to 67 (12
of the outer lips, 8 of the inner), placed by hand on the photo, and warped by the same maps.

Source: ours, an analogue of a renderer; the photo is scikit-image's (van der Walt et al. 2014; NASA, public domain).
"""

from collections.abc import Mapping
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from shiftbench.data.frames import FPS
from shiftbench.plugins.shifts import _scikit_photos

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
PHOTO = "astronaut.png"
SIDE, TOP, LEFT, SQUARE = 96, 120, 193, 60
SCALE = SIDE / SQUARE
# x, y in pixels of the photo, dlib's order: from the left corner over the upper lip, back over the lower; then inside.
POINTS: Floats = np.array(
    [
        (202.6, 139.4), (208.0, 139.6), (215.5, 139.8), (222.5, 140.8), (229.5, 139.9), (238.0, 140.4), (244.5, 141.2),
        (238.0, 148.5), (231.0, 153.4), (223.0, 154.6), (216.0, 153.6), (209.0, 148.6),
        (205.0, 140.4), (214.5, 142.4), (222.5, 143.6), (230.5, 143.2), (242.5, 142.2),
        (231.0, 149.2), (222.5, 149.8), (214.5, 148.4),
    ]
)  # fmt: skip
INNER = slice(12, 20)
REACH = 13.0  # pixels of the photo that the lower lip goes down by at openness 1
SPREAD = (0.8, 1.12)  # the mouth's width at width 0 and 1, as a share of the photo's
DARK = (38, 18, 20)
_UPPER, _LOWER = (12, 13, 14, 15, 16), (12, 19, 18, 17, 16)
_CORNERS = POINTS[[0, 6]]


def crop(sources: Mapping[str, Path]) -> Pixels:
    """The photo's square around the mouth, uint8 (96, 96, 3)."""
    photo = np.asarray(_scikit_photos.opened(sources, PHOTO, colour=True))
    square = photo[TOP : TOP + SQUARE, LEFT : LEFT + SQUARE]
    return np.asarray(cv2.resize(square, (SIDE, SIDE), interpolation=cv2.INTER_CUBIC), np.uint8)


def landmarks(mouth: Floats) -> Floats:
    """20 landmarks of each frame in pixels of the crop, float64 (t, 20, 2).

    Args:
        mouth: openness and width in 0 to 1, float64 (t, 2).
    """
    x, y = POINTS[:, 0], POINTS[:, 1]
    upper, lower = _lip(x, _UPPER), _lip(x, _LOWER)
    is_lower = y > (upper + lower) / 2
    lowered = np.where(is_lower, mouth[:, :1] * _parabola(x) - (lower - upper), 0.0)
    lowered *= _fade(y, lower)
    middle = _CORNERS[:, 0].mean()
    stretched = middle + (x - middle) * _spread(mouth[:, 1:2])
    points: Floats = np.stack([stretched - LEFT, y + lowered - TOP], axis=2) * SCALE
    return points


def render(square: Pixels, mouth: Floats) -> Pixels:
    """The face with each mouth, uint8 (t, 96, 96, 3)."""
    rows, columns = np.mgrid[:SIDE, :SIDE].astype(np.float64) / SCALE
    return np.stack([_frame(square, rows + TOP, columns + LEFT, *one[:2]) for one in mouth])


def strip(square: Pixels, motions: Mapping[str, Floats], every: int = 5, seconds: float = 3.0) -> Pixels:
    """A row of frames for each motion, one below the other: a clip for paper, white where it is over.

    Args:
        square: the face, uint8 (96, 96, 3).
        motions: name -> float64 (t, 2 or more), drawn in this order.
        every: frames from one to the next that is drawn.
        seconds: how much of each clip.
    """
    count = int(seconds * FPS)
    columns = -(-count // every)
    rows = []
    for motion in motions.values():
        frames = render(square, motion[:count:every, :2])
        blank = np.full((columns - len(frames), SIDE, SIDE, 3), 255, np.uint8)
        rows.append(np.concatenate([*frames, *blank], axis=1))
    return np.concatenate(rows)


def _frame(square: Pixels, y: Floats, x: Floats, openness: float, width: float) -> Pixels:
    """One frame: for each of its pixels, where in the photo it comes from."""
    left, right = _CORNERS[:, 0]
    middle, spread = (left + right) / 2, _spread(np.array(width))
    edges = [LEFT, middle + (left - middle) * spread, middle + (right - middle) * spread, LEFT + SQUARE]
    source_x = np.interp(x, edges, [LEFT, left, right, LEFT + SQUARE])
    upper, lower = _lip(source_x, _UPPER), _lip(source_x, _LOWER)
    lower_edge = upper + openness * _parabola(source_x)
    bottom = TOP + SQUARE
    stretch = (bottom - lower) / np.maximum(bottom - lower_edge, 1e-6)
    source_y = np.where(y < upper, y, np.where(y < lower_edge, upper, lower + (y - lower_edge) * stretch))
    maps = ((source - first) * SCALE for source, first in ((source_x, LEFT), (source_y, TOP)))
    map_x, map_y = (coordinates.astype(np.float32) for coordinates in maps)
    pixels = cv2.remap(square, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = (y >= upper) & (y < lower_edge)
    pixels[inside] = DARK
    return np.asarray(pixels, np.uint8)


def _lip(x: Floats, corners: tuple[int, ...]) -> Floats:
    """The height of an inner lip at x, in pixels of the photo."""
    points = POINTS[list(corners)]
    return np.interp(x, points[:, 0], points[:, 1])


def _parabola(x: Floats) -> Floats:
    """Distance of the lower lip from the upper one at openness 1."""
    left, right = POINTS[[12, 16], 0]
    share = np.clip((x - left) / (right - left), 0, 1)
    return REACH * 4 * share * (1 - share)  # type: ignore[no-any-return]


def _fade(y: Floats, lower: Floats) -> Floats:
    """The share of the lower lip's way that a point below it goes: less towards the chin, which stays."""
    bottom = TOP + SQUARE
    return np.clip((bottom - y) / (bottom - lower), 0, 1)


def _spread(width: Floats) -> Floats:
    low, high = SPREAD
    factor: Floats = low + (high - low) * np.asarray(width)
    return factor
