"""Capsules drawn in perspective, nearest first: what bodies are put together from; helper of `_bodies`.

A capsule is a ball that goes from one point to another while its radius changes. Each is drawn as seen: a pixel is
inside when its distance to the projected axis is at most the radius there, both at the place of the axis that is
nearest in the image. The picture is drawn at twice its size, each pixel with the capsule that is nearest to the
camera, and brought down by means of four.

Bytes are the same on every CPU: single float64 operations (products, sums, quotients, square roots), no sums over
arrays.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shiftbench.base.compiled import compiled

Floats = NDArray[np.float64]
Pixels = NDArray[np.uint8]
FINE = 2
"""Pixels of the drawing along a pixel of the picture."""
AMBIENT = 0.45
"""Share of its colour that a surface keeps where the light only touches it."""


class View(NamedTuple):
    """A camera at the origin that looks along z.

    Attributes:
        height, width: of the picture, in pixels.
        focal: length in pixels.
        x, y: where the axis meets the picture, in pixels from its upper left corner.
    """

    height: int
    width: int
    focal: float
    x: float
    y: float

    def project(self, point: tuple[float, float, float]) -> tuple[float, float]:
        """Pixel of a point (x right, y down, z away, in metres) in the picture."""
        x, y, z = point
        return self.x + self.focal * x / z, self.y + self.focal * y / z


class Drawing(NamedTuple):
    """What was drawn.

    Attributes:
        colours: uint8 (h, w, 3), of what is there; black elsewhere.
        cover: how much of each pixel is covered, 0 to 4 of its 4 parts, uint8 (h, w).
        depth: distance of the nearest surface in metres, float64 (2h, 2w), infinite where there is nothing.
    """

    colours: Pixels
    cover: Pixels
    depth: Floats


def draw(capsules: Floats, colours: Pixels, view: View) -> Drawing:
    """Draw capsules.

    Args:
        capsules: float64 (n, 8): x, y, z and radius of one end, of the other; metres, z above the radius.
        colours: uint8 (n, 3).
        view: the camera.
    """
    fine = np.zeros((FINE * view.height, FINE * view.width, 3), dtype=np.uint8)
    depth = np.full(fine.shape[:2], np.inf)
    focal, x, y = FINE * view.focal, FINE * view.x, FINE * view.y
    _draw(fine, depth, capsules, colours, focal, x, y, AMBIENT)
    there = np.isfinite(depth)
    cover = _four(there.astype(np.int64))
    total = _four(fine.astype(np.int64))
    mean = (total + cover[..., None] // 2) // np.maximum(cover, 1)[..., None]
    return Drawing(mean.astype(np.uint8), cover.astype(np.uint8), depth)


def _four(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums over 2 x 2 values."""
    rows = values[0::2] + values[1::2]
    sums: NDArray[np.int64] = rows[:, 0::2] + rows[:, 1::2]
    return sums


@compiled
def _draw(  # noqa: PLR0913 - a compiled loop takes arrays and scalars only
    image: Pixels,
    depth: Floats,
    capsules: Floats,
    colours: Pixels,
    focal: float,
    middle: float,
    centre: float,
    ambient: float,
) -> None:
    height, width = depth.shape
    for n in range(len(capsules)):
        az, ar, bz, br = capsules[n, 2], capsules[n, 3], capsules[n, 6], capsules[n, 7]
        ax = middle + focal * capsules[n, 0] / az
        ay = centre + focal * capsules[n, 1] / az
        bx = middle + focal * capsules[n, 4] / bz
        by = centre + focal * capsules[n, 5] / bz
        ra, rb = focal * ar / az, focal * br / bz
        dx, dy = bx - ax, by - ay
        length = dx * dx + dy * dy
        left = max(0, int(np.floor(min(ax - ra, bx - rb))))
        right = min(width, int(np.ceil(max(ax + ra, bx + rb))) + 1)
        top = max(0, int(np.floor(min(ay - ra, by - rb))))
        bottom = min(height, int(np.ceil(max(ay + ra, by + rb))) + 1)
        for row in range(top, bottom):
            for column in range(left, right):
                px, py = column + 0.5 - ax, row + 0.5 - ay
                along = 0.0
                if length > 0:
                    along = min(1.0, max(0.0, (px * dx + py * dy) / length))
                ex, ey = px - along * dx, py - along * dy
                radius = ra + along * (rb - ra)
                apart = ex * ex + ey * ey
                if apart > radius * radius:
                    continue
                facing = np.sqrt(1.0 - apart / (radius * radius))
                near = az + along * (bz - az) - facing * (ar + along * (br - ar))
                if near >= depth[row, column]:
                    continue
                depth[row, column] = near
                # Light from the upper left and from the camera.
                slope = 0.35 * (0.0 - ex - ey) / radius
                light = ambient + (1.0 - ambient) * min(1.0, max(0.0, facing + slope))
                for c in range(3):
                    image[row, column, c] = int(colours[n, c] * light + 0.5)
