"""Rows of the tiny net that its detectors are fitted on, and rows that they have not seen."""

from pathlib import Path

import pytest

from makers.tiny_net import pictures, rows
from shiftbench.plugins.detectors._rows import Known, Rows


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nets")


@pytest.fixture(scope="module")
def known(folder: Path) -> Known:
    return Known({"train": rows(folder / "train", pictures(150, 1)), "val": rows(folder / "val", pictures(40, 2))})


@pytest.fixture(scope="module")
def unseen(folder: Path) -> Rows:
    return rows(folder / "test", pictures(21, 3))
