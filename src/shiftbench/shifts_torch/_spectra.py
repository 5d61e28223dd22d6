"""Noise fields with a given spectrum for a batch: the same coefficients, torch's Fourier transform."""

from __future__ import annotations

import torch

from shiftbench.shifts import _sines as cpu
from shiftbench.shifts_torch import _sines


def fields(amplitudes: torch.Tensor, drawn: torch.Tensor) -> torch.Tensor:
    """Return real fields float32 (..., n, n), as the CPU's up to rounding.

    Args:
        amplitudes: float32 (n, n), frequency 0 in the middle.
        drawn: phases in 65,536ths of a turn, (..., n, n), laid out likewise.
    """
    phases = drawn.long() >> 3
    table = _sines.table(drawn.device).float() / cpu.ONE
    cosines, sines = table[(phases + cpu.TURN // 4) % cpu.TURN], table[phases]
    coefficients = torch.complex(amplitudes * cosines, amplitudes * sines)
    shifted = torch.fft.ifftshift(coefficients, dim=(-2, -1))
    return torch.real(torch.fft.ifft2(shifted, norm="forward"))
