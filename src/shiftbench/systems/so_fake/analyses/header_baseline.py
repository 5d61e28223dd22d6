"""Header-only baseline: how well pictures' files tell fakes from real ones before a pixel is looked at.

Rows are `header_auroc`, by what stands in a file beside the pixels, learnt from the train split of the benchmark's
dataset (`datasets/_headers.py`), and `size_auroc`, by the number of bytes alone, where fewer are the fake's. Each is
the area under the ROC curve as a mean over fakes: the share of real pictures that score lower, and half of those that
score alike. Both are of the test split of the benchmark's dataset and of each in `datasets`, in the files as stored.

Near 0.5 headers must be, else they leak the label. File sizes are only told: smooth pictures take fewer bytes.

Source: ours, for the trap that So-Fake's specification names.
"""

import tarfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from shiftbench.base import refs
from shiftbench.base.refs import Ref
from shiftbench.data import shards
from shiftbench.plugins.contracts import Measurement, Observation
from shiftbench.systems.so_fake.datasets import _headers

PARAMS: dict[str, object] = {"datasets": []}
NAME = "header-baseline"


class Stored(NamedTuple):
    """The files of a split, and of which of them are fakes."""

    keys: list[str]
    files: list[bytes]
    fakes: list[bool]


def needs(params: Mapping[str, Any]) -> list[Ref]:
    """Return the train split of the benchmark's dataset and all that is tested."""
    train = refs.shards(params["dataset"], "train")
    return [train, *(refs.shards(name, params["split"]) for name in _tested(params))]


def _tested(params: Mapping[str, Any]) -> list[str]:
    return [params["dataset"], *params["datasets"]]


def measure(job: Measurement) -> Iterator[Observation]:
    """Yield the share of real pictures below each fake, by header and by size."""
    known = stored(job.folder(refs.shards(job.params["dataset"], "train")))
    for name in _tested(job.params):
        tested = stored(job.folder(refs.shards(name, job.params["split"])))
        scored: dict[str, Sequence[float]] = {
            "header_auroc": _headers.scores(known.files, known.fakes, tested.files),
            "size_auroc": _headers.sizes(tested.files),
        }
        for metric, scores in scored.items():
            for key, share in zip(_fakes(tested), below(scores, tested.fakes), strict=True):
                yield Observation(metric, key, share, NAME, name, split=job.params["split"])


def _fakes(tested: Stored) -> list[str]:
    return [key for key, fake in zip(tested.keys, tested.fakes, strict=True) if fake]


def stored(folder: Path) -> Stored:
    """Return the pictures of a folder of shards as the bytes that are stored."""
    found = Stored([], [], [])
    for tar in shards.manifest(folder)["tars"]:
        with tarfile.open(folder / tar) as opened:
            for member in opened:
                key, _, extension = member.name.partition(".")
                stream = opened.extractfile(member)
                if stream is None:
                    continue
                if extension == "png":
                    found.keys.append(key)
                    found.files.append(stream.read())
                elif extension == "cls":
                    found.fakes.append(int(stream.read()) > 0)
    return found


def below(scores: Sequence[float], fakes: Sequence[bool]) -> list[float]:
    """Return the share of real pictures that each fake scores above, half of equal ones; their mean is the area."""
    values, fake = np.asarray(scores, dtype=np.float64), np.asarray(fakes, dtype=bool)
    real = np.sort(values[~fake])
    lower = np.searchsorted(real, values[fake], side="left")
    equal = np.searchsorted(real, values[fake], side="right") - lower
    shares: list[float] = ((lower + equal / 2) / max(1, len(real))).tolist()
    return shares
