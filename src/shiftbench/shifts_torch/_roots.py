"""Square roots that are rounded as IEEE 754 asks for, on every CPU.

`torch.sqrt` of float32 is not: where torch calls MKL, its last bit depends on the maker of the CPU (measured: a sixth
of the values on an AMD EPYC).
"""

from __future__ import annotations

import torch


def root(values: torch.Tensor) -> torch.Tensor:
    """Return the square roots of float32 values; the double one has bits enough to round right."""
    return torch.sqrt(values.double()).float()
