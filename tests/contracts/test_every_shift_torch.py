"""The contract of torch implementations: what the CPU's shift makes, for a batch, within the stated tolerance."""

from types import ModuleType

import numpy as np
import pytest
import torch

from shiftbench.base import registry, rng, rng_torch
from shiftbench.contracts import shift_digests
from shiftbench.contracts.shift_digests import picture

NAMES = registry.names("shifts_torch")
DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
SHAPES = [(28, 28), (33, 57, 3), (96, 64, 3), (3, 5, 3), (1, 1)]
SEVERITIES = [0.0, 0.4, 1.0, 2.5, 5.0]


def words(name: str, count: int) -> list[rng.RandomStream]:
    return [rng.RandomStream(3, name, "d", str(number)) for number in range(count)]


def batch(shape: tuple[int, ...], count: int = 3) -> np.ndarray:
    """Return different images of one shape."""
    one = picture(*shape)
    return np.stack([np.roll(one, 2 * number, axis=0) // (1 + number % 2) for number in range(count)])


def to_tensor(images: np.ndarray) -> torch.Tensor:
    channels = images[..., None] if images.ndim == 3 else images
    return torch.from_numpy(channels).permute(0, 3, 1, 2).contiguous()


def to_arrays(images: torch.Tensor) -> np.ndarray:
    arrays = images.permute(0, 2, 3, 1).cpu().numpy()
    return arrays[..., 0] if arrays.shape[-1] == 1 else arrays


def by_cpu(shift: ModuleType, name: str, images: np.ndarray, severity: float) -> np.ndarray:
    options = getattr(shift, "CONTINUOUS", {})
    drawn = zip(images, words(name, len(images)), strict=True)
    return np.stack([shift_digests.apply(shift, image, severity, own, **options) for image, own in drawn])


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_torch_is_near_the_cpu(name: str, device: str, shape: tuple[int, ...]) -> None:
    in_torch, shift = registry.find("shifts_torch", name), registry.find("shifts", name)
    images = batch(shape)
    tensor = to_tensor(images).to(device)
    options = getattr(shift, "CONTINUOUS", {})
    files = {"sources": shift_digests.originals()} if getattr(shift, "SOURCES", ()) else {}
    for severity in SEVERITIES:
        own = rng_torch.RandomStream.of(words(name, len(images)), device)
        shifted = in_torch.apply(tensor, severity, own, **options, **files)
        assert (shifted.dtype, shifted.shape) == (torch.uint8, tensor.shape)
        assert shifted.device == tensor.device
        far = np.abs(to_arrays(shifted).astype(int) - by_cpu(shift, name, images, severity))
        largest, mean = in_torch.TOLERANCE
        assert far.max() <= largest, f"severity {severity}: {far.max()} grey levels"
        assert far.mean() <= mean, f"severity {severity}: {far.mean():.4f} grey levels on average"
    assert np.array_equal(to_arrays(tensor), images), "the input was changed"


@pytest.mark.parametrize("name", NAMES)
def test_torch_says_what_it_is(name: str) -> None:
    in_torch = registry.find("shifts_torch", name)
    assert in_torch.__doc__
    assert registry.file("shifts", name).is_file()
    assert len(in_torch.TOLERANCE) == 2
