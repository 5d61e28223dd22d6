"""One shift applied to a batch of images in torch, by its file in shifts_torch/ where it has one.

The files of shifts_torch/ draw the same random words as those of shifts/ and agree with them within their
TOLERANCE; what a CPU makes with shifts/ is canonical.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shiftbench import plugins, rng, rng_torch
from shiftbench.inference.apply_shift import Shifter, moves_boxes
from shiftbench.sample import Sample

Pixels = NDArray[np.uint8]
FAMILY = "shifts_torch"


def find_twin(shift: ModuleType) -> ModuleType | None:
    """Return the torch file of a shift, if it has one; an entry's is that of its file."""
    name = Path(str(shift.__file__)).stem
    return plugins.find(FAMILY, name) if name in plugins.names(FAMILY) else None


def apply_batch(
    shift: ModuleType,
    images: torch.Tensor,
    severity: float,
    words: Sequence[rng.Words],
    options: Mapping[str, Any],
) -> torch.Tensor:
    """Return shifted images, by the shift's torch file, else one after the other on the CPU.

    Args:
        shift: a shift's file whose FIELD is `image`.
        images: uint8 (n, c, h, w), c 1 or 3, on any device.
        severity: within the shift's RANGE.
        words: of each image's identity, nothing drawn yet.
        options: all of the shift's; with `sources` where it reads originals.

    Returns:
        uint8 of the same shape on the same device. On exhausted GPU memory the batch is halved.
    """
    twin = find_twin(shift)
    if twin is None:
        pairs = zip(to_arrays(images), words, strict=True)
        shifted = [shift.apply(image, severity, own, **options) for image, own in pairs]
        return to_tensor(shifted, images.device) if shifted else images
    try:
        drawn = rng_torch.Words.of(words, images.device)
        result: torch.Tensor = twin.apply(images, severity, drawn, **options)
        return result
    except torch.cuda.OutOfMemoryError:
        half = len(images) // 2
        if not half:
            raise
    pieces = (slice(0, half), slice(half, None))
    parts = [apply_batch(shift, images[p], severity, words[p], options) for p in pieces]
    return torch.cat(parts)


def shift_samples(shifter: Shifter, samples: list[Sample], device: str) -> list[Sample] | None:
    """Return the samples with their images shifted by the torch file; None where that cannot be.

    Args:
        shifter: the shift; it has a torch file.
        samples: not empty; where their images differ in shape, or have boxes to move, the answer is None.
        device: where to compute.
    """
    images = [sample.fields["image"] for sample in samples]
    if len({image.shape for image in images}) > 1 or moves_boxes(samples[0], shifter.module):
        return None
    words = [shifter.words(sample.key) for sample in samples]
    batch = to_tensor(images, device)
    shifted = apply_batch(shifter.module, batch, shifter.severity, words, shifter.keywords)
    pairs = zip(samples, to_arrays(shifted), strict=True)
    return [sample.with_field("image", image) for sample, image in pairs]


def to_tensor(images: Sequence[Pixels], device: torch.device | str = "cpu") -> torch.Tensor:
    """Return images uint8 (h, w) or (h, w, 3) of one shape as uint8 (n, c, h, w)."""
    stacked = np.stack(images)
    first = stacked[:, None] if stacked.ndim == 3 else stacked.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(first)).to(device)


def to_arrays(images: torch.Tensor) -> list[Pixels]:
    """Return uint8 (n, c, h, w) as images (h, w) where c is 1, else (h, w, 3)."""
    pixels = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return list(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
