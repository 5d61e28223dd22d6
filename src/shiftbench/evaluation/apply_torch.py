"""One shift applied to a batch of images by its torch implementation, a file in shifts_torch/, where it has one.

Torch implementations draw the same random words as those of shifts/ and agree with them within their
TOLERANCE; what a CPU makes with shifts/ is canonical.
"""

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from shiftbench.base import registry, rng, rng_torch
from shiftbench.base.sample import Sample
from shiftbench.evaluation.apply_shift import TORCH, Shifter, moves_marks, name_in_torch

Pixels = NDArray[np.uint8]


def find_torch(shift: ModuleType) -> ModuleType | None:
    """Torch implementation of a shift; None: it has none."""
    name = name_in_torch(shift)
    return registry.find(TORCH, name) if name else None


def apply_batch(
    shift: ModuleType,
    images: torch.Tensor,
    severity: float,
    words: Sequence[rng.RandomStream],
    options: Mapping[str, Any],
) -> torch.Tensor:
    """Shifted images, by the shift's torch implementation, else one after the other on the CPU.

    Args:
        shift: a shift's file whose FIELD is `image`.
        images: uint8 (n, c, h, w), c 1 or 3, on any device.
        severity: within the shift's RANGE.
        words: of each image's identity, nothing drawn yet.
        options: all of the shift's; with `sources` where it reads originals.

    Returns:
        uint8 of the same shape on the same device. On exhausted GPU memory the batch is halved.
    """
    in_torch = find_torch(shift)
    if in_torch is None:
        pairs = zip(to_arrays(images), words, strict=True)
        shifted = [shift.apply(image, severity, stream, **options) for image, stream in pairs]
        return to_tensor(shifted, images.device) if shifted else images
    try:
        streams = rng_torch.RandomStream.of(words, images.device)
        result: torch.Tensor = in_torch.apply(images, severity, streams, **options)
        return result
    except torch.cuda.OutOfMemoryError:
        half = len(images) // 2
        if not half:
            raise
    pieces = (slice(0, half), slice(half, None))
    parts = [apply_batch(shift, images[p], severity, words[p], options) for p in pieces]
    return torch.cat(parts)


class OnDevice:
    """Shifts batches of samples by a torch implementation on a device.

    Args:
        shifter: the shift; it has a torch implementation.
        device: where to compute.

    Attributes:
        place: its name in the run file.
        tolerance: largest and mean difference to the CPU, grey levels.
    """

    def __init__(self, shifter: Shifter, device: str) -> None:
        self._shifter, self._device = shifter, device
        self.place = f"torch on {device}"
        implementation: Any = find_torch(shifter.module)
        self.tolerance: tuple[float, float] = implementation.TOLERANCE

    def __call__(self, samples: list[Sample]) -> list[Sample] | None:
        """Samples with their images shifted; None where these differ in shape, or have boxes to move."""
        shifter, images = self._shifter, [sample.fields["image"] for sample in samples]
        if len({image.shape for image in images}) > 1 or moves_marks(samples[0], shifter.module):
            return None
        words = [shifter.words(sample.key) for sample in samples]
        batch = to_tensor(images, self._device)
        shifted = apply_batch(shifter.module, batch, shifter.severity, words, shifter.keywords)
        pairs = zip(samples, to_arrays(shifted), strict=True)
        return [sample.with_field("image", image) for sample, image in pairs]


def on_device(shifter: Shifter, setting: str, held: str) -> OnDevice | None:
    """Function that shifts batches in torch; None: the shift's file for the CPU does it.

    Args:
        shifter: the shift, which may have no torch implementation.
        setting: `cpu`, `auto` (torch on a GPU only) or `torch` (on any device).
        held: the device of this job.
    """
    uses_torch = setting == "torch" or (setting == "auto" and held.startswith("cuda"))
    return OnDevice(shifter, held) if uses_torch and find_torch(shifter.module) else None


def to_tensor(images: Sequence[Pixels], device: torch.device | str = "cpu") -> torch.Tensor:
    """Images uint8 (h, w) or (h, w, 3) of one shape as uint8 (n, c, h, w)."""
    stacked = np.stack(images)
    channels_first = stacked[:, None] if stacked.ndim == 3 else stacked.transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(channels_first)).to(device)


def to_arrays(images: torch.Tensor) -> list[Pixels]:
    """Images (h, w) if c is 1, else (h, w, 3), of uint8 (n, c, h, w)."""
    pixels = images.permute(0, 2, 3, 1).contiguous().cpu().numpy()
    return list(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
