"""Spatter for a batch: the CPU file's integers; weak edges join a strong one up to 16 px away.

The distance to edges is not scanned but spread along each of the 16 moves, in steps of 1, 2, 4, ... of it.
"""

from __future__ import annotations

import torch

from shiftbench.rng_torch import Words
from shiftbench.shifts import _levels, _noise_fields
from shiftbench.shifts import spatter as cpu
from shiftbench.shifts_torch import _fields

TOLERANCE = (0, 0)
JOINS = 16
STRAIGHT, CORNER, KNIGHT = 65536, 91750, 143976  # lengths of moves, 65,536ths


def apply(
    images: torch.Tensor, severity: float, words: Words, *, profile: str = "published"
) -> torch.Tensor:
    """Return spattered copies of images, uint8 (n, c, h, w)."""
    drops, splashes = cpu.liquids(severity, profile)
    size = tuple(images.shape[2:])
    fine, height, width = _noise_fields.lattice(size)
    pixel = max(_levels.scale((height, width)), cpu.FINEST)
    field = _fields.normal_field(height, width, words)
    result = images.int()
    if drops:
        *form, strength = drops
        layer = _fields.enlarged(water(field, tuple(form), pixel), fine, *size)
        result = _laid(result, layer, cpu.WATER, strength, 0)
    if splashes:
        layer = _fields.enlarged(mud(field, splashes, pixel), fine, *size)
        result = _laid(result, layer, cpu.MUD, 1.0, cpu.HIDDEN)
    return result.to(torch.uint8)


def _laid(
    images: torch.Tensor,
    layer: torch.Tensor,
    colour: tuple[int, int, int],
    strength: float,
    hidden: int,
) -> torch.Tensor:
    axes = 2 if images.shape[1] == 1 else 3
    shares = torch.from_numpy(cpu.shares(colour, strength, axes)).to(images.device)
    liquid = layer[:, None]
    level = images * (65536 - liquid * hidden) + liquid * shares[:, None, None] + 32768
    return (level >> 16).clamp_(max=255)


def mud(field: torch.Tensor, form: tuple[float, ...], pixel: float) -> torch.Tensor:
    """Return how opaque splashes are, int32 (n, h, w), 0 to 255."""
    *ground, edge = form
    splashed = thresholded(field, tuple(ground), pixel) > 0
    soft = _fields.blurred(splashed.int() * _noise_fields.NORMAL_ONE, edge * pixel)
    return _fields.mapped(soft, cpu.COVER)


def thresholded(field: torch.Tensor, form: tuple[float, ...], pixel: float) -> torch.Tensor:
    """Return the blurred field as grey levels int32, 0 below the threshold."""
    return _fields.mapped(_fields.blurred(field, form[2] * pixel), cpu.ground(form, pixel))


def water(field: torch.Tensor, form: tuple[float, ...], pixel: float) -> torch.Tensor:
    """Return how strongly drops shine, int32 (n, h, w), 0 to 255."""
    liquid = thresholded(field, form, pixel)
    relief = _flattened(distances(canny(liquid), pixel), pixel)
    embossed = _convolved(_equalised(relief), cpu.EMBOSS.tolist()).clamp_(0, 255)
    soft = (2 * _convolved(embossed, [[1] * 3] * 3) + 9) // 18
    lit = liquid * soft
    share = (255 << 16) // lit.amax((1, 2), keepdim=True).clamp(min=1)
    return (lit * share + 32768) >> 16


def canny(liquid: torch.Tensor) -> torch.Tensor:
    """Return where the edges are, bool (n, h, w)."""
    wide = _framed(liquid, 1, "replicate")
    smooth = _moved(wide, -1, 0) + 2 * wide[:, 1:-1] + _moved(wide, 1, 0)
    change = _moved(wide, 1, 0) - _moved(wide, -1, 0)
    x = smooth[:, :, 2:] - smooth[:, :, :-2]
    y = change[:, :, :-2] + 2 * change[:, :, 1:-1] + change[:, :, 2:]
    top = x.abs() + y.abs()
    slope = torch.nn.functional.pad(top, (1, 1, 1, 1))
    flat, rise = x.abs() * 13573, y.abs() << 15
    level = (top > _near(slope, 0, -1)) & (top >= _near(slope, 0, 1))
    upright = (top > _near(slope, -1, 0)) & (top >= _near(slope, 1, 0))
    rising = (top > _near(slope, -1, 1)) & (top > _near(slope, 1, -1))
    falling = (top > _near(slope, -1, -1)) & (top > _near(slope, 1, 1))
    slanted = torch.where((x ^ y) < 0, rising, falling)
    edge = torch.where(
        rise < flat, level, torch.where(rise > flat + (x.abs() << 16), upright, slanted)
    )
    low, high = cpu.EDGE
    return _joined(edge & (top > low), edge & (top > high))


