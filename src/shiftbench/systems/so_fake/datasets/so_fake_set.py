"""So-Fake-Set, from the Parquet files of a pinned revision: `train`, and as `test` what the hub calls `validation`.

    datasets:
      so_fake_set: {path: /data/so_fake_set, revision: COMMIT, on_error: skip}

Baselines are compared on the hub's validation split, which therefore is the test split here; `val` is a tenth of train,
cut by source as far as file names tell it. See `_hub.py` for options, the one path of all images and what is refused.

Source: saberzl/So-Fake-Set on the hub; Huang et al. 2025, arXiv:2505.18660.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.systems.so_fake.datasets import _forging, _hub

TASK = "forgery"
CLASSES = _forging.CLASSES
NATIVE = ("train", "test")
SOURCES: tuple[str, ...] = ()
LICENCE, CITATION = _hub.LICENCE, _hub.CITATION
REDISTRIBUTE = False
Options = _hub.Options
IN_ORDER = True
ON_HUB = {"train": "train", "test": "validation"}


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide."""
    return _hub.wants(ON_HUB[split], params)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield one split: `image` uint8 (side, side, 3), `label`, of tampered ones `mask`, and `meta`."""
    yield from _hub.samples(params["name"], split, ON_HUB[split], params)


group = _hub.source
