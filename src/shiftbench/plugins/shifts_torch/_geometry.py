"""A bilinear warp in integers, and the places of affine maps."""

import torch

from shiftbench.plugins.shifts import _warp


def warp(images: torch.Tensor, map_x: torch.Tensor, map_y: torch.Tensor, border: str, fill: int) -> torch.Tensor:
    """Images uint8 (n, c, h, w) read at places int64 (n, h, w) in 256ths, as the CPU's warp."""
    count, channels, height, width = images.shape
    if border == "constant":
        images = torch.nn.functional.pad(images, (2, 2, 2, 2), value=fill)
    x, right = _split(map_x, width, border)
    y, down = _split(map_y, height, border)
    x1, y1 = _next(x, images.shape[3]), _next(y, images.shape[2])
    both = right * down
    weights = (65536 - (right + down) * 256 + both, right * 256 - both, down * 256 - both, both)
    flat = images.flatten(2)
    total = torch.full((), 1 << 15, dtype=torch.int32, device=images.device)
    for (row, column), weight in zip(((y, x), (y, x1), (y1, x), (y1, x1)), weights, strict=True):
        at = (row * images.shape[3] + column).flatten(1)[:, None].expand(-1, channels, -1)
        total = total + flat.gather(2, at).int() * weight.int().flatten(1)[:, None]
    return (total >> 16).to(torch.uint8).reshape(count, channels, height, width)


def _split(places: torch.Tensor, size: int, border: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Whole pixels, inside the image (or its frame of fill), and the 256ths beyond them."""
    if border == "reflect":
        turn = 2 * size * _warp.ONE
        around = (places + _warp.ONE // 2).abs() % turn
        places = torch.minimum(around, turn - around) - _warp.ONE // 2
    places = places.clamp(-_warp.ONE, size * _warp.ONE)
    whole, part = places >> 8, places & 255
    if border == "constant":
        return whole + 2, part
    outside = whole < 0  # between the first pixel and its mirror image: the first
    return whole.clamp(0, size - 1), part.masked_fill(outside, 0)


def _next(whole: torch.Tensor, size: int) -> torch.Tensor:
    return (whole + 1).clamp(max=size - 1)


def centred(size: int, device: torch.device) -> torch.Tensor:
    """Twice the distance of each pixel from a side's middle, int64."""
    return 2 * torch.arange(size, device=device) - (size - 1)


def affine(images: torch.Tensor, matrices: torch.Tensor, border: str, fill: int) -> torch.Tensor:
    """Images read through `matrices` int64 (n, 2, 2), 65,536ths, about their middles."""
    height, width = images.shape[2:]
    across = centred(width, images.device)
    down = centred(height, images.device)[:, None]
    entries = matrices[..., None, None]
    places = (entries[:, :, 0] * across + entries[:, :, 1] * down + 256) >> 9
    map_x = places[:, 0] + (width - 1) * (_warp.ONE // 2)
    map_y = places[:, 1] + (height - 1) * (_warp.ONE // 2)
    return warp(images, map_x, map_y, border, fill)
