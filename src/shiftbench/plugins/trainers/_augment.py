"""AugMix's nine operations on batches of uint8 images, equal to Pillow's within one grey level.

None of them is a corruption of the benchmark: contrast, colour, brightness, sharpness, cutout, noise,
blur and compression are left out (Hendrycks et al., "AugMix", ICLR 2020, section 3).
"""

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F

Images = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float64]

OPERATIONS = (
    "autocontrast", "equalize", "posterize", "solarize",
    "rotate", "shear_x", "shear_y", "translate_x", "translate_y",
)  # fmt: skip
COLOUR = 4
"""The first four change values, the others move pixels by one affine map."""


def apply(images: Images, operation: npt.NDArray[np.int64], level: Floats, sign: Floats) -> Images:
    """Apply one operation to each image.

    Args:
        images: (n, channels, h, w).
        operation: (n,) index into OPERATIONS; -1 leaves the image as it is.
        level: (n,) strength, 0.1 to 10.
        sign: (n,) +1 or -1, the direction of geometric operations.
    """
    out = images.copy()
    for index in range(COLOUR):
        rows = np.flatnonzero(operation == index)
        if len(rows):
            out[rows] = _map_values(images[rows], tables(images[rows], OPERATIONS[index], level[rows]))
    rows = np.flatnonzero(operation >= COLOUR)
    if len(rows):
        matrices = affine(operation[rows], level[rows], sign[rows], images.shape[2:])
        out[rows] = warp(images[rows], matrices)
    return out


def tables(images: Images, name: str, level: Floats) -> npt.NDArray[np.uint8]:
    """Lookup tables uint8 (n, channels, 256) of a value operation."""
    count, channels = images.shape[:2]
    values = np.arange(256)
    if name == "posterize":
        bits = 4 - np.floor(level * 4 / 10).astype(np.int64)
        table = values & ~((1 << (8 - bits)) - 1)[:, None]
    elif name == "solarize":
        threshold = 256 - np.floor(level * 256 / 10).astype(np.int64)
        table = np.where(values < threshold[:, None], values, 255 - values)
    else:
        histogram = _histogram(images)
        own = _autocontrast(histogram) if name == "autocontrast" else _equalize(histogram)
        return own.reshape(count, channels, 256)
    return np.repeat(table.astype(np.uint8)[:, None], channels, axis=1)


def _histogram(images: Images) -> npt.NDArray[np.int64]:
    planes = images.reshape(images.shape[0] * images.shape[1], -1)
    offset = 256 * np.arange(len(planes))[:, None]
    return np.bincount((planes + offset).ravel(), minlength=256 * len(planes)).reshape(-1, 256)


def _autocontrast(histogram: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    low = (histogram > 0).argmax(1)[:, None]
    high = 255 - (histogram[:, ::-1] > 0).argmax(1)[:, None]
    values = np.arange(256)
    scale = 255.0 / np.maximum(high - low, 1)
    stretched = np.clip(np.trunc(values * scale - low * scale), 0, 255)
    return np.where(high > low, stretched, values).astype(np.uint8)


def _equalize(histogram: npt.NDArray[np.int64]) -> npt.NDArray[np.uint8]:
    values = np.arange(256)
    last = 255 - (histogram[:, ::-1] > 0).argmax(1)
    total = histogram.sum(1)
    step = (total - histogram[np.arange(len(histogram)), last]) // 255
    before = np.cumsum(histogram, 1) - histogram
    spread = (step[:, None] // 2 + before) // np.maximum(step, 1)[:, None]
    return np.where(step[:, None] > 0, np.minimum(spread, 255), values).astype(np.uint8)


def _map_values(images: Images, table: npt.NDArray[np.uint8]) -> Images:
    count, channels = images.shape[:2]
    planes = images.reshape(count * channels, -1)
    mapped = np.take_along_axis(table.reshape(-1, 256), planes.astype(np.intp), axis=1)
    return mapped.reshape(images.shape)


def affine(operation: npt.NDArray[np.int64], level: Floats, sign: Floats, shape: tuple[int, ...]) -> Floats:
    """(n, 2, 3): input position = A (x, y, 1), in pixels, as Pillow's `Image.transform`."""
    height, width = shape
    matrices = np.tile(np.array([[1.0, 0, 0], [0, 1.0, 0]]), (len(level), 1, 1))
    name = np.array(OPERATIONS)[operation]
    shear = sign * level * 0.3 / 10
    matrices[:, 0, 1] = np.where(name == "shear_x", shear, 0.0)
    matrices[:, 1, 0] = np.where(name == "shear_y", shear, 0.0)
    matrices[:, 0, 2] = np.where(name == "translate_x", sign * np.floor(level * (width / 3) / 10), 0.0)
    matrices[:, 1, 2] = np.where(name == "translate_y", sign * np.floor(level * (height / 3) / 10), 0.0)
    turned = name == "rotate"
    matrices[turned] = _rotation(sign[turned] * np.floor(level[turned] * 3), height, width)
    return matrices


def _rotation(degrees: Floats, height: int, width: int) -> Floats:
    angle = -np.radians(degrees)
    cos, sin = np.cos(angle), np.sin(angle)
    x, y = width / 2, height / 2
    across = np.stack([cos, sin, x - cos * x - sin * y], 1)
    down = np.stack([-sin, cos, y + sin * x - cos * y], 1)
    return np.stack([across, down], 1)


def warp(images: Images, matrices: Floats) -> Images:
    """The images under an affine map each: bilinear, black outside, truncated to uint8."""
    height, width = images.shape[2:]
    maps = torch.from_numpy(matrices)[..., None, None]
    x = torch.arange(width, dtype=torch.float64) + 0.5
    y = (torch.arange(height, dtype=torch.float64) + 0.5)[:, None]
    across, down = (x * row[:, 0] + y * row[:, 1] + row[:, 2] for row in maps.unbind(1))
    inside = (across >= 0) & (across < width) & (down >= 0) & (down < height)
    grid = torch.stack([2 * across / width - 1, 2 * down / height - 1], dim=-1).float()
    pixels = torch.from_numpy(images).float()
    moved = F.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    # 1e-3 lifts values that float32 left just below an integer, before truncation.
    lifted: Images = ((moved + 1e-3) * inside[:, None]).to(torch.uint8).numpy()
    return lifted
