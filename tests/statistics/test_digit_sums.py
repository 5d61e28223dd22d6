"""Sums of bytes are those of int64, whatever the values, bins, shapes and CPU."""

import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from shiftbench.statistics import digit_sums
from shiftbench.statistics.contributions import Contributions, weighted_sums
from shiftbench.statistics.digit_sums import Column


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("vnni", [True, False])
def test_sums_are_those_of_int64(seed: int, vnni: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(seed)
    monkeypatch.setattr(torch.cpu, "_is_vnni_supported", lambda: vnni)
    monkeypatch.setattr(digit_sums, "_FEW", 0)
    monkeypatch.setattr(digit_sums, "SAMPLES", int(random.integers(1, 70)))
    monkeypatch.setattr(digit_sums, "ROWS", int(random.integers(1, 70)))
    n, k = random.integers(1, 200, 2)
    weights = random.integers(0, 9, (n, k)).astype(np.uint8)
    parts = []
    for _ in range(random.integers(1, 6)):
        limit = 1 << int(random.integers(0, 50))
        count, values = random.integers(0, 2, n), random.integers(-limit, limit + 1, n)
        width = int(random.integers(1, 40))
        parts += [
            Contributions(count, (values, values * count)),
            Contributions(count, (), values, random.integers(0, width, n), width),
        ]
    for part, sums in zip(parts, weighted_sums(parts, weights), strict=True):
        wide = weights.astype(np.int64)
        assert np.array_equal(sums.count, part.count @ wide)
        assert np.array_equal(sums.sums, np.reshape(part.sums, (-1, n)) @ wide)
        if part.binned is not None and part.bins is not None:
            inside = part.bins == np.arange(part.width)[:, None]
            assert np.array_equal(sums.binned, (part.binned * inside) @ wide)


def test_digits_reach_as_far_as_they_should() -> None:
    for count in range(1, 8):
        largest = 127 * (256**count - 1) // 255
        for sign in (1, -1):
            assert Column(np.array([sign * largest])).digits == count
            assert Column(np.array([0, sign * (largest + 1)])).digits == count + 1


def test_extreme_digits_do_not_saturate() -> None:
    """Nor do they where oneDNN adds pairs of products in int16: on CPUs with AVX2 alone."""
    code = """if True:
        import itertools, torch
        for a, b, m, k in itertools.product((-128, 127), (8, -8), (1, 40), (7, 1001)):
            one, two = torch.full((m, 8192), a, dtype=torch.int8), torch.full((8192, k), b, dtype=torch.int8)
            assert (torch._int_mm(one, two) == 8192 * a * b).all(), (a, b, m, k)
    """
    env = {**os.environ, "ONEDNN_MAX_CPU_ISA": "AVX2", "OMP_NUM_THREADS": "1"}
    exec(code)
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
