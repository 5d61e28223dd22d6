"""Edges of a grey image, and the distance to them, in integers: OpenCV's results, sooner.

`canny` equals `cv2.Canny(image, low, high)` to the byte, `distances` what
`cv2.distanceTransform(..., DIST_L2, 5)` makes, before that turns into floats.

Source: Canny 1986, "A computational approach to edge detection"; Borgefors 1986, "Distance transformations in
digital images" (chamfer distances: 1 along, 1.4 across the corner, 2.1969 for a knight's move).
"""

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled

WEAK, STRONG = 1, 2


def canny(picture: NDArray[np.uint8], low: int, high: int) -> NDArray[np.uint8]:
    """Edges of an image, uint8 (h, w), 0 or 1.

    A pixel whose slope (Sobel, sum of both directions) is above `low` and the largest across the edge
    is one, if a chain of such leads to one above `high`.
    """
    height, width = picture.shape
    across, down = (np.empty(picture.shape, dtype=np.int32) for _ in range(2))
    slope = np.zeros((height + 2, width + 2), dtype=np.int32)
    kinds = np.empty_like(picture)
    _sobel(picture, across, down, slope)
    _thin(across, down, slope, np.array([low, high], dtype=np.int32), kinds)
    _join(kinds, np.flatnonzero(kinds == WEAK))
    return np.equal(kinds, STRONG).view(np.uint8)


def distances(edges: NDArray[np.uint8], farthest: int) -> NDArray[np.int32]:
    """Distance of each pixel to an edge: 65,536ths of a pixel, `farthest` at most.

    Args:
        edges: uint8 (h, w), 0 where no edge is.
        farthest: more is not told apart.

    Returns:
        int32 (h + 4, w + 4), the image with a frame of `farthest`.
    """
    near = np.full((edges.shape[0] + 4, edges.shape[1] + 4), farthest, dtype=np.int32)
    _spread(edges, near)
    return near


@compiled
def _sobel(
    picture: NDArray[np.uint8], across: NDArray[np.int32], down: NDArray[np.int32], slope: NDArray[np.int32]
) -> None:
    """Fill the slopes along the row, down the columns, and the sum of their sizes (framed by 1)."""
    height, width = picture.shape
    smooth, change = np.empty(width + 2, dtype=np.int32), np.empty(width + 2, dtype=np.int32)
    for i in range(height):
        above, here, below = picture[max(i - 1, 0)], picture[i], picture[min(i + 1, height - 1)]
        for j in range(width):
            outer = np.int32(np.int32(above[j]) + np.int32(below[j]))
            smooth[j + 1] = outer + np.int32(2 * np.int32(here[j]))
            change[j + 1] = np.int32(below[j]) - np.int32(above[j])
        smooth[0], smooth[width + 1] = smooth[1], smooth[width]
        change[0], change[width + 1] = change[1], change[width]
        for j in range(width):
            x = np.int32(smooth[j + 2] - smooth[j])
            y = np.int32(np.int32(change[j] + change[j + 2]) + np.int32(2 * change[j + 1]))
            across[i, j], down[i, j] = x, y
            slope[i + 1, j + 1] = np.int32(max(x, np.int32(-x)) + max(y, np.int32(-y)))


@compiled
def _thin(
    across: NDArray[np.int32],
    down: NDArray[np.int32],
    slope: NDArray[np.int32],
    limits: NDArray[np.int32],
    kinds: NDArray[np.uint8],
) -> None:
    """Fill `kinds` (0, WEAK, STRONG): largest slopes across the edge, in one of four directions."""
    low, high = limits
    for i in range(kinds.shape[0]):
        above, here, below = slope[i], slope[i + 1], slope[i + 2]
        for j in range(kinds.shape[1]):
            top, x, y = here[j + 1], across[i, j], down[i, j]
            flat = np.int32(max(x, np.int32(-x)) * np.int32(13573))  # tan(22.5 degrees) x 32,768
            steep = np.int32(flat + np.int32(max(x, np.int32(-x)) << 16))  # tan(67.5 degrees)
            rise = np.int32(max(y, np.int32(-y)) << 15)
            along = (top > here[j]) & (top >= here[j + 2])
            upright = (top > above[j + 1]) & (top >= below[j + 1])
            rising = (top > above[j + 2]) & (top > below[j])
            falling = (top > above[j]) & (top > below[j + 2])
            slanted = rising if (x ^ y) < 0 else falling
            edge = along if rise < flat else (upright if rise > steep else slanted)
            edge = edge & (top > low)
            kinds[i, j] = np.uint8(np.uint8(edge) + np.uint8(edge & (top > high)))


@compiled
def _join(kinds: NDArray[np.uint8], weak: NDArray[np.int64]) -> None:
    """Make weak pixels beside strong ones strong, until none is left that can be."""
    height, width = kinds.shape
    changed = True
    while changed:
        changed = False
        for place in weak:
            i, j = place // width, place % width
            for u in range(max(i - 1, 0), min(i + 2, height)):
                for v in range(max(j - 1, 0), min(j + 2, width)):
                    if kinds[i, j] == WEAK and kinds[u, v] == STRONG:
                        kinds[i, j], changed = STRONG, True


@compiled
def _spread(edges: NDArray[np.uint8], near: NDArray[np.int32]) -> None:
    """Fill the middle of `near`: one pass down and one up, each with a scan along the row."""
    height, width = edges.shape
    step, corner, knight, zero = np.int32(65536), np.int32(91750), np.int32(143976), np.int32(0)
    fresh = np.empty(width, dtype=np.int32)
    for turn in range(2 * height):
        falling = turn < height
        i = turn if falling else 2 * height - 1 - turn
        back = -1 if falling else 1
        edge, row, one, two = edges[i], near[i + 2], near[i + 2 + back], near[i + 2 + 2 * back]
        for j in range(width):
            far = np.int32(min(two[j + 1], two[j + 3], one[j], one[j + 4]) + knight)
            far = min(far, np.int32(min(one[j + 1], one[j + 3]) + corner))
            far = min(far, np.int32(one[j + 2] + step), row[j + 2])
            fresh[j] = zero if edge[j] else far
        if falling:
            last = row[1]
            for j in range(width):
                last = min(fresh[j], np.int32(last + step))
                row[j + 2] = last
        else:
            last = row[width + 2]
            for j in range(width - 1, -1, -1):
                last = min(fresh[j], np.int32(last + step))
                row[j + 2] = last
