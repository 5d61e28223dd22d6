"""Snakemake starts what the model of tests/plan/test_out_of_date.py starts, in drawn states on the disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from makers import stubbed_runs

pytestmark = pytest.mark.workflow


@pytest.mark.parametrize(("seed", "count"), [(0, 4), pytest.param(1, 80, marks=pytest.mark.slow)])
def test_snakemake_and_its_model_start_the_same_jobs(tmp_path: Path, seed: int, count: int) -> None:
    stubbed_runs.make(tmp_path)
    assert stubbed_runs.run(tmp_path, seed, count) == []
