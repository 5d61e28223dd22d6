"""Sums of bytes are those of int64, whatever the values, bins, shapes and CPU."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch

from shiftbench.statistics import digit_sums
from shiftbench.statistics.contributions import Contributions, weighted
from shiftbench.statistics.digit_sums import Column
from shiftbench.statistics.known_keys import KnownKeys


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
    for part, sums in zip(parts, weighted(parts, weights), strict=True):
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
    subprocess.run([sys.executable, "-c", code], env=env, check=True)


def test_equal_keys_are_decoded_once_and_others_are_not_taken_for_them(tmp_path: Path) -> None:
    keys = [f"set/test/{at:05d}" for at in range(5000)]
    known, read = KnownKeys(), []
    for number, (own, groups) in enumerate(
        [(keys, 9000), (keys, 9000), (keys, 700), (keys[::-1], 9000), ([*keys[:-1], "x"], 9000)]
    ):
        file = tmp_path / f"{number}.parquet"
        table = pa.table({"value": np.arange(5000) * number, "key": own})
        pq.write_table(table, file, compression="zstd", row_group_size=groups)
        read.append(known.read(file))
        assert read[-1].to_pylist() == own
    assert read[0] is read[1]
    assert len({id(column) for column in read}) == 4
