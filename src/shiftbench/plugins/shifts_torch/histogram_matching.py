"""Histogram matching for a batch: the same counts and ranks; nothing differs."""

import torch

from shiftbench.base.rng_torch import RandomStream
from shiftbench.plugins.shifts import _levels
from shiftbench.plugins.shifts import histogram_matching as cpu

TOLERANCE = (0, 0)


def apply(
    images: torch.Tensor, severity: float, rng: RandomStream, *, reference: cpu.Counts | None = None
) -> torch.Tensor:
    """Copies of images with other grey levels, uint8 (n, c, h, w)."""
    (share,) = _levels.at(cpu.__name__, cpu.LEVELS, severity, zero=0.0)
    reference_counts = torch.from_numpy(cpu.reference_counts(reference, images.shape[1]).copy())
    pixels = images.flatten(2).long()
    ones = torch.ones_like(pixels)
    counts = torch.zeros(*pixels.shape[:2], 256, dtype=torch.int64, device=images.device)
    counts.scatter_add_(2, pixels, ones)
    tables = _blended(counts, reference_counts.to(images.device), share)
    return tables.gather(2, pixels).reshape(images.shape)


def _blended(counts: torch.Tensor, reference: torch.Tensor, share: float) -> torch.Tensor:
    """New value of each grey level, uint8 (n, c, 256)."""
    below = counts.cumsum(2)
    ranks = (2 * below - counts) * reference.sum(1)[None, :, None]
    ends = reference.cumsum(1)[None] * (2 * below[..., -1:])
    matched = torch.searchsorted(ends, ranks)
    grey = torch.arange(256, device=counts.device)
    return (grey + share * (matched - grey).double()).round().to(torch.uint8)
