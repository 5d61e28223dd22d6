"""Warp: each pixel is read at another place, bilinear, in integers.

Places are whole numbers of 256ths of a pixel, so that weights are 65,536ths and the bytes are the same
everywhere. `cv2.remap` knows 32nds only, and its float maps another rounding in each major version.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shiftbench.shifts._compiled import compiled

ONE = 256  # parts of a pixel
BORDERS = ("reflect", "replicate", "constant")


def fixed(pixels: ArrayLike) -> NDArray[np.int32]:
    """Return places in pixels as whole numbers of 256ths, rounded half to even."""
    return np.rint(np.asarray(pixels, dtype=np.float64) * ONE).astype(np.int32)


def warp(
    image: NDArray[np.uint8],
    map_x: NDArray[np.int32],
    map_y: NDArray[np.int32],
    border: str = "reflect",
    fill: int | tuple[int, ...] = 0,
) -> NDArray[np.uint8]:
    """Return `image` read at (map_y, map_x), rounded: uint8, the maps' (h, w), the image's channels.

    Args:
        image: uint8 (h, w) or (h, w, channels), any memory layout.
        map_x: column to read for each output pixel, int32 (h', w') in 256ths of a pixel; 0 is the middle
            of the first column. `fixed` makes it from pixels.
        map_y: row to read, likewise.
        border: what lies outside: `reflect` (b a | a b c | c b), `replicate` (a a | a b c | c c) or
            `constant` (`fill`).
        fill: grey level, or one for each channel.
    """
    layers = np.ascontiguousarray(image).reshape(*image.shape[:2], -1)
    channels = layers.shape[2]
    warped = np.empty((*map_x.shape, channels), dtype=np.uint8)
    outside = np.ascontiguousarray(np.broadcast_to(np.asarray(fill, dtype=np.uint8), channels))
    _warp(
        layers.reshape(len(layers), -1),
        np.ascontiguousarray(map_x),
        np.ascontiguousarray(map_y),
        BORDERS.index(border),
        outside,
        warped,
    )
    return warped.reshape(map_x.shape + image.shape[2:])


@compiled
def _warp(
    rows: NDArray[np.uint8],
    map_x: NDArray[np.int32],
    map_y: NDArray[np.int32],
    border: int,
    fill: NDArray[np.uint8],
    out: NDArray[np.uint8],
) -> None:
    """Fill `out` (h', w', channels); `rows` is the image as (h, w * channels)."""
    channels = out.shape[2]
    height, width = rows.shape[0], rows.shape[1] // channels
    for row in range(out.shape[0]):
        for column in range(out.shape[1]):
            x, y = map_x[row, column], map_y[row, column]
            right, down = np.uint32(x & 255), np.uint32(y & 255)
            x, y = x >> 8, y >> 8
            both = np.uint32(right * down)
            across = np.uint32((right << np.uint32(8)) - both)
            below = np.uint32((down << np.uint32(8)) - both)
            here = np.uint32(np.uint32(65536) - across - below - both)
            if 0 <= x < width - 1 and 0 <= y < height - 1:
                above, under = np.uint64(y), np.uint64(y + 1)
                left, next_ = np.uint64(x * channels), np.uint64((x + 1) * channels)
                for channel in range(channels):
                    i = np.uint64(channel)
                    total = rows[above, left + i] * here + rows[above, next_ + i] * across
                    total += rows[under, left + i] * below + rows[under, next_ + i] * both
                    out[row, column, channel] = np.uint32(total + np.uint32(32768)) >> np.uint32(16)
                continue
            for channel in range(channels):
                total = np.uint32(32768)
                for corner in range(4):
                    weight = (here, across, below, both)[corner]
                    at_x, at_y = x + (corner & 1), y + (corner >> 1)
                    if border == 0:
                        at_x, at_y = at_x % (2 * width), at_y % (2 * height)
                        at_x, at_y = min(at_x, 2 * width - 1 - at_x), min(at_y, 2 * height - 1 - at_y)
                    elif border == 1:
                        at_x = min(max(at_x, 0), width - 1)
                        at_y = min(max(at_y, 0), height - 1)
                    seen = fill[channel]
                    if 0 <= at_x < width and 0 <= at_y < height:
                        seen = rows[at_y, at_x * channels + channel]
                    total = np.uint32(total + seen * weight)
                out[row, column, channel] = total >> np.uint32(16)
