"""Warp: each pixel is read at another place, bilinear, in integers.

Places are whole numbers of 256ths of a pixel, so that weights are 65,536ths and the bytes are the same
everywhere. `cv2.remap` knows 32nds only, and its float maps another rounding in each major version.
"""

from typing import Literal

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftbench.base.compiled import compiled

ONE = 256  # parts of a pixel
FRAME = 2  # pixels around the image that the loop may read
Border = Literal["reflect", "mirror", "replicate", "constant"]


def fixed(pixels: ArrayLike) -> NDArray[np.int32]:
    """Places in pixels as whole numbers of 256ths, rounded half to even."""
    return np.rint(np.asarray(pixels, dtype=np.float64) * ONE).astype(np.int32)


def warp(
    image: NDArray[np.uint8],
    map_x: NDArray[np.int32],
    map_y: NDArray[np.int32],
    border: Border = "reflect",
    fill: int | tuple[int, ...] = 0,
) -> NDArray[np.uint8]:
    """`image` read at (map_y, map_x), rounded: uint8, the maps' (h, w), the image's channels.

    Args:
        image: uint8 (h, w) or (h, w, c) of 4 channels at most, any memory layout.
        map_x: column to read for each output pixel, int32 (h', w') in 256ths of a pixel; 0 is the middle
            of the first column. `fixed` makes it from pixels.
        map_y: row to read, likewise.
        border: what lies outside: `reflect` (b a | a b c | c b), `mirror` (c b | a b c | b a),
            `replicate` (a a | a b c | c c) or `constant` (`fill`).
        fill: grey level, or one for each channel.
    """
    height, width = image.shape[:2]
    channels = image.shape[2] if image.ndim == 3 else 1
    kind = cv2.BORDER_CONSTANT if border == "constant" else cv2.BORDER_REPLICATE
    colour = np.broadcast_to(fill, channels).tolist()
    around = FRAME, FRAME, FRAME, FRAME
    framed = cv2.copyMakeBorder(np.ascontiguousarray(image), *around, kind, value=colour)
    warped = np.empty((*map_x.shape, channels), dtype=np.uint8)
    columns, rows = within(map_x, width, border), within(map_y, height, border)
    _warp(np.asarray(framed, dtype=np.uint8).reshape(len(framed), -1), columns, rows, warped)
    return warped.reshape(map_x.shape + image.shape[2:])


def within(places: NDArray[np.int32], size: int, border: Border) -> NDArray[np.int32]:
    """The places along one side, moved to where the framed image reads the same; C order."""
    last = (size - 1) * ONE
    if border in ("reflect", "mirror") and (places.min() < 0 or places.max() > last):
        beyond = ONE // 2 if border == "reflect" else 0  # how far outside the turning points lie
        turn = 2 * (last + 2 * beyond) or 1
        around = np.abs(places + beyond)
        if around.max() > turn:
            around %= turn
        return np.ascontiguousarray(np.minimum(around, turn - around) - beyond)
    return np.ascontiguousarray(np.clip(places, -ONE, size * ONE))


@compiled
def _warp(rows: NDArray[np.uint8], map_x: NDArray[np.int32], map_y: NDArray[np.int32], out: NDArray[np.uint8]) -> None:
    """Fill `out` (h', w', channels); `rows` is the framed image as (h + 4, (w + 4) * c)."""
    channels = np.uint64(out.shape[2])
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            x = np.uint32(map_x[row, column] + 512)  # two pixels of frame
            y = np.uint32(map_y[row, column] + 512)
            right, down = np.uint32(x & np.uint32(255)), np.uint32(y & np.uint32(255))
            both = np.uint32(right * down)
            across = np.uint32((right << np.uint32(8)) - both)
            below = np.uint32((down << np.uint32(8)) - both)
            here = np.uint32(np.uint32(65536) - across - below - both)
            left = np.uint64(x >> np.uint32(8)) * channels
            above = np.uint64(y >> np.uint32(8))
            under = np.uint64(above + np.uint64(1))
            for channel in range(channels):
                at = np.uint64(left + channel)
                after = np.uint64(at + channels)
                total = rows[above, at] * here + rows[above, after] * across
                total += rows[under, at] * below + rows[under, after] * both
                out[row, column, channel] = (total + np.uint32(32768)) >> np.uint32(16)
