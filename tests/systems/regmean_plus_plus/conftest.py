"""Weights to be merged."""

from pathlib import Path

import pytest

from makers.two_tasks import tuned, written
from shiftbench.base.refs import Ref


@pytest.fixture
def inputs(tmp_path: Path) -> dict[Ref, Path]:
    """Weights of a start and two candidates, and the shards for calibration."""
    return written(tmp_path, *tuned())