def _joined(edges: torch.Tensor, strong: torch.Tensor) -> torch.Tensor:
    """Return the strong edges and those beside, JOINS times."""
    for _ in range(JOINS):
        wide = torch.nn.functional.max_pool2d(strong[:, None].float(), 3, 1, 1)[:, 0]
        strong = edges & (wide > 0)
    return strong


def distances(edges: torch.Tensor, pixel: float) -> torch.Tensor:
    """Return chamfer distances to the edges, int32 (n, h, w), 65,536ths of a pixel."""
    farthest = round(cpu.FAR * pixel * 65536)
    near = torch.where(edges, 0, farthest).int()
    for down, right in _moves():
        length = {1: STRAIGHT, 2: CORNER, 3: KNIGHT}[abs(down) + abs(right)]
        times = 1
        while times * length < farthest:
            near = _stepped(near, times * down, times * right, times * length)
            times *= 2
    return near


def _moves() -> list[tuple[int, int]]:
    around = [(down, right) for down in range(-2, 3) for right in range(-2, 3)]
    return [move for move in around if sorted(map(abs, move)) in ([0, 1], [1, 1], [1, 2])]


def _stepped(near: torch.Tensor, down: int, right: int, length: int) -> torch.Tensor:
    """Return distances over a move as well: the smaller of both, within the image."""
    height, width = near.shape[1:]
    if abs(down) >= height or abs(right) >= width:
        return near
    result = near.clone()
    to = result[:, max(down, 0) : height + min(down, 0), max(right, 0) : width + min(right, 0)]
    start = near[:, max(-down, 0) : height - max(down, 0), max(-right, 0) : width - max(right, 0)]
    torch.minimum(to, start + length, out=to)
    return result


def _flattened(near: torch.Tensor, pixel: float) -> torch.Tensor:
    """Return means of 3 x 3 distances in pixels of a 224 px image, truncated."""
    part = (near >> 10) * round(4096 / pixel) >> 6
    return ((_convolved(part, [[1] * 3] * 3) >> 12) * 7282) >> 16


def _equalised(relief: torch.Tensor) -> torch.Tensor:
    """Return reliefs whose grey levels are spread evenly, as OpenCV's equalizeHist does."""
    flat = relief.flatten(1).long()
    counts = torch.zeros((len(relief), 256), dtype=torch.int64, device=relief.device)
    counts.scatter_add_(1, flat, torch.ones_like(flat))
    lowest = flat.amin(1, keepdim=True)
    first = counts.gather(1, lowest)
    others = flat.shape[1] - first
    scale = torch.tensor(255.0, device=relief.device) / others.clamp(min=1).float()
    table = ((counts.cumsum(1) - first).float() * scale).round().int()
    table = torch.where(others > 0, table, lowest.int())
    return table.gather(1, flat).reshape(relief.shape)


def _convolved(layer: torch.Tensor, weights: list[list[int]]) -> torch.Tensor:
    """Return weighted sums over 3 x 3, the layer mirrored without its edge."""
    wide = _framed(layer, 1, "mirror")
    parts = (
        weight * _near(wide, down - 1, right - 1)
        for down, row in enumerate(weights)
        for right, weight in enumerate(row)
        if weight
    )
    return torch.stack(list(parts)).sum(0, dtype=torch.int32)


def _framed(layer: torch.Tensor, frame: int, how: str) -> torch.Tensor:
    for axis in (1, 2):
        size = layer.shape[axis]
        places = torch.arange(-frame, size + frame, device=layer.device)
        if how == "mirror" and size > 1:
            places = (size - 1) - (size - 1 - places.abs()).abs()
        layer = layer.index_select(axis, places.clamp(0, size - 1))
    return layer


def _near(wide: torch.Tensor, down: int, right: int) -> torch.Tensor:
    """Return the inner part of a layer with a frame of 1, moved."""
    height, width = wide.shape[1] - 2, wide.shape[2] - 2
    return wide[:, 1 + down : 1 + down + height, 1 + right : 1 + right + width]


def _moved(wide: torch.Tensor, down: int, right: int) -> torch.Tensor:
    return wide[:, 1 + down : wide.shape[1] - 1 + down]
