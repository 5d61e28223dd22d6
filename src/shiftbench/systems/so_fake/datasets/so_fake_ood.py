"""So-Fake-OOD, from the Parquet files of a pinned revision: commercial generators that never occur in training.

    datasets:
      so_fake_ood: {path: /data/so_fake_ood, revision: COMMIT, on_error: skip}

Generators, the clusters of its claims, are told from the second revision on (99,722 images); the first has 100,000.
See `_hub.py` for options, the one path of all images and what is refused.

Source: saberzl/So-Fake-OOD on the hub; Huang et al. 2025, arXiv:2505.18660.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shiftbench.base.errors import DataError
from shiftbench.base.sample import Sample
from shiftbench.systems.so_fake.datasets import _forging, _hub

TASK = "forgery"
CLASSES = _forging.CLASSES
NATIVE = ("test",)
SOURCES: tuple[str, ...] = ()
LICENCE, CITATION = _hub.LICENCE, _hub.CITATION
REDISTRIBUTE = False
Options = _hub.Options
IN_ORDER = True


def wants(split: str, params: dict[str, Any]) -> dict[str, str]:
    """Files that the user must provide."""
    return _hub.wants(split, params)


def samples(split: str, sources: dict[str, Path], params: dict[str, Any]) -> Iterator[Sample | DataError]:
    """Yield one split: `image` uint8 (side, side, 3), `label`, of tampered ones `mask`, and `meta`."""
    yield from _hub.samples(params["name"], split, split, params)


group = _hub.source
