"""Random views of images, as contrastive training takes them: crop, flip, colour jitter, grey.

Source: Chen et al. 2020, "A Simple Framework for Contrastive Learning of Visual Representations" (SimCLR), appendix A,
as torchvision's `RandomResizedCrop`, `RandomHorizontalFlip`, `ColorJitter` and `RandomGrayscale` have it: crops of
whole pixels, resized with bilinear interpolation, the four jitters in random order. Differs: a batch is changed
at once and values are rounded once, at the end, so that an image may differ by some grey levels; no blur, as for
images of 32 px.
"""

from collections.abc import Mapping
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from pydantic import Field

from shiftbench.base.rng import RandomStream
from shiftbench.plugins import declare, fields
from shiftbench.plugins.trainers import _jitter

ASPECT = (3 / 4, 4 / 3)
"""Of crops, from and to (torchvision's default)."""
TRIES = 10
Share = Annotated[float, Field(ge=0, le=1)]
Crop = Annotated[list[Share], Field(description="share of an image's area that a crop keeps: smallest and largest")]
Jitter = Annotated[
    list[float],
    Field(description="largest change of brightness, contrast, saturation and hue; 0.4: factors of 0.6 to 1.4"),
]
JitterShare = Annotated[float, Field(ge=0, le=1, description="share of the images whose colours are jittered")]
GreyShare = Annotated[float, Field(ge=0, le=1, description="share of the images that lose their colour")]


class Options(declare.Options):
    crop: Crop = Field([0.2, 1.0])
    flip: fields.Flip = True
    jitter: Jitter = Field([0.4, 0.4, 0.4, 0.1])
    jitter_share: JitterShare = 0.8
    grey_share: GreyShare = 0.2


def two_views(
    batch: npt.NDArray[np.uint8], rng: RandomStream, options: Mapping[str, Any]
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """Two random views of each image.

    Args:
        batch: uint8 (n, 1 or 3, h, w).
        rng: random words of this step.
        options: those of `Options`.

    Returns:
        Two batches of the same shape and type.
    """
    views = augment(torch.from_numpy(np.concatenate([batch, batch])), rng, options).numpy()
    return views[: len(batch)], views[len(batch) :]


def augment(images: torch.Tensor, rng: RandomStream, options: Mapping[str, Any]) -> torch.Tensor:
    """One random view of each image, uint8 (n, 1 or 3, h, w), on the device where they are."""
    count = len(images)
    boxes = crops(rng, count, (images.shape[2], images.shape[3]), options["crop"])
    mirrored = (rng.uniform(count) < 0.5) & bool(options["flip"])
    pixels = resized(images, boxes, mirrored)
    pixels = _jitter.jitter(pixels, rng, options["jitter"], options["jitter_share"])
    if images.shape[1] == 3:
        grey = rng.uniform(count) < options["grey_share"]
        pixels = torch.where(_on(grey, pixels), _jitter.grey(pixels), pixels)
    return pixels.round().to(torch.uint8)


def crops(
    rng: RandomStream,
    count: int,
    size: tuple[int | npt.NDArray[np.int64], int | npt.NDArray[np.int64]],
    share: tuple[float, float],
) -> npt.NDArray[np.int64]:
    """Boxes int64 (n, 4): top, left, height, width, each within an image of `size` (of all, or of each).

    Area and aspect (its logarithm) are uniform; the first of ten draws that fits is taken, else the whole image.
    """
    height, width = size
    uniforms = rng.uniform((2, TRIES, count)).astype(np.float64)
    area = height * width * (share[0] + uniforms[0] * (share[1] - share[0]))
    low, high = np.log(ASPECT)
    aspect = np.exp(low + uniforms[1] * (high - low))
    wide, tall = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
    fits = (wide >= 1) & (wide <= width) & (tall >= 1) & (tall <= height)
    first, each = fits.argmax(0), np.arange(count)
    has_fit = fits[first, each]
    tall, wide = (np.where(has_fit, side[first, each], full) for side, full in ((tall, height), (wide, width)))
    place = rng.uniform((2, count))
    top, left = np.floor(place[0] * (height - tall + 1)), np.floor(place[1] * (width - wide + 1))
    return np.stack([top, left, tall, wide], axis=1).astype(np.int64)


def resized(images: torch.Tensor, boxes: npt.NDArray[np.int64], mirrored: npt.NDArray[np.bool_]) -> torch.Tensor:
    """Crops at the images' size, float32 in 0..255: bilinear, nothing from outside of a box."""
    height, width = images.shape[2:]
    top, left, tall, wide = boxes.T.astype(np.float64)
    down = _positions(top, tall, height)
    across = _positions(left, wide, width)
    across = np.where(mirrored[:, None], across[:, ::-1], across)
    grid = np.empty((len(images), height, width, 2), np.float32)
    grid[..., 0] = (2 * across / max(1, width - 1) - 1)[:, None, :]
    grid[..., 1] = (2 * down / max(1, height - 1) - 1)[:, :, None]
    where = torch.from_numpy(grid).to(images.device)
    pixels = F.grid_sample(images.float(), where, padding_mode="border", align_corners=True)
    return pixels.clamp(0, 255)


def _positions(start: npt.NDArray[np.float64], length: npt.NDArray[np.float64], size: int) -> npt.NDArray[np.float64]:
    """Input positions of the `size` pixels of each output, float64 (n, size)."""
    inner = (np.arange(size) + 0.5) * length[:, None] / size - 0.5
    placed: npt.NDArray[np.float64] = start[:, None] + np.clip(inner, 0, length[:, None] - 1)
    return placed


def _on(rows: npt.NDArray[np.bool_], images: torch.Tensor) -> torch.Tensor:
    return torch.from_numpy(rows).to(images.device)[:, None, None, None]
