"""Solar cells of polycrystalline silicon, functional or defective: a domain shift of elpv_mono.

Source: Deitsch et al. 2019; rules in `_elpv`. Non-commercial use only.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.datasets import _elpv
from shiftbench.errors import DataError
from shiftbench.sample import Sample

TASK = "classification"
CLASSES = _elpv.CLASSES
NATIVE = ("all",)
SOURCES = ("elpv",)
LICENCE = _elpv.LICENCE
CITATION = _elpv.CITATION
REDISTRIBUTE = False
PARAMS: dict[str, object] = {}


def samples(
    split: str, sources: dict[str, Path], params: dict[str, Any]
) -> Iterator[Sample | DataError]:
    """Yield all cells: `image` uint8 (300, 300), `label` 0 (functional) or 1 (defective)."""
    yield from _elpv.samples("poly", sources["elpv"])
